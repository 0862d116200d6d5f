//! Starts one service on an address. The one-process mode and the single services come through
//! here, so there is one way to start each.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use chassis::admin::Admin;
use chassis::drain::Drain;
use chassis::listen::{ListenOptions, bind};
use chassis::postgres::{Pool, routes};
use chassis::readiness::Readiness;
use chassis::resolve::Resolver;
use chassis::telemetry::{Chain, Telemetry};
use engine::leases::keeper::{LeaseState, keep};
use engine::redis::Without;
use engine::{Engine, Load, NodeKind, NodeRecord};
use gateway::{Gateway, Origins, Parts};
use matcher::SyncdNode;
use parking_lot::Mutex;
use protocol::id::Generation;
use rpc::transport::{Incoming, Names};
use serde_json::Value;
use syncd::Announce;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::running::Running;
use crate::secrets::Secrets;
use crate::settings::Settings;
use crate::stores::{MatcherStores, consume_results, without_players};
use crate::succession::Succession;

/// What every service of a process shares.
#[derive(Clone)]
pub(crate) struct Host {
    settings: Arc<ArcSwap<Settings>>,
    pub(crate) drain: Drain,
    pub(crate) readiness: Readiness,
    /// Every endpoint comes from here, so that a name is followed once.
    names: Names,
    /// The gateway of this process, if it has one: it takes new settings over.
    gateway: Arc<OnceLock<Arc<Gateway>>>,
    /// The database of this process, if it uses one: it takes new settings over.
    postgres: Arc<OnceLock<Pool>>,
    /// What the matcher of this process follows.
    matcher: watch::Sender<Arc<matcher::Config>>,
    /// Why a service ended by itself.
    failure: Arc<Mutex<Option<Failure>>>,
}

impl Host {
    pub(crate) fn new(
        settings: Settings,
        drain: Drain,
        readiness: Readiness,
    ) -> Result<Self, Failure> {
        let resolver = Resolver::new(settings.resolve.clone())?;
        let (matcher, _) = watch::channel(Arc::new(settings.matcher.clone()));
        let settings = Arc::new(ArcSwap::from_pointee(settings));
        Ok(Self {
            settings,
            drain,
            readiness,
            names: resolver.into(),
            gateway: Arc::default(),
            postgres: Arc::default(),
            matcher,
            failure: Arc::default(),
        })
    }

    /// Why a service of this process ended by itself, if one did.
    pub(crate) fn take_failure(&self) -> Option<Failure> {
        self.failure.lock().take()
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// What `GET /admin/config` shows.
    pub(crate) fn shown(&self) -> impl Fn() -> Value + Send + Sync + 'static {
        let settings = self.settings.clone();
        move || settings.load().shown()
    }

    /// The stores of services that run apart: shared if the settings say so.
    pub(crate) async fn engine(&self) -> Result<Engine, Failure> {
        let settings = self.settings();
        match &settings.engine.redis {
            Some(redis) => Ok(Engine::redis(redis).await?),
            None => self.embedded(),
        }
    }

    /// Shows at the private port whether the shared store answers.
    fn show_engine(&self, engine: &Engine, without: Without) {
        if let Some(redis) = engine.redis.clone() {
            let condition = self.readiness.condition("engine");
            tokio::spawn(async move { redis.show_health(&condition, without).await });
        }
    }

    /// The stores of a process that is alone.
    pub(crate) fn embedded(&self) -> Result<Engine, Failure> {
        Ok(Engine::embedded(
            self.settings().engine.data_dir.as_deref(),
        )?)
    }

    /// `engine` with what must last in the database, if there is one, which is shown at the private
    /// port.
    pub(crate) async fn lasting(
        &self,
        engine: Engine,
        admin: Admin,
    ) -> Result<(Engine, Admin), Failure> {
        let Some(config) = self.settings().engine.postgres.clone() else {
            return Ok((engine, admin));
        };
        let engine = engine.lasting_in(&config).await?;
        let Some(pool) = engine.postgres.clone() else {
            return Ok((engine, admin));
        };
        // A process has one database.
        let _ = self.postgres.set(pool.clone());
        Ok((engine, admin.routes(routes(pool))))
    }

