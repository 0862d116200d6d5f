//! Real servers, and engines on them.

use std::future::Future;
use std::sync::LazyLock;
use std::time::Duration;

use pixelrush_engine::redis::{RedisConfig, Topology};
use pixelrush_engine::{Engine, Incarnation};
use protocol::id::Generation;
use servers::{Cluster, RedisServer};
use tokio::sync::RwLock;
use tokio::time::{Instant, sleep};

/// One that the tests share which do it no harm; each has its own prefix.
pub(crate) static SHARED: LazyLock<RedisServer> = LazyLock::new(RedisServer::start);

/// Starting one takes a while: the tests share it, and who harms it has it alone.
pub(crate) static CLUSTER: LazyLock<RwLock<Cluster>> =
    LazyLock::new(|| RwLock::new(Cluster::start()));

/// Longest that anything may take to be well again.
const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) fn single(server: &RedisServer, prefix: &str) -> RedisConfig {
    RedisConfig {
        urls: vec![server.url()],
        prefix: prefix.to_owned(),
        ..RedisConfig::default()
    }
}

pub(crate) fn cluster(cluster: &Cluster, prefix: &str) -> RedisConfig {
    RedisConfig {
        urls: cluster.urls(),
        topology: Topology::Cluster,
        prefix: prefix.to_owned(),
        ..RedisConfig::default()
    }
}

pub(crate) async fn engine(config: &RedisConfig) -> Engine {
    Engine::redis(config).await.expect("Redis is there")
}

pub(crate) fn incarnation(name: &str) -> Incarnation {
    Incarnation {
        node: name.parse().expect("a node's name"),
        generation: Generation(1),
    }
}

/// Asks again and again until it `holds`.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let until = Instant::now() + DEADLINE;
    while !holds().await {
        assert!(Instant::now() < until, "not in time: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}
