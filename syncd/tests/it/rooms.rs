//! Opening, watching, draining.

use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use protocol::log::Attach;
use protocol::snapshot::{Schema, View};
use rpc::pb::room_news::News;
use syncd::Config;
use syncd::game::{
    Departure, Game, GameEvent, GameKind, Priority, Seat, SeatInput, SeatResult, load, store,
};
use syncd::games::Games;
use tonic::Code;

use crate::client::Client;
use crate::fake::{Node, create, detach};

fn refusal(result: Result<rpc::pb::RoomCreated, tonic::Status>) -> (Code, String) {
    let status = result.unwrap_err();
    (status.code(), status.message().to_owned())
}

#[tokio::test(start_paused = true)]
async fn asking_twice_for_a_room_gives_the_same_answer() {
    let node = Node::start(Config::default()).await;
    let first = node.open(1, 2, "").await.unwrap();
    assert_eq!(first.node, "syncd-1");
    assert!(first.generation > 0);
    assert_eq!(node.open(1, 2, "").await.unwrap(), first);
    let mut watch = node.watch().await;
    let Some(News::Open(open)) = watch.message().await.unwrap().unwrap().news else {
        panic!("the open rooms come first");
    };
    assert_eq!(open.rooms, [1]);
    assert_eq!(open.load.unwrap().rooms, 1);
}

