//! State that more than one service touches: who is there, where a room is, how a match ended.
//!
//! Each kind of state is a small trait with a contract, and [`conformance`] holds the suite that
//! every implementation passes. The embedded implementations need nothing installed: memory for
//! what is rebuilt by whoever comes back, SQLite for what must last. Why it is cut like this is
//! in `docs/adr/0001-embedded-engine.md`.
//!
//! - [`leases`]: nodes announce themselves, and vanish when they stop
//! - [`placements`]: which node runs a room
//! - [`journals`]: what a node has written before others may see what follows from it
//! - [`tapes`]: what a room's game took in, to be run again
//! - [`results`]: how a match ended, once
//! - [`players`]: how good they are, by [`rating`], and what they have played
//! - [`seats`]: who has which seat of an event, for good
//! - [`pipeline`]: results on their way to the database
//! - [`memory`], [`sqlite`]: the embedded implementations
//! - [`redis`]: the implementation that several processes share
//! - [`postgres`]: what must last, for several processes
//! - [`conformance`]: what every implementation must do
//!
//! # Bounds and deadlines
//! No call waits without end: memory answers at once, SQLite within [`sqlite::DEADLINE`] or with
//! [`EngineError::Deadline`]. Every store has a documented limit, past which it answers
//! [`EngineError::Full`], or [`EngineError::TooLarge`] where one item exceeds it.

pub mod conformance;
mod error;
pub mod journals;
pub mod leases;
pub mod memory;
pub mod pipeline;
pub mod placements;
pub mod players;
pub mod postgres;
pub mod rating;
pub mod redis;
pub mod results;
pub mod seats;
pub mod sqlite;
pub mod tapes;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

pub use error::EngineError;
pub use journals::{Checkpoints, Estate, JournalInfo, Journals, Seal, Seq, Written};
pub use leases::{Incarnation, Leases, Load, NodeKind, NodeRecord};
pub use placements::{Placement, Placements};
pub use players::{Leader, Played, PlayerRating, Players};
pub use rating::Rating;
pub use results::{MatchResult, Recorded, Results, Standing};
pub use seats::{Booked, Booking, SeatLedger};
pub use tapes::{Segment, Tapes};

/// What the traits' methods return: services hold `Arc<dyn …>`, and an `async fn` in a trait
/// cannot be called through `dyn`. One small allocation a call, on paths that are not hot.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The database's file in `data_dir`.
const DATABASE: &str = "pixelrush.db";

/// Every store, behind handles. Clones are the same stores.
#[derive(Clone)]
pub struct Engine {
    /// Nodes that are there.
    pub leases: Arc<dyn Leases>,
    /// Where rooms are.
    pub placements: Arc<dyn Placements>,
    /// What nodes that run rooms have written down.
    pub journals: Arc<dyn Journals>,
    /// What games took in.
    pub tapes: Arc<dyn Tapes>,
    /// Whether other processes reach the same stores: only then can a room outlive its node, and
    /// nodes find each other by their leases.
    pub is_shared: bool,
    /// How matches ended.
    pub results: Arc<dyn Results>,
    /// Who played, and how good they are; none where results are in Redis alone.
    pub players: Option<Arc<dyn Players>>,
    /// Where results wait for a consumer, with Redis and a database.
    pub queue: Option<redis::ResultQueue>,
    /// Who has which seat of an event; none where nothing lasts that all matchers share.
    pub seats: Option<Arc<dyn SeatLedger>>,
    /// Where the shared stores are, for stores of the services' own; none on the embedded engine.
    pub redis: Option<redis::Redis>,
    /// The database, if there is one, for operators.
    pub postgres: Option<chassis::postgres::Pool>,
}

impl Engine {
    /// The engine that needs nothing installed. What must last is in `pixelrush.db` under
    /// `data_dir`, which is made if it is missing; without one it is in memory and ends with the
    /// process. It blocks for the moment that opening takes.
    ///
    /// # Errors
    /// The database cannot be opened, or a newer release has written it.
    pub fn embedded(data_dir: Option<&Path>) -> Result<Self, EngineError> {
        let file = data_dir.map(|folder| folder.join(DATABASE));
        let results = Arc::new(match &file {
            Some(file) => sqlite::SqliteResults::open(file)?,
            None => sqlite::SqliteResults::in_memory()?,
        });
        let seats = match &file {
            Some(file) => sqlite::SqliteSeats::open(file)?,
            None => sqlite::SqliteSeats::in_memory()?,
        };
        Ok(Self {
            leases: Arc::new(memory::MemoryLeases::new()),
            placements: Arc::new(memory::MemoryPlacements::new()),
            journals: Arc::new(memory::MemoryJournals::new()),
            tapes: Arc::new(memory::MemoryTapes::new()),
            is_shared: false,
            players: Some(results.clone()),
            results,
            queue: None,
            seats: Some(Arc::new(seats)),
            redis: None,
            postgres: None,
        })
    }

    /// The engine that several processes share. Its tasks belong to the runtime that this is
    /// awaited on.
    ///
    /// # Errors
    /// [`EngineError::Connect`] if Redis does not answer within [`redis::CONNECT`] or the
    /// configuration cannot be right; [`EngineError::Open`] for the password's file.
    pub async fn redis(config: &redis::RedisConfig) -> Result<Self, EngineError> {
        let redis = redis::Redis::connect(config).await?;
        Ok(Self {
            leases: Arc::new(redis::RedisLeases::open(redis.clone()).await?),
            placements: Arc::new(redis::RedisPlacements::new(redis.clone())),
            journals: Arc::new(redis::RedisJournals::new(redis.clone())),
            tapes: Arc::new(redis::RedisTapes::new(redis.clone())),
            is_shared: true,
            results: Arc::new(redis::RedisResults::new(redis.clone())),
            players: None,
            queue: None,
            seats: None,
            redis: Some(redis),
            postgres: None,
        })
    }

    /// The same engine with what must last in Postgres.
    ///
    /// # Errors
    /// Those of [`postgres::open`].
    pub async fn lasting_in(
        self,
        config: &chassis::postgres::PostgresConfig,
    ) -> Result<Self, EngineError> {
        let pool = postgres::open(config).await?;
        let results = Arc::new(postgres::PostgresResults::new(pool.clone()));
        Ok(Self {
            players: Some(results.clone()),
            results,
            queue: self.redis.clone().map(redis::ResultQueue::new),
            seats: Some(Arc::new(postgres::PostgresSeats::new(pool.clone()))),
            postgres: Some(pool),
            ..self
        })
    }

    /// This engine with results that go to the database by the queue, where there is one: a
    /// [`pipeline::Consumer`] elsewhere writes them.
    #[must_use]
    pub fn recording_by_queue(mut self) -> Self {
        if let Some(queue) = self.queue.clone() {
            self.results = Arc::new(pipeline::Queued::new(queue, self.results));
        }
        self
    }

    /// This engine with the ledger of seats in `pixelrush.db` under `data_dir`: for matchers that
    /// share a local disk. Redis keeps none: what it confirms can be lost with a primary.
    ///
    /// # Errors
    /// The database cannot be opened, or a newer release has written it.
    pub fn with_seats_in(mut self, data_dir: &Path) -> Result<Self, EngineError> {
        let seats = sqlite::SqliteSeats::open(&data_dir.join(DATABASE))?;
        self.seats = Some(Arc::new(seats));
        Ok(self)
    }
}
