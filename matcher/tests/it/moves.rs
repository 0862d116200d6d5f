//! Nodes that come and go with their leases, and rooms that move between nodes.

use std::sync::Arc;
use std::time::Duration;

use engine::memory::{MemoryLeases, MemoryPlacements};
use engine::{Incarnation, Leases, Load, NodeKind, NodeRecord, Placement, Placements};
use protocol::id::{Generation, RoomId};
use rpc::pb;
use tokio::time::Instant;

use crate::clients::Client;
use crate::gateway::Gateway;
use crate::syncd::Syncd;
use crate::world::{Plan, World};

async fn duel(gateway: &Gateway) -> [Client; 2] {
    let clients = [Client::new(1), Client::new(2)];
    for client in &clients {
        client.attach(gateway).await;
        client.join(gateway, "duel").await;
    }
    for client in &clients {
        client.take(gateway, "match.found").await;
    }
    clients
}

fn at(node: &str, generation: u64) -> Placement {
    Placement {
        owner: Incarnation {
            node: node.parse().unwrap(),
            generation: Generation(1),
        },
        generation: Generation(generation),
    }
}

/// Two nodes, whose rooms may move, and two players in a room.
struct Moving {
    world: World,
    placements: Arc<MemoryPlacements>,
    gateway: Gateway,
    clients: [Client; 2],
    /// The room, and the numbers of the node that it is on and of the other.
    room: pb::CreateRoom,
    here: usize,
    there: usize,
}

impl Moving {
    async fn start() -> Self {
        let placements = Arc::new(MemoryPlacements::new());
        let world = World::start(Plan {
            regions: vec![None; 2],
            placements: Some(placements.clone()),
            ..Plan::default()
        })
        .await;
        let gateway = world.gateway("gateway-1").await;
        let clients = duel(&gateway).await;
        let here = usize::from(world.syncds[0].asked().is_empty());
        let room = world.syncds[here].asked()[0].clone();
        let name = format!("syncd-{}", here + 1);
        let placed = placements.place(RoomId(room.room), &at(&name, 1)).await;
        placed.unwrap();
        Self {
            world,
            placements,
            gateway,
            clients,
            room,
            here,
            there: 1 - here,
        }
    }

    fn name(number: usize) -> String {
        format!("syncd-{}", number + 1)
    }

    async fn move_room(&self) {
        let (from, to) = (Self::name(self.here), Self::name(self.there));
        let moved = self
            .placements
            .claim(RoomId(self.room.room), &at(&from, 1), &at(&to, 2))
            .await;
        assert!(moved.unwrap());
        self.world.syncds[self.there].take_over(&self.room);
    }

    async fn is_playing(&self) -> bool {
        let ada = &self.clients[0];
        let text = r#"{"t":"queue.join","mode":"duel"}"#;
        ada.say(&self.gateway, text).await;
        let error = ada.error(&self.gateway).await;
        error.message.contains("you are in a match")
    }
}

#[tokio::test(start_paused = true)]
async fn a_match_goes_on_where_its_room_was_taken_to() {
    let moving = Moving::start().await;
    let syncds = &moving.world.syncds;
    syncds[moving.here].die();
    // Nobody has taken it over yet, but somebody may.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(moving.is_playing().await);
    moving.move_room().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(moving.is_playing().await);

    syncds[moving.there]
        .end_room(moving.room.room, "finished")
        .await;
    for client in &moving.clients {
        let ended = client.take(&moving.gateway, "match.ended").await;
        assert_eq!(ended["reason"], "finished");
        client.join(&moving.gateway, "duel").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_room_that_was_handed_over_is_not_lost() {
    let moving = Moving::start().await;
    moving.move_room().await;
    // It comes back without the room: this is what a list that lacks it looks like.
    moving.world.syncds[moving.here].restart();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(moving.is_playing().await);
    // Of the node that it left, nothing follows any more.
    moving.world.syncds[moving.here].die();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(moving.is_playing().await);
}

#[tokio::test(start_paused = true)]
async fn a_room_that_is_placed_nowhere_is_lost() {
    let moving = Moving::start().await;
    moving.world.syncds[moving.here].restart();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(moving.is_playing().await, "placed, if nobody knows why");
    let removed = moving
        .placements
        .remove(RoomId(moving.room.room), Generation(1))
        .await;
    removed.unwrap();
    let since = Instant::now();
    for client in &moving.clients {
        let ended = client.take(&moving.gateway, "match.ended").await;
        assert_eq!(ended["reason"], "lost");
        client.join(&moving.gateway, "duel").await;
    }
    assert!((9..20).contains(&since.elapsed().as_secs()));
}

#[tokio::test(start_paused = true)]
async fn a_matcher_that_began_later_finds_out_about_the_rooms_of_its_players() {
    let moving = Moving::start().await;
    moving.move_room().await;
    let other = moving.world.another("matcher-2").await;
    let there = other.gateway("gateway-1").await;
    for client in &moving.clients {
        let state = client.attach(&there).await.state;
        assert!(state["match"].is_object(), "{state}");
    }
    tokio::time::sleep(Duration::from_secs(90)).await;
    moving.world.syncds[moving.there].restart();
    let removed = moving
        .placements
        .remove(RoomId(moving.room.room), Generation(2))
        .await;
    removed.unwrap();
    for client in &moving.clients {
        let ended = client.take(&there, "match.ended").await;
        assert_eq!(ended["reason"], "lost");
    }
}

fn record(name: &str, generation: u64, endpoint: &str) -> NodeRecord {
    NodeRecord {
        node: name.parse().unwrap(),
        kind: NodeKind::Syncd,
        generation: Generation(generation),
        endpoint: endpoint.to_owned(),
        load: Load::default(),
        build: "test".to_owned(),
        simulation: String::new(),
        region: String::new(),
    }
}

/// Not on a stopped clock: the nodes are on the network.
#[tokio::test]
async fn nodes_come_and_go_with_their_leases() {
    let ttl = Duration::from_secs(60);
    let leases = Arc::new(MemoryLeases::new());
    let syncds = [Syncd::start(), Syncd::start()];
    let endpoints = [syncds[0].listen().await, syncds[1].listen().await];
    let first = record("syncd-1", 1, &endpoints[0]);
    leases.renew(&first, ttl).await.unwrap();
    let world = World::start(Plan {
        leases: Some(leases.clone()),
        ..Plan::default()
    })
    .await;
    let gateway = world.gateway("gateway-1").await;
    let clients = duel(&gateway).await;
    assert_eq!(syncds[0].asked().len(), 1);

    let second = record("syncd-2", 1, &endpoints[1]);
    leases.renew(&second, ttl).await.unwrap();
    syncds[1].watched().await;
    let node = &first.node;
    let withdrawn = leases.withdraw(NodeKind::Syncd, node, Generation(1));
    withdrawn.await.unwrap();
    for client in &clients {
        client.say(&gateway, r#"{"t":"room.leave"}"#).await;
        client.join(&gateway, "duel").await;
    }
    clients[0].take(&gateway, "match.found").await;
    assert_eq!(syncds[1].asked().len(), 1, "the first node has left");

    // The next process of the name, which has lost its rooms, is another node.
    syncds[0].restart();
    leases
        .renew(&record("syncd-1", 2, &endpoints[0]), ttl)
        .await
        .unwrap();
    syncds[0].watched().await;
}
