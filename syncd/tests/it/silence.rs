//! A real Redis that falls silent and comes back as it was.

use std::time::Duration;

use engine::leases::keeper::LeaseConfig;
use engine::redis::RedisConfig;
use engine::{Engine, NodeKind, Placement};
use protocol::id::RoomId;
use servers::RedisServer;
use syncd::Config;
use tokio::time::{Instant, sleep};

use crate::cut::Cable;
use crate::fake::Node;

const LEASE: LeaseConfig = LeaseConfig {
    renew: Duration::from_millis(300),
    ttl: Duration::from_secs(1),
    retry: Duration::from_millis(100),
};

pub(crate) async fn engine(server: &RedisServer) -> Engine {
    let config = RedisConfig {
        urls: vec![server.url()],
        ..RedisConfig::default()
    };
    Engine::redis(&config).await.unwrap()
}

async fn start(name: &str, server: &RedisServer, cable: &Cable) -> Node {
    let config = Config {
        node: name.parse().unwrap(),
        ..Config::default()
    };
    let engine = cable.to(&engine(server).await);
    Node::start_reachable(config, engine, LEASE).await
}

pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        sleep(Duration::from_millis(10)).await;
    }
}

async fn placed(engine: &Engine, rooms: &[RoomId]) -> Vec<Placement> {
    let found = engine.placements.find(rooms).await.unwrap();
    found.into_iter().map(Option::unwrap).collect()
}

async fn leases(engine: &Engine) -> usize {
    let nodes = engine.leases.list(NodeKind::Syncd).await;
    nodes.map_or(0, |nodes| nodes.len())
}

#[tokio::test]
async fn rooms_stay_where_they_are_when_redis_was_silent_for_longer_than_a_lease() {
    let server = RedisServer::start();
    let watcher = engine(&server).await;
    let names = ["syncd-1", "syncd-2", "syncd-3"];
    let cables = [(); 3].map(|()| Cable::default());
    let mut nodes = Vec::new();
    let mut rooms = Vec::new();
    for (index, name) in names.into_iter().enumerate() {
        let node = start(name, &server, &cables[index]).await;
        let room = 1 + index as u64;
        node.open_when_ready(room, 2, "").await;
        rooms.push(RoomId(room));
        nodes.push(node);
    }
    let before = placed(&watcher, &rooms).await;
    // Nobody takes anything for a lease after it has begun.
    sleep(LEASE.ttl * 2).await;
    let redis = watcher.redis.clone().unwrap();
    for (round, late) in cables.iter().enumerate() {
        // One of them is later than the others to find that Redis is back. Cut off before, it
        // leaves nothing behind that Redis takes when it goes on.
        late.cut();
        server.pause();
        until("the silence is noticed", async || !redis.is_reachable()).await;
        sleep(LEASE.ttl).await;
        server.resume();
        until("the first leases are renewed", async || {
            leases(&watcher).await == 2
        })
        .await;
        sleep(LEASE.ttl / 3).await;
        late.mend();
        until("all leases are renewed", async || {
            leases(&watcher).await == 3
        })
        .await;
        // Longer than whoever was taken for dead would keep its rooms.
        sleep(LEASE.ttl * 2).await;
        assert_eq!(placed(&watcher, &rooms).await, before, "in round {round}");
        let journals = watcher.journals.list().await.unwrap();
        assert_eq!(journals.len(), 3, "{journals:?}");
        assert!(
            journals.iter().all(|journal| !journal.sealed),
            "{journals:?}"
        );
    }
}
