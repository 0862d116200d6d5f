//! What a queue's feed tells.

use engine::EngineError;

use super::replies::damaged;
use super::{Entry, FEED_PAGE};
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
            match change(operation, word)? {
                Word::Change(change) => changes.push(change),
                Word::Beginning => {}
                // Of a later release. What happened is not known, so nothing is: the queue is read
                // anew, and the feed from its end, behind this.
                Word::Unknown => return Ok(None),
            }
        }
        upto = cursor;
    }
    Ok(Some(Fed {
        changes,
        upto,
        more,
    }))
}

/// A word of a feed.
enum Word {
    Change(Change),
    /// Of the entry that a feed begins with.
    Beginning,
    /// One that this release does not know.
    Unknown,
}

fn change(operation: &'static str, word: &str) -> Result<Word, EngineError> {
    let id = |text: &str| text.parse().map_err(|_| damaged(operation));
    match word.split_at_checked(1) {
        Some(("+", ticket)) => Ok(Word::Change(Change::Waits(id(ticket)?))),
        Some(("-", ticket)) => Ok(Word::Change(Change::Gone(id(ticket)?))),
        Some(("=", _)) => Ok(Word::Beginning),
        _ => Ok(Word::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use protocol::id::TicketId;

    use super::*;

    fn entry(place: &str, words: &str) -> Entry {
        (place.to_owned(), vec!["c".to_owned(), words.to_owned()])
    }

    fn read(words: &str) -> Option<Fed> {
        let since = Cursor {
            place: "1-0".to_owned(),
            content: "=a".to_owned(),
        };
        fed(
            "test",
            &since,
            vec![entry("1-0", "=a"), entry("2-0", words)],
        )
        .unwrap()
    }

    #[test]
    fn a_word_of_a_later_release_is_a_gap() {
        let ticket = TicketId(7);
        let known = read(&format!("+{ticket}")).unwrap();
        assert_eq!(known.changes, [Change::Waits(ticket)]);
        assert_eq!(read(&format!("+{ticket} ~{ticket}")), None);
        assert_eq!(read(""), None, "no release writes it");
    }
}
