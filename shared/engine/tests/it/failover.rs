//! Primaries that die and are replaced: by sentinels, and in a Cluster.

use std::time::Duration;

use bytes::Bytes;
use pixelrush_engine::redis::{RedisConfig, Topology};
use pixelrush_engine::{
    Checkpoints, Engine, EngineError, Load, NodeKind, NodeRecord, Placement, Seq, Written,
};
use protocol::id::{Generation, RoomId};
use servers::{RedisServer, Sentinel};

use crate::real::{CLUSTER, cluster, engine, incarnation, single, until};

const TTL: Duration = Duration::from_secs(60);

pub(crate) fn record(name: &str) -> NodeRecord {
    NodeRecord {
        node: name.parse().unwrap(),
        kind: NodeKind::Syncd,
        generation: Generation(1),
        endpoint: "http://a.test:1".to_owned(),
        load: Load::default(),
        build: "1".to_owned(),
        simulation: String::new(),
        region: String::new(),
    }
}

fn sentinel(servers: &Sentinel, replicas: u32) -> RedisConfig {
    RedisConfig {
        urls: servers.urls(),
        topology: Topology::Sentinel,
        replicas,
        // Replicas are waited for on a machine that may be busy with other tests.
        deadline: Duration::from_secs(2),
        ..RedisConfig::default()
    }
}

/// An owner with a journal that has an entry and a checkpoint.
async fn write_journal(engine: &Engine, name: &str) {
    let who = incarnation(name);
    let entries = [Bytes::from_static(b"one")];
    engine.journals.open(&who, Seq(0)).await.unwrap();
    let appended = engine.journals.append(&who, Seq(1), &entries).await;
    assert_eq!(appended.unwrap(), Written::Done);
    let checkpoints = Checkpoints {
        call: 1,
        rooms: vec![(RoomId(1), Bytes::from_static(b"state"))],
        last: Seq(1),
        keep_from: Seq(1),
        ..Checkpoints::default()
    };
    let written = engine.journals.checkpoint(&who, &checkpoints).await;
    assert_eq!(written.unwrap(), Written::Done);
}

/// Everything works, by the calls that services make.
async fn works(engine: &Engine) -> bool {
    let who = incarnation("steady");
    engine.leases.renew(&record("steady"), TTL).await.is_ok()
        && engine.journals.open(&who, Seq(0)).await.is_ok()
        && engine.placements.find(&[RoomId(1)]).await.is_ok()
        && engine.journals.lineage().await.is_ok()
}

#[tokio::test]
async fn a_primary_that_sentinels_replace_is_survived() {
    let mut servers = Sentinel::start();
    let engine = engine(&sentinel(&servers, 1)).await;
    for name in ["written", "sealed", "goes-on"] {
        write_journal(&engine, name).await;
    }
    let by = incarnation("claimant");
    let sealed = engine.journals.seal(&incarnation("sealed"), &by).await;
    let sealed = sealed.unwrap().unwrap();
    assert!(!sealed.is_suspect);
    let mut watch = engine.leases.watch(NodeKind::Syncd);
    engine.leases.renew(&record("steady"), TTL).await.unwrap();
    let before = engine.journals.lineage().await.unwrap();

    servers.kill_primary();
    until("calls work again", async || works(&engine).await).await;
    let after = engine.journals.lineage().await.unwrap();
    assert_ne!(before, after, "another primary has another history");

    // Without a replica nothing is durable, and that is told.
    let refused = engine.journals.seal(&incarnation("written"), &by).await;
    assert!(
        matches!(refused, Err(EngineError::NotReplicated { .. })),
        "{refused:?}"
    );
    servers.restart_killed();
    servers.wait_until_whole();
    until("seals are durable again", async || {
        engine
            .journals
            .seal(&incarnation("written"), &by)
            .await
            .is_ok()
    })
    .await;

    // What the last primary confirmed may have been lost with it.
    let seal = engine.journals.seal(&incarnation("written"), &by).await;
    assert!(seal.unwrap().unwrap().is_suspect);
    // What was sealed before is as it was.
    let again = engine.journals.seal(&incarnation("sealed"), &by).await;
    assert_eq!(again.unwrap().unwrap(), sealed);
    // An owner that goes on shows that all is there: at its second checkpoint, as it may have made
    // the first before it knew.
    let who = incarnation("goes-on");
    for call in 2..4 {
        let checkpoints = Checkpoints {
            call,
            last: Seq(1),
            keep_from: Seq(1),
            ..Checkpoints::default()
        };
        let written = engine.journals.checkpoint(&who, &checkpoints).await;
        assert_eq!(written.unwrap(), Written::Done);
    }
    let seal = engine.journals.seal(&who, &by).await;
    assert!(!seal.unwrap().unwrap().is_suspect);

    // Watchers have gone along to the new primary.
    engine.leases.renew(&record("newcomer"), TTL).await.unwrap();
    let both = watch.wait_for(|nodes| nodes.len() == 2);
    let seen = tokio::time::timeout(Duration::from_secs(5), both).await;
    assert!(seen.is_ok_and(|seen| seen.is_ok()), "both nodes are seen");
}

