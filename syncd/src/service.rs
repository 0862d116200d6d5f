//! The service: built from its parts, then served until it is drained.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chassis::drain::Drain;
use chassis::readiness::{Condition, Readiness};
use chassis::telemetry::Chain;
use engine::leases::keeper::LeaseConfig;
use engine::{Engine, Segment};
use protocol::id::{Channel, Generation, NodeId, RoomId};
use rpc::origin::OriginIdentity;
use rpc::pb::rooms_server::RoomsServer;
use rpc::transport::{Incoming, Names};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::config::Config;
use crate::games::Games;
use crate::grpc::{Gateways, RoomsService};
use crate::host::{Host, HostParts, LoadLimits};
use crate::ownership::handover::Handover;
use crate::ownership::tenure::{Over, Tenure, say_over};
use crate::ownership::term::{Announcement, Terms};
use crate::results::{Ending, Recorder};
use crate::spectators::{self, Limits, Stage, StageParts};
use crate::tapes;
use crate::worker::{Mail, Worker};

/// From the last room's end to that of the streams.
const FAREWELL: Duration = Duration::from_millis(250);

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
    /// How others find it, where the engine is shared: rooms outlive the node then. Without it
    /// rooms end with the node.
    pub announce: Option<Announce>,
    /// Finds the hosts of the nodes that rooms are handed to.
    pub names: Names,
}

/// What a node says of itself to others.
#[derive(Debug, Clone)]
pub struct Announce {
    /// Where other services reach it: `http://host:port`.
    pub endpoint: String,
    /// How its lease is kept.
    pub lease: LeaseConfig,
}

/// Why a syncd ended that was not told to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// A task of it died; the log says why.
    #[error("a part of syncd ended; the log says why")]
    Task,
    /// Another process has the name.
    #[error(
        "`syncd.node` is {node}, and a syncd of that name is alive at {endpoint}: give this one \
         a name that no other has, or stop that one first"
    )]
    NameTaken {
        /// The name.
        node: NodeId,
        /// Where the other is.
        endpoint: String,
    },
    /// A later process has taken the name.
    #[error(
        "`syncd.node` is {node}, and a later process has the lease of that name, or had it within \
         the last hour: give each syncd a name of its own, and look whether this machine's clock \
         was set back"
    )]
    Replaced {
        /// The name.
        node: NodeId,
    },
}

/// A syncd that is ready to serve.
pub struct Syncd {
    config: Config,
    host: Arc<Host>,
    engine: Engine,
    drain: Drain,
    ready: Condition,
    mailboxes: Vec<mpsc::Receiver<Mail>>,
    pieces: mpsc::Receiver<(RoomId, Segment)>,
    to_stage: mpsc::Receiver<spectators::Mail>,
    outliving: Option<Outliving>,
    names: Names,
}

/// What rooms need to outlive the node.
struct Outliving {
    tenure: Arc<Tenure>,
    overs: mpsc::Receiver<Over>,
    announcement: Announcement,
    ready: Condition,
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
        announce,
        names,
    } = parts;
    let outliving = announce.map(|announce| {
        let (tenure, overs) = Tenure::new(
            engine.clone(),
            config.node.clone(),
            games.simulation(),
            config.journal_limit.0,
            config.capacity.get(),
        );
        Outliving {
            tenure,
            overs,
            announcement: Announcement {
                endpoint: announce.endpoint,
                region: config.region.clone().unwrap_or_default(),
                lease: announce.lease,
            },
            ready: readiness.condition("syncd.journal"),
        }
    });
    let (senders, mailboxes) = (0..config.worker_count())
        .map(|_| mpsc::channel(config.mailbox.get()))
        .unzip();
    let (tapes, pieces) = mpsc::channel(tapes::WAITING);
    let (stage, to_stage) = mpsc::channel(config.mailbox.get());
    let host = Host::new(HostParts {
        tapes,
        stage,
        node: config.node.clone(),
        generation: Generation(chassis::clock::unix_ms()),
        tenure: outliving.as_ref().map(|outliving| outliving.tenure.clone()),
        drain: drain.clone(),
        games,
        rules: config.rules(),
        capacity: config.capacity.get(),
        limits: LoadLimits {
            begin: config.max_load,
            rescue: config.rescue_load,
        },
        mailboxes: senders,
    });
    Syncd {
        host: Arc::new(host),
        ready: readiness.condition("syncd"),
        config,
        engine,
        drain,
        mailboxes,
        pieces,
        to_stage,
        outliving,
        names,
    }
}

