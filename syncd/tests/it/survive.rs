//! Rooms that outlive their node: several syncds on one store that they can be cut off from.

use std::time::Duration;

use engine::Engine;
use engine::leases::keeper::LeaseConfig;
use protocol::id::{RoomId, Tick};
use protocol::log::Attach;
use rpc::pb;
use rpc::pb::from_origin_item::Item;
use syncd::games::Games;
use syncd::replay::Replay;
use syncd::{Announce, Config};

use crate::client::Client;
use crate::cut::{Cable, Part};
use crate::fake::{Gateway, Node};

const ROOM: u64 = 5;

/// Long enough that only its end, not a late answer, ends a lease.
const LEASE: LeaseConfig = LeaseConfig {
    renew: Duration::from_millis(300),
    ttl: Duration::from_secs(1),
    retry: Duration::from_millis(100),
};

/// Two nodes on one store.
pub(crate) struct Pair {
    pub(crate) engine: Engine,
    pub(crate) nodes: [(Node, Cable); 2],
}

impl Pair {
    async fn start() -> Self {
        Self::start_with(Config::default()).await
    }

    pub(crate) async fn start_with(config: Config) -> Self {
        let engine = Engine::embedded(None).unwrap();
        let nodes = [
            start("syncd-1", &engine, config.clone()).await,
            start("syncd-2", &engine, config).await,
        ];
        Self { engine, nodes }
    }