#[tokio::test]
async fn a_primary_that_wakes_up_after_it_was_replaced_is_left_alone() {
    let servers = Sentinel::start();
    let engine = engine(&sentinel(&servers, 0)).await;
    let sleeper = servers.primary();
    sleeper.pause();
    until("calls work again", async || works(&engine).await).await;
    let placement = Placement {
        owner: incarnation("a"),
        generation: Generation(1),
    };
    sleeper.resume();
    // All that is written from now on is on the new primary, whatever the old one still thinks.
    let rooms: Vec<RoomId> = (0..100).map(RoomId).collect();
    for room in &rooms {
        engine.placements.place(*room, &placement).await.unwrap();
    }
    let found = self::engine(&sentinel(&servers, 0)).await.placements;
    let found = found.find(&rooms).await.unwrap();
    assert!(found.iter().all(|found| *found == Some(placement.clone())));
}

#[tokio::test]
async fn a_primary_that_a_cluster_replaces_is_survived() {
    let mut servers = CLUSTER.write().await;
    let engine = engine(&cluster(&servers, "failover")).await;
    assert!(works(&engine).await);
    let rooms: Vec<RoomId> = (0..50).map(RoomId).collect();
    let placement = Placement {
        owner: incarnation("a"),
        generation: Generation(1),
    };
    for room in &rooms {
        engine.placements.place(*room, &placement).await.unwrap();
    }
    let before = engine.journals.lineage().await.unwrap();
    let key = engine
        .redis
        .as_ref()
        .unwrap()
        .key("journal:steady.1", "head");
    servers.kill_primary_of(&key);
    until("calls work again", async || {
        works(&engine).await && engine.placements.find(&rooms).await.is_ok()
    })
    .await;
    let after = engine.journals.lineage().await.unwrap();
    assert_ne!(before, after);
    servers.restart_killed();
    servers.wait_until_whole();
}

#[tokio::test]
async fn a_claim_that_no_replica_has_is_no_claim() {
    let server = RedisServer::start();
    let mut config = single(&server, "pr");
    config.replicas = 1;
    let engine = engine(&config).await;
    let at = |name: &str, generation| Placement {
        owner: incarnation(name),
        generation: Generation(generation),
    };
    let (from, to) = (at("a", 1), at("b", 2));
    engine.placements.place(RoomId(1), &from).await.unwrap();
    let claimed = engine.placements.claim(RoomId(1), &from, &to).await;
    assert!(
        matches!(
            claimed,
            Err(EngineError::NotReplicated {
                wanted: 1,
                acknowledged: 0,
                ..
            })
        ),
        "{claimed:?}"
    );
}