    /// Applies what can change while running, and names what cannot.
    pub(crate) async fn reload(&self, new: Settings, telemetry: &Telemetry) {
        let old = self.settings();
        let problems = new.problems();
        if !problems.is_empty() {
            tracing::error!(?problems, "reload refused, the old settings stay");
            return;
        }
        let (live, waiting) = old.changes(&new);
        let new = old.with_live(&new);
        if let Err(error) = telemetry.set_level(&new.telemetry.level) {
            tracing::error!(%error, "reload refused, the old settings stay");
            return;
        }
        if let (Some(pool), Some(config)) = (self.postgres.get(), &new.engine.postgres)
            && let Err(error) = pool.configure(config).await
        {
            // It was in force until now.
            let _ = telemetry.set_level(&old.telemetry.level);
            tracing::error!(error = %Chain(&error), "reload refused, the old settings stay");
            return;
        }
        if let Some(gateway) = self.gateway.get() {
            gateway.reload(&new.gateway);
        }
        self.matcher.send_replace(Arc::new(new.matcher.clone()));
        self.settings.store(Arc::new(new));
        tracing::info!(
            ?live,
            ?waiting,
            "settings reloaded; those that wait need a restart"
        );
    }

    /// Starts a gateway on `listener`; gives it with the task that serves its public port.
    pub(crate) fn start_gateway(
        &self,
        listener: TcpListener,
        origins: Origins,
        secrets: &Secrets,
        drain: Drain,
    ) -> (Arc<Gateway>, JoinHandle<()>) {
        let gateway = self.build_gateway(origins, secrets, drain);
        let serving = gateway.clone();
        let task = tokio::spawn(async move { serving.serve(listener).await });
        (gateway, task)
    }

    /// A gateway that links its nodes and serves nobody yet.
    fn build_gateway(&self, origins: Origins, secrets: &Secrets, drain: Drain) -> Arc<Gateway> {
        let gateway = Arc::new(Gateway::start(Parts {
            config: self.settings().gateway.clone(),
            origins,
            signer: secrets.signer.clone(),
            id_key: secrets.id_key.clone(),
            drain,
            readiness: self.readiness.clone(),
        }));
        // A process has one gateway; a second one would only miss reloads.
        let _ = self.gateway.set(gateway.clone());
        gateway
    }

    /// Starts a matcher on `incoming`.
    pub(crate) fn start_matcher(
        &self,
        incoming: Incoming,
        stores: MatcherStores,
        secrets: &Secrets,
        generation: Generation,
    ) -> Result<JoinHandle<()>, Failure> {
        let dependencies = matcher::Dependencies {
            store: stores.tickets,
            seats: stores.seats,
            players: stores.players,
            nodes: stores.nodes,
            placements: stores.placements,
            signer: secrets.signer.clone(),
            generation,
            drain: self.drain.clone(),
            readiness: self.readiness.clone(),
        };
        let matcher = matcher::build(self.matcher.subscribe(), dependencies)?;
        Ok(tokio::spawn(async move {
            if let Err(error) = matcher.run(incoming).await {
                tracing::error!(error = %Chain(&error), "the matcher ended");
            }
        }))
    }

    /// Starts a syncd on `incoming`.
    pub(crate) fn start_syncd(
        &self,
        incoming: Incoming,
        engine: &Engine,
        announce: Option<Announce>,
    ) -> JoinHandle<()> {
        let syncd = syncd::build(syncd::Parts {
            config: self.settings().syncd.clone(),
            engine: engine.clone(),
            drain: self.drain.clone(),
            readiness: self.readiness.clone(),
            announce,
            names: self.names.clone(),
        });
        let failure = self.failure.clone();
        tokio::spawn(async move {
            if let Err(failed) = syncd.serve(incoming).await {
                failure.lock().get_or_insert(failed.into());
            }
        })
    }