    pub(crate) async fn until_placed_on(&self, name: &str, room: u64) {
        let began = tokio::time::Instant::now();
        loop {
            let found = self.engine.placements.find(&[RoomId(room)]).await.unwrap();
            let owner = found[0]
                .as_ref()
                .map(|placement| placement.owner.node.as_str());
            if owner == Some(name) {
                return;
            }
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "it is at {owner:?}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn start(name: &str, engine: &Engine, config: Config) -> (Node, Cable) {
    let cable = Cable::default();
    let config = Config {
        node: name.parse().unwrap(),
        ..config
    };
    let announce = Announce {
        endpoint: format!("http://{name}.test:1"),
        lease: LEASE,
    };
    let node = Node::start_shared(config, cable.to(engine), announce).await;
    (node, cable)
}

/// Opens a race of two on a node and brings both players to it.
async fn race(node: &Node) -> (Gateway, [Client; 2]) {
    let settings = r#"{"countdown":"1s"}"#;
    node.open_when_ready(ROOM, 2, settings).await;
    let mut gateway = node.gateway().await;
    let mut clients = [Client::new(1), Client::new(2)];
    for client in &mut clients {
        client.attach(&mut gateway, ROOM, Attach::Fresh).await;
    }
    (gateway, clients)
}

fn has_started(client: &Client) -> bool {
    client
        .events
        .iter()
        .any(|event| event.contains("race.start"))
}

async fn until(client: &mut Client, gateway: &mut Gateway, wanted: impl Fn(&Client) -> bool) {
    while !wanted(client) {
        let item = gateway.next().await;
        client.take(&item);
    }
}

#[tokio::test(start_paused = true)]
async fn a_room_goes_on_on_another_node_when_its_own_is_gone() {
    let pair = Pair::start().await;
    let [(first, cable), (second, _)] = &pair.nodes;
    let (mut gateway, [mut client, mut other]) = race(first).await;
    until(&mut client, &mut gateway, has_started).await;
    for _ in 0..20 {
        client.input(&gateway, 1).await;
        client.snapshot(&mut gateway).await;
    }
    let (events, tick, processed) = (client.events.clone(), client.newest, client.processed);
    assert!(processed > 30, "{processed}");
    cable.cut();
    pair.until_placed_on("syncd-2", ROOM).await;

    let mut gateway = second.gateway().await;
    assert!(client.attach(&mut gateway, ROOM, Attach::Continue).await);
    client.snapshot(&mut gateway).await;
    assert!(client.newest + 120 > tick, "{} after {tick}", client.newest);
    assert!(
        client.processed + 9 >= processed,
        "{} after {processed}",
        client.processed
    );
    assert_eq!(client.events, events, "nothing is told twice");
    // The other one is not back in time, and counts as away.
    let left = |client: &Client| {
        client
            .events
            .iter()
            .any(|event| event.contains("seat.left"))
    };
    until(&mut client, &mut gateway, left).await;
    assert!(other.attach(&mut gateway, ROOM, Attach::Continue).await);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_finds_its_rooms_gone_and_begins_anew() {
    let pair = Pair::start().await;
    let [(first, cable), _] = &pair.nodes;
    let (mut gateway, [mut client, _]) = race(first).await;
    until(&mut client, &mut gateway, has_started).await;
    cable.cut();
    pair.until_placed_on("syncd-2", ROOM).await;
    let told = client.events.len();
    cable.mend();
    let moved = gateway
        .find(|item| match item {
            Item::Event(event) if event.session == 1 => panic!("told by a node that lost the room"),
            Item::Moved(moved) if moved.session == 1 => Some(moved),
            _ => None,
        })
        .await;
    assert_eq!((moved.room, moved.node.as_str()), (ROOM, ""));
    assert_eq!(client.events.len(), told);
    first.open_when_ready(ROOM + 1, 1, "").await;
    let mut client = Client::new(9);
    let request = client.request(ROOM, Attach::Fresh);
    gateway.send(request.to_item().item.unwrap()).await;
    assert_eq!(gateway.refused().await["code"], "room_unknown");
}

#[tokio::test(start_paused = true)]
async fn what_is_reliable_waits_while_the_store_is_away() {
    let pair = Pair::start().await;
    // Nobody else may take the room: the store is away for all.
    let [(first, cable), (_, other)] = &pair.nodes;
    let (mut gateway, [mut client, mut second]) = race(first).await;
    until(&mut client, &mut gateway, has_started).await;
    cable.cut();
    other.cut();
    // What the other sees goes to nobody while it cannot be written down.
    gateway
        .send(crate::fake::detach(2, second.attempt, false))
        .await;
    let (told, durable) = (client.events.len(), client.durable);
    for _ in 0..600 {
        client.input(&gateway, 1).await;
        client.snapshot(&mut gateway).await;
    }
    assert_eq!(client.events.len(), told, "{:?}", client.events);
    assert!(client.processed > 1_000, "the race goes on");
    assert!(
        client.durable < durable + 20,
        "and nothing of it counts as durable"
    );
    cable.mend();
    let left = |client: &Client| {
        client
            .events
            .iter()
            .any(|event| event.contains("seat.left"))
    };
    until(&mut client, &mut gateway, left).await;
    client.snapshot(&mut gateway).await;
    client.snapshot(&mut gateway).await;
    assert!(client.durable > 1_000, "{}", client.durable);
    assert!(second.attach(&mut gateway, ROOM, Attach::Continue).await);
}

#[tokio::test]
async fn a_draining_node_hands_its_rooms_over() {
    let engine = Engine::embedded(None).unwrap();
    let node = |name: &str| {
        let config = Config {
            node: name.parse().unwrap(),
            ..Config::default()
        };
        Node::start_reachable(config, Cable::default().to(&engine), LeaseConfig::default())
    };
    let (first, second) = (node("syncd-1").await, node("syncd-2").await);
    second.open_when_ready(ROOM + 1, 1, "").await;
    let (mut gateway, [mut client, _]) = race(&first).await;
    until(&mut client, &mut gateway, has_started).await;
    first.drain.begin();
    let mut moved: Option<pb::Moved> = None;
    while moved.is_none() {
        match gateway.next().await {
            Item::Moved(item) if item.session == 1 => moved = Some(item),
            item => drop(client.take(&item)),
        }
    }
    let moved = moved.unwrap();
    assert_eq!((moved.room, moved.node.as_str()), (ROOM, "syncd-2"));
    let (events, tick) = (client.events.clone(), client.newest);
    let mut gateway = second.gateway().await;
    assert!(client.attach(&mut gateway, ROOM, Attach::Continue).await);
    client.snapshot(&mut gateway).await;
    assert!(client.newest > tick, "{} after {tick}", client.newest);
    assert_eq!(client.events, events);
}

#[tokio::test(start_paused = true)]
async fn a_tape_has_no_hole_where_a_node_died_before_it_kept_what_it_had_cut() {
    let pair = Pair::start().await;
    let [(first, cable), (second, _)] = &pair.nodes;
    let (mut gateway, [mut client, _]) = race(first).await;
    until(&mut client, &mut gateway, |client| client.newest > 160).await;
    cable.cut_part(Part::Tapes);
    // Its last checkpoint comes after the segment that ends here, and before the next one's end.
    until(&mut client, &mut gateway, |client| client.newest > 275).await;
    let reached = reach(&pair.engine).await;
    cable.cut();
    pair.until_placed_on("syncd-2", ROOM).await;

    let mut gateway = second.gateway().await;
    assert!(client.attach(&mut gateway, ROOM, Attach::Continue).await);
    until(&mut client, &mut gateway, |client| client.newest > 400).await;
    let now = reach(&pair.engine).await;
    assert!(now >= Tick(360), "from {reached} to {now}");
    assert_eq!(reached, Tick(120), "the first node kept what it should not");
}

/// How far the room's tape can be run.
async fn reach(engine: &Engine) -> Tick {
    let tape = engine.tapes.read(RoomId(ROOM), Tick(0)).await.unwrap();
    let (first, rest) = tape.split_first().expect("a tape has begun");
    let mut replay = Replay::new(&Games::default(), &first.bytes).unwrap();
    for segment in rest {
        replay.push(&segment.bytes).unwrap();
    }
    while replay.step(&mut Vec::new()) {}
    assert_eq!(replay.diverged(), None);
    replay.until()
}
