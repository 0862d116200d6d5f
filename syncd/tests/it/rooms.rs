//! Opening, watching, draining.

use std::num::NonZeroUsize;

use protocol::log::Attach;
use protocol::snapshot::{Schema, View};
use rpc::pb::room_news::News;
use syncd::Config;
use syncd::game::{Departure, Game, GameEvent, GameKind, Priority, Seat, SeatInput, SeatResult};
use syncd::games::Games;
use tonic::Code;

use crate::fake::{Client, Node, create};

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
    let expected = "game \"chess\" is unknown; this node has race";
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
    node.serving.await.unwrap();
}

/// Panics in its tenth step.
struct Bomb(u32);

const BOMB: GameKind = GameKind {
    name: "bomb",
    input_bits: 8,
    schema: || Schema::new(1, vec![], vec![]).unwrap(),
    create: |_| Ok(Box::new(Bomb(10))),
};

impl Game for Bomb {
    fn join(&mut self, _seat: Seat) {}
    fn leave(&mut self, _seat: Seat, _departure: Departure) {}

    fn step(&mut self, _inputs: &[SeatInput], _events: &mut Vec<GameEvent>) {
        self.0 -= 1;
        assert!(self.0 > 0, "expected by the test");
    }

    fn encode(&self, _view: &mut View) {}

    fn interest(&self, _viewer: Seat, _entity: usize) -> Priority {
        Priority(1)
    }

    fn setup(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    fn is_over(&self) -> bool {
        false
    }

    fn result(&self) -> Vec<SeatResult> {
        Vec::new()
    }
}

#[tokio::test(start_paused = true)]
async fn a_game_that_panics_ends_its_own_room_only() {
    let config = Config {
        workers: 1,
        ..Config::default()
    };
    let node = Node::start_with(config, Games::default().with(BOMB)).await;
    let mut watch = node.watch().await;
    node.open(1, 1, "").await.unwrap();
    let mut racer = Client::new(1);
    let mut gateway = node.gateway().await;
    racer.attach(&mut gateway, 1, Attach::Fresh).await;
    let mut bomb = create(2, 1, "");
    bomb.game = "bomb".to_owned();
    node.rooms.clone().create(bomb).await.unwrap();
    let ended = loop {
        let message = watch.message().await.unwrap().unwrap();
        if let Some(News::Ended(ended)) = message.news {
            break ended;
        }
    };
    assert_eq!((ended.room, ended.reason.as_str()), (2, "failed"));
    let before = racer.newest;
    racer.snapshot(&mut gateway).await;
    assert!(racer.newest > before);
}