    /// Serves the private port, if there is one, through the gateway's accept code if there is a
    /// gateway.
    pub(crate) fn start_admin(
        &self,
        admin: Admin,
        gateway: Option<&Gateway>,
    ) -> Result<JoinHandle<()>, Failure> {
        let Some(address) = self.settings().admin.listen else {
            return Ok(tokio::spawn(async {}));
        };
        self.serve_admin(admin, listen(address)?, gateway)
    }

    fn serve_admin(
        &self,
        admin: Admin,
        listener: TcpListener,
        gateway: Option<&Gateway>,
    ) -> Result<JoinHandle<()>, Failure> {
        tracing::info!(address = %listener.local_addr()?, "private port");
        Ok(match gateway {
            Some(gateway) => tokio::spawn(gateway.private(listener, admin.router())),
            None => tokio::spawn(async move {
                if let Err(error) = admin.serve(listener).await {
                    tracing::error!(%error, "the private port is gone");
                }
            }),
        })
    }
}

/// `pixelrush gateway`
pub(crate) async fn gateway(host: &Host, admin: Admin) -> Result<Running, Failure> {
    let settings = host.settings();
    let secrets = Secrets::read(&settings)?;
    let origins = match host.shared_engine().await? {
        Some(engine) => {
            host.show_engine(
                &engine,
                Without::Impaired("nodes and rooms stay where they were"),
            );
            Origins::Leases {
                leases: engine.leases,
                placements: engine.placements,
                names: host.names.clone(),
            }
        }
        None if settings.gateway.rooms.is_empty() => {
            let text = "gateway.rooms is empty; it lists the syncd nodes, unless engine.redis is set and they are found there";
            return Err(Failure::Settings(text.to_owned()));
        }
        None => Origins::of(&settings.gateway, &host.names),
    };
    let mut succession = Succession::begin(settings.gateway.handover.clone()).await?;
    let listener = succession.listen("public", settings.gateway.listen)?;
    let private = settings.admin.listen;
    let private = private.map(|address| succession.listen("private", address));
    let private = private.transpose()?;
    let gateway = host.build_gateway(origins, &secrets, host.drain.clone());
    succession.ready(&host.readiness).await?;
    announce("gateway", &listener)?;
    let serving = gateway.clone();
    let task = tokio::spawn(async move { serving.serve(listener).await });
    let admin = match private {
        Some(private) => host.serve_admin(admin, private, Some(&gateway))?,
        None => tokio::spawn(async {}),
    };
    // Whoever asks at the private port from then on is answered by the next process.
    let private = admin.abort_handle();
    let stop = move || private.abort();
    succession.serve(host.drain.clone(), stop).await?;
    Ok(Running::new(vec![task], admin))
}

/// `pixelrush matcher`
pub(crate) async fn matcher(host: &Host, admin: Admin) -> Result<Running, Failure> {
    let settings = host.settings();
    let secrets = Secrets::read(&settings)?;
    let (engine, admin) = host.lasting(host.engine().await?, admin).await?;
    // Without a database, seats of events are in a folder, which nobody but a matcher needs.
    let engine = match &settings.engine.data_dir {
        Some(data_dir) if engine.seats.is_none() => engine.with_seats_in(data_dir)?,
        _ => engine,
    };
    let engine = without_players(engine, &settings);
    let listener = listen(settings.matcher.listen)?;
    announce("matcher", &listener)?;
    let generation = generation();
    let mut tasks = Vec::new();
    let stores = match engine.redis.clone() {
        Some(redis) => {
            let advertised = settings.matcher.advertise.as_deref();
            let record = NodeRecord {
                node: settings.matcher.node.clone(),
                kind: NodeKind::Matcher,
                generation,
                endpoint: endpoint("matcher", advertised, &listener)?,
                load: Load::default(),
                build: env!("CARGO_PKG_VERSION").to_owned(),
                simulation: String::new(),
                region: String::new(),
            };
            host.show_engine(&engine, Without::Useless);
            consume_results(
                &engine,
                settings.matcher.node.to_string(),
                host.drain.clone(),
            );
            tasks.push(host.keep_lease(&engine, record));
            MatcherStores::shared(&engine, redis, &host.names, settings.matcher.players)
        }
        None => {
            let nodes = settings.matcher.nodes.iter();
            let nodes = nodes.map(|node| SyncdNode::of(node, &host.names));
            MatcherStores::alone(&engine, nodes.collect(), settings.matcher.players)
        }
    };
    let incoming = Incoming::Tcp(listener);
    tasks.push(host.start_matcher(incoming, stores, &secrets, generation)?);
    let admin = host.start_admin(admin, None)?;
    Ok(Running::new(tasks, admin))
}

