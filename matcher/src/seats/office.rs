//! The box office of one matcher: takes wishes for seats, and looks after the book and the ledger.
//!
//! Two lanes work side by side, so that who wants a seat does not wait for who has one written:
//! reservations are a matter of the store alone, confirmations end in the ledger. In each lane one
//! call is under way, and all that comes meanwhile goes into the next one.
//!
//! A confirmation: the store keeps the seat ([`SeatStore::begin`]), the ledger takes it
//! ([`SeatLedger::book`]), the player is answered, the store is told ([`SeatStore::settle`]). An
//! office that dies between any two of these leaves a seat in writing, and some office's round
//! ([`keep`]) finds it in doubt and asks the ledger what became of it.

mod keep;
mod lanes;
mod meters;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chassis::drain::Drain;
use engine::{BoxFuture, EngineError, SeatLedger};
use protocol::id::{PlayerId, SeatNumber};
use tokio::sync::{Mutex, mpsc, watch};
use tokio_util::sync::CancellationToken;

use meters::Meters;

use super::board::Board;
use super::store::{Part, Rebuilt, Sale, SeatStore, Told};
use super::{Counts, Released, Reserved};
use crate::config::{Config, EventName};

/// Wishes that may wait in a lane. Over it they are refused: try again.
const LANE: usize = 32_768;

/// How long writing a seat takes at most, with the ledger's deadline of 5 s; later it is in doubt.
pub const WRITING: Duration = Duration::from_secs(10);

/// How often a seat that turned out to be somebody else's is exchanged for another one.
const EXCHANGES: usize = 3;

/// Attempts to rebuild an event that loses its data meanwhile.
const REBUILDS: usize = 3;

/// What a player wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// A seat.
    Reserve,
    /// To keep it for good.
    Confirm,
    /// To give it back.
    Release,
    /// To know which one it has, if any.
    Look,
}

/// A wish of somebody. `C` names the caller to whoever asks.
#[derive(Debug, Clone)]
pub struct Asked<C> {
    /// Who is to be answered.
    pub caller: C,
    /// Whose seat.
    pub player: PlayerId,
    /// Of which event.
    pub event: EventName,
    /// What.
    pub wish: Wish,
}

/// What came of a wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Of [`Wish::Reserve`]; of [`Wish::Look`], which finds an event closed where the player has none.
    Reserved(Reserved),
    /// Of [`Wish::Confirm`]: the player has the seat for good, and it lasts.
    Confirmed(SeatNumber),
    /// Of [`Wish::Confirm`]: the player has no seat, or not any more.
    Lapsed,
    /// Of [`Wish::Release`].
    Released(Released),
    /// There is no such event.
    Unknown,
    /// The store or the ledger is out of reach, or too much is waiting. Whether it took effect is
    /// unknown; asking again is harmless.
    Away,
}

/// The answer to an [`Asked`].
#[derive(Debug, Clone)]
pub struct Answered<C> {
    /// What was asked.
    pub asked: Asked<C>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What an office is made of.
pub struct Parts {
    /// The events that there are.
    pub config: watch::Receiver<Arc<Config>>,
    /// The book.
    pub store: Arc<dyn SeatStore>,
    /// What decides.
    pub ledger: Arc<dyn SeatLedger>,
    /// After how long a seat that is being written is in doubt: [`WRITING`].
    pub writing: Duration,
    /// Has the office's tasks.
    pub drain: Drain,
    /// Ends them.
    pub stop: CancellationToken,
}

/// Where wishes are taken.
#[derive(Debug, Clone)]
pub struct Window<C> {
    reserves: mpsc::Sender<Asked<C>>,
    confirms: mpsc::Sender<Asked<C>>,
}

/// See the module.
pub(super) struct Office {
    config: watch::Receiver<Arc<Config>>,
    store: Arc<dyn SeatStore>,
    ledger: Arc<dyn SeatLedger>,
    writing: Duration,
    board: Arc<Board>,
    meters: Meters,
    /// One rebuild at a time.
    rebuilding: Mutex<()>,
}

/// The store or the ledger is out of reach.
#[derive(Debug, Clone, Copy)]
pub(super) struct Away;

/// Opens an office. Answers go to `answers`; while it is full the lanes stand still. The board
/// shows how events stand.
pub fn open<C: Send + 'static>(
    parts: Parts,
    answers: mpsc::Sender<Answered<C>>,
) -> (Window<C>, Arc<Board>) {
    let board = Arc::new(Board::default());
    let office = Arc::new(Office {
        config: parts.config,
        store: parts.store,
        ledger: parts.ledger,
        writing: parts.writing,
        board: Arc::clone(&board),
        meters: Meters::new(),
        rebuilding: Mutex::new(()),
    });
    let (reserves, reserving) = mpsc::channel(LANE);
    let (confirms, confirming) = mpsc::channel(LANE);
    let spawn = |name, task: BoxFuture<'static, ()>| {
        let stop = parts.stop.clone();
        parts.drain.spawn(name, async move {
            stop.run_until_cancelled_owned(task).await;
        });
    };
    let lane = lanes::reserve(Arc::clone(&office), reserving, answers.clone());
    spawn("seats-reserve", Box::pin(lane));
    let lane = lanes::confirm(Arc::clone(&office), confirming, answers);
    spawn("seats-confirm", Box::pin(lane));
    spawn("seats-keep", Box::pin(keep::keep(Arc::clone(&office))));
    spawn("seats-news", Box::pin(keep::hear(office)));
    let window = Window { reserves, confirms };
    (window, board)
}

