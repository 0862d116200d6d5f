//! The feed of a queue in the memory store.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::feed::{Change, Cursor, Fed, KEPT};

/// Numbers entries, of all feeds and stores: a store that goes back to what it was, as tests let
/// it, gives no number twice.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// The last entries; never none.
#[derive(Debug, Clone)]
pub(super) struct Feed(VecDeque<Entry>);

#[derive(Debug, Clone, Copy)]
struct Entry {
    number: u64,
    /// `None`: the feed begins.
    change: Option<Change>,
}

impl Entry {
    fn new(change: Option<Change>) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { number, change }
    }

    fn cursor(self) -> Cursor {
        Cursor {
            place: self.number.to_string(),
            content: format!("{:?}", self.change),
        }
    }
}

impl Feed {
    pub(super) fn new() -> Self {
        Self(VecDeque::from([Entry::new(None)]))
    }

    pub(super) fn tell(&mut self, change: Change) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(Entry::new(Some(change)));
    }

    pub(super) fn end(&self) -> Cursor {
        let last = self.0.back().expect("a feed has an entry");
        last.cursor()
    }

    pub(super) fn after(&self, since: &Cursor) -> Option<Fed> {
        let number: u64 = since.place.parse().ok()?;
        let known = self.0.binary_search_by_key(&number, |entry| entry.number);
        let known = known.ok().filter(|at| self.0[*at].cursor() == *since)?;
        let changes = self.0.iter().skip(known + 1);
        Some(Fed {
            changes: changes.filter_map(|entry| entry.change).collect(),
            upto: self.end(),
            more: false,
        })
    }
}