/// `pixelrush syncd`
pub(crate) async fn syncd(host: &Host, admin: Admin) -> Result<Running, Failure> {
    let settings = host.settings();
    let (engine, admin) = host.lasting(host.engine().await?, admin).await?;
    let engine = engine.recording_by_queue();
    host.show_engine(
        &engine,
        Without::Impaired("rooms go on, what is reliable waits"),
    );
    let listener = listen(settings.syncd.listen)?;
    announce("syncd", &listener)?;
    let outliving = match engine.is_shared {
        true => Some(Announce {
            endpoint: endpoint("syncd", settings.syncd.advertise.as_deref(), &listener)?,
            lease: settings.engine.lease,
        }),
        false => None,
    };
    let task = host.start_syncd(Incoming::Tcp(listener), &engine, outliving);
    let admin = host.start_admin(admin, None)?;
    Ok(Running::new(vec![task], admin))
}

impl Host {
    /// The stores that services share, if they do.
    async fn shared_engine(&self) -> Result<Option<Engine>, Failure> {
        match self.settings().engine.redis {
            Some(_) => self.engine().await.map(Some),
            None => Ok(None),
        }
    }

    /// Announces a node until it begins to drain.
    fn keep_lease(&self, engine: &Engine, record: NodeRecord) -> JoinHandle<()> {
        let stop = CancellationToken::new();
        let (record, records) = watch::channel(record);
        let (state, _) = watch::channel(LeaseState::Waiting);
        let lease = self.settings().engine.lease;
        let keeping = keep(engine.leases.clone(), records, lease, state, stop.clone());
        let drain = self.drain.clone();
        tokio::spawn(async move {
            let _record = record;
            let begun = async {
                drain.started().await;
                stop.cancel();
            };
            tokio::join!(begun, keeping);
        })
    }
}

/// Where others reach what listens on `listener`.
fn endpoint(
    service: &str,
    advertised: Option<&str>,
    listener: &TcpListener,
) -> Result<String, Failure> {
    if let Some(advertised) = advertised {
        return Ok(advertised.to_owned());
    }
    let address = listener.local_addr()?;
    if address.ip().is_unspecified() {
        let text = format!(
            "{service}.advertise is not set, and others cannot reach {address}; set it to http://host:{}",
            address.port()
        );
        return Err(Failure::Settings(text));
    }
    Ok(format!("http://{address}"))
}

/// A term of this process: higher after each start, as long as the clock does not go back.
pub(crate) fn generation() -> Generation {
    Generation(chassis::clock::unix_ms())
}

/// Says on standard output where a service is: tests and scripts read it.
fn announce(service: &str, listener: &TcpListener) -> Result<(), Failure> {
    say(&format!(
        "{service} is at http://{}",
        listener.local_addr()?
    ));
    Ok(())
}

/// A line for whoever started this process, who may not listen any more.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    Ok(bind(address, &ListenOptions::default())?)
}

/// Sockets are files: lets this process open as many as the system allows.
pub(crate) fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}
