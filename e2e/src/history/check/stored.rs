//! The store has the result of every match once, for each of its players, as they saw it.

use std::collections::{BTreeMap, BTreeSet};

use engine::MatchResult;
use protocol::id::{MatchId, PlayerId};
use serde_json::Value;

use super::{Match, Matches, Run, Stored, Violation};
use crate::history::History;

pub(super) fn check(
    histories: &[History],
    matches: &Matches,
    run: &Run,
    stored: &Stored,
    found: &mut Vec<Violation>,
) {
    let mut seen_by_store: BTreeSet<MatchId> = BTreeSet::new();
    for history in histories {
        let Some(player) = history.player else {
            continue;
        };
        let results = stored.results.get(&player).map_or(&[][..], Vec::as_slice);
        seen_by_store.extend(results.iter().map(|result| result.match_id));
        of_player(history.number, player, results, matches, run, found);
    }
    let excused = run.strikes.iter().any(|strike| strike.loses.results);
    let (count, known) = (stored.count, seen_by_store.len() as u64);
    if count != known && !excused {
        let text = format!("the store counts {count} matches, and has {known} of the players");
        found.push(Violation::new("stored", Vec::new(), text));
    }
}

fn of_player(
    number: u64,
    player: PlayerId,
    results: &[MatchResult],
    matches: &Matches,
    run: &Run,
    found: &mut Vec<Violation>,
) {
    let mut add = |text| found.push(Violation::new("stored", vec![number], text));
    let mut by_match: BTreeMap<MatchId, &MatchResult> = BTreeMap::new();
    for result in results {
        let id = result.match_id;
        if by_match.insert(id, result).is_some() {
            add(format!("{id} is there twice"));
        }
        if !matches
            .all
            .get(&id)
            .is_some_and(|one| one.told.contains_key(&number))
        {
            add(format!("{id} is there, of which {player} was never told"));
        }
    }
    for (id, one) in &matches.all {
        let Some([(at, shown), ..]) = one.results.get(&number).map(Vec::as_slice) else {
            continue;
        };
        match by_match.get(id) {
            Some(result) => {
                if let Some(text) = difference(*id, one, shown, result) {
                    add(text);
                }
            }
            None if run.excuses(*at, run.ended, |loses| loses.results) => {}
            None => add(format!("{id} is not there; its players saw {shown}")),
        }
    }
}

fn difference(id: MatchId, one: &Match, shown: &Value, result: &MatchResult) -> Option<String> {
    if !one.rooms.contains_key(&result.room) {
        return Some(format!(
            "{id} was played in {:?}, and {} is recorded",
            one.rooms, result.room
        ));
    }
    let row = |player: &Value, place: &Value, ticks: &Value| {
        (player.clone(), place.clone(), ticks.clone())
    };
    let shown_rows: Vec<_> = shown["standings"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|standing| row(&standing["player"], &standing["place"], &standing["ticks"]))
        .collect();
    let recorded = serde_json::to_value(&result.standings).unwrap_or_default();
    let recorded_rows: Vec<_> = recorded
        .as_array()
        .into_iter()
        .flatten()
        .map(|standing| row(&standing["player"], &standing["place"], &standing["ticks"]))
        .collect();
    (shown_rows != recorded_rows)
        .then(|| format!("{id} ended as {shown}, and {recorded} is recorded"))
}
