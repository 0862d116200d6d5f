//! What a queue's feed tells.

use engine::EngineError;

use super::{Entry, FEED_PAGE, damaged};
use crate::store::{Change, Cursor, Fed};

/// What a feed tells, if its first entry is the one that was read last.
pub(super) fn fed(
    operation: &'static str,
    since: &Cursor,
    entries: Vec<Entry>,
) -> Result<Option<Fed>, EngineError> {
    let more = entries.len() == FEED_PAGE;
    let mut cursors = entries.into_iter().map(|(place, fields)| {
        let content = fields.into_iter().nth(1).unwrap_or_default();
        Cursor { place, content }
    });
    if cursors.next().as_ref() != Some(since) {
        return Ok(None);
    }
    let (mut changes, mut upto) = (Vec::new(), since.clone());
    for cursor in cursors {
        for word in cursor.content.split(' ') {
            changes.extend(change(operation, word)?);
        }
        upto = cursor;
    }
    Ok(Some(Fed {
        changes,
        upto,
        more,
    }))
}

fn change(operation: &'static str, word: &str) -> Result<Option<Change>, EngineError> {
    let id = |text: &str| text.parse().map_err(|_| damaged(operation));
    match word.split_at_checked(1) {
        Some(("+", ticket)) => Ok(Some(Change::Waits(id(ticket)?))),
        Some(("-", ticket)) => Ok(Some(Change::Gone(id(ticket)?))),
        // The entry that a feed begins with.
        Some(("=", _)) => Ok(None),
        _ => Err(damaged(operation)),
    }
}
