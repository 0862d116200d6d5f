//! Who holds a connection, since when, and where in the code it was taken.

use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;

/// Those who hold a connection at this moment, in the order in which they took it.
#[derive(Debug, Default)]
pub(super) struct Holders {
    next: AtomicU64,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    by_number: BTreeMap<u64, Holder>,
    /// Most at once since somebody last asked.
    most: u32,
}

#[derive(Debug, Clone, Copy)]
struct Holder {
    place: &'static Location<'static>,
    since: Instant,
    is_reported: bool,
}

/// A connection that is held, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holding {
    /// File and line that took it.
    pub place: String,
    /// For how long it has been held, in milliseconds.
    pub held_ms: u64,
}

/// An entry, which is there until this is dropped.
#[derive(Debug)]
pub(super) struct Entry {
    holders: Arc<Holders>,
    number: u64,
}

impl Holders {
    pub(super) fn enter(self: &Arc<Self>, place: &'static Location<'static>) -> Entry {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut held = self.held.lock();
        let holder = Holder {
            place,
            since: Instant::now(),
            is_reported: false,
        };
        held.by_number.insert(number, holder);
        held.most = held.most.max(count(&held));
        Entry {
            holders: Arc::clone(self),
            number,
        }
    }

    pub(super) fn count(&self) -> u32 {
        count(&self.held.lock())
    }

    /// Most at once since the last call.
    pub(super) fn take_most(&self) -> u32 {
        let mut held = self.held.lock();
        let now = count(&held);
        std::mem::replace(&mut held.most, now)
    }

    /// The `limit` that have been held longest.
    pub(super) fn longest(&self, limit: usize) -> Vec<Holding> {
        let held = self.held.lock();
        held.by_number.values().take(limit).map(holding).collect()
    }

    /// Those that have been held for `limit` and have not been reported before.
    pub(super) fn overdue(&self, limit: Duration) -> Vec<Holding> {
        let mut held = self.held.lock();
        let overdue = held.by_number.values_mut();
        let overdue = overdue.take_while(|holder| holder.since.elapsed() >= limit);
        let new = overdue.filter(|holder| !holder.is_reported).map(|holder| {
            holder.is_reported = true;
            holding(holder)
        });
        new.collect()
    }
}

impl Entry {
    pub(super) fn held_for(&self) -> Duration {
        let held = self.holders.held.lock();
        let holder = held.by_number.get(&self.number);
        holder.map_or(Duration::ZERO, |holder| holder.since.elapsed())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.holders.held.lock().by_number.remove(&self.number);
    }
}

fn count(held: &Held) -> u32 {
    u32::try_from(held.by_number.len()).unwrap_or(u32::MAX)
}

fn holding(holder: &Holder) -> Holding {
    Holding {
        place: format!("{}:{}", holder.place.file(), holder.place.line()),
        held_ms: u64::try_from(holder.since.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_holds_too_long_is_reported_once_with_its_place() {
        let holders = Arc::new(Holders::default());
        let limit = Duration::from_secs(30);
        let early = holders.enter(Location::caller());
        tokio::time::advance(Duration::from_secs(20)).await;
        let late = holders.enter(Location::caller());
        assert_eq!(holders.overdue(limit), []);
        tokio::time::advance(Duration::from_secs(10)).await;
        let reported = holders.overdue(limit);
        assert_eq!(reported.len(), 1);
        assert!(reported[0].place.contains(file!()), "{reported:?}");
        assert_eq!(reported[0].held_ms, 30_000);
        assert_eq!(holders.overdue(limit), [], "once");
        drop(early);
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(holders.overdue(limit).len(), 1, "the later one in its time");
        drop(late);
        assert_eq!(holders.count(), 0);
    }

    #[test]
    fn the_most_at_once_is_remembered_until_it_is_asked_for() {
        let holders = Arc::new(Holders::default());
        let three: Vec<Entry> = (0..3).map(|_| holders.enter(Location::caller())).collect();
        drop(three);
        assert_eq!(holders.take_most(), 3);
        assert_eq!(holders.take_most(), 0);
    }
}
