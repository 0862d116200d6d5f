use protocol::id::PlayerId;

use super::*;
use crate::game::{Audience, SeatSetup};

fn setup(seats: u64, settings: &str) -> Setup {
    let seat = |number| SeatSetup {
        player: PlayerId(number),
        name: format!("P{number}"),
        bot: false,
        team: 0,
        rating: 1500,
    };
    Setup {
        seed: 1,
        seats: (0..seats).map(seat).collect(),
        settings: settings.to_owned(),
    }
}

fn relay(seats: u64) -> Relay {
    Relay::new(&setup(seats, r#"{"minutes":1}"#)).unwrap()
}

/// The events of a number of steps, with whom they are for.
fn steps(relay: &mut Relay, count: u32) -> Vec<(Audience, String)> {
    let mut events = Vec::new();
    (0..count).for_each(|_| relay.step(&[], &mut events));
    texts(events)
}

fn texts(events: Vec<GameEvent>) -> Vec<(Audience, String)> {
    let text = |event: GameEvent| {
        let text = String::from_utf8(event.payload.to_vec()).unwrap();
        (event.to, text)
    };
    events.into_iter().map(text).collect()
}

fn host(seat: u16) -> Vec<(Audience, String)> {
    let text = format!(r#"{{"e":"relay.host","seat":{seat}}}"#);
    vec![(Audience::All, text)]
}

fn say(relay: &mut Relay, to: Option<u16>) -> Result<Vec<(Audience, String)>, ErrorMessage> {
    let mut events = Vec::new();
    let data = Data::parse(r#"{"hi":1}"#).unwrap();
    relay.say(Seat(0), to.map(Seat), &data, &mut events)?;
    Ok(texts(events))
}

#[test]
fn the_host_stays_until_it_is_away_and_then_the_lowest_seat_present_is() {
    let mut relay = relay(3);
    assert_eq!(steps(&mut relay, 5), []);
    relay.join(Seat(1));
    assert_eq!(steps(&mut relay, 5), host(1));
    relay.join(Seat(2));
    relay.join(Seat(0));
    assert_eq!(steps(&mut relay, 5), []);
    relay.leave(Seat(1), Departure::Lost);
    assert_eq!(steps(&mut relay, 5), host(0));
    relay.join(Seat(1));
    assert_eq!(steps(&mut relay, 5), []);
    relay.leave(Seat(0), Departure::Left);
    relay.leave(Seat(1), Departure::Lost);
    assert_eq!(steps(&mut relay, 5), host(2));
}

#[test]
fn a_room_that_nobody_is_in_has_no_host() {
    let mut relay = relay(2);
    relay.join(Seat(0));
    steps(&mut relay, 1);
    relay.leave(Seat(0), Departure::Lost);
    assert_eq!(steps(&mut relay, 1), []);
    let mut view = View::new(&schema());
    relay.encode(&mut view);
    assert_eq!(view.globals()[0], NO_HOST);
    assert_eq!(relay.setup()["host"], serde_json::Value::Null);
    relay.join(Seat(0));
    assert_eq!(steps(&mut relay, 1), host(0));
}

#[test]
fn snapshots_say_who_is_present_and_who_is_host() {
    let mut relay = relay(3);
    relay.join(Seat(1));
    steps(&mut relay, 1);
    let mut view = View::new(&schema());
    relay.encode(&mut view);
    assert_eq!(view.globals(), [1, 3600]);
    let seats: Vec<_> = (0..4).map(|slot| view.entity(slot)).collect();
    assert_eq!(seats, [Some(&[0][..]), Some(&[1]), Some(&[0]), None]);
}

#[test]
fn a_message_goes_to_all_or_to_one_who_is_in_the_room() {
    let mut relay = relay(4);
    relay.join(Seat(0));
    relay.join(Seat(1));
    relay.join(Seat(2));
    relay.leave(Seat(1), Departure::Lost);
    relay.leave(Seat(2), Departure::Left);
    let text = r#"{"e":"relay.said","from":0,"data":{"hi":1}}"#.to_owned();
    let all = vec![(Audience::All, text.clone())];
    assert_eq!(say(&mut relay, None), Ok(all));
    let away = vec![(Audience::Seat(Seat(1)), text)];
    assert_eq!(say(&mut relay, Some(1)), Ok(away));
    for gone in [2, 3] {
        let error = say(&mut relay, Some(gone)).unwrap_err();
        assert_eq!(error.code, ErrorCode::NotInRoom);
        assert_eq!(error.field.as_deref(), Some("to"));
    }
}

#[test]
fn the_room_is_over_when_its_time_is_up() {
    let mut relay = relay(2);
    relay.join(Seat(0));
    steps(&mut relay, 3599);
    assert!(!relay.is_over());
    steps(&mut relay, 1);
    assert!(relay.is_over());
    let members: Vec<_> = relay.result().iter().map(|result| result.seat.0).collect();
    assert_eq!(members, [0, 1]);
}

#[test]
fn the_room_is_over_when_everyone_has_left() {
    let mut relay = relay(2);
    relay.join(Seat(0));
    relay.join(Seat(1));
    relay.leave(Seat(0), Departure::Left);
    relay.leave(Seat(1), Departure::Lost);
    steps(&mut relay, 1);
    assert!(!relay.is_over(), "one may be back");
    relay.leave(Seat(1), Departure::Left);
    steps(&mut relay, 1);
    assert!(relay.is_over());
}

#[test]
fn who_has_not_come_yet_is_waited_for() {
    let mut relay = relay(2);
    relay.join(Seat(0));
    relay.leave(Seat(0), Departure::Left);
    steps(&mut relay, ticks(JOIN_WAIT) - 1);
    assert!(!relay.is_over());
    steps(&mut relay, 1);
    assert!(relay.is_over());
}

#[test]
fn impossible_settings_are_refused_by_name() {
    let refused = |seats, settings| Relay::new(&setup(seats, settings)).unwrap_err().field;
    assert_eq!(refused(2, r#"{"minutes":0}"#), "settings.minutes");
    assert_eq!(refused(2, r#"{"minutes":1441}"#), "settings.minutes");
    assert_eq!(refused(0, ""), "seats");
    assert_eq!(refused(33, ""), "seats");
    assert!(Relay::new(&setup(32, r#"{"minutes":1440}"#)).is_ok());
}
