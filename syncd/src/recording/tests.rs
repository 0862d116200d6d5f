use std::collections::BTreeMap;

use proptest::prelude::*;
use protocol::attach::Claim;
use protocol::control::Data;
use protocol::frame::{InputFrame, Steps};
use protocol::id::{Epoch, InputSeq, InstanceId, MatchId, Offset, PlayerId, RoomId, SessionId};
use protocol::log;
use protocol::random::Random;
use protocol::snapshot::{View, decode};

use super::*;
use crate::game::{Seat, SeatSetup, Setup};
use crate::games::race::pilot::Pilot;
use crate::games::race::track::Track;
use crate::games::race::wire::CarState;
use crate::games::{race, relay};
use crate::room::{Attach, Rules};

fn setup(seed: u64, snapshot_bytes: usize) -> RoomSetup {
    let seat = |number| SeatSetup {
        player: PlayerId(number),
        name: format!("P{number}"),
        bot: false,
        team: 0,
        rating: 1500,
    };
    RoomSetup {
        room: RoomId(1),
        match_id: MatchId(1),
        mode: "race".to_owned(),
        game: Setup {
            seed,
            seats: (0..8).map(seat).collect(),
            settings: r#"{"laps":1,"countdown":"1s","join_wait":"1s"}"#.to_owned(),
        },
        watch_delay: Some(300),
        rules: Rules {
            snapshot_every: 3,
            snapshot_phase: 0,
            snapshot_bytes,
            input_limit: 30,
            hold_ticks: 15,
            linger_ticks: 30,
            abandon_ticks: 300,
        },
    }
}

/// A client that decodes everything it gets against what it has.
struct Player {
    seat: Seat,
    attempt: u32,
    here: bool,
    epoch: Epoch,
    offset: Offset,
    pilot: Pilot,
    views: BTreeMap<u32, View>,
    newest: u32,
    /// How many snapshots the acknowledgement lags behind: the round trip, in 50 ms.
    lag: u32,
    next: u32,
    bytes: usize,
}

impl Player {
    fn new(seat: u16) -> Self {
        Self {
            seat: Seat(seat),
            attempt: 0,
            here: false,
            epoch: Epoch(0),
            offset: Offset(0),
            pilot: Pilot::new(u64::from(seat)),
            views: BTreeMap::new(),
            newest: 0,
            lag: 0,
            next: 1,
            bytes: 0,
        }
    }

    fn attach(&mut self, epoch: u32) -> Command {
        self.attempt += 1;
        self.here = true;
        self.newest = 0;
        let have = protocol::id::Position {
            epoch: self.epoch,
            offset: self.offset,
        };
        let session = u64::from(self.seat.0);
        Command::Attach(Attach {
            player: PlayerId(session),
            claim: Claim {
                session: SessionId(session),
                instance: InstanceId(session),
                attempt: self.attempt,
                login: false,
            },
            mode: log::Attach::Resume(have),
            epoch: Epoch(epoch),
        })
    }

    fn detach(&mut self) -> Command {
        self.here = false;
        Command::Detach {
            seat: self.seat,
            attempt: self.attempt,
        }
    }

    fn drive(&mut self, track: &Track) -> Option<Command> {
        let car = CarState::of(self.views.get(&self.newest)?, self.seat.index())?;
        let mut steps = Steps::new(8);
        let bits = self.pilot.drive(track, &car);
        (0..3).for_each(|_| assert!(steps.push(bits)));
        let input = InputFrame {
            epoch: self.epoch,
            offset: self.offset,
            snapshot: Tick(self.newest.saturating_sub(self.lag * 3)),
            first: InputSeq(self.next),
            steps,
        };
        self.next += 3;
        Some(Command::Input {
            seat: self.seat,
            input,
        })
    }

    fn take(&mut self, output: &Output) {
        let schema = race::wire::schema();
        match output {
            Output::Attached { seat, attached, .. } if *seat == self.seat => {
                if !attached.recovered {
                    self.next = 1;
                }
                self.epoch = attached.position.epoch;
                self.offset = attached.position.offset;
            }
            Output::Event { seat, event, .. } if *seat == self.seat => {
                if event.epoch == self.epoch && event.offset.0 == self.offset.0 + 1 {
                    self.offset = event.offset;
                }
                self.bytes += event.encode().len();
            }
            Output::Snapshot { body, targets } => {
                let own = targets.iter().find(|(seat, _, _)| *seat == self.seat);
                let Some((_, _, head)) = own else { return };
                let baseline = head.baseline().map(|tick| &self.views[&tick.0]);
                let view = decode(&schema, baseline, body).expect("a body of the race's schema");
                self.newest = head.tick.0;
                self.views.insert(self.newest, view);
                self.bytes += head.encode().len() + body.len();
            }
            _ => {}
        }
    }
}

