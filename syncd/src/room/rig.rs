//! Players for tests of whole rooms.

use protocol::attach::Claim;
use protocol::control::Data;
use protocol::frame::{Ack, InputFrame, Steps};
use protocol::id::{Channel, Epoch, InputSeq, InstanceId, MatchId, Offset, PlayerId, Position};
use protocol::id::{RoomId, SessionId};
use protocol::log;
use protocol::random::Random;

use super::{Attach, Command, Output, Room, RoomSetup, Rules};
use crate::game::{Seat, SeatSetup, Setup};
use crate::games::Games;
use crate::games::race::pilot::Pilot;
use crate::games::race::track::Track;
use crate::games::race::wire::CarState;

/// A room of a short game, in which everything happens soon.
pub(crate) fn room(game: &str, seats: u64, seed: u64) -> Room {
    let seat = |number| SeatSetup {
        player: PlayerId(number),
        name: format!("P{number}"),
        bot: number == 3,
        team: 0,
        rating: 1500,
    };
    let settings = match game {
        "race" => {
            r#"{"laps":1,"countdown":"1s","join_wait":"1s","away_grace":"300ms","away_limit":"2s"}"#
        }
        _ => r#"{"minutes":1}"#,
    };
    let setup = RoomSetup {
        room: RoomId(1),
        match_id: MatchId(2),
        mode: game.to_owned(),
        game: Setup {
            seed,
            seats: (0..seats).map(seat).collect(),
            settings: settings.to_owned(),
        },
        watch_delay: Some(300),
        rules: Rules {
            snapshot_every: 3,
            snapshot_phase: 1,
            snapshot_bytes: 60,
            input_limit: 30,
            hold_ticks: 15,
            linger_ticks: 120,
            abandon_ticks: 300,
        },
    };
    Room::new(Games::default().find(game).unwrap(), setup).unwrap()
}

/// A player who comes, plays, talks and goes as the dice say.
pub(crate) struct Player {
    seat: Seat,
    attempt: u32,
    pub(crate) here: bool,
    pub(crate) have: Position,
    pilot: Pilot,
    next: u32,
}

impl Player {
    pub(crate) fn new(seat: u16) -> Self {
        Self {
            seat: Seat(seat),
            attempt: 0,
            here: false,
            have: Position {
                epoch: Epoch(0),
                offset: Offset(0),
            },
            pilot: Pilot::new(u64::from(seat)),
            next: 1,
        }
    }

    pub(crate) fn attach(&mut self, mode: log::Attach, epoch: u32) -> Command {
        self.attempt += 1;
        self.here = true;
        let number = u64::from(self.seat.0);
        Command::Attach(Attach {
            player: PlayerId(number),
            claim: Claim {
                session: SessionId(number),
                instance: InstanceId(number),
                attempt: self.attempt,
                login: self.attempt == 1,
            },
            mode,
            epoch: Epoch(epoch),
        })
    }

    pub(crate) fn act(&mut self, room: &Room, random: &mut Random) -> Option<Command> {
        let (seat, attempt) = (self.seat, self.attempt);
        if !self.here {
            let mode = match random.below(4) {
                0 => log::Attach::Fresh,
                1 => log::Attach::Continue,
                _ => log::Attach::Resume(self.have),
            };
            return (random.below(40) == 0)
                .then(|| self.attach(mode, random.next_u64() as u32 | 1));
        }
        match random.below(200) {
            0 => {
                self.here = false;
                Some(Command::Detach { seat, attempt })
            }
            1 if random.below(8) == 0 => {
                self.here = false;
                Some(Command::Leave { seat, attempt })
            }
            2..20 => Some(Command::Say {
                seat,
                to: (random.below(2) == 0).then(|| Seat(random.below(9) as u16)),
                data: Data::parse(&format!(r#"{{"n":{}}}"#, random.below(1000))).unwrap(),
            }),
            20..40 => Some(Command::Ack {
                seat,
                ack: Ack {
                    channel: Channel::Room,
                    epoch: self.have.epoch,
                    offset: self.have.offset,
                    resend: random.below(4) == 0,
                },
            }),
            40..110 => Some(self.input(room, random)),
            _ => None,
        }
    }

    fn input(&mut self, room: &Room, random: &mut Random) -> Command {
        let car = match room.game() {
            "race" => CarState::of(&room.view(), self.seat.index()),
            _ => None,
        };
        let track = Track::harbour();
        let bits = car.map_or(0, |car| self.pilot.drive(&track, &car));
        let mut steps = Steps::new(8);
        (0..=random.below(5)).for_each(|_| assert!(steps.push(bits)));
        // Now and then some are lost on the way.
        self.next += random.below(30).saturating_sub(28) as u32;
        let first = InputSeq(self.next);
        self.next += steps.as_slice().len() as u32;
        Command::Input {
            seat: self.seat,
            input: InputFrame {
                epoch: self.have.epoch,
                offset: self.have.offset,
                snapshot: room.tick(),
                first,
                steps,
            },
        }
    }

    pub(crate) fn take(&mut self, output: &Output) {
        match output {
            Output::Attached { seat, attached, .. } if *seat == self.seat => {
                self.have = attached.position;
                if !attached.recovered {
                    self.next = 1;
                }
            }
            Output::Event { seat, event, .. }
                if *seat == self.seat && event.offset.0 == self.have.offset.0 + 1 =>
            {
                self.have.offset = event.offset;
            }
            _ => {}
        }
    }
}
