//! The task that writes the journal of one incarnation, and the handle that workers have of it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use chassis::backoff::Backoff;
use chassis::telemetry::Chain;
use engine::leases::keeper::LeaseState;
use engine::{EngineError, Incarnation, Journals, Seq, Written};
use parking_lot::Mutex;
use protocol::id::RoomId;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::journal::{OwnJournal, Reply, Request};
use super::moves::Moves;
use crate::meters::JournalMeters;

/// Shortest and longest wait after a call that failed.
const RETRY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// An entry that nobody waits for makes no call of its own so soon after another: it goes with the
/// next. Shorter than the time between two such entries of a worker, so that of several workers one
/// makes the calls.
const SOON: Duration = Duration::from_millis(40);

/// Checkpoints that nobody waits for are written together this often. A room has one a second, and what
/// came after it is in the journal.
const CHECKPOINTS: Duration = Duration::from_millis(200);

/// The journal of one incarnation. Workers push and go on; [`run`](Self::run) writes.
#[derive(Debug)]
pub(crate) struct Journal {
    who: Incarnation,
    own: Mutex<OwnJournal>,
    /// There is something to write.
    wake: Notify,
    progress: watch::Sender<Progress>,
    standing: Mutex<Standing>,
    /// When entries were sent last.
    sent_at: Mutex<Option<Instant>>,
    /// When checkpoints were.
    checkpoints_at: Mutex<Option<Instant>>,
    lease: OnceLock<watch::Receiver<LeaseState>>,
    moves: Arc<Moves>,
}

/// What is known of whether the journal was sealed.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    /// The store took something that was sent then.
    proved_at: Option<Instant>,
    /// Whatever was known before does not count.
    doubted_at: Option<Instant>,
}

/// How far the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    /// Everything up to here is safe.
    pub(crate) confirmed: Seq,
    /// Somebody else has the rooms.
    pub(crate) sealed: bool,
    /// Whether the store has answered at all.
    pub(crate) open: bool,
    /// Counts answers, so that who waits for a checkpoint looks again.
    pub(crate) answers: u64,
    /// How often the store had lost the journal and has it again.
    pub(crate) repairs: u64,
}

/// Why a room is not written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotWritten {
    #[error("this node's journal is sealed")]
    Sealed,
    #[error("the store did not take it in time")]
    Deadline,
}

impl Journal {
    /// The journal of `who`, which holds at most `limit` bytes that the store does not have.
    pub(crate) fn new(who: Incarnation, limit: usize) -> Arc<Self> {
        Arc::new(Self {
            who,
            own: Mutex::new(OwnJournal::new(limit)),
            wake: Notify::new(),
            progress: watch::Sender::new(Progress::default()),
            standing: Mutex::default(),
            sent_at: Mutex::default(),
            checkpoints_at: Mutex::default(),
            lease: OnceLock::new(),
            moves: Arc::default(),
        })
    }

    /// Whose it is.
    pub(crate) fn who(&self) -> &Incarnation {
        &self.who
    }

    /// The rooms that come into it, or go.
    pub(crate) fn moves(&self) -> &Arc<Moves> {
        &self.moves
    }

    /// It stands under this lease.
    pub(crate) fn hold(&self, lease: watch::Receiver<LeaseState>) {
        // Set once: each incarnation is served once.
        let _ = self.lease.set(lease);
    }

    /// The store may be another one, in which it may have been sealed.
    pub(crate) fn doubt(&self) {
        self.standing.lock().doubted_at = Some(Instant::now());
    }

    /// Whether it is known not to be sealed: the store took something since our lease began,
    /// which has held without a break and holds now. Nobody seals it as long as that is so.
    pub(crate) fn is_ours(&self) -> bool {
        let Some(lease) = self.lease.get() else {
            return false;
        };
        let LeaseState::Held {
            generation,
            since,
            until,
        } = *lease.borrow()
        else {
            return false;
        };
        let standing = *self.standing.lock();
        let proves =
            |at: Instant| at > since && standing.doubted_at.is_none_or(|doubted| at > doubted);
        generation == self.who.generation
            && Instant::now() < until
            && standing.proved_at.is_some_and(proves)
    }