impl Syncd {
    /// Serves until the drain has begun and every room has ended, with its result recorded, or the
    /// drain's deadline. If one of its tasks dies it begins the drain itself, and waits for no room.
    ///
    /// # Errors
    /// [`Failed`] if it ended by itself.
    pub async fn serve(self, incoming: Incoming) -> Result<(), Failed> {
        let _guard = self.drain.guard();
        let stop = CancellationToken::new();
        let routes = self.routes(&stop);
        let (ready, host, deadline) = (
            self.ready.clone(),
            self.host.clone(),
            self.config.drain_deadline,
        );
        let (drain, names) = (self.drain.clone(), self.names.clone());
        let failed = Arc::<OnceLock<Failed>>::default();
        let tasks = self.start(&stop, &failed);

        ready.ready();
        let drained = async {
            drain.started().await;
            ready.unready("draining");
            let giving = host
                .tenure()
                .map(|tenure| Handover::new(host.clone(), tenure.clone(), names));
            let emptied = async {
                tokio::select! {
                    () = host.emptied() => {}
                    () = async { giving.as_ref().expect("checked").clone().run().await },
                        if giving.is_some() => host.emptied().await,
                }
                host.all_told().await;
            };
            let emptied = tokio::time::timeout(deadline, emptied).await;
            // What gateways are told last is on its way.
            tokio::time::sleep(FAREWELL).await;
            if emptied.is_err() {
                let (rooms, results) = (host.load().rooms, host.untold());
                tracing::warn!(
                    rooms,
                    results,
                    "rooms were still open, or results not recorded, when the drain's deadline passed"
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
        let has_failed = !drain.is_draining();
        if has_failed {
            // Rooms of a worker that is gone stand still: better that the process ends, so that
            // its matches count as lost and new ones go elsewhere.
            ready.unready("a task of it failed");
            tracing::error!("syncd failed; the process ends");
            drain.begin();
        }
        // Workers first, which lets go of the recorder, which tries for a moment what it has.
        stop.cancel();
        for task in tasks {
            // One that panicked has said so.
            let _ = task.await;
        }
        match failed.get() {
            Some(failed) => Err(failed.clone()),
            None if has_failed => Err(Failed::Task),
            None => Ok(()),
        }
    }

    fn routes(&self, stop: &CancellationToken) -> Routes {
        let identity = OriginIdentity {
            node: self.host.node.clone(),
            generation: {
                let host = self.host.clone();
                Arc::new(move || host.generation())
            },
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

    fn start(
        self,
        stop: &CancellationToken,
        failed: &Arc<OnceLock<Failed>>,
    ) -> Vec<JoinHandle<()>> {
        let drain = self.drain;
        let (endings, ended) = mpsc::channel::<Ending>(self.config.capacity.get());
        let outliving = self.outliving;
        let journal = outliving
            .as_ref()
            .map(|outliving| outliving.tenure.journal());
        let beginning = Instant::now();
        let mut tasks: Vec<JoinHandle<()>> = self
            .mailboxes
            .into_iter()
            .enumerate()
            .map(|(index, mailbox)| {
                let worker = Worker::new(
                    index,
                    self.host.clone(),
                    mailbox,
                    endings.clone(),
                    journal.clone(),
                );
                spawn_vital(&drain, "worker", stop, worker.run(beginning, stop.clone()))
            })
            .collect();
        let recorder = Recorder {
            host: self.host.clone(),
            results: self.engine.results.clone(),
            waiting: self.config.capacity.get(),
            endings: ended,
            stop: stop.clone(),
        };
        tasks.push(spawn_vital(&drain, "recorder", stop, recorder.run()));
        let stage = Stage::new(StageParts {
            host: self.host.clone(),
            engine: self.engine.clone(),
            mailbox: self.to_stage,
            limits: Limits {
                watchers: self.config.watchers,
                shows: self.config.shows,
            },
        });
        // Races go on without it.
        drain.spawn("stage", stage.run(stop.clone()));
        let keep_for = self.config.keep_tapes;
        let taping = tapes::keep(self.engine.tapes, self.pieces, keep_for, stop.clone());
        tasks.push(drain.spawn("tapes", taping));
        if let Some(outliving) = outliving {
            let Outliving {
                tenure,
                overs,
                announcement,
                ready,
            } = outliving;
            let saying = say_over(tenure.clone(), overs);
            let until = stop.clone();
            drain.spawn("overs", async move {
                until.run_until_cancelled(saying).await;
            });
            let host = self.host.clone();
            let terms = Terms {
                host,
                tenure,
                announcement,
                ready,
                failed: failed.clone(),
            };
            tasks.push(spawn_vital(&drain, "terms", stop, terms.run(stop.clone())));
        }
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
