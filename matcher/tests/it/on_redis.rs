//! The ticket store on real servers: one Redis, and a Cluster.

use std::sync::Arc;

use engine::redis::{Redis, RedisConfig, Topology};
use pixelrush_matcher::store::{RedisStore, conformance};
use servers::{Cluster, RedisServer};

use crate::clients::Client;
use crate::world::{Plan, World};

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
        // These end by themselves, and each mode has a feed for good.
        .filter(|key| {
            ![":gone:", ":ended:", ":f:", ":cool", ":refusals:"]
                .iter()
                .any(|kind| key.contains(kind))
        })
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

/// Two matchers on one Redis that loses everything: players do not notice.
#[tokio::test]
async fn a_redis_that_was_restarted_empty_gets_its_tickets_back() {
    let mut server = RedisServer::start();
    let store = store(vec![server.url()], Topology::Single).await;
    let world = World::start(Plan {
        regions: vec![None],
        store: Some(Arc::new(store)),
        ..Plan::default()
    })
    .await;
    let other = world.another("matcher-2").await;
    let here = world.gateway("gateway-1").await;
    let there = other.gateway("gateway-1").await;
    let clients: Vec<Client> = (1..=4).map(Client::new).collect();
    for (client, gateway) in clients[..3].iter().zip([&here, &there, &here]) {
        client.attach(gateway).await;
        client.join(gateway, "duel").await;
    }
    // Two of the three meet, whichever matcher sees them first.
    world.syncd().asked_for(1).await;
    let room = world.syncd().asked().remove(0);
    let is_in = |client: &&Client| {
        room.seats
            .iter()
            .any(|seat| seat.player == client.player().0)
    };
    let at = |client: &Client| match client.player().0 {
        1 | 3 => &here,
        _ => &there,
    };
    let (pair, left): (Vec<&Client>, Vec<&Client>) = clients[..3].iter().partition(is_in);
    for client in &pair {
        client.take(at(client), "match.found").await;
    }

    server.restart_empty();
    let late = &clients[3];
    late.attach(&there).await;
    loop {
        late.say(&there, r#"{"t":"queue.join","mode":"duel"}"#)
            .await;
        if late.is_queued(&there).await {
            break;
        }
    }
    let found = [
        left[0].take(at(left[0]), "match.found").await,
        late.take(&there, "match.found").await,
    ];
    assert_eq!(found[0]["match"], found[1]["match"]);
    world.syncd().end_room(room.room, "finished").await;
    for client in pair {
        client.take(at(client), "match.ended").await;
    }
}