    /// Whether the newest checkpoint of `room` is in the store, in a journal that is known to be
    /// ours.
    pub(crate) fn is_secure(&self, room: RoomId) -> bool {
        self.is_ours() && self.own.lock().is_written(room)
    }

    /// Adds an entry; gives its number.
    pub(crate) fn push(&self, entry: Bytes) -> Seq {
        let seq = self.own.lock().push(entry);
        self.wake.notify_one();
        seq
    }

    /// Adds an entry that is to be written before long.
    pub(crate) fn push_soon(&self, entry: Bytes) -> Seq {
        match *self.sent_at.lock() {
            Some(at) if at.elapsed() < SOON => self.gather(entry),
            _ => self.push(entry),
        }
    }

    /// Adds an entry that nobody waits for: it goes with the next one that is pushed.
    pub(crate) fn gather(&self, entry: Bytes) -> Seq {
        self.own.lock().gather(entry)
    }

    /// A room's state, made from the last entry of all: none comes in between.
    pub(crate) fn checkpoint(&self, room: RoomId, make: impl FnOnce(Seq) -> Bytes) {
        let mut own = self.own.lock();
        let at = own.last();
        own.checkpoint(room, at, make(at));
        own.urge(room);
        drop(own);
        self.wake.notify_one();
    }

    /// A room's state after the entry `at`, to be written before long.
    pub(crate) fn checkpoint_at(&self, room: RoomId, at: Seq, bytes: Bytes) {
        self.own.lock().checkpoint(room, at, bytes);
    }

    /// The last state of a room that is gone, after the entry `at`.
    pub(crate) fn park(&self, room: RoomId, at: Seq, bytes: Bytes) {
        let mut own = self.own.lock();
        own.park(room, at, bytes);
        own.urge(room);
        drop(own);
        self.wake.notify_one();
    }

    /// The room is over, or somebody else's.
    pub(crate) fn forget(&self, room: RoomId) {
        self.own.lock().forget(room);
        self.wake.notify_one();
    }

    /// Somebody waits for the newest checkpoint of a room.
    fn urge(&self, room: RoomId) {
        self.own.lock().urge(room);
        self.wake.notify_one();
    }

    /// Whether the store is so far behind that rooms have to stand still.
    pub(crate) fn is_full(&self) -> bool {
        self.own.lock().is_full()
    }

    /// Whether somebody else has taken the rooms.
    pub(crate) fn is_sealed(&self) -> bool {
        self.own.lock().is_sealed()
    }

    /// How far the store is, as it changes.
    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Waits until the newest checkpoint of `room` is in the store.
    pub(crate) async fn written(&self, room: RoomId, deadline: Duration) -> Result<(), NotWritten> {
        self.urge(room);
        let is_written = || self.own.lock().is_written(room);
        self.until(is_written, deadline).await
    }

    /// Waits until [`is_secure`](Self::is_secure).
    pub(crate) async fn secured(&self, room: RoomId, deadline: Duration) -> Result<(), NotWritten> {
        self.urge(room);
        self.until(|| self.is_secure(room), deadline).await
    }

    /// Waits until the store's answers have made something true.
    async fn until(
        &self,
        is_so: impl Fn() -> bool + Send,
        deadline: Duration,
    ) -> Result<(), NotWritten> {
        let mut progress = self.progress.subscribe();
        let written = async {
            loop {
                if progress.borrow_and_update().sealed {
                    return Err(NotWritten::Sealed);
                }
                if is_so() {
                    return Ok(());
                }
                if progress.changed().await.is_err() {
                    return Err(NotWritten::Sealed);
                }
            }
        };
        let waited = tokio::time::timeout(deadline, written).await;
        waited.unwrap_or(Err(NotWritten::Deadline))
    }

