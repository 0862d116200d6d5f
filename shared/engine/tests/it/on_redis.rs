//! The conformance suites over one Redis and over a Cluster.

use std::time::Duration;

use pixelrush_engine::{Engine, conformance};

use crate::real::{CLUSTER, SHARED, cluster, engine, single};

/// A lease that a real clock ends exactly enough.
const SHORT: Duration = Duration::from_millis(300);

async fn all(engine: &Engine) {
    assert!(engine.is_shared);
    conformance::placements::all(&*engine.placements).await;
    conformance::journals::all(&*engine.journals).await;
    conformance::results::all(&*engine.results).await;
    conformance::tapes::all(&*engine.tapes, SHORT).await;
    conformance::leases::all(&*engine.leases, SHORT).await;
}

#[tokio::test]
async fn one_redis_conforms() {
    all(&engine(&single(&SHARED, "conforms")).await).await;
}

#[tokio::test]
async fn a_cluster_conforms() {
    let servers = CLUSTER.read().await;
    all(&engine(&cluster(&servers, "conforms")).await).await;
}

#[tokio::test]
async fn a_cluster_whose_replicas_are_waited_for_conforms() {
    let servers = CLUSTER.read().await;
    let mut config = cluster(&servers, "durable");
    config.replicas = 1;
    config.deadline = Duration::from_secs(2);
    let engine = engine(&config).await;
    conformance::placements::all(&*engine.placements).await;
    conformance::journals::all(&*engine.journals).await;
}
