use protocol::attach::Claim;
use protocol::frame::{Ack, InputFrame, Steps};
use protocol::id::{Channel, Epoch, InputSeq, InstanceId, Offset, Position};
use protocol::log;
use protocol::snapshot::{Field, decode};

use super::*;
use crate::game::{SeatSetup, load, store};

mod durable;
mod ending;

/// Shows each seat's input; an input of 7 tells an event, an input of 255 ends it.
struct Probe {
    seats: Vec<SeatInput>,
    over: bool,
}

const PROBE: GameKind = GameKind {
    name: "probe",
    input_bits: 8,
    schema: || Schema::new(4, vec![], vec![Field::new("bits", 8, 0)]).unwrap(),
    version: 1,
    create: |setup| {
        Ok(Box::new(Probe {
            seats: vec![SeatInput::default(); setup.seats.len()],
            over: false,
        }))
    },
    restore: |setup, bytes| {
        let inputs: Vec<(u32, bool)> = load("a probe", bytes)?;
        let seat = |(bits, present): &(u32, bool)| SeatInput {
            bits: *bits,
            present: *present,
        };
        let mut seats: Vec<SeatInput> = inputs.iter().map(seat).collect();
        let over = seats.pop().is_some_and(|last| last.present);
        assert_eq!(seats.len(), setup.seats.len());
        Ok(Box::new(Probe { seats, over }))
    },
};

impl Game for Probe {
    fn join(&mut self, _seat: Seat) {}
    fn leave(&mut self, _seat: Seat, _departure: Departure) {}

    fn step(&mut self, inputs: &[SeatInput], events: &mut Vec<GameEvent>) {
        self.seats.copy_from_slice(inputs);
        for input in inputs {
            if input.bits == 7 {
                events.push(GameEvent::to_all(&serde_json::json!({"e": "seven"})));
            }
            self.over |= input.bits == 255;
        }
    }

    fn save(&self) -> Vec<u8> {
        let inputs = self.seats.iter().map(|seat| (seat.bits, seat.present));
        store(&inputs.chain([(0, self.over)]).collect::<Vec<_>>())
    }

    fn encode(&self, view: &mut View) {
        for (slot, input) in self.seats.iter().enumerate() {
            view.put(slot, &[input.bits]);
        }
    }

    fn interest(&self, _viewer: Seat, _entity: usize) -> Priority {
        Priority(1)
    }

