//! A way to the book and the ledger on which an office dies at a named step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use engine::{Booked, Booking, BoxFuture, EngineError, SeatLedger};
use pixelrush_matcher::seats::store::{News, Part, Rebuilt, Sale, SeatStore, Swept, Told};
use pixelrush_matcher::seats::{Begun, Released, Reserved};
use protocol::id::{PlayerId, SeatNumber};
use tokio::sync::broadcast;

/// Every call that an office makes.
pub(crate) const POINTS: [&str; 9] = [
    "reserve", "begin", "book", "settle", "undo", "release", "sweep", "rebuild", "seats_of",
];

/// On which side of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// It does not take effect.
    Before,
    /// It takes effect, and nobody hears of it.
    After,
}

/// Where an office dies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) point: &'static str,
    pub(crate) side: Side,
    /// At which of its calls there, from 1.
    pub(crate) call: usize,
}

/// One office's way to both.
pub(crate) struct Way {
    store: Arc<dyn SeatStore>,
    ledger: Arc<dyn SeatLedger>,
    fault: Option<Fault>,
    calls: AtomicUsize,
    is_dead: AtomicBool,
}

impl Way {
    pub(crate) fn new(
        store: Arc<dyn SeatStore>,
        ledger: Arc<dyn SeatLedger>,
        fault: Option<Fault>,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            ledger,
            fault,
            calls: AtomicUsize::new(0),
            is_dead: AtomicBool::new(false),
        })
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }

    async fn pass<T>(
        &self,
        point: &'static str,
        call: BoxFuture<'_, Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        let fault = self.fault.filter(|fault| fault.point == point);
        let is_here =
            fault.filter(|fault| self.calls.fetch_add(1, Ordering::Relaxed) + 1 == fault.call);
        if is_here.is_some_and(|fault| fault.side == Side::Before) {
            self.is_dead.store(true, Ordering::Relaxed);
        }
        if self.is_dead() {
            return std::future::pending().await;
        }
        let answer = call.await;
        if is_here.is_some() {
            self.is_dead.store(true, Ordering::Relaxed);
        }
        if self.is_dead() {
            return std::future::pending().await;
        }
        answer
    }
}

impl SeatStore for Way {
    fn reserve<'a>(
        &'a self,
        sale: &'a Sale,
        players: &'a [PlayerId],
    ) -> BoxFuture<'a, Result<Told<Vec<Reserved>>, EngineError>> {
        Box::pin(self.pass("reserve", self.store.reserve(sale, players)))
    }

    fn begin<'a>(
        &'a self,
        sale: &'a Sale,
        players: &'a [PlayerId],
        within: Duration,
    ) -> BoxFuture<'a, Result<Told<Vec<Begun>>, EngineError>> {
        Box::pin(self.pass("begin", self.store.begin(sale, players, within)))
    }

    fn settle<'a>(
        &'a self,
        sale: &'a Sale,
        seats: &'a [(PlayerId, SeatNumber)],
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(self.pass("settle", self.store.settle(sale, seats)))
    }

    fn undo<'a>(
        &'a self,
        sale: &'a Sale,
        seats: &'a [(PlayerId, SeatNumber)],
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(self.pass("undo", self.store.undo(sale, seats)))
    }

    fn release<'a>(
        &'a self,
        sale: &'a Sale,
        players: &'a [PlayerId],
    ) -> BoxFuture<'a, Result<Told<Vec<Released>>, EngineError>> {
        Box::pin(self.pass("release", self.store.release(sale, players)))
    }

    fn sweep<'a>(
        &'a self,
        sale: &'a Sale,
        seen: u64,
    ) -> BoxFuture<'a, Result<Told<Swept>, EngineError>> {
        Box::pin(self.pass("sweep", self.store.sweep(sale, seen)))
    }

    fn rebuild<'a>(
        &'a self,
        sale: &'a Sale,
        part: &'a Part,
    ) -> BoxFuture<'a, Result<Rebuilt, EngineError>> {
        Box::pin(self.pass("rebuild", self.store.rebuild(sale, part)))
    }

    fn lineage(&self) -> BoxFuture<'_, Result<String, EngineError>> {
        Box::pin(self.pass("lineage", self.store.lineage()))
    }

    fn news(&self) -> broadcast::Receiver<News> {
        self.store.news()
    }
}

impl SeatLedger for Way {
    fn book<'a>(
        &'a self,
        event: &'a str,
        bookings: &'a [Booking],
        now_ms: u64,
    ) -> BoxFuture<'a, Result<Vec<Booked>, EngineError>> {
        Box::pin(self.pass("book", self.ledger.book(event, bookings, now_ms)))
    }

    fn seats_of<'a>(
        &'a self,
        event: &'a str,
        players: &'a [PlayerId],
    ) -> BoxFuture<'a, Result<Vec<Option<SeatNumber>>, EngineError>> {
        Box::pin(self.pass("seats_of", self.ledger.seats_of(event, players)))
    }

    fn booked<'a>(
        &'a self,
        event: &'a str,
        after: SeatNumber,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Booking>, EngineError>> {
        Box::pin(self.pass("booked", self.ledger.booked(event, after, limit)))
    }
}
