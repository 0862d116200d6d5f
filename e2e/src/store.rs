//! The Redis under a fleet: one server, a primary with a replica under sentinels, or a Cluster.
//!
//! Calls block for as long as the servers take, and panic where those do not do what they should:
//! nothing can be said of PixelRush then.

use engine::redis::{RedisConfig, Topology};
use engine::{Engine, EngineError};
use serde::Serialize;
use servers::{Cluster, RedisServer, Sentinel};

/// The primary of a Cluster that has this key is the one that faults hit.
const KEY: &str = "fault";

/// What kind of Redis there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// One server, which has every write on disk before it confirms it.
    Single,
    /// A primary with a replica, and sentinels.
    Sentinel,
    /// Three primaries with a replica each.
    Cluster,
}

/// The servers, which end with this value.
#[derive(Debug)]
pub enum Store {
    /// See [`StoreKind::Single`].
    Single(RedisServer),
    /// See [`StoreKind::Sentinel`].
    Sentinel(Sentinel),
    /// See [`StoreKind::Cluster`].
    Cluster(Cluster),
}

impl Store {
    /// Starts the servers and waits until they stand.
    pub fn start(kind: StoreKind) -> Self {
        match kind {
            StoreKind::Single => Self::Single(RedisServer::start_durable()),
            StoreKind::Sentinel => Self::Sentinel(Sentinel::start()),
            StoreKind::Cluster => Self::Cluster(Cluster::start()),
        }
    }

    /// Which kind it is.
    pub fn kind(&self) -> StoreKind {
        match self {
            Self::Single(_) => StoreKind::Single,
            Self::Sentinel(_) => StoreKind::Sentinel,
            Self::Cluster(_) => StoreKind::Cluster,
        }
    }

    /// The section `[engine.redis]` for it, without its head.
    pub fn config_text(&self) -> String {
        let config = self.config();
        let topology = match config.topology {
            Topology::Single => "single",
            Topology::Cluster => "cluster",
            Topology::Sentinel => "sentinel",
        };
        format!(
            "urls = {:?}\ntopology = \"{topology}\"\nservice = \"{}\"\nreplicas = {}\n",
            config.urls, config.service, config.replicas
        )
    }

    /// Ends the server that takes writes, or one of them, at once.
    pub fn kill_one(&mut self) {
        match self {
            Self::Single(server) => server.kill(),
            Self::Sentinel(servers) => {
                servers.kill_primary();
            }
            Self::Cluster(servers) => servers.kill_primary_of(KEY),
        }
    }

    /// Waits until another server has taken the place of the one that was killed; of a single one
    /// nobody does.
    pub fn wait_until_replaced(&self) {
        let reached = || match self {
            Self::Single(_) => true,
            Self::Sentinel(servers) => servers.primary().is_running(),
            Self::Cluster(servers) => servers.primary_of(KEY).is_running(),
        };
        servers::wait_until("a replica takes over", || reached().then_some(()));
    }

    /// Starts again what was killed: a single server with what it had confirmed, any other as a
    /// replica. Comes back when all is whole.
    pub fn bring_back(&mut self) {
        match self {
            Self::Single(server) => server.restart(),
            Self::Sentinel(servers) => {
                servers.restart_killed();
                servers.wait_until_whole();
            }
            Self::Cluster(servers) => {
                servers.restart_killed();
                servers.wait_until_whole();
            }
        }
    }

    /// Kills a single server and starts it empty.
    ///
    /// # Panics
    /// It is another kind: there a server that comes back empty is filled by the others.
    pub fn restart_empty(&mut self) {
        match self {
            Self::Single(server) => server.restart_empty(),
            _ => panic!("only a single server can come back empty"),
        }
    }

    /// Freezes the server that takes writes, or one of them.
    pub fn pause(&self) {
        self.writable().pause();
    }

    /// Lets all go on that are frozen.
    pub fn resume(&self) {
        match self {
            Self::Single(server) => server.resume(),
            Self::Sentinel(servers) => servers.primary().resume(),
            // Who is frozen cannot be asked which of them is.
            Self::Cluster(servers) => servers.resume_all(),
        }
    }

    fn writable(&self) -> &RedisServer {
        match self {
            Self::Single(server) => server,
            Self::Sentinel(servers) => servers.primary(),
            Self::Cluster(servers) => servers.primary_of(KEY),
        }
    }

    /// The engine on it, for a look at what is stored. Its tasks belong to the runtime that this
    /// is awaited on.
    ///
    /// # Errors
    /// It cannot be reached.
    pub async fn engine(&self) -> Result<Engine, EngineError> {
        Engine::redis(&self.config()).await
    }

    fn config(&self) -> RedisConfig {
        let (urls, topology, replicas) = match self {
            Self::Single(server) => (vec![server.url()], Topology::Single, 0),
            // What must not be lost with a primary is on its replica before it counts.
            Self::Sentinel(servers) => (servers.urls(), Topology::Sentinel, 1),
            Self::Cluster(servers) => (servers.urls(), Topology::Cluster, 1),
        };
        RedisConfig {
            urls,
            topology,
            service: Sentinel::SERVICE.to_owned(),
            replicas,
            ..RedisConfig::default()
        }
    }
}
