//! The ticket store on real servers: one Redis, and a Cluster.

use std::sync::Arc;

use engine::redis::{Redis, RedisConfig, Topology};
use pixelrush_matcher::store::{RedisStore, conformance};
use servers::{Cluster, RedisServer};

async fn store(urls: Vec<String>, topology: Topology) -> RedisStore {
    let config = RedisConfig {
        urls,
        topology,
        ..RedisConfig::default()
    };
    let redis = Redis::connect(&config).await.expect("Redis is there");
    RedisStore::new(redis, 1000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_redis_conforms() {
    let server = RedisServer::start();
    let store = store(vec![server.url()], Topology::Single).await;
    conformance::all(Arc::new(store)).await;
    let leftovers: Vec<String> = server.query(&keys());
    let left: Vec<_> = leftovers
        .iter()
        .filter(|key| !key.contains(":gone:") && !key.contains(":ended:"))
        .collect();
    assert!(left.is_empty(), "keys that nobody needs: {left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cluster_conforms() {
    let cluster = Cluster::start();
    let store = store(cluster.urls(), Topology::Cluster).await;
    conformance::all(Arc::new(store)).await;
}

fn keys() -> redis::Cmd {
    let mut keys = redis::cmd("KEYS");
    keys.arg("*");
    keys
}
