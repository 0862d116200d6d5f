//! Two processes of one name.

use std::time::Duration;

use engine::leases::keeper::LeaseConfig;
use engine::{Engine, NodeKind};
use protocol::id::Generation;
use servers::RedisServer;
use syncd::{Announce, Config, Failed};
use tokio::time::{Instant, timeout};

use crate::cut::Cable;
use crate::fake::Node;
use crate::silence;

const LEASE: LeaseConfig = LeaseConfig {
    renew: Duration::from_millis(300),
    ttl: Duration::from_secs(1),
    retry: Duration::from_millis(100),
};

/// A process of `syncd-1`, told apart by its endpoint.
async fn start(endpoint: &str, engine: Engine) -> Node {
    let config = Config {
        node: "syncd-1".parse().unwrap(),
        ..Config::default()
    };
    let announce = Announce {
        endpoint: endpoint.to_owned(),
        lease: LEASE,
    };
    Node::start_shared(config, engine, announce).await
}

async fn holder(engine: &Engine) -> Option<(String, Generation)> {
    let nodes = engine.leases.list(NodeKind::Syncd).await.unwrap();
    let first = nodes.into_iter().next()?;
    Some((first.endpoint, first.generation))
}

/// The second one ends, and says why; the first one goes on with its room.
async fn the_second_is_refused(engines: [Engine; 3]) {
    let [watcher, first, second] = engines;
    let first = start("http://first:1", first).await;
    first.open_when_ready(5, 1, "").await;
    let before = holder(&watcher).await.unwrap();
    let began = Instant::now();
    let second = start("http://second:1", second).await;
    let ended = timeout(Duration::from_secs(10), second.serving).await;
    let ended = ended.expect("it ends by itself").unwrap();
    let Err(failed @ Failed::NameTaken { .. }) = ended else {
        panic!("{ended:?}");
    };
    let text = failed.to_string();
    for part in ["`syncd.node`", "syncd-1", "http://first:1"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(
        began.elapsed() >= LEASE.ttl,
        "one that was killed is waited for"
    );
    assert!(second.drain.is_draining(), "it takes its process with it");
    assert_eq!(holder(&watcher).await.unwrap(), before);
    assert!(!first.serving.is_finished());
    first.open(6, 1, "").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_second_process_of_a_name_is_refused() {
    let engine = Engine::embedded(None).unwrap();
    let end = || Cable::default().to(&engine);
    the_second_is_refused([end(), end(), end()]).await;
}

#[tokio::test]
async fn the_second_process_of_a_name_is_refused_on_redis() {
    let server = RedisServer::start();
    let end = async || silence::engine(&server).await;
    the_second_is_refused([end().await, end().await, end().await]).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_goes_on_when_the_lease_of_the_one_before_it_has_ended() {
    let engine = Engine::embedded(None).unwrap();
    let cable = Cable::default();
    let first = start("http://first:1", cable.to(&engine)).await;
    first.open_when_ready(5, 1, "").await;
    // As good as killed.
    cable.cut();
    let second = start("http://second:1", Cable::default().to(&engine)).await;
    let began = Instant::now();
    second.open_when_ready(6, 1, "").await;
    assert!(began.elapsed() < LEASE.ttl * 3, "{:?}", began.elapsed());
    assert_eq!(holder(&engine).await.unwrap().0, "http://second:1");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_sees_a_later_one_of_its_name_ends() {
    let engine = Engine::embedded(None).unwrap();
    let first = start("http://first:1", Cable::default().to(&engine)).await;
    first.open_when_ready(5, 1, "").await;
    let nodes = engine.leases.list(NodeKind::Syncd).await.unwrap();
    let mut later = nodes[0].clone();
    later.generation.0 += 1;
    later.endpoint = "http://later:1".to_owned();
    engine.leases.renew(&later, LEASE.ttl).await.unwrap();
    let ended = timeout(Duration::from_secs(10), first.serving).await;
    let ended = ended.expect("it ends by itself").unwrap();
    assert!(matches!(ended, Err(Failed::Replaced { .. })), "{ended:?}");
    assert!(first.drain.is_draining());
}
