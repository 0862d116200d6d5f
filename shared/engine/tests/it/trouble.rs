//! One Redis that dies, comes back with or without its data, or says nothing.

use std::time::Duration;

use bytes::Bytes;
use chassis::readiness::Readiness;
use pixelrush_engine::redis::{Call, RedisConfig, Without};
use pixelrush_engine::{Engine, EngineError, Placement, Seq, Written};
use protocol::id::{Generation, RoomId};
use servers::RedisServer;
use tokio::time::Instant;

use crate::real::{SHARED, engine, incarnation, single, until};

fn at(name: &str, generation: u64) -> Placement {
    Placement {
        owner: incarnation(name),
        generation: Generation(generation),
    }
}

#[tokio::test]
async fn calls_work_again_after_a_restart() {
    let mut server = RedisServer::start_durable();
    let engine = engine(&single(&server, "pr")).await;
    let redis = engine.redis.clone().unwrap();
    engine
        .placements
        .place(RoomId(1), &at("a", 1))
        .await
        .unwrap();
    assert!(redis.is_reachable());
    server.kill();
    until("it is seen that Redis is away", async || {
        engine.placements.find(&[RoomId(1)]).await.is_err() && !redis.is_reachable()
    })
    .await;
    let began = Instant::now();
    for _ in 0..100 {
        engine.placements.find(&[RoomId(1)]).await.unwrap_err();
    }
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "calls fail at once: {:?}",
        began.elapsed()
    );
    server.restart();
    until("calls work again", async || {
        let found = engine.placements.find(&[RoomId(1)]).await;
        found.is_ok_and(|found| found == [Some(at("a", 1))])
    })
    .await;
    assert!(redis.is_reachable());
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_has_another_lineage_and_no_journals() {
    let mut server = RedisServer::start();
    let engine = engine(&single(&server, "pr")).await;
    let who = incarnation("owner");
    let entries = [Bytes::from_static(b"one")];
    engine.journals.open(&who, Seq(0)).await.unwrap();
    engine
        .journals
        .append(&who, Seq(1), &entries)
        .await
        .unwrap();
    let before = engine.journals.lineage().await.unwrap();
    server.restart_empty();
    until("the owner is told", async || {
        let written = engine.journals.append(&who, Seq(2), &entries).await;
        written.is_ok_and(|written| written == Written::Missing)
    })
    .await;
    let after = engine.journals.lineage().await.unwrap();
    assert_ne!(before, after);

    // The owner says where it is, and goes on.
    let opened = engine.journals.open(&who, Seq(0)).await.unwrap();
    assert_eq!(opened, Written::Done);
    let written = engine
        .journals
        .append(&who, Seq(1), &entries)
        .await
        .unwrap();
    assert_eq!(written, Written::Done);
    assert_eq!(engine.journals.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_silent_redis_costs_a_deadline_and_then_nothing() {
    let server = RedisServer::start();
    let mut config = single(&server, "pr");
    config.deadline = Duration::from_millis(200);
    let engine = engine(&config).await;
    let redis = engine.redis.clone().unwrap();
    let find = async || engine.placements.find(&[RoomId(1)]).await;
    find().await.unwrap();
    server.pause();
    let began = Instant::now();
    let silent = find().await.unwrap_err();
    assert!(matches!(silent, EngineError::Deadline { .. }), "{silent:?}");
    let took = began.elapsed();
    assert!(took < Duration::from_millis(400), "{took:?}");
    until("calls fail at once", async || {
        let began = Instant::now();
        find().await.unwrap_err();
        began.elapsed() < Duration::from_millis(20)
    })
    .await;
    assert!(!redis.is_reachable());
    server.resume();
    until("calls work again", async || find().await.is_ok()).await;
    assert!(redis.is_reachable());
}

#[tokio::test]
async fn who_needs_redis_is_unready_while_it_is_silent_and_others_say_so() {
    let server = RedisServer::start();
    let engine = engine(&single(&server, "pr")).await;
    let redis = engine.redis.clone().unwrap();
    let (matcher, gateway) = (Readiness::new(), Readiness::new());
    let conditions = [&matcher, &gateway].map(|readiness| readiness.condition("engine"));
    let [needs, goes_on] = &conditions;
    let reason = |readiness: &Readiness| readiness.conditions().remove(0).reason;
    let story = async {
        until("both are ready", async || {
            matcher.is_ready() && reason(&gateway).is_none()
        })
        .await;
        server.pause();
        until("the silence is seen", async || {
            assert!(gateway.is_ready());
            !matcher.is_ready() && reason(&gateway).is_some()
        })
        .await;
        let text = reason(&gateway).unwrap();
        assert_eq!(text, "Redis does not answer: races go on");
        server.resume();
        until("both are ready again", async || {
            matcher.is_ready() && reason(&gateway).is_none()
        })
        .await;
    };
    tokio::select! {
        () = story => {}
        () = redis.show_health(needs, Without::Useless) => {}
        () = redis.show_health(goes_on, Without::Impaired("races go on")) => {}
    }
}

#[tokio::test]
async fn scripts_that_redis_has_forgotten_are_loaded_again() {
    let server = RedisServer::start();
    let engine = engine(&single(&server, "pr")).await;
    let redis = engine.redis.clone().unwrap();
    let place = async |generation| {
        let placement = at("a", generation);
        let placed = engine.placements.place(RoomId(1), &placement).await;
        placed.unwrap();
    };
    place(1).await;
    let flush = Call::command("SCRIPT", "FLUSH");
    redis.run::<()>("flushing scripts", flush).await.unwrap();
    place(2).await;
}

#[tokio::test]
async fn watchers_learn_of_nodes_when_redis_is_back() {
    let mut server = RedisServer::start();
    let engine = engine(&single(&server, "pr")).await;
    let record = crate::failover::record("watched");
    let mut watch = engine.leases.watch(record.kind);
    let ttl = Duration::from_secs(60);
    engine.leases.renew(&record, ttl).await.unwrap();
    let has = async |watch: &mut tokio::sync::watch::Receiver<_>, count: usize| {
        let seen = watch.wait_for(|nodes: &std::sync::Arc<Vec<_>>| nodes.len() == count);
        tokio::time::timeout(Duration::from_secs(10), seen)
            .await
            .is_ok_and(|seen| seen.is_ok())
    };
    assert!(has(&mut watch, 1).await);
    server.restart_empty();
    // What is known stays until the store says otherwise, and then the new one is known at once.
    assert!(has(&mut watch, 0).await);
    until("the node says again that it is there", async || {
        engine.leases.renew(&record, ttl).await.is_ok()
    })
    .await;
    assert!(has(&mut watch, 1).await);
}

#[tokio::test]
async fn nobody_there_is_told_with_the_address() {
    let config = RedisConfig {
        urls: vec!["redis://127.0.0.1:1".to_owned()],
        ..RedisConfig::default()
    };
    let refused = Engine::redis(&config).await.err().unwrap();
    assert!(refused.to_string().contains("127.0.0.1:1"), "{refused}");
}

#[tokio::test]
async fn a_wrong_password_is_told_at_once_and_not_shown() {
    let mut config = single(&SHARED, "pr");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "secret\n").unwrap();
    config.password_file = Some(file);
    let began = Instant::now();
    let refused = Engine::redis(&config).await.err().unwrap();
    let mut told = refused.to_string();
    let mut cause: &dyn std::error::Error = &refused;
    while let Some(source) = cause.source() {
        told += &format!(": {source}");
        cause = source;
    }
    assert!(told.contains("password_file"), "{told}");
    assert!(!told.contains("secret"), "{told}");
    assert!(began.elapsed() < Duration::from_secs(3), "{told}");
}
