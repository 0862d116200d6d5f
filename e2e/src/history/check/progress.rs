//! Nobody is stuck: things move for everyone, again within the stated time after a fault, and
//! waits and races come to an end.

use std::time::Duration;

use super::{Run, Told, Violation, told};
use crate::history::{History, Phase, What};

pub(super) fn check(histories: &[History], run: &Run, found: &mut Vec<Violation>) {
    for history in histories {
        let mut add = |text: String| {
            found.push(Violation::new("progress", vec![history.number], text));
        };
        silences(history, run, &mut add);
        stages(history, run, &mut add);
        if !history.is_done {
            let last = history.entries.last();
            add(format!(
                "has not come to rest by {:?}; last {last:?}",
                run.ended
            ));
        }
    }
}

fn silences(history: &History, run: &Run, add: &mut impl FnMut(String)) {
    let silences = history.entries.iter().filter_map(|entry| match entry.what {
        What::Silence { lasted, phase } => Some((entry.at - lasted, entry.at, Some(phase))),
        _ => None,
    });
    let to_the_end = (history.progress, run.ended, None);
    let last = (!history.is_done).then_some(to_the_end);
    for (from, until, phase) in silences.chain(last) {
        if until > run.due(from, run.patience) {
            add(format!(
                "nothing moved from {from:?} to {until:?}, {}",
                waiting(phase)
            ));
        }
    }
}

fn waiting(phase: Option<Phase>) -> &'static str {
    match phase {
        Some(Phase::Session) => "without a session",
        Some(Phase::Match) => "waiting for a match",
        Some(Phase::Room) => "waiting for the room",
        Some(Phase::Race) => "in the race",
        Some(Phase::Nothing) | None => "and it was not done",
    }
}

/// The wait for a match, and the match.
fn stages(history: &History, run: &Run, add: &mut impl FnMut(String)) {
    let mut waits: Option<Duration> = None;
    let mut plays: Option<Duration> = None;
    let mut over = |began: Option<Duration>, until: Duration, what: &str| {
        if let Some(began) = began
            && until > run.due(began, run.stage)
        {
            add(format!("{what} from {began:?} to {until:?}"));
        }
    };
    for entry in &history.entries {
        match &entry.what {
            What::Queued => waits = waits.or(Some(entry.at)),
            What::Left { .. } => over(plays.take(), entry.at, "played"),
            what => {
                if let Some(Told::Found { .. }) = told(what) {
                    over(waits.take(), entry.at, "waited for a match");
                    plays = plays.or(Some(entry.at));
                }
            }
        }
    }
    if !history.is_done {
        over(waits, run.ended, "waited for a match");
        over(plays, run.ended, "played");
    }
}
