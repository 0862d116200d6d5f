//! How rooms end.

use super::*;

#[test]
fn a_room_whose_game_is_over_tells_the_result_lingers_and_is_gone() {
    let mut room = room(1);
    enter(&mut room, 0);
    input(&mut room, 0, 101, 1, &[255]);
    let out = steps(&mut room, 1);
    assert!(
        events(&out, 0)[0].starts_with(r#"{"e":"room.ended","result":{"standings":[{"seat":0"#)
    );
    assert!(room.result().is_some() && room.ended().is_none());
    attach(&mut room, 0, claim(0, 2), log::Attach::Fresh);
    let state = steps(&mut room, 1)
        .into_iter()
        .find_map(|output| match output {
            Output::Attached { state, .. } => Some(state),
            _ => None,
        });
    assert!(state.unwrap().contains(r#""result":{"standings""#));
    let out = steps(&mut room, RULES.linger_ticks);
    assert_eq!(room.ended(), Some(EndReason::Finished));
    assert!(matches!(out.last(), Some(Output::CloseChannel { .. })));
}

/// A room of two whose game ends at its first step, and that may stay for a minute after.
fn finished() -> Room {
    let linger_ticks = 3_600;
    let mut room = room_with(
        2,
        Rules {
            linger_ticks,
            ..RULES
        },
    );
    enter(&mut room, 0);
    enter(&mut room, 1);
    input(&mut room, 0, 101, 1, &[255]);
    room
}

fn acknowledge(room: &mut Room, seat: u16, out: &[Output]) {
    for output in out {
        if let Output::Event {
            seat: of, event, ..
        } = output
            && *of == Seat(seat)
        {
            let ack = Ack {
                channel: Channel::Room,
                epoch: event.epoch,
                offset: event.offset,
                resend: false,
            };
            room.apply(Command::Ack { seat: *of, ack });
        }
    }
}

#[test]
fn a_room_whose_result_everybody_knows_is_gone_after_ten_seconds() {
    let mut room = finished();
    let out = steps(&mut room, 1);
    acknowledge(&mut room, 0, &out);
    steps(&mut room, 600);
    assert_eq!(room.ended(), None, "seat 1 has acknowledged nothing");
    acknowledge(&mut room, 1, &out);
    steps(&mut room, 1);
    assert_eq!(room.ended(), Some(EndReason::Finished));

    let mut room = finished();
    let out = steps(&mut room, 1);
    (0..2).for_each(|seat| acknowledge(&mut room, seat, &out));
    steps(&mut room, 599);
    assert_eq!(room.ended(), None);
    steps(&mut room, 1);
    assert_eq!(room.ended(), Some(EndReason::Finished));
}

#[test]
fn a_player_who_is_away_over_the_end_of_the_game_gets_the_result() {
    let mut room = finished();
    let (seat, attempt) = (Seat(1), 1);
    room.apply(Command::Detach { seat, attempt });
    let out = steps(&mut room, 1);
    acknowledge(&mut room, 0, &out);
    steps(&mut room, 3_000);
    assert_eq!(room.ended(), None);
    let have = Position {
        epoch: Epoch(101),
        offset: Offset(0),
    };
    attach(&mut room, 1, claim(1, 2), log::Attach::Resume(have));
    let out = steps(&mut room, 1);
    assert!(
        events(&out, 1)
            .iter()
            .any(|event| event.contains("room.ended"))
    );
    (0..2).for_each(|seat| acknowledge(&mut room, seat, &out));
    steps(&mut room, 1);
    assert_eq!(room.ended(), Some(EndReason::Finished));
}

#[test]
fn who_does_not_come_back_for_the_result_is_waited_for_no_longer_than_the_rules_say() {
    let mut room = finished();
    steps(&mut room, 1);
    for seat in [Seat(0), Seat(1)] {
        room.apply(Command::Detach { seat, attempt: 1 });
    }
    steps(&mut room, 3_599);
    assert_eq!(room.ended(), None);
    steps(&mut room, 1);
    assert_eq!(room.ended(), Some(EndReason::Finished));
}

#[test]
fn a_game_that_is_over_steps_no_more() {
    let mut room = finished();
    let out = steps(&mut room, 3);
    assert_eq!(shown(&room, &out), [255, 0]);
    input(&mut room, 0, 101, 2, &[9]);
    let out = steps(&mut room, 3);
    assert_eq!(shown(&room, &out), [255, 0]);
}

#[test]
fn a_room_that_nobody_is_in_is_abandoned() {
    let mut room = room(2);
    enter(&mut room, 0);
    steps(&mut room, RULES.abandon_ticks + 10);
    assert_eq!(room.ended(), None);
    room.apply(Command::Detach {
        seat: Seat(0),
        attempt: 1,
    });
    steps(&mut room, RULES.abandon_ticks - 1);
    assert_eq!(room.ended(), None);
    steps(&mut room, 1);
    assert_eq!(room.ended(), Some(EndReason::Abandoned));
    assert_eq!(room.result(), None);
}
