use std::collections::BTreeMap;

use proptest::prelude::*;
use protocol::random::Random;

use super::*;
use crate::room::rig::{Player, room};
use crate::room::{Applied, Output, Room, SEGMENT_TICKS};

/// A race that was run, and what it showed after each tick.
struct Run {
    segments: Vec<Vec<u8>>,
    views: BTreeMap<u32, View>,
    result: Option<Vec<SeatResult>>,
}

/// Runs a race whose players come and go; its room is written down and restored now and then.
fn run(seed: u64, restore_every: u32) -> Run {
    let mut room = room("race", 8, seed);
    let mut random = Random::new(seed);
    let mut players: Vec<Player> = (0..8).map(Player::new).collect();
    let mut run = Run {
        segments: Vec::new(),
        views: BTreeMap::new(),
        result: None,
    };
    let mut out = Vec::new();
    while room.result().is_none() && room.ended().is_none() {
        if room.tick().0 % restore_every == restore_every - 1 {
            room = Room::restore(&Games::default(), &room.checkpoint()).unwrap();
            for player in players.iter_mut().filter(|player| player.here) {
                room.apply(player.attach(protocol::log::Attach::Continue, 77));
            }
        }
        for player in &mut players {
            if let Some(command) = player.act(&room, &mut random)
                && matches!(room.apply(command), Applied::Refused(_))
            {
                player.here = false;
            }
        }
        room.step(&mut out);
        for output in out.drain(..) {
            players.iter_mut().for_each(|player| player.take(&output));
            if let Output::Segment { bytes, .. } = output {
                run.segments.push(bytes.to_vec());
            }
        }
        run.views.insert(room.tick().0, room.view());
    }
    run.result = room.result();
    run
}

fn replay(segments: &[Vec<u8>]) -> Replay {
    let mut replay = Replay::new(&Games::default(), &segments[0]).unwrap();
    for segment in &segments[1..] {
        replay.push(segment).unwrap();
    }
    replay
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn a_replay_shows_what_the_room_showed_also_when_it_moved(
        seed in any::<u64>(),
        restore_every in 2u32..2_000,
    ) {
        let run = run(seed, restore_every);
        let mut replay = replay(&run.segments);
        let (mut events, mut views) = (Vec::new(), BTreeMap::new());
        while replay.step(&mut events) {
            views.insert(replay.tick().0, replay.view());
        }
        prop_assert!(views == run.views, "the views differ");
        prop_assert_eq!(replay.diverged(), None);
        prop_assert_eq!(replay.result(), run.result);
        prop_assert!(replay.is_whole());
    }
}

#[test]
fn a_replay_follows_a_race_that_is_running() {
    let run = run(3, u32::MAX);
    let mut replay = Replay::new(&Games::default(), &run.segments[0]).unwrap();
    let mut events = Vec::new();
    for segment in &run.segments[1..] {
        while replay.step(&mut events) {}
        assert_eq!(replay.tick(), replay.until());
        assert!(!replay.is_whole() && replay.result().is_none());
        replay.push(segment).unwrap();
        replay.push(segment).unwrap();
    }
    while replay.step(&mut events) {}
    assert_eq!(replay.result(), run.result);
    let finishes = |event: &&GameEvent| event.payload.starts_with(br#"{"e":"race.finish""#);
    assert!(events.iter().filter(finishes).count() > 0);
}

#[test]
fn a_segment_comes_each_second_and_is_small() {
    let run = run(5, u32::MAX);
    let last = *run.views.keys().last().unwrap();
    assert_eq!(run.segments.len() as u32, last.div_ceil(SEGMENT_TICKS));
    let (first, rest) = run.segments.split_first().unwrap();
    let average = rest.iter().map(Vec::len).sum::<usize>() / rest.len();
    println!("{} bytes, then {average} a second", first.len());
    assert!(average < 400, "{average} bytes a second");
}

#[test]
fn a_tape_that_tells_another_race_is_found_at_the_end_of_the_segment() {
    let run = run(7, u32::MAX);
    let mut forged = run.segments.clone();
    let last = forged[5].len() - 1;
    forged[5][last] ^= 1;
    let mut replay = replay(&forged);
    let mut events = Vec::new();
    while replay.step(&mut events) {}
    assert_eq!(replay.diverged(), Some(Tick(6 * SEGMENT_TICKS)));
}

#[test]
fn tapes_that_cannot_be_run_are_refused_with_the_reason() {
    let run = run(9, u32::MAX);
    let games = Games::default();
    let text = |error: ReplayError| error.to_string();
    let gap = "a segment begins after tick 60, the tape reaches to tick 0";
    assert_eq!(
        text(Replay::new(&games, &run.segments[1]).unwrap_err()),
        gap
    );
    let none = Replay::new(&Games::none(), &run.segments[0]).unwrap_err();
    assert_eq!(text(none), r#"game "race" is unknown; this build has "#);
    let mut race = crate::games::race::KIND;
    race.version = 99;
    let other = Replay::new(&Games::none().with(race), &run.segments[0]).unwrap_err();
    assert_eq!(
        text(other),
        r#"game "race" ran as simulation 1; this build has 99"#
    );
    let mut replay = Replay::new(&games, &run.segments[0]).unwrap();
    let gap = ReplayError::Gap {
        expected: Tick(60),
        found: Tick(120),
    };
    assert_eq!(replay.push(&run.segments[2]), Err(gap));
    assert_eq!(replay.push(&run.segments[1]), Ok(()));
}

#[test]
fn what_members_of_a_relay_room_say_is_not_taped() {
    let mut room = room("relay", 2, 1);
    let mut out = Vec::new();
    (0..200).for_each(|_| room.step(&mut out));
    let taped = |output: &Output| matches!(output, Output::Segment { .. });
    assert!(!out.iter().any(taped));
}

fn segments() -> &'static [Vec<u8>] {
    static SEGMENTS: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
    SEGMENTS.get_or_init(|| run(11, u32::MAX).segments)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn damaged_segments_never_panic(
        which in 0usize..5,
        at in any::<prop::sample::Index>(),
        with in 1u8..,
        garbage in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let games = Games::default();
        let mut damaged = segments().to_vec();
        *at.get_mut(&mut damaged[which]) ^= with;
        let mut events = Vec::new();
        if let Ok(mut replay) = Replay::new(&games, &damaged[0]) {
            for segment in &damaged[1..6] {
                let _ = replay.push(segment);
            }
            (0..300).take_while(|_| replay.step(&mut events)).for_each(drop);
        }
        prop_assert!(Replay::new(&games, &garbage).is_err());
    }
}