struct Course {
    seed: u64,
    snapshot_bytes: usize,
    /// The chance in a thousand a tick that somebody comes or goes.
    disturb: u64,
    lag: u32,
}

fn race(course: &Course) -> (Recording, Vec<Output>, Vec<Player>) {
    let (seed, disturb) = (course.seed, course.disturb);
    let room = Room::new(&race::KIND, setup(seed, course.snapshot_bytes)).unwrap();
    let mut recorder = Recorder::new(room);
    let mut random = Random::new(seed);
    let track = Track::harbour();
    let mut players: Vec<Player> = (0..8).map(Player::new).collect();
    for player in &mut players {
        player.lag = course.lag;
        recorder.apply(player.attach(random.next_u64() as u32 | 1));
    }
    let mut out = Vec::new();
    while recorder.room().ended().is_none() {
        for player in &mut players {
            if random.below(1000) < disturb {
                let command = match player.here {
                    true => player.detach(),
                    false => player.attach(random.next_u64() as u32 | 1),
                };
                recorder.apply(command);
            }
            let due = recorder.room().tick().0.is_multiple_of(3);
            // One input frame in ten is lost when things are not calm.
            let lost = disturb > 0 && random.below(10) == 0;
            if player.here
                && due
                && let Some(input) = player.drive(&track)
                && !lost
            {
                recorder.apply(input);
            }
        }
        let before = out.len();
        recorder.step(&mut out);
        for output in &out[before..] {
            players.iter_mut().for_each(|player| player.take(output));
        }
        assert!(recorder.room().tick() < Tick(200 * 60), "it does not end");
    }
    (recorder.finish(), out, players)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn a_recorded_race_run_again_gives_the_same_bytes(seed in any::<u64>(), bytes in 20usize..120) {
        let (recording, out, _) = race(&Course { seed, snapshot_bytes: bytes, disturb: 3, lag: 1 });
        let text = serde_json::to_string(&recording).unwrap();
        let read: Recording = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&read, &recording);
        let again = read.run(&race::KIND).unwrap();
        prop_assert!(again == out, "the outputs differ");
    }
}

#[test]
fn players_who_see_everything_decode_the_same_state() {
    for lag in 0..=4 {
        let (recording, out, players) = race(&Course {
            seed: 1,
            snapshot_bytes: 500,
            disturb: 0,
            lag,
        });
        assert!(out.len() > 400);
        for player in &players {
            assert_eq!(player.views, players[0].views, "{:?}", player.seat);
        }
        let bytes: usize = players.iter().map(|player| player.bytes).sum();
        let seconds = recording.until.0 as usize / 60;
        let rate = bytes / players.len() / seconds;
        println!(
            "baseline {} ms old: {rate} bytes a player a second",
            50 * (lag + 1)
        );
        let last = players[0].views.values().last().unwrap();
        let finished = |seat| CarState::of(last, seat).unwrap().finished;
        assert!((0..8).all(finished));
    }
}

#[test]
fn a_recorded_relay_room_run_again_says_and_refuses_the_same() {
    let mut setup = setup(1, 500);
    setup.game.settings = r#"{"minutes":1}"#.to_owned();
    let mut recorder = Recorder::new(Room::new(&relay::KIND, setup).unwrap());
    let mut members: Vec<Player> = (0..3).map(Player::new).collect();
    for member in &mut members {
        recorder.apply(member.attach(9));
    }
    let (mut out, mut refused) = (Vec::new(), 0);
    for number in 0..200u16 {
        let say = Command::Say {
            seat: Seat(0),
            to: (number % 3 > 0).then_some(Seat(number % 3)),
            data: Data::parse(&format!(r#"{{"number":{number}}}"#)).unwrap(),
        };
        let applied = recorder.apply(say);
        refused += u32::from(matches!(applied, Applied::Unsaid(_)));
        recorder.step(&mut out);
    }
    assert_eq!(refused, 200 - 40, "ten in each 60 ticks");
    let recording = recorder.finish();
    let text = serde_json::to_string(&recording).unwrap();
    let read: Recording = serde_json::from_str(&text).unwrap();
    assert_eq!(read, recording);
    assert_eq!(read.run(&relay::KIND).unwrap(), out);
}
