//! Rooms that come to a node by hand-over, while it is cut off from parts of the store.

use std::time::Duration;

use engine::leases::keeper::LeaseConfig;
use engine::{Checkpoints, Engine, Incarnation, JournalInfo, NodeKind, Placement, Seq};
use protocol::id::{Generation, MatchId, PlayerId, RoomId};
use rpc::pb;
use syncd::game::{SeatSetup, Setup};
use syncd::games::Games;
use syncd::ownership::entry::Stored;
use syncd::room::{Room, RoomSetup, Rules};
use syncd::{Announce, Config};
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use crate::cut::{Cable, Part};
use crate::fake::Node;

const ROOM: RoomId = RoomId(5);

const LEASE: LeaseConfig = LeaseConfig {
    renew: Duration::from_millis(300),
    ttl: Duration::from_secs(1),
    retry: Duration::from_millis(100),
};

/// A node that is offered a room of a giver who is played here.
struct World {
    engine: Engine,
    node: Node,
    cable: Cable,
    giver: Incarnation,
}

impl World {
    async fn start() -> Self {
        let engine = Engine::embedded(None).unwrap();
        let cable = Cable::default();
        let config = Config {
            node: "syncd-2".parse().unwrap(),
            ..Config::default()
        };
        let announce = Announce {
            endpoint: "http://syncd-2.test:1".to_owned(),
            lease: LEASE,
        };
        let node = Node::start_shared(config, cable.to(&engine), announce).await;
        // It has its lease and its journal.
        node.open_when_ready(ROOM.0 + 1, 1, "").await;
        let giver = Incarnation {
            node: "syncd-1".parse().unwrap(),
            generation: Generation(1),
        };
        let world = Self {
            engine,
            node,
            cable,
            giver,
        };
        let placement = world.placed(1);
        world
            .engine
            .placements
            .place(ROOM, &placement)
            .await
            .unwrap();
        world
    }

    fn placed(&self, generation: u64) -> Placement {
        Placement {
            owner: self.giver.clone(),
            generation: Generation(generation),
        }
    }

    /// The giver has written its room down, and has no lease.
    async fn leave(&self, state: Vec<u8>) {
        let stored = Stored {
            at: Seq(0),
            worker: None,
            room: state.into(),
        };
        let checkpoints = Checkpoints {
            call: 1,
            after: 0,
            rooms: vec![(ROOM, stored.encode())],
            gone: Vec::new(),
            last: Seq(0),
            keep_from: Seq(1),
        };
        let journals = &self.engine.journals;
        journals.open(&self.giver, Seq(0)).await.unwrap();
        journals
            .checkpoint(&self.giver, &checkpoints)
            .await
            .unwrap();
    }

    /// The giver's journal is sealed, and what follows from it for the room has begun.
    async fn until_taken_for_dead(&self) {
        until("the giver's journal is sealed", async || {
            let journals = self.engine.journals.list().await.unwrap();
            let is_sealed = |info: &JournalInfo| info.who == self.giver && info.sealed;
            journals.iter().any(is_sealed).then_some(())
        })
        .await;
        sleep(Duration::from_secs(3)).await;
    }

    /// The room is offered to the node, by its owner in this term.
    async fn offer(&self, state: Vec<u8>, generation: u64) -> Result<pb::RoomAdopted, Status> {
        let offer = pb::AdoptRoom {
            room: ROOM.0,
            checkpoint: state.into(),
            from_node: self.giver.node.to_string(),
            from_node_generation: self.giver.generation.0,
            generation,
            simulation: Games::default().simulation(),
        };
        let adopted = self.node.rooms.clone().adopt(offer).await?;
        Ok(adopted.into_inner())
    }

    async fn owner(&self) -> Placement {
        let found = self.engine.placements.find(&[ROOM]).await.unwrap();
        found.into_iter().next().flatten().expect("it is placed")
    }

    /// The node as it is announced, if it has a lease.
    async fn announced(&self) -> Option<Incarnation> {
        let nodes = self.engine.leases.list(NodeKind::Syncd).await.unwrap();
        nodes.first().map(engine::NodeRecord::incarnation)
    }

