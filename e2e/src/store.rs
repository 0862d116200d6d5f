//! The Redis under a fleet: one server, a primary with a replica under sentinels, or a Cluster.
//!
//! Calls block for as long as the servers take, and panic where those do not do what they should:
//! nothing can be said of PixelRush then.

use engine::redis::{RedisConfig, Topology};
use engine::{Engine, EngineError};
use serde::Serialize;
use servers::{Cluster, RedisServer, Sentinel};

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
