//! Sessions do not end by themselves, everything can be read, nothing is refused without hope, and
//! what was durable stays done.

use super::{Run, Violation};
use crate::history::{Entry, History, What};

/// Refusals that a player meets in the normal course of things: it asked too early.
const HARMLESS: [&str; 1] = ["already_in_match"];

pub(super) fn check(histories: &[History], run: &Run, found: &mut Vec<Violation>) {
    for history in histories {
        for entry in &history.entries {
            if let Some((rule, text)) = broken(entry, run) {
                let text = format!("at {:?}: {text}", entry.at);
                found.push(Violation::new(rule, vec![history.number], text));
            }
        }
    }
}

fn broken(entry: &Entry, run: &Run) -> Option<(&'static str, String)> {
    match &entry.what {
        What::Ended { why } => Some(("session", format!("the session ended: {why}"))),
        What::Malformed { text } => Some(("session", format!("malformed: {text}"))),
        What::Undone { durable, processed } => Some((
            "durable",
            format!("inputs up to {durable} were durable, and only {processed} are processed"),
        )),
        What::GivenUp { from, to } => {
            let excused = |loses: &super::Loses| loses.inputs || loses.histories;
            (!run.excuses(entry.at, entry.at, excused))
                .then(|| ("inputs", format!("inputs {from} to {to} were given up")))
        }
        What::Refused {
            re,
            code,
            message,
            retry,
        } => {
            let hopeless = !retry && !HARMLESS.contains(&code.as_str());
            let excused = run.excuses(entry.at, entry.at, |loses| loses.matches);
            (hopeless && !excused)
                .then(|| ("refused", format!("{re:?} was refused: {code}, {message}")))
        }
        _ => None,
    }
}
