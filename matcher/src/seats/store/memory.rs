//! The book in this process. It is gone with it, and rebuilt from the ledger.

use std::collections::BTreeMap;
use std::future::ready;
use std::time::Duration;

use engine::{BoxFuture, EngineError};
use parking_lot::Mutex;
use protocol::id::{PlayerId, SeatNumber};
use protocol::time::Timestamp;
use tokio::sync::broadcast;

use super::{MOST, NEWS, News, Part, Rebuilt, Sale, SeatStore, Swept, Told};
use crate::clock::Clock;
use crate::config::EventName;
use crate::seats::{Begun, Book, Counts, Released, Reserved};

/// Books of all events.
#[derive(Debug)]
pub struct MemorySeats {
    state: Mutex<State>,
    clock: Clock,
    news: broadcast::Sender<News>,
}

#[derive(Debug, Clone, Default)]
struct State {
    events: BTreeMap<EventName, Kept>,
    /// Counts the times that something was lost.
    lineage: u64,
}

#[derive(Debug, Clone, Default)]
struct Kept {
    book: Book,
    is_open: bool,
    /// Parts that are in, by rebuild.
    parts: BTreeMap<u64, u32>,
}

/// What a memory store held at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot(State);

impl Default for MemorySeats {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            clock: Clock::start(),
            news: broadcast::Sender::new(NEWS),
        }
    }
}

impl MemorySeats {
    /// Empty books.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything, as a server does that starts empty.
    pub fn clear(&self) {
        let mut state = self.state.lock();
        state.events.clear();
        state.lineage += 1;
    }

    /// Everything, as it is now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.state.lock().clone())
    }

    /// Makes everything as it was, as a fail-over does that loses the last writes.
    pub fn go_back_to(&self, snapshot: Snapshot) {
        let mut state = self.state.lock();
        state.events = snapshot.0.events;
        state.lineage += 1;
    }

    /// Changes a book, and says so if that changed how it stands.
    fn with<T>(&self, sale: &Sale, change: impl FnOnce(&mut Kept, Timestamp) -> T) -> T {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let kept = state.events.entry(sale.name.clone()).or_default();
        let seats = sale.terms.seats;
        let before = kept.book.counts(seats, 0).version;
        let value = change(kept, now);
        let counts = kept.book.counts(seats, 0);
        if kept.is_open && counts.version != before {
            let event = sale.name.clone();
            // An error means that nobody listens.
            let _ = self.news.send(News { event, counts });
        }
        value
    }

    fn each<T>(
        &self,
        sale: &Sale,
        players: &[PlayerId],
        mut step: impl FnMut(&mut Book, PlayerId, Timestamp) -> T,
    ) -> Told<Vec<T>> {
        assert!(players.len() <= MOST, "callers cut what is more");
        self.with(sale, |kept, now| {
            if !kept.is_open {
                return Told::Cold;
            }
            let book = &mut kept.book;
            let outcomes = players.iter().map(|player| step(book, *player, now));
            let outcomes = outcomes.collect();
            Told::Known(outcomes, counts(kept, sale))
        })
    }
}

fn counts(kept: &mut Kept, sale: &Sale) -> Counts {
    kept.book.counts(sale.terms.seats, 0)
}

fn done<T: Send + 'static>(value: T) -> BoxFuture<'static, Result<T, EngineError>> {
    Box::pin(ready(Ok(value)))
}

impl SeatStore for MemorySeats {
    fn reserve<'a>(
        &'a self,
        sale: &'a Sale,
        players: &'a [PlayerId],
    ) -> BoxFuture<'a, Result<Told<Vec<Reserved>>, EngineError>> {
        done(self.each(sale, players, |book, player, now| {
            book.reserve(player, &sale.terms, now)
        }))
    }

    fn begin<'a>(
        &'a self,
        sale: &'a Sale,
        players: &'a [PlayerId],
        within: Duration,
    ) -> BoxFuture<'a, Result<Told<Vec<Begun>>, EngineError>> {
        done(self.each(sale, players, |book, player, now| {
            book.begin(player, now + within, now)
        }))
    }

    fn settle<'a>(
        &'a self,
        sale: &'a Sale,
        seats: &'a [(PlayerId, SeatNumber)],
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        self.with(sale, |kept, now| {
            for (player, seat) in seats {
                kept.book.settle(*player, *seat, now);
            }
        });
        done(())
    }

    fn undo<'a>(
        &'a self,
        sale: &'a Sale,
        seats: &'a [(PlayerId, SeatNumber)],
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        self.with(sale, |kept, now| {
            for (player, seat) in seats {
                kept.book.undo(*player, *seat, now);
            }
        });
        done(())
    }

    fn release<'a>(
        &'a self,
        sale: &'a Sale,
        players: &'a [PlayerId],
    ) -> BoxFuture<'a, Result<Told<Vec<Released>>, EngineError>> {
        done(self.each(sale, players, Book::release))
    }

    fn sweep<'a>(
        &'a self,
        sale: &'a Sale,
        seen: u64,
    ) -> BoxFuture<'a, Result<Told<Swept>, EngineError>> {
        done(self.with(sale, |kept, now| {
            if !kept.is_open {
                return Told::Cold;
            }
            let swept = Swept {
                lapsed: kept.book.lapse(now),
                doubtful: kept.book.doubtful(now, MOST),
            };
            Told::Known(swept, kept.book.counts(sale.terms.seats, seen))
        }))
    }

    fn rebuild<'a>(
        &'a self,
        sale: &'a Sale,
        part: &'a Part,
    ) -> BoxFuture<'a, Result<Rebuilt, EngineError>> {
        done(self.with(sale, |kept, now| {
            let next = kept.parts.get(&part.token).copied().unwrap_or_default();
            if part.index > next {
                return Rebuilt::Again;
            }
            for (player, seat) in &part.seats {
                kept.book.settle(*player, *seat, now);
            }
            kept.parts.insert(part.token, part.index + 1);
            if part.is_last {
                // Its last part may come again.
                kept.parts.retain(|token, _| *token == part.token);
                kept.is_open = true;
            }
            Rebuilt::Done
        }))
    }

    fn lineage(&self) -> BoxFuture<'_, Result<String, EngineError>> {
        done(self.state.lock().lineage.to_string())
    }

    fn news(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seats::store::conformance;

    #[tokio::test(start_paused = true)]
    async fn the_memory_store_conforms() {
        conformance::all(std::sync::Arc::new(MemorySeats::new())).await;
    }
}