    fn setup(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn result(&self) -> Vec<SeatResult> {
        let place = |seat| SeatResult {
            seat: Seat(seat),
            place: u32::from(seat) + 1,
            ticks: None,
        };
        (0..self.seats.len() as u16).map(place).collect()
    }
}

const RULES: Rules = Rules {
    snapshot_every: 3,
    snapshot_phase: 0,
    snapshot_bytes: 500,
    input_limit: 30,
    hold_ticks: 15,
    linger_ticks: 60,
    abandon_ticks: 300,
};

fn room(seats: u64) -> Room {
    room_with(seats, RULES)
}

fn room_with(seats: u64, rules: Rules) -> Room {
    let seat = |number| SeatSetup {
        player: PlayerId(number),
        name: format!("P{number}"),
        bot: false,
        team: 0,
        rating: 1500,
    };
    let setup = RoomSetup {
        room: RoomId(1),
        match_id: MatchId(1),
        mode: "probe".to_owned(),
        game: Setup {
            seed: 1,
            seats: (0..seats).map(seat).collect(),
            settings: String::new(),
        },
        watch_delay: None,
        rules,
    };
    Room::new(&PROBE, setup).unwrap()
}

fn claim(session: u64, attempt: u32) -> Claim {
    Claim {
        session: SessionId(session),
        instance: InstanceId(session),
        attempt,
        login: true,
    }
}

fn attach(room: &mut Room, player: u64, claim: Claim, mode: log::Attach) -> Applied {
    room.apply(Command::Attach(Attach {
        player: PlayerId(player),
        claim,
        mode,
        epoch: Epoch(100 + claim.attempt),
    }))
}

fn enter(room: &mut Room, player: u64) {
    let applied = attach(room, player, claim(player, 1), log::Attach::Fresh);
    assert!(matches!(applied, Applied::Attached { .. }), "{applied:?}");
}

fn steps(room: &mut Room, count: u32) -> Vec<Output> {
    let mut out = Vec::new();
    (0..count).for_each(|_| room.step(&mut out));
    out
}

fn input(room: &mut Room, seat: u16, epoch: u32, first: u32, values: &[u32]) -> Applied {
    let mut steps = Steps::new(8);
    values.iter().for_each(|value| assert!(steps.push(*value)));
    let input = InputFrame {
        epoch: Epoch(epoch),
        offset: Offset(0),
        snapshot: Tick(0),
        first: InputSeq(first),
        steps,
    };
    room.apply(Command::Input {
        seat: Seat(seat),
        input,
    })
}

fn events(out: &[Output], of: u16) -> Vec<String> {
    let text = |output: &Output| match output {
        Output::Event { seat, event, .. } if *seat == Seat(of) => {
            Some(String::from_utf8(event.payload.to_vec()).unwrap())
        }
        _ => None,
    };
    out.iter().filter_map(text).collect()
}

/// The bits that the last snapshot shows, which must be whole.
fn shown(room: &Room, out: &[Output]) -> Vec<u32> {
    let body = out.iter().rev().find_map(|output| match output {
        Output::Snapshot { body, .. } => Some(body),
        _ => None,
    });
    let view = decode(room.schema(), None, body.expect("a snapshot")).unwrap();
    (0..4)
        .filter_map(|slot| Some(view.entity(slot)?[0]))
        .collect()
}

#[test]
fn the_last_input_is_held_for_a_while_and_then_let_go() {
    let mut room = room(1);
    enter(&mut room, 0);
    input(&mut room, 0, 101, 1, &[5, 9]);
    let out = steps(&mut room, 3);
    assert_eq!(shown(&room, &out), [9]);
    let out = steps(&mut room, 12);
    assert_eq!(shown(&room, &out), [9]);
    let out = steps(&mut room, 3);
    assert_eq!(shown(&room, &out), [0]);
}

#[test]
fn inputs_over_the_limit_are_reported_once_and_in_one_range() {
    let mut room = room(1);
    enter(&mut room, 0);
    for frame in 0..3 {
        input(&mut room, 0, 101, frame * 15 + 1, &[1; 15]);
    }
    let out = steps(&mut room, 2);
    assert_eq!(events(&out, 0), [r#"{"e":"inputs.lost","from":1,"to":15}"#]);
}

#[test]
fn input_of_another_history_changes_nothing() {
    let mut room = room(1);
    enter(&mut room, 0);
    assert_eq!(input(&mut room, 0, 99, 1, &[5]), Applied::Ignored);
    assert_eq!(input(&mut room, 9, 101, 1, &[5]), Applied::Ignored);
    let out = steps(&mut room, 3);
    assert_eq!(shown(&room, &out), [0]);
}

#[test]
fn a_resume_gets_the_events_that_it_missed_and_keeps_its_input_numbers() {
    let mut room = room(2);
    enter(&mut room, 0);
    enter(&mut room, 1);
    steps(&mut room, 1);
    room.apply(Command::Detach {
        seat: Seat(0),
        attempt: 1,
    });
    input(&mut room, 1, 101, 1, &[7, 1]);
    let out = steps(&mut room, 1);
    assert_eq!(events(&out, 0), [""; 0]);
    assert_eq!(
        events(&out, 1),
        [
            r#"{"e":"seat.left","seat":0,"reason":"lost"}"#,
            r#"{"e":"seven"}"#
        ]
    );
    let have = Position {
        epoch: Epoch(101),
        offset: Offset(1),
    };
    attach(&mut room, 0, claim(0, 2), log::Attach::Resume(have));
    let out = steps(&mut room, 1);
    let recovered = |output: &Output| match output {
        Output::Attached { seat, attached, .. } => Some((*seat, attached.recovered)),
        _ => None,
    };
    assert_eq!(out.iter().find_map(recovered), Some((Seat(0), true)));
    assert_eq!(events(&out, 0), [r#"{"e":"seven"}"#]);
}

#[test]
fn a_second_login_takes_the_seat_and_the_first_cannot_take_it_back() {
    let mut room = room(1);
    enter(&mut room, 0);
    let second = attach(&mut room, 0, claim(50, 1), log::Attach::Fresh);
    let previous = Some(claim(0, 1));
    let seat = Seat(0);
    assert_eq!(second, Applied::Attached { seat, previous });
    let mut resume = claim(0, 2);
    resume.login = false;
    let first = attach(&mut room, 0, resume, log::Attach::Continue);
    assert_eq!(first, Applied::Refused(Refusal::Replaced));
    let late = attach(&mut room, 0, claim(50, 0), log::Attach::Continue);
    assert_eq!(late, Applied::Refused(Refusal::Stale));
}

#[test]
fn strangers_and_those_who_left_are_refused() {
    let mut room = room(2);
    let stranger = attach(&mut room, 77, claim(77, 1), log::Attach::Fresh);
    assert_eq!(stranger, Applied::Refused(Refusal::NoSeat));
    enter(&mut room, 0);
    let leave = Command::Leave {
        seat: Seat(0),
        attempt: 1,
    };
    assert_eq!(room.apply(leave), Applied::Done);
    let back = attach(&mut room, 0, claim(0, 2), log::Attach::Fresh);
    assert_eq!(back, Applied::Refused(Refusal::Left));
}

#[test]
fn a_detach_of_an_earlier_connection_changes_nothing() {
    let mut room = room(1);
    enter(&mut room, 0);
    attach(&mut room, 0, claim(0, 2), log::Attach::Continue);
    let late = Command::Detach {
        seat: Seat(0),
        attempt: 1,
    };
    assert_eq!(room.apply(late), Applied::Ignored);
    assert_eq!(room.present(), 1);
}

#[test]
fn a_client_that_acknowledges_nothing_is_cut_off_when_its_log_is_full() {
    let mut room = room(1);
    enter(&mut room, 0);
    let mut out = Vec::new();
    for seq in 1..=600 {
        input(&mut room, 0, 101, seq, &[7]);
        room.step(&mut out);
    }
    let closes = |output: &&Output| matches!(output, Output::CloseConnection { .. });
    assert_eq!(out.iter().filter(closes).count(), 1);
    let have = Position {
        epoch: Epoch(101),
        offset: Offset(3),
    };
    attach(&mut room, 0, claim(0, 2), log::Attach::Resume(have));
    let anew = steps(&mut room, 1).iter().any(|output| match output {
        Output::Attached { attached, .. } => !attached.recovered,
        _ => false,
    });
    assert!(anew, "whole state after the history ended");
}

#[test]
fn viewers_with_the_same_baseline_get_the_same_bytes_in_one_body() {
    let mut room = room(4);
    (0..4).for_each(|player| enter(&mut room, player));
    let out = steps(&mut room, 3);
    let targets = out.iter().find_map(|output| match output {
        Output::Snapshot { targets, .. } => Some(targets.len()),
        _ => None,
    });
    assert_eq!(targets, Some(4));
}

#[test]
fn the_state_has_the_shape_that_clients_are_promised() {
    let mut room = room(1);
    enter(&mut room, 0);
    let out = steps(&mut room, 1);
    let Some(Output::Attached { state, .. }) = out.first() else {
        panic!("{out:?}");
    };
    assert_eq!(
        state,
        concat!(
            r#"{"room":"rm_0000000000000001","game":"probe","seat":0,"tick":1,"tick_hz":60,"#,
            r#""snapshot_every":3,"input_width":8,"schema":{"capacity":4,"globals":[],"#,
            r#""fields":[{"name":"bits","bits":8,"near":0}]},"setup":{},"seats":[{"seat":0,"#,
            r#""player":"pl_0000000000000000","name":"P0","bot":false,"present":true}],"processed":0}"#
        )
    );
}

#[test]
fn a_player_has_one_seat() {
    let mut setup = room(2).setup().clone();
    setup.game.seats[1].player = PlayerId(0);
    let error = Room::new(&PROBE, setup).unwrap_err();
    assert_eq!(error.field, "seats[1].player");
}