    /// Writes until `stop` or until the journal is sealed.
    pub(crate) async fn run(self: Arc<Self>, journals: Arc<dyn Journals>, stop: CancellationToken) {
        let meters = JournalMeters::new();
        let mut calls: JoinSet<Answered> = JoinSet::new();
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        let mut pause: Option<Instant> = None;
        let mut told = false;
        loop {
            if pause.is_none() {
                self.send(&mut calls, &journals);
            }
            let resume = pause.unwrap_or_else(Instant::now);
            let next = self.checkpoints_due().filter(|at| *at > Instant::now());
            let (sent, request, reply) = tokio::select! {
                () = stop.cancelled() => return,
                () = self.wake.notified() => continue,
                () = tokio::time::sleep_until(resume), if pause.is_some() => {
                    pause = None;
                    continue;
                }
                () = tokio::time::sleep_until(next.unwrap_or(resume)), if next.is_some() => continue,
                Some(done) = calls.join_next() => match done {
                    Ok(done) => done,
                    Err(_) => return, // the runtime is going down
                },
            };
            meters.calls.increment(1);
            match reply {
                Some(_) => {
                    backoff.reset();
                    if std::mem::take(&mut told) {
                        tracing::info!(journal = %self.who, "the store takes the journal again");
                    }
                }
                None => {
                    meters.failures.increment(1);
                    pause = Some(Instant::now() + backoff.next());
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(journal = %self.who, "the store does not take the journal; rooms go on, what is reliable waits");
                    }
                }
            }
            let (progress, bytes) = self.answered(sent, &request, reply);
            meters.kept.set(bytes as f64);
            if reply.is_some() {
                self.progress.send_replace(progress);
            }
            if progress.sealed {
                return;
            }
        }
    }

    fn answered(&self, sent: Instant, request: &Request, reply: Reply) -> (Progress, usize) {
        let before = *self.progress.borrow();
        let mut own = self.own.lock();
        // What is missing may be missing because the journal was sealed in a store that is gone.
        let proves = reply == Some(Written::Done)
            && !own.is_repairing()
            && !matches!(request, Request::Open { .. });
        own.handle_reply(request, reply);
        if proves {
            let mut standing = self.standing.lock();
            standing.proved_at = standing.proved_at.max(Some(sent));
        }
        let is_repaired = own.take_repaired();
        if is_repaired {
            tracing::warn!(journal = %self.who, "the store had lost what it confirmed; all of it is written again");
        }
        let progress = Progress {
            confirmed: own.confirmed(),
            sealed: own.is_sealed(),
            open: true,
            answers: before.answers + 1,
            repairs: before.repairs + u64::from(is_repaired),
        };
        (progress, own.kept_bytes())
    }

    fn send(&self, calls: &mut JoinSet<Answered>, journals: &Arc<dyn Journals>) {
        while let Some(request) = self.next_request() {
            let (who, journals) = (self.who.clone(), journals.clone());
            let sent = Instant::now();
            calls.spawn(async move {
                let reply = call(&*journals, &who, &request).await;
                (sent, request, reply)
            });
        }
    }

    fn next_request(&self) -> Option<Request> {
        let is_early = self.checkpoints_due() > Some(Instant::now());
        let mut own = self.own.lock();
        let request = match is_early && !own.has_urgent() {
            true => own.poll_entries()?,
            false => own.poll_request()?,
        };
        drop(own);
        match request {
            Request::Append { .. } => *self.sent_at.lock() = Some(Instant::now()),
            Request::Checkpoint(_) => *self.checkpoints_at.lock() = Some(Instant::now()),
            Request::Open { .. } => {}
        }
        Some(request)
    }

    /// When checkpoints that nobody waits for are to be written next.
    fn checkpoints_due(&self) -> Option<Instant> {
        self.checkpoints_at.lock().map(|at| at + CHECKPOINTS)
    }
}

/// When a call was sent, and what came of it.
type Answered = (Instant, Request, Reply);

async fn call(journals: &dyn Journals, who: &Incarnation, request: &Request) -> Reply {
    let answer: Result<Written, EngineError> = match request {
        Request::Open { after } => journals.open(who, *after).await,
        Request::Append { first, entries } => journals.append(who, *first, entries).await,
        Request::Checkpoint(checkpoints) => journals.checkpoint(who, checkpoints).await,
    };
    match answer {
        Ok(written) => Some(written),
        Err(error) => {
            tracing::debug!(journal = %who, error = %Chain(&error), "a journal call failed");
            None
        }
    }
}