    /// Somebody seals the node's journal; gives the tick at which the room is in it.
    async fn seal(&self, who: &Incarnation) -> Option<u32> {
        let journals = &self.engine.journals;
        journals.seal(who, &self.giver).await.unwrap().unwrap();
        let estate = journals.estate(who).await.unwrap();
        let (_, bytes) = estate.checkpoints.iter().find(|(room, _)| *room == ROOM)?;
        let stored = Stored::decode(bytes).unwrap();
        let room = Room::restore(&Games::default(), &stored.room).unwrap();
        Some(room.tick().0)
    }
}

/// A race after so many ticks.
fn state(ticks: u32) -> Vec<u8> {
    let seat = SeatSetup {
        player: PlayerId(1),
        name: "P1".to_owned(),
        bot: false,
        team: 0,
        rating: 1500,
    };
    let setup = RoomSetup {
        room: ROOM,
        match_id: MatchId(1),
        watch_delay: None,
        mode: "race".to_owned(),
        game: Setup {
            seed: 7,
            seats: vec![seat],
            settings: String::new(),
        },
        rules: Rules {
            snapshot_every: 3,
            snapshot_phase: 0,
            snapshot_bytes: 1_000,
            input_limit: 30,
            hold_ticks: 15,
            linger_ticks: 60,
            abandon_ticks: 60_000,
        },
    };
    let mut room = Room::new(Games::default().find("race").unwrap(), setup).unwrap();
    let mut told = Vec::new();
    (0..ticks).for_each(|_| room.step(&mut told));
    room.checkpoint()
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_room_that_is_handed_over_is_not_restored_from_an_older_state_meanwhile() {
    let world = World::start().await;
    world.cable.cut_part(Part::Claims);
    let silent = world.offer(state(60), 1).await.unwrap_err();
    assert_eq!(silent.code(), Code::DeadlineExceeded, "{silent}");
    // Now its giver is taken for dead, and what it wrote last is older than what it offered.
    world.leave(state(6)).await;
    world.until_taken_for_dead().await;
    let who = world.announced().await.unwrap();
    assert_eq!(world.seal(&who).await, Some(60));
}

#[tokio::test(start_paused = true)]
async fn a_room_that_is_claimed_is_not_taken_by_hand_over_meanwhile() {
    let world = World::start().await;
    world.cable.cut_part(Part::Claims);
    world.leave(state(60)).await;
    world.until_taken_for_dead().await;
    let refused = world.offer(state(6), 0).await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted, "{refused}");
    world.cable.mend();
    until("the room is taken over", async || {
        (world.owner().await.owner != world.giver).then_some(())
    })
    .await;
    // Before its next checkpoint.
    let who = world.owner().await.owner;
    let tick = world.seal(&who).await.expect("a checkpoint of it");
    assert!(tick >= 60, "{tick}");
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_lease_lapsed_claims_nothing_before_its_journal_is_known_to_be_its_own() {
    let world = World::start().await;
    world.cable.cut_part(Part::Claims);
    let silent = world.offer(state(60), 1).await.unwrap_err();
    assert_eq!(silent.code(), Code::DeadlineExceeded, "{silent}");
    let who = world.announced().await.unwrap();
    world.cable.cut();
    until("the lease ends", async || {
        world.announced().await.is_none().then_some(())
    })
    .await;
    world.seal(&who).await;
    // Also with a lease again it does not know that its journal is another's.
    world.cable.mend_part(Part::Claims);
    world.cable.mend_part(Part::Leases);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(world.announced().await, Some(who.clone()));
    assert_eq!(world.owner().await, world.placed(1), "not claimed");
    world.cable.mend();
    let next = until("it begins anew", async || {
        world.announced().await.filter(|next| *next != who)
    })
    .await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(world.owner().await, world.placed(1), "not by {next} either");
    assert!(world.offer(state(60), 1).await.is_ok());
    assert_eq!(world.owner().await.owner, next);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_waited_is_made_when_the_journal_is_known_to_be_ours_again() {
    let world = World::start().await;
    world.cable.cut_part(Part::Claims);
    assert!(world.offer(state(60), 1).await.is_err());
    world.cable.cut();
    until("the lease ends", async || {
        world.announced().await.is_none().then_some(())
    })
    .await;
    world.cable.mend();
    let who = until("the room is taken", async || {
        let owner = world.owner().await.owner;
        (owner != world.giver).then_some(owner)
    })
    .await;
    assert_eq!(world.announced().await, Some(who));
}
