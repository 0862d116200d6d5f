//! A match has one room and one result, which all of its players see; nobody is in two matches.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::{MatchId, PlayerId, RoomId};

use super::{Match, Matches, Run, Told, Violation, result_in, told};
use crate::history::{History, What};

pub(super) fn check(
    histories: &[History],
    matches: &Matches,
    run: &Run,
    found: &mut Vec<Violation>,
) {
    let players: BTreeMap<PlayerId, u64> = histories
        .iter()
        .filter_map(|history| Some((history.player?, history.number)))
        .collect();
    let mut room_of: BTreeMap<RoomId, MatchId> = BTreeMap::new();
    for (id, one) in &matches.all {
        if one.rooms.len() > 1 {
            let players = one.told.keys().copied().collect();
            let text = format!("{id} is played in {:?}", one.rooms);
            found.push(Violation::new("one room", players, text));
        }
        for (room, tellers) in &one.rooms {
            if let Some(other) = room_of.insert(*room, *id) {
                let text = format!("{room} is given to {other} and to {id}");
                found.push(Violation::new("one room", tellers.clone(), text));
            }
        }
        one_result(*id, one, run, found);
        seats(*id, one, &players, found);
    }
    for history in histories {
        one_match_at_a_time(history, matches, found);
    }
}

/// Everyone who was told of the match sees one result, the same for all.
fn one_result(id: MatchId, one: &Match, run: &Run, found: &mut Vec<Violation>) {
    let excused = |since| run.excuses(since, run.ended, |loses| loses.matches);
    for (player, since) in &one.told {
        let seen = one.results.get(player).map_or(0, Vec::len);
        if seen == 1 || seen == 0 && excused(*since) {
            continue;
        }
        let ended = one.ended.get(player);
        let text = format!("{id}, begun at {since:?}, has {seen} results here; ended {ended:?}");
        found.push(Violation::new("one result", vec![*player], text));
    }
    for (player, ended) in &one.ended {
        let lost = ended.iter().find(|(_, reason)| reason == "lost");
        if let Some((at, _)) = lost
            && !run.excuses(*at, *at, |loses| loses.matches)
        {
            let text = format!("{id} was called lost at {at:?}");
            found.push(Violation::new("one result", vec![*player], text));
        }
    }
    let mut results = one.results.iter();
    let Some((first, [(_, result), ..])) = results.next().map(|(who, seen)| (who, &seen[..]))
    else {
        return;
    };
    for (player, seen) in results {
        if let Some((_, other)) = seen.iter().find(|(_, other)| other != result) {
            let text = format!("{id} ended as {result} and as {other}");
            found.push(Violation::new("one result", vec![*first, *player], text));
        }
    }
}

/// Who is in the result was told of the match, and the other way around: a seat that was sold to
/// somebody who plays elsewhere would show here.
fn seats(id: MatchId, one: &Match, numbers: &BTreeMap<PlayerId, u64>, found: &mut Vec<Violation>) {
    let Some((_, result)) = one.results.values().flatten().next() else {
        return;
    };
    let people = result["standings"].as_array().into_iter().flatten();
    let people = people.filter(|standing| standing["bot"] != true);
    let seated: BTreeSet<Option<u64>> = people
        .map(|standing| standing["player"].as_str()?.parse().ok())
        .map(|player: Option<PlayerId>| numbers.get(&player?).copied())
        .collect();
    let told: BTreeSet<Option<u64>> = one.told.keys().copied().map(Some).collect();
    if seated != told {
        let players = told.symmetric_difference(&seated).copied().flatten();
        let text = format!("{id} seats {seated:?} and told {told:?}");
        found.push(Violation::new("seats", players.collect(), text));
    }
}

/// A player is told of a match only when the one before is over for it.
fn one_match_at_a_time(history: &History, matches: &Matches, found: &mut Vec<Violation>) {
    let mut current: Option<MatchId> = None;
    let mut over: BTreeSet<MatchId> = BTreeSet::new();
    let of_room = |room: &RoomId| matches.of_room.get(room).copied();
    for entry in &history.entries {
        let ended = match &entry.what {
            What::Left { room } => of_room(room),
            What::Closed {
                room: Some(room), ..
            } => of_room(room),
            What::Event {
                room: Some(room),
                payload,
                ..
            } if result_in(payload).is_some() => of_room(room),
            what => match told(what) {
                Some(Told::Ended { id, .. }) => Some(id),
                Some(Told::Found { id, .. }) => {
                    let before = current.filter(|before| *before != id && !over.contains(before));
                    if let Some(before) = before {
                        let text = format!("at {:?}: in {id} while in {before}", entry.at);
                        found.push(Violation::new("one match", vec![history.number], text));
                    }
                    if !over.contains(&id) {
                        current = Some(id);
                    }
                    None
                }
                None => None,
            },
        };
        over.extend(ended);
    }
}