impl<C> Window<C> {
    /// Hands a wish in.
    ///
    /// # Errors
    /// Gives it back if too many wait.
    pub fn ask(&self, asked: Asked<C>) -> Result<(), Asked<C>> {
        let lane = match asked.wish {
            Wish::Reserve | Wish::Release | Wish::Look => &self.reserves,
            Wish::Confirm => &self.confirms,
        };
        lane.try_send(asked).map_err(|error| error.into_inner())
    }
}

impl Office {
    fn sale(&self, event: &EventName) -> Option<Sale> {
        let config = self.config.borrow();
        let configured = config.events.get(event)?;
        Some(Sale::new(event, configured))
    }

    /// Asks the store, and rebuilds the event first if it has lost it.
    async fn ask<'a, T>(
        &self,
        sale: &Sale,
        call: impl Fn() -> BoxFuture<'a, Result<Told<T>, EngineError>>,
    ) -> Result<T, Away> {
        for _ in 0..2 {
            match call().await.map_err(away)? {
                Told::Known(value, counts) => {
                    self.saw(&sale.name, counts);
                    return Ok(value);
                }
                Told::Cold => self.rebuild(sale).await?,
            }
        }
        Err(Away)
    }

    fn saw(&self, event: &EventName, counts: Counts) {
        self.board.put(event, counts);
    }

    /// Writes what the ledger has into the store, which opens the event. Two offices may do it at
    /// once, and over an event that is open.
    async fn rebuild(&self, sale: &Sale) -> Result<(), Away> {
        let _alone = self.rebuilding.lock().await;
        for _ in 0..REBUILDS {
            if self.try_rebuild(sale).await.map_err(away)? == Rebuilt::Done {
                self.meters.rebuilt.increment(1);
                tracing::info!(event = %sale.name, "seats were rebuilt from the ledger");
                return Ok(());
            }
        }
        Err(Away)
    }

    async fn try_rebuild(&self, sale: &Sale) -> Result<Rebuilt, EngineError> {
        let (token, mut after) = (rand::random(), SeatNumber(0));
        for index in 0.. {
            let most = super::store::MOST;
            let page = self.ledger.booked(sale.name.as_str(), after, most).await?;
            let last = page.last().map(|booking| booking.seat);
            let part = Part {
                token,
                index,
                is_last: page.len() < most,
                seats: page.iter().map(|b| (b.player, b.seat)).collect(),
            };
            let rebuilt = self.store.rebuild(sale, &part).await?;
            if part.is_last || rebuilt == Rebuilt::Again {
                return Ok(rebuilt);
            }
            after = last.unwrap_or(after);
        }
        Ok(Rebuilt::Again)
    }

    /// Tells the store what the ledger has. What it does not hear, a later round finds.
    async fn settle(&self, sale: &Sale, seats: &[(PlayerId, SeatNumber)]) {
        if seats.is_empty() {
            return;
        }
        if let Err(error) = self.store.settle(sale, seats).await {
            let _ = away(error);
        }
    }
}

fn away(error: EngineError) -> Away {
    let error = chassis::telemetry::Chain(&error);
    tracing::warn!(error = %error, "seats wait for the store or the ledger");
    Away
}

/// Wishes by event, in the order in which they came.
fn by_event<C>(asked: Vec<Asked<C>>) -> BTreeMap<EventName, Vec<Asked<C>>> {
    let mut events: BTreeMap<EventName, Vec<Asked<C>>> = BTreeMap::new();
    for asked in asked {
        match events.get_mut(&asked.event) {
            Some(group) => group.push(asked),
            None => {
                events.insert(asked.event.clone(), vec![asked]);
            }
        }
    }
    events
}
