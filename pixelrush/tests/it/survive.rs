//! Processes on a shared Redis die in the middle of a race, and the race goes on.

use std::time::{Duration, Instant};

use e2e::crowd::{Crowd, CrowdPlan};
use e2e::fleet::{Fleet, FleetOptions, NodeRef};
use e2e::history::{History, Run, Stored, Strike, check};
use e2e::store::{Store, StoreKind};
use engine::Engine;
use protocol::id::RoomId;

use crate::binary;

const PLAYERS: u64 = 8;
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_goes_on_on_another_node_when_its_syncd_is_killed() {
    let mut stage = Stage::set().await;
    let crowd = stage.race().await;
    let (room, victim) = stage.room_of(&crowd).await;
    let at = crowd.now();
    stage.fleet.kill(victim);
    let strike = Strike {
        fault: format!("kill {victim}"),
        at,
        well_by: at + Duration::from_secs(5),
        loses: Default::default(),
    };
    let histories = stage.finish(crowd, vec![strike]).await;
    for history in &histories {
        let rooms: Vec<RoomId> = history.rooms().collect();
        assert_eq!(
            rooms,
            [room],
            "player {}\n{}",
            history.number,
            stage.fleet.logs()
        );
    }
    let mut freezes: Vec<Duration> = histories
        .iter()
        .flat_map(History::freezes)
        .filter(|(from, lasted)| *from + *lasted > at)
        .map(|(_, lasted)| lasted)
        .collect();
    freezes.sort_unstable();
    println!("syncd killed: freezes {freezes:?}");
    stage.replay(room);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_goes_on_on_another_node_when_its_syncd_drains() {
    let mut stage = Stage::set().await;
    let crowd = stage.race().await;
    let (room, leaving) = stage.room_of(&crowd).await;
    let at = crowd.now();
    stage
        .fleet
        .drain(leaving)
        .unwrap_or_else(|error| panic!("{error}\n{}", stage.fleet.logs()));
    let strike = Strike {
        fault: format!("drain {leaving}"),
        at,
        well_by: crowd.now() + Duration::from_secs(2),
        loses: Default::default(),
    };
    let histories = stage.finish(crowd, vec![strike]).await;
    for history in &histories {
        let rooms: Vec<RoomId> = history.rooms().collect();
        assert_eq!(rooms, [room], "player {}", history.number);
    }
    stage.replay(room);
}

/// A fleet on a Redis of its own.
struct Stage {
    fleet: Fleet,
    engine: Engine,
    _store: Store,
    folder: tempfile::TempDir,
}

impl Stage {
    async fn set() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::start(StoreKind::Single);
        let options = FleetOptions::new(store.config_text());
        let fleet = Fleet::start(binary(), folder.path(), options);
        let fleet = fleet.unwrap_or_else(|error| panic!("{error}"));
        Self {
            engine: store.engine().await.expect("Redis is there"),
            fleet,
            _store: store,
            folder,
        }
    }

    /// Eight players, under way in one race.
    async fn race(&self) -> Crowd {
        let crowd = Crowd::start(&CrowdPlan {
            targets: self.fleet.targets(),
            mode: "race".to_owned(),
            players: PLAYERS,
            races: Some(1),
            seed: 1,
        });
        let racing = crowd.until_racing(PATIENCE).await;
        racing.unwrap_or_else(|error| panic!("{error}\n{}", self.fleet.logs()));
        crowd
    }

    /// The room that the crowd is in, and the node that has it.
    async fn room_of(&self, crowd: &Crowd) -> (RoomId, NodeRef) {
        let (_, room) = crowd.phases()[0];
        let room = room.expect("everyone is in a room");
        let found = self
            .engine
            .placements
            .find(&[room])
            .await
            .expect("an answer");
        let owner = found[0]
            .as_ref()
            .expect("the room is placed")
            .owner
            .node
            .to_string();
        let mut names = self.fleet.names().into_iter();
        let node = names.find(|name| name.to_string() == owner);
        (room, node.expect("a node of this fleet"))
    }

    /// What was played, on whichever nodes, can be run again to the same bytes. The last pieces of
    /// a tape are kept a moment after the race.
    fn replay(&self, room: RoomId) {
        let config = self.folder.path().join("syncd-1.toml");
        let deadline = Instant::now() + Duration::from_secs(15);
        loop {
            let output = std::process::Command::new(binary())
                .args(["replay", &room.to_string(), "--config"])
                .arg(&config)
                .output()
                .expect("the binary runs");
            let told = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{told}{output:?}");
            if told.contains("to its end") {
                return;
            }
            assert!(Instant::now() < deadline, "{told}");
        }
    }

    /// Lets the crowd come to its end and checks what it saw.
    async fn finish(&self, crowd: Crowd, strikes: Vec<Strike>) -> Vec<History> {
        let done = |crowd: &Crowd| crowd.histories().iter().all(|history| history.is_done);
        // Whoever is not done is found by the check.
        let _ = crowd.until("the race is over", PATIENCE, done).await;
        let ended = crowd.now();
        let histories = crowd.histories();
        let stored = Stored::of(&self.engine, &histories)
            .await
            .expect("the results");
        let run = Run {
            strikes,
            stored: Some(stored),
            ..Run::new(ended)
        };
        let violations = check(&histories, &run);
        assert!(
            violations.is_empty(),
            "{violations:#?}\n{:#?}\n{}",
            run.strikes,
            self.fleet.logs()
        );
        histories
    }
}
