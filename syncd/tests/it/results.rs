//! Results are recorded, however long the store does not take them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use engine::Engine;
use engine::leases::keeper::LeaseConfig;
use servers::RedisServer;
use syncd::games::Games;
use syncd::{Announce, Config};
use tokio::time::Instant;

use crate::cut::Cable;
use crate::fake::{Node, create, match_id};
use crate::rooms::{BOMB, bombs, light};
use crate::silence;

/// Waits until the results of exactly these rooms are recorded.
async fn until_recorded(node: &Node, rooms: &[u64], patience: Duration) {
    let began = Instant::now();
    loop {
        let mut recorded: Vec<_> = {
            let recorded = node.store.recorded.lock();
            recorded.iter().map(|result| result.room.0).collect()
        };
        recorded.sort_unstable();
        if recorded == rooms {
            return;
        }
        assert!(began.elapsed() < patience, "recorded are {recorded:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn until_empty(node: &Node) {
    let mut rooms = node.rooms.clone();
    loop {
        let watch = rpc::pb::WatchRooms {
            node: "test".to_owned(),
        };
        let mut news = rooms.watch(watch).await.unwrap().into_inner();
        let first = news.message().await.unwrap().unwrap().news;
        let Some(rpc::pb::room_news::News::Open(open)) = first else {
            panic!("the open rooms come first");
        };
        if open.load.unwrap().rooms == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_is_tried_for_as_long_as_the_store_fails() {
    let node = Node::start_with(bombs(), Games::default().with(BOMB)).await;
    node.store.fail.store(usize::MAX, Ordering::Relaxed);
    light(&node, 2, "over").await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    node.store.fail.store(0, Ordering::Relaxed);
    until_recorded(&node, &[2], Duration::from_secs(4)).await;
}

#[tokio::test(start_paused = true)]
async fn a_result_that_gets_no_answer_is_in_nobodys_way() {
    let node = Node::start_with(bombs(), Games::default().with(BOMB)).await;
    let silent: Vec<u64> = (1..=20).collect();
    *node.store.silent_for.lock() = silent.iter().copied().map(match_id).collect();
    for room in 1..=30 {
        light(&node, room, "over").await;
    }
    let others: Vec<u64> = (21..=30).collect();
    until_recorded(&node, &others, Duration::from_secs(8)).await;
    node.store.silent_for.lock().clear();
    let all: Vec<u64> = (1..=30).collect();
    until_recorded(&node, &all, Duration::from_secs(20)).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_results_until_its_deadline() {
    let config = Config {
        drain_deadline: Duration::from_secs(60),
        ..bombs()
    };
    let node = Node::start_with(config, Games::default().with(BOMB)).await;
    node.store.fail.store(usize::MAX, Ordering::Relaxed);
    light(&node, 2, "over").await;
    until_empty(&node).await;
    let began = Instant::now();
    node.drain.begin();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!node.serving.is_finished(), "it waits for the result");
    node.serving.await.unwrap().unwrap();
    let took = began.elapsed();
    let expected = Duration::from_secs(60)..Duration::from_secs(63);
    assert!(expected.contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_once_the_last_result_is_recorded() {
    let node = Node::start_with(bombs(), Games::default().with(BOMB)).await;
    node.store.fail.store(20, Ordering::Relaxed);
    light(&node, 2, "over").await;
    until_empty(&node).await;
    assert!(node.store.recorded.lock().is_empty());
    node.drain.begin();
    node.serving.await.unwrap().unwrap();
    assert_eq!(node.store.recorded.lock().len(), 1);
}

/// One of two nodes on one store, whose own results fail.
async fn pair() -> (Engine, [(Node, Cable); 2]) {
    let engine = Engine::embedded(None).unwrap();
    let start = async |name: &str| {
        let cable = Cable::default();
        let announce = Announce {
            endpoint: format!("http://{name}.test:1"),
            lease: LeaseConfig {
                renew: Duration::from_millis(300),
                ttl: Duration::from_secs(1),
                retry: Duration::from_millis(100),
            },
        };
        let config = Config {
            node: name.parse().unwrap(),
            drain_deadline: Duration::from_secs(5),
            ..bombs()
        };
        let games = Games::default().with(BOMB);
        let node = Node::start_shared_with(config, games, cable.to(&engine), announce).await;
        (node, cable)
    };
    let nodes = [start("syncd-1").await, start("syncd-2").await];
    let [(first, _), (second, _)] = &nodes;
    first.store.fail.store(usize::MAX, Ordering::Relaxed);
    second.open_when_ready(99, 1, "").await;
    first.open_when_ready(98, 1, "").await;
    (engine, nodes)
}

/// Plays a match to its end on a node, so that nothing but its result is left.
async fn play(node: &Node, room: u64) {
    let mut bomb = create(room, 1, "over");
    bomb.game = "bomb".to_owned();
    node.rooms.clone().create(bomb).await.unwrap();
    let mut watch = node.watch().await;
    loop {
        let news = watch.message().await.unwrap().unwrap().news;
        let Some(rpc::pb::room_news::News::Load(load)) = news else {
            continue;
        };
        if load.rooms == 1 {
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_dies_leaves_its_results_to_whoever_takes_its_rooms() {
    let (_engine, [(first, cable), (second, _)]) = pair().await;
    play(&first, 2).await;
    // Long enough for what is gone to have left the journal, if it did.
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(second.store.recorded.lock().is_empty());
    cable.cut();
    until_recorded(&second, &[2], Duration::from_secs(10)).await;
}

#[tokio::test(start_paused = true)]
async fn a_drained_node_leaves_its_results_to_whoever_takes_its_rooms() {
    let (engine, [(first, _), (second, _)]) = pair().await;
    play(&first, 2).await;
    first.drain.begin();
    first.serving.await.unwrap().unwrap();
    until_recorded(&second, &[2], Duration::from_secs(10)).await;
    // And it is over for good: nobody takes the room again.
    let began = Instant::now();
    let room = [protocol::id::RoomId(2)];
    while engine.placements.find(&room).await.unwrap()[0].is_some() {
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_room_that_waits_for_its_result_is_placed_again_in_a_redis_that_came_back_empty() {
    let mut server = RedisServer::start();
    let watcher = silence::engine(&server).await;
    let announce = Announce {
        endpoint: "http://syncd-1.test:1".to_owned(),
        lease: LeaseConfig::default(),
    };
    let games = Games::default().with(BOMB);
    let engine = silence::engine(&server).await;
    let node = Node::start_shared_with(bombs(), games, engine, announce).await;
    node.store.fail.store(usize::MAX, Ordering::Relaxed);
    node.open_when_ready(98, 1, "").await;
    play(&node, 2).await;
    server.restart_empty();
    let room = [protocol::id::RoomId(2)];
    silence::until("it is placed again", async || {
        let found = watcher.placements.find(&room).await;
        found.is_ok_and(|found| found[0].is_some())
    })
    .await;
}