#[tokio::test(start_paused = true)]
async fn a_room_that_cannot_be_is_refused_with_the_reason() {
    let node = Node::start(Config::default()).await;
    let bad_laps = node.open(1, 2, r#"{"laps":0}"#).await;
    assert_eq!(refusal(bad_laps).0, Code::InvalidArgument);
    let (code, text) = refusal(node.open(1, 9, "").await);
    assert_eq!(code, Code::InvalidArgument);
    assert!(text.contains("seats"), "{text}");
    let mut unknown = create(1, 2, "");
    unknown.game = "chess".to_owned();
    let status = node.rooms.clone().create(unknown).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let expected = "game \"chess\" is unknown; this node has race, relay";
    assert_eq!(status.message(), expected);
    let nameless = node.open(0, 2, "").await;
    assert_eq!(refusal(nameless).0, Code::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn a_full_node_refuses_new_rooms_only() {
    let config = Config {
        capacity: NonZeroUsize::new(2).unwrap(),
        ..Config::default()
    };
    let node = Node::start(config).await;
    node.open(1, 1, "").await.unwrap();
    node.open(2, 1, "").await.unwrap();
    assert_eq!(
        refusal(node.open(3, 1, "").await).0,
        Code::ResourceExhausted
    );
    node.open(2, 1, "").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_room_that_nobody_enters_is_abandoned_and_never_opened_again() {
    let node = Node::start(Config::default()).await;
    let mut watch = node.watch().await;
    node.open(5, 2, "").await.unwrap();
    let ended = loop {
        let message = watch.message().await.unwrap().unwrap();
        if let Some(News::Ended(ended)) = message.news {
            break ended;
        }
    };
    assert_eq!((ended.room, ended.r#match), (5, 1005));
    assert_eq!(ended.reason, "abandoned");
    assert!(node.store.recorded.lock().is_empty());
    assert_eq!(
        refusal(node.open(5, 2, "").await).0,
        Code::FailedPrecondition
    );
}

#[tokio::test(start_paused = true)]
async fn a_drain_refuses_rooms_says_so_and_waits_for_those_there_are() {
    let node = Node::start(Config::default()).await;
    node.open(1, 1, "").await.unwrap();
    let mut watch = node.watch().await;
    node.drain.begin();
    let draining = async {
        loop {
            let message = watch.message().await.unwrap().unwrap();
            match message.news {
                Some(News::Load(load)) if load.draining => return,
                _ => {}
            }
        }
    };
    draining.await;
    assert_eq!(refusal(node.open(2, 1, "").await).0, Code::Unavailable);
    node.open(1, 1, "")
        .await
        .expect("known, so it is no new room");
    assert!(!node.serving.is_finished());
    // Nobody enters, so the room ends after a minute, and the node with it.
    node.serving.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_watches_anew_is_told_what_ended_of_late_and_why() {
    let node = Node::start(Config::default()).await;
    let mut watch = node.watch().await;
    node.open(5, 2, "").await.unwrap();
    node.open(6, 2, "").await.unwrap();
    let ended = loop {
        let message = watch.message().await.unwrap().unwrap();
        if let Some(News::Ended(ended)) = message.news {
            break ended;
        }
    };
    let open = open_rooms(&node).await;
    assert!(open.ended.contains(&ended), "{open:?}");
    assert!(!open.rooms.contains(&5), "{open:?}");
    tokio::time::advance(Duration::from_secs(301)).await;
    assert_eq!(open_rooms(&node).await.ended, []);
}

#[tokio::test(start_paused = true)]
async fn a_room_whose_result_is_still_being_recorded_counts_as_open() {
    let node = Node::start_with(bombs(), Games::default().with(BOMB)).await;
    node.store.fail.store(usize::MAX, Ordering::Relaxed);
    light(&node, 2, "over").await;
    let mut watch = node.watch().await;
    let rooms = loop {
        let message = watch.message().await.unwrap().unwrap();
        match message.news {
            Some(News::Load(load)) if load.rooms == 0 => break open_rooms(&node).await.rooms,
            Some(News::Ended(ended)) => panic!("{ended:?}"),
            _ => {}
        }
    };
    assert_eq!(rooms, [2]);
}

async fn open_rooms(node: &Node) -> rpc::pb::OpenRooms {
    let news = node.watch().await.message().await.unwrap().unwrap().news;
    let Some(News::Open(open)) = news else {
        panic!("the open rooms come first");
    };
    open
}

/// A game that panics where its settings say, and is over in its tenth step if they say `over`,
/// `result` or `drop`.
pub(crate) struct Bomb {
    at: String,
    steps: u32,
}

pub(crate) const BOMB: GameKind = GameKind {
    name: "bomb",
    input_bits: 8,
    schema: || Schema::new(1, vec![], vec![]).unwrap(),
    create: |setup| {
        let at = setup.settings.clone();
        assert_ne!(at, "create", "expected by the test");
        Ok(Box::new(Bomb { at, steps: 0 }))
    },
    version: 1,
    restore: |setup, bytes| {
        let at = setup.settings.clone();
        let steps = load("a bomb", bytes)?;
        Ok(Box::new(Bomb { at, steps }))
    },
};

impl Bomb {
    fn pass(&self, place: &str) {
        assert_ne!(self.at, place, "expected by the test");
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        self.pass("drop");
    }
}

impl Game for Bomb {
    fn join(&mut self, _seat: Seat) {
        self.pass("join");
    }

    fn leave(&mut self, _seat: Seat, _departure: Departure) {
        self.pass("leave");
    }

    fn step(&mut self, _inputs: &[SeatInput], _events: &mut Vec<GameEvent>) {
        self.steps += 1;
        assert!(self.steps < 10 || self.at != "step", "expected by the test");
    }

    fn save(&self) -> Vec<u8> {
        store(&self.steps)
    }

    fn encode(&self, _view: &mut View) {}

    fn interest(&self, _viewer: Seat, _entity: usize) -> Priority {
        Priority(1)
    }

    fn setup(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    fn is_over(&self) -> bool {
        self.steps >= 10 && matches!(self.at.as_str(), "over" | "result" | "drop")
    }

    fn result(&self) -> Vec<SeatResult> {
        self.pass("result");
        Vec::new()
    }
}

/// One worker, so that a room that fails has neighbours; ended rooms are gone at once.
pub(crate) fn bombs() -> Config {
    Config {
        workers: 1,
        linger: Duration::ZERO,
        ..Config::default()
    }
}

pub(crate) async fn light(node: &Node, room: u64, at: &str) {
    let mut bomb = create(room, 1, at);
    bomb.game = "bomb".to_owned();
    node.rooms.clone().create(bomb).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_game_that_panics_ends_its_own_room_only() {
    let node = Node::start_with(bombs(), Games::default().with(BOMB)).await;
    let mut watch = node.watch().await;
    node.open(1, 1, "").await.unwrap();
    let mut racer = Client::new(1);
    let mut gateway = node.gateway().await;
    racer.attach(&mut gateway, 1, Attach::Fresh).await;
    for (room, at) in (2..).zip(["step", "result", "join", "leave"]) {
        light(&node, room, at).await;
        // Players have their numbers from 1 on, sessions do not.
        let mut victim = Client::new(1).request(room, Attach::Fresh);
        victim.claim.session = protocol::id::SessionId(room);
        gateway.send(victim.to_item().item.unwrap()).await;
        gateway.send(detach(room, 1, true)).await;
        let ended = loop {
            let message = watch.message().await.unwrap().unwrap();
            if let Some(News::Ended(ended)) = message.news {
                break ended;
            }
        };
        assert_eq!((ended.room, ended.reason.as_str()), (room, "failed"));
        let before = racer.newest;
        racer.snapshot(&mut gateway).await;
        assert!(racer.newest > before, "after a panic in {at}");
    }
    let mut dud = create(9, 1, "create");
    dud.game = "bomb".to_owned();
    let refused = node.rooms.clone().create(dud).await.unwrap_err();
    assert_eq!(refused.code(), Code::Internal);
    assert!(!node.serving.is_finished());
}

#[tokio::test(start_paused = true)]
async fn players_in_a_room_that_fails_are_told() {
    let node = Node::start_with(bombs(), Games::default().with(BOMB)).await;
    let mut gateway = node.gateway().await;
    for (room, at) in (2..).zip(["step", "result"]) {
        light(&node, room, at).await;
        let mut player = Client::new(1).request(room, Attach::Fresh);
        player.claim.session = protocol::id::SessionId(room);
        gateway.send(player.to_item().item.unwrap()).await;
        let closed = gateway.closed().await;
        let told = (closed.session, closed.code, closed.reason.as_str());
        assert_eq!(told, (room, 0, "failed"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_worker_died_ends() {
    let node = Node::start_with(bombs(), Games::default().with(BOMB)).await;
    // Not even the end of a room is safe from this one.
    light(&node, 2, "drop").await;
    let ended = tokio::time::timeout(Duration::from_secs(10), node.serving).await;
    let ended = ended.expect("it ends by itself").unwrap();
    assert_eq!(ended, Err(syncd::Failed::Task));
    assert!(node.drain.is_draining(), "and takes its process with it");
}
