use proptest::prelude::*;
use protocol::log;
use protocol::random::Random;

use super::*;
use crate::game::Seat;
use crate::room::rig::{Player, room};
use crate::room::{Applied, Output};

/// Everybody who is there attaches anew, as gateways do for their sessions after a take-over.
fn reattach(players: &mut [Player], rooms: &mut [&mut Room]) {
    for player in players.iter_mut().filter(|player| player.here) {
        let command = player.attach(log::Attach::Continue, 77);
        for room in rooms.iter_mut() {
            room.apply(command.clone());
        }
    }
}

/// Runs a room; at tick `at` it is restored, and both go on with the same commands.
fn twins(game: &str, seats: u64, seed: u64, at: u32) {
    let mut room = room(game, seats, seed);
    let mut twin: Option<Room> = None;
    let mut random = Random::new(seed);
    let mut players: Vec<Player> = (0..seats as u16).map(Player::new).collect();
    let (mut out, mut twin_out) = (Vec::new(), Vec::new());
    while room.ended().is_none() && room.tick().0 < at + 2_000 {
        if room.tick().0 == at {
            let mut restored = Room::restore(&Games::default(), &room.checkpoint()).unwrap();
            assert_eq!(restored.checkpoint(), room.checkpoint());
            reattach(&mut players, &mut [&mut room, &mut restored]);
            twin = Some(restored);
        }
        for player in &mut players {
            let Some(command) = player.act(&room, &mut random) else {
                continue;
            };
            let same = twin.as_mut().map(|twin| twin.apply(command.clone()));
            let applied = room.apply(command);
            if matches!(applied, Applied::Refused(_)) {
                player.here = false;
            }
            assert!(same.is_none_or(|same| same == applied));
        }
        room.step(&mut out);
        out.iter()
            .for_each(|output| players.iter_mut().for_each(|player| player.take(output)));
        if let Some(twin) = &mut twin {
            twin.step(&mut twin_out);
            assert_eq!(twin_out, out, "tick {}", room.tick());
            assert_eq!(twin.view(), room.view());
            assert_eq!(twin.result(), room.result());
            assert_eq!(twin.ended(), room.ended());
            if room.tick().0.is_multiple_of(60) {
                assert_eq!(twin.checkpoint(), room.checkpoint());
            }
        }
        out.clear();
        twin_out.clear();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_restored_race_goes_on_as_the_one_that_was_saved(seed in any::<u64>(), at in 1u32..1_500) {
        twins("race", 8, seed, at);
    }

    #[test]
    fn a_restored_relay_room_goes_on_as_the_one_that_was_saved(
        seed in any::<u64>(),
        at in 1u32..1_500,
    ) {
        twins("relay", 5, seed, at);
    }
}

/// A race with everything in it: players there and away, inputs that wait, events unacknowledged.
fn busy() -> Room {
    let mut room = room("race", 8, 5);
    let mut random = Random::new(5);
    let mut players: Vec<Player> = (0..8).map(Player::new).collect();
    let mut out = Vec::new();
    for _ in 0..600 {
        for player in &mut players {
            if let Some(command) = player.act(&room, &mut random) {
                room.apply(command);
            }
        }
        out.clear();
        room.step(&mut out);
        out.iter()
            .for_each(|output| players.iter_mut().for_each(|player| player.take(output)));
    }
    room
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn damaged_bytes_are_refused_and_never_panic(
        at in any::<prop::sample::Index>(),
        with in 1u8..,
        cut in any::<prop::sample::Index>(),
        garbage in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let games = Games::default();
        let whole = busy_bytes();
        let mut flipped = whole.clone();
        *at.get_mut(&mut flipped) ^= with;
        prop_assert!(Room::restore(&games, &flipped).is_err());
        prop_assert!(Room::restore(&games, &whole[..cut.index(whole.len())]).is_err());
        prop_assert!(Room::restore(&games, &garbage).is_err());
        // What the digest does not stop may be taken, but never panics.
        let _ = Room::restore_body(&games, &flipped[1 + DIGEST..]);
        let _ = Room::restore_body(&games, &garbage);
    }
}

fn busy_bytes() -> Vec<u8> {
    static BYTES: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    BYTES.get_or_init(|| busy().checkpoint()).clone()
}

#[test]
fn each_reason_why_a_checkpoint_is_refused_has_a_text() {
    let text = |games: &Games, bytes: &[u8]| Room::restore(games, bytes).unwrap_err().to_string();
    let bytes = busy_bytes();
    let mut other = bytes.clone();
    other[0] = 9;
    assert_eq!(
        text(&Games::default(), &other),
        "format 9 of a room's state is unknown; this build reads 1"
    );
    let relay = Games::none().with(crate::games::relay::KIND);
    assert_eq!(
        text(&relay, &bytes),
        r#"game "race" is unknown; this build has relay"#
    );
    let mut race = crate::games::race::KIND;
    race.version = 99;
    let ours = crate::games::race::KIND.version;
    assert_eq!(
        text(&Games::none().with(race), &bytes),
        format!(r#"game "race" ran as simulation {ours}; this build has 99"#)
    );
    assert_eq!(
        text(&Games::default(), &bytes[..100]),
        "what was written down is damaged: a checkpoint and its digest"
    );
}

#[test]
fn a_restored_room_tells_nobody_anything_until_they_attach() {
    let mut room = room("relay", 2, 1);
    let mut players: Vec<Player> = (0..2).map(Player::new).collect();
    for player in &mut players {
        room.apply(player.attach(log::Attach::Fresh, 5));
    }
    let mut out = Vec::new();
    room.step(&mut out);
    let mut restored = Room::restore(&Games::default(), &room.checkpoint()).unwrap();
    assert_eq!(restored.present(), 2);
    out.clear();
    (0..300).for_each(|_| restored.step(&mut out));
    assert_eq!(out, []);
    restored.apply(players[1].attach(log::Attach::Continue, 6));
    restored.step(&mut out);
    let is_for_it = |output: &Output| match output {
        Output::Attached { seat, attached, .. } => attached.recovered && *seat == Seat(1),
        Output::Event { seat, .. } => *seat == Seat(1),
        _ => false,
    };
    assert!(!out.is_empty() && out.iter().all(is_for_it), "{out:?}");
}

#[test]
fn only_the_histories_that_are_to_break_do() {
    let mut room = room("relay", 2, 1);
    let mut players = [Player::new(0), Player::new(1)];
    for player in &mut players {
        room.apply(player.attach(log::Attach::Fresh, 5));
    }
    let mut out = Vec::new();
    room.step(&mut out);
    for player in &mut players {
        out.iter().for_each(|output| player.take(output));
    }
    room.break_histories(|seat| seat == Seat(1), || Epoch(6));
    for (player, stays) in players.iter_mut().zip([true, false]) {
        room.apply(player.attach(log::Attach::Continue, 7));
        out.clear();
        room.step(&mut out);
        let mut attaches = out.iter().filter_map(|output| match output {
            Output::Attached { attached, .. } => Some(attached.recovered),
            _ => None,
        });
        assert_eq!(attaches.next(), Some(stays), "{out:?}");
    }
}

#[test]
fn a_broken_history_is_not_continued() {
    let mut room = room("relay", 1, 1);
    let mut player = Player::new(0);
    room.apply(player.attach(log::Attach::Fresh, 5));
    let mut out = Vec::new();
    room.step(&mut out);
    out.iter().for_each(|output| player.take(output));
    let modes = [log::Attach::Continue, log::Attach::Resume(player.have)];
    for mode in modes {
        let mut restored = Room::restore(&Games::default(), &room.checkpoint()).unwrap();
        restored.break_histories(|_| true, || Epoch(6));
        restored.apply(player.attach(mode, 7));
        out.clear();
        restored.step(&mut out);
        let Some(Output::Attached { attached, .. }) = out.first() else {
            panic!("{out:?}");
        };
        assert!(!attached.recovered, "{mode:?}");
        assert_eq!(attached.position.epoch, Epoch(7));
    }
}
