use protocol::id::PlayerId;

use super::pilot::Pilot;
use super::standing::Standing;
use super::*;
use crate::game::SeatSetup;
use crate::room::TICK_HZ;

const ACCELERATE: u32 = car::ACCELERATE;

fn setup(seats: u64, settings: &str) -> Setup {
    let seat = |number| SeatSetup {
        player: PlayerId(number),
        name: format!("P{number}"),
        bot: false,
        team: 0,
        rating: 1500,
    };
    Setup {
        seed: 7,
        seats: (0..seats).map(seat).collect(),
        settings: settings.to_owned(),
    }
}

fn race(seats: u64, settings: &str) -> Race {
    let mut race = Race::new(&setup(seats, settings)).unwrap();
    (0..seats).for_each(|seat| race.join(Seat(seat as u16)));
    race
}

fn view(race: &Race) -> View {
    let mut view = View::new(&wire::schema());
    race.encode(&mut view);
    view
}

/// Steps with the same input for all until `done`, for at most `limit` ticks.
fn step_all(race: &mut Race, bits: u32, limit: u32) -> Vec<GameEvent> {
    let input = SeatInput {
        bits,
        present: true,
    };
    let inputs = vec![input; race.racers.len()];
    let mut events = Vec::new();
    (0..limit).for_each(|_| race.step(&inputs, &mut events));
    events
}

/// Lets pilots drive at 20 decisions a second until the race is over.
fn pilot_race(race: &mut Race) -> Vec<String> {
    let mut pilots: Vec<Pilot> = (0..race.racers.len() as u64).map(Pilot::new).collect();
    let mut inputs = vec![SeatInput::default(); race.racers.len()];
    let mut events = Vec::new();
    while !race.is_over() {
        assert!(race.tick < 200 * TICK_HZ, "the race does not end");
        if race.tick.is_multiple_of(3) {
            let view = view(race);
            for (seat, pilot) in pilots.iter_mut().enumerate() {
                let car = wire::CarState::of(&view, seat).unwrap();
                inputs[seat] = SeatInput {
                    bits: pilot.drive(&race.track, &car),
                    present: true,
                };
            }
        }
        race.step(&inputs, &mut events);
    }
    let text = |event: &GameEvent| String::from_utf8(event.payload.to_vec()).unwrap();
    events.iter().map(text).collect()
}

#[test]
fn eight_pilots_finish_two_laps_in_about_forty_seconds() {
    let mut race = race(8, "");
    let events = pilot_race(&mut race);
    let result = race.result();
    let places: Vec<u32> = result.iter().map(|result| result.place).collect();
    assert_eq!(places, [1, 2, 3, 4, 5, 6, 7, 8]);
    let seconds: Vec<u32> = result
        .iter()
        .map(|result| result.ticks.expect("finished") / TICK_HZ)
        .collect();
    println!("finish times, seconds: {seconds:?}");
    assert!((35..=45).contains(&seconds[0]), "{seconds:?}");
    assert!(seconds[7] < 60, "{seconds:?}");
    let count = |kind: &str| events.iter().filter(|event| event.contains(kind)).count();
    assert_eq!(
        [count("race.start"), count("race.lap"), count("race.finish")],
        [1, 16, 8]
    );
}

#[test]
fn nobody_moves_before_the_countdown_is_over() {
    let mut race = race(2, "");
    let before = view(&race);
    let events = step_all(&mut race, ACCELERATE, 3 * TICK_HZ);
    assert!(events.is_empty());
    assert_eq!(view(&race).entity(0), before.entity(0));
    let events = step_all(&mut race, ACCELERATE, 30);
    assert_eq!(events.len(), 1);
    assert_ne!(view(&race).entity(0), before.entity(0));
}

