//! All players of a room were told the same: the same events, in the same order, with the same
//! words, across all nodes that ran it.

use std::collections::BTreeMap;

use protocol::id::{Epoch, RoomId};

use super::Violation;
use crate::history::{History, What};

/// Names an event that is told to everyone, whatever it says beside.
type Key = (String, Option<u64>, Option<u64>);

/// What one player was told by a room in one unbroken history.
struct Account<'a> {
    player: u64,
    told: Vec<(Key, &'a str)>,
}

pub(super) fn check(histories: &[History], found: &mut Vec<Violation>) {
    for (room, accounts) in accounts(histories) {
        for account in &accounts {
            if let Some(text) = repeated(account) {
                let text = format!("{room}: {text}");
                found.push(Violation::new("agreement", vec![account.player], text));
            }
        }
        // One witness is enough: without it a room of eight would be reported 28 times.
        let differs = |index: usize| {
            let one = &accounts[index];
            let others = accounts[index + 1..].iter();
            others
                .filter_map(|other| Some((other.player, difference(one, other)?)))
                .next()
                .map(|(other, text)| (one.player, other, text))
        };
        if let Some((one, other, text)) = (0..accounts.len()).find_map(differs) {
            let text = format!("{room}: {text}");
            found.push(Violation::new("agreement", vec![one, other], text));
        }
    }
}

fn accounts(histories: &[History]) -> BTreeMap<RoomId, Vec<Account<'_>>> {
    let mut rooms: BTreeMap<RoomId, Vec<Account<'_>>> = BTreeMap::new();
    for history in histories {
        let mut of_epoch: BTreeMap<(RoomId, Epoch), Account<'_>> = BTreeMap::new();
        for entry in &history.entries {
            let What::Event {
                room: Some(room),
                epoch,
                payload,
                ..
            } = &entry.what
            else {
                continue;
            };
            if let Some(key) = shared(payload) {
                let account = of_epoch.entry((*room, *epoch)).or_insert_with(|| Account {
                    player: history.number,
                    told: Vec::new(),
                });
                account.told.push((key, payload));
            }
        }
        for ((room, _), account) in of_epoch {
            rooms.entry(room).or_default().push(account);
        }
    }
    rooms
}

fn shared(payload: &str) -> Option<Key> {
    let event: serde_json::Value = serde_json::from_str(payload).ok()?;
    let kind = event.get("e")?.as_str()?;
    let number = |field: &str| event.get(field).and_then(serde_json::Value::as_u64);
    match kind {
        "race.start" | "room.ended" => Some((kind.to_owned(), None, None)),
        "race.lap" => Some((kind.to_owned(), number("seat"), number("lap"))),
        "race.finish" => Some((kind.to_owned(), number("seat"), None)),
        _ => None,
    }
}

fn repeated(account: &Account<'_>) -> Option<String> {
    let told = &account.told;
    let again = |index: &usize| told[..*index].iter().any(|(key, _)| *key == told[*index].0);
    let index = (0..told.len()).find(again)?;
    Some(format!("told twice: {}", told[index].1))
}

/// Where the accounts overlap they have to be the same, word for word.
fn difference(one: &Account<'_>, other: &Account<'_>) -> Option<String> {
    let (ours, theirs) = (overlap(one, other)?, overlap(other, one)?);
    let same = |(a, b): &(&(Key, &str), &(Key, &str))| a.1 == b.1;
    if ours.len() == theirs.len() && ours.iter().zip(theirs).all(|pair| same(&pair)) {
        return None;
    }
    let words = |part: &[(Key, &str)]| {
        let words: Vec<&str> = part.iter().map(|(_, payload)| *payload).collect();
        words.join("\n  ")
    };
    Some(format!(
        "one was told\n  {}\nand another\n  {}",
        words(ours),
        words(theirs)
    ))
}

/// What `one` was told from the first to the last event that `other` knows, too.
fn overlap<'a, 'b>(one: &'b Account<'a>, other: &Account<'_>) -> Option<&'b [(Key, &'a str)]> {
    let common = |(key, _): &(Key, &str)| other.told.iter().any(|(known, _)| known == key);
    let first = one.told.iter().position(common)?;
    let last = one.told.iter().rposition(common)?;
    Some(&one.told[first..=last])
}
