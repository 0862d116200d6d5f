//! The service: built from its parts, then served until it is drained.

use std::sync::Arc;

use chassis::drain::Drain;
use chassis::readiness::{Condition, Readiness};
use chassis::telemetry::Chain;
use engine::Engine;
use protocol::id::{Channel, Generation};
use rpc::origin::OriginIdentity;
use rpc::pb::rooms_server::RoomsServer;
use rpc::transport::Incoming;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::config::Config;
use crate::games::Games;
use crate::grpc::{Gateways, RoomsService};
use crate::host::{Host, HostParts};
use crate::results::{Ending, Recorder};
use crate::worker::{Mail, Worker};

/// What a syncd is made from.
pub struct Parts {
    /// Its settings.
    pub config: Config,
    /// Where results go.
    pub engine: Engine,
    /// When it ends.
    pub drain: Drain,
    /// Where it says that it is ready, by the condition `syncd`.
    pub readiness: Readiness,
}

/// A syncd that is ready to serve.
pub struct Syncd {
    config: Config,
    host: Arc<Host>,
    engine: Engine,
    drain: Drain,
    ready: Condition,
    mailboxes: Vec<mpsc::Receiver<Mail>>,
}

/// Makes a syncd with the games of this crate.
pub fn build(parts: Parts) -> Syncd {
    build_with(parts, Games::default())
}

/// Makes a syncd that can run `games`. Its generation is the wall clock's milliseconds: higher
/// after each start.
pub fn build_with(parts: Parts, games: Games) -> Syncd {
    let Parts {
        config,
        engine,
        drain,
        readiness,
    } = parts;
    let (senders, mailboxes) = (0..config.worker_count())
        .map(|_| mpsc::channel(config.mailbox.get()))
        .unzip();
    let host = Host::new(HostParts {
        node: config.node.clone(),
        generation: Generation(chassis::clock::unix_ms()),
        drain: drain.clone(),
        games,
        rules: config.rules(),
        capacity: config.capacity.get(),
        mailboxes: senders,
    });
    Syncd {
        host: Arc::new(host),
        ready: readiness.condition("syncd"),
        config,
        engine,
        drain,
        mailboxes,
    }
}

impl Syncd {
    /// Serves until the drain has begun and every room has ended, or the drain's deadline. If one
    /// of its tasks dies it begins the drain itself, and waits for no room.
    pub async fn serve(self, incoming: Incoming) {
        let _guard = self.drain.guard();
        let stop = CancellationToken::new();
        let routes = self.routes(&stop);
        let (ready, host, deadline) = (
            self.ready.clone(),
            self.host.clone(),
            self.config.drain_deadline,
        );
        let drain = self.drain.clone();
        let tasks = self.start(&stop);

        ready.ready();
        let drained = async {
            drain.started().await;
            ready.unready("draining");
            if tokio::time::timeout(deadline, host.emptied())
                .await
                .is_err()
            {
                let rooms = host.load().rooms;
                tracing::warn!(
                    rooms,
                    "rooms were still open when the drain's deadline passed"
                );
            }
        };
        let serving = incoming.serve(routes, stop.clone().cancelled_owned());
        tokio::pin!(serving);
        let served = tokio::select! {
            served = &mut serving => served,
            () = drained => {
                stop.cancel();
                serving.await
            }
        };
        if let Err(error) = served {
            tracing::error!(error = %Chain(&error), "syncd does not serve any more");
        }
        if !drain.is_draining() {
            // Rooms of a worker that is gone stand still: better that the process ends, so that
            // its matches count as lost and new ones go elsewhere.
            ready.unready("a task of it failed");
            tracing::error!("syncd failed; the process ends");
            drain.begin();
        }
        // Workers first, which lets go of the recorder, which writes what it has.
        stop.cancel();
        for task in tasks {
            // One that panicked has said so.
            let _ = task.await;
        }
    }

    fn routes(&self, stop: &CancellationToken) -> Routes {
        let identity = OriginIdentity {
            node: self.host.node.clone(),
            generation: self.host.generation,
            channel: Channel::Room,
            build: env!("CARGO_PKG_VERSION"),
        };
        let gateways = Arc::new(Gateways {
            host: self.host.clone(),
        });
        let rooms = RoomsService {
            host: self.host.clone(),
            stop: stop.clone(),
        };
        Routes::new(rpc::origin::service(identity, gateways, stop.clone()))
            .add_service(RoomsServer::new(rooms))
    }

    fn start(self, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
        let drain = self.drain;
        let (endings, ended) = mpsc::channel::<Ending>(self.config.capacity.get());
        let mut tasks: Vec<JoinHandle<()>> = self
            .mailboxes
            .into_iter()
            .enumerate()
            .map(|(index, mailbox)| {
                let worker = Worker::new(index, self.host.clone(), mailbox, endings.clone());
                spawn_vital(&drain, "worker", stop, worker.run(stop.clone()))
            })
            .collect();
        let recorder = Recorder {
            host: self.host.clone(),
            results: self.engine.results,
            record_for: self.config.record_for,
            endings: ended,
        };
        tasks.push(spawn_vital(&drain, "recorder", stop, recorder.run()));
        tasks
    }
}

/// Spawns a task that the service is nothing without: when it ends, the service stops.
fn spawn_vital(
    drain: &Drain,
    name: &'static str,
    stop: &CancellationToken,
    task: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let stop = stop.clone().drop_guard();
    drain.spawn(name, async move {
        let _stop = stop;
        task.await;
    })
}