#[test]
fn the_start_waits_for_players_but_not_for_ever() {
    let mut race = Race::new(&setup(2, r#"{"countdown":"1s","join_wait":"5s"}"#)).unwrap();
    race.join(Seat(0));
    assert!(step_all(&mut race, 0, 5 * TICK_HZ).is_empty());
    assert_eq!(step_all(&mut race, 0, TICK_HZ).len(), 1);
}

#[test]
fn going_backward_or_across_the_infield_completes_no_lap() {
    let track = Track::harbour();
    let walk = |points: &[(i32, i32)]| {
        let mut standing = Standing::default();
        let place = |(x, y): (i32, i32)| track::Place {
            x: x * 16,
            y: y * 16,
        };
        let moves = points.windows(2);
        moves
            .filter_map(|pair| standing.advance(&track, place(pair[0]), place(pair[1])))
            .count()
    };
    let around: Vec<(i32, i32)> = [(290, 346)]
        .into_iter()
        .chain(track.points.iter().copied())
        .chain([(311, 346), (320, 346)])
        .collect();
    assert_eq!(walk(&around), 1);
    let backward: Vec<(i32, i32)> = around.iter().rev().copied().collect();
    assert_eq!(walk(&backward), 0);
    let cut = [
        (290, 346),
        (320, 346),
        (320, 200),
        (200, 200),
        (200, 346),
        (290, 346),
        (320, 346),
    ];
    assert_eq!(walk(&cut), 0);
}

#[test]
fn the_others_have_thirty_seconds_after_the_first_finisher() {
    let mut race = race(2, r#"{"laps":1,"countdown":"0s"}"#);
    // Seat 1 is connected but never drives.
    let mut pilot = Pilot::new(1);
    let mut events = Vec::new();
    let mut first_finish = None;
    while !race.is_over() {
        let car = wire::CarState::of(&view(&race), 0).unwrap();
        let driven = SeatInput {
            bits: pilot.drive(&race.track, &car),
            present: true,
        };
        let idle = SeatInput {
            bits: 0,
            present: true,
        };
        race.step(&[driven, idle], &mut events);
        if race.racers[0].standing.is_finished() {
            first_finish.get_or_insert(race.tick);
        }
    }
    assert_eq!(race.tick - first_finish.unwrap(), ticks(FINISH_TIME));
    let result = race.result();
    assert_eq!((result[0].seat, result[1].ticks), (Seat(0), None));
}

#[test]
fn a_car_whose_player_left_coasts_and_does_not_finish() {
    let mut race = race(3, r#"{"laps":1,"countdown":"0s"}"#);
    step_all(&mut race, ACCELERATE, 120);
    race.leave(Seat(2), Departure::Left);
    step_all(&mut race, ACCELERATE, 300);
    let car = wire::CarState::of(&view(&race), 2).unwrap();
    assert_eq!((car.speed, car.away), (0, true));
    pilot_race(&mut race);
    let last = race.result()[2];
    assert_eq!((last.seat, last.ticks), (Seat(2), None));
}

fn car_of(race: &Race, seat: usize) -> wire::CarState {
    wire::CarState::of(&view(race), seat).unwrap()
}

#[test]
fn a_car_whose_player_is_away_coasts_and_then_a_bot_drives_it_home() {
    let mut race = race(2, r#"{"laps":1,"countdown":"0s"}"#);
    step_all(&mut race, ACCELERATE, 60);
    race.leave(Seat(1), Departure::Lost);
    step_all(&mut race, ACCELERATE, 3 * TICK_HZ - 1);
    let coasting = car_of(&race, 1);
    assert_eq!((coasting.away, coasting.bot), (true, false));
    assert!(coasting.speed < 8, "{coasting:?}");
    step_all(&mut race, ACCELERATE, 2 * TICK_HZ);
    let driven = car_of(&race, 1);
    assert_eq!((driven.away, driven.bot), (true, true));
    assert!(driven.speed > 8, "{driven:?}");
    pilot_race(&mut race);
    assert!(race.racers[1].standing.is_finished());
}

#[test]
fn a_player_who_is_back_drives_at_once() {
    let mut race = race(1, r#"{"countdown":"0s","away_grace":"0s"}"#);
    race.leave(Seat(0), Departure::Lost);
    step_all(&mut race, 0, 120);
    let before = car_of(&race, 0);
    assert!(before.bot && before.speed > 8, "{before:?}");
    race.join(Seat(0));
    step_all(&mut race, car::BRAKE, 1);
    let after = car_of(&race, 0);
    assert!(
        !after.bot && !after.away && after.speed < before.speed,
        "{after:?}"
    );
}

#[test]
fn who_is_away_for_too_long_does_not_finish_even_when_back() {
    let settings = r#"{"laps":1,"countdown":"0s","away_limit":"5s"}"#;
    let mut race = race(2, settings);
    race.leave(Seat(1), Departure::Lost);
    let events = step_all(&mut race, 0, 5 * TICK_HZ);
    let last = events.last().unwrap();
    assert_eq!(
        &last.payload[..],
        br#"{"e":"race.out","seat":1,"tick":300}"#
    );
    race.join(Seat(1));
    let stopped = car_of(&race, 1);
    step_all(&mut race, ACCELERATE, 3 * TICK_HZ);
    let after = car_of(&race, 1);
    assert_eq!((after.away, after.bot), (false, false));
    assert!(after.speed <= stopped.speed);
    pilot_race(&mut race);
    let last = race.result()[1];
    assert_eq!((last.seat, last.ticks), (Seat(1), None));
}

#[test]
fn a_race_in_which_everybody_is_away_for_too_long_is_over() {
    let mut race = race(2, r#"{"countdown":"0s","away_limit":"2s"}"#);
    (0..2).for_each(|seat| race.leave(Seat(seat), Departure::Lost));
    step_all(&mut race, 0, 2 * TICK_HZ);
    assert!(race.is_over());
}

#[test]
fn a_race_that_everybody_left_is_over_at_once() {
    let mut race = race(2, r#"{"countdown":"0s"}"#);
    step_all(&mut race, 0, 5);
    (0..2).for_each(|seat| race.leave(Seat(seat), Departure::Left));
    step_all(&mut race, 0, 1);
    assert!(race.is_over());
}

#[test]
fn nobody_driving_ends_at_the_limit() {
    let mut race = race(1, r#"{"laps":1,"countdown":"0s"}"#);
    step_all(&mut race, 0, ticks(LAP_LIMIT) - 1);
    assert!(!race.is_over());
    step_all(&mut race, 0, 10);
    assert!(race.is_over());
}

#[test]
fn reserved_input_bits_change_nothing() {
    let (mut one, mut other) = (race(8, ""), race(8, ""));
    step_all(&mut one, ACCELERATE, 400);
    step_all(&mut other, ACCELERATE | 0xf0, 400);
    assert_eq!(view(&one), view(&other));
}

#[test]
fn wrong_settings_are_named() {
    for (settings, expected) in [
        (
            r#"{"laps":12}"#,
            "settings.laps: expected 1 to 9 laps, not 12",
        ),
        (r#"{"laps":"x"}"#, "settings.laps: "),
        (r#"{"countdown":"soon"}"#, "settings.countdown: "),
        (r#"{"countdown":"2h"}"#, "settings.countdown: at most 60s"),
        (r#"{"away_grace":"2m"}"#, "settings.away_grace: at most 60s"),
        (
            r#"{"away_limit":"1h"}"#,
            "settings.away_limit: at most 600s",
        ),
        (r#"{"lapz":1}"#, "lapz"),
        ("[", "settings: "),
    ] {
        let error = Race::new(&setup(2, settings)).unwrap_err().to_string();
        assert!(error.contains(expected), "{settings}: {error}");
    }
    assert!(Race::new(&setup(9, "")).is_err());
    assert!(Race::new(&setup(0, "")).is_err());
}
