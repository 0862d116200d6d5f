//! What a worker does so that its rooms outlive the node: it writes down each tick, lets go of
//! what is reliable when that is confirmed, and hands rooms over.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use engine::{Incarnation, Seq};
use protocol::id::{Epoch, Generation, NodeId, RoomId, Tick};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::Worker;
use crate::host::WorkerIndex;
use crate::ownership::entry::{EntryWriter, Stored, WorkerNumber};
use crate::ownership::writer::{Journal, Progress};
use crate::room::{Room, TICK_HZ};

/// A checkpoint of each room every so many ticks.
const CHECKPOINT_EVERY: u32 = TICK_HZ;

/// Rooms have their turn in so many groups, as each call to the store has its price.
const CHECKPOINT_GROUPS: u32 = 5;

/// Entries that nobody waits for are written every so many ticks, or with those of another worker
/// before twice as many: a crash costs players so much of what they have seen as a hint.
const GATHER_TICKS: u32 = 3;

/// The journalling half of a worker.
pub(super) struct Survival {
    number: WorkerNumber,
    journal: Arc<Journal>,
    progress: watch::Receiver<Progress>,
    entry: EntryWriter,
    /// Entries that are not confirmed.
    pending: VecDeque<Pending>,
    confirmed: Seq,
    /// The last entry.
    written: Seq,
    /// Whether anything has to be written although no room is here.
    has_marks: bool,
    /// Histories end with the next entry.
    /// except of those who are here since before then.
    breaks: Option<Instant>,
}

/// An entry that is not confirmed.
struct Pending {
    seq: Seq,
    /// The worker's tick that it is of.
    tick: u32,
    /// Pieces of tapes that were cut in it.
    segments: usize,
}

/// A room that stands still, for whoever takes it over.
#[derive(Debug)]
pub(crate) struct Frozen {
    /// The entry after which it stands still.
    pub(crate) at: Seq,
    /// Its state then.
    pub(crate) checkpoint: Bytes,
}

impl Survival {
    pub(super) fn new(index: WorkerIndex, journal: Arc<Journal>) -> Self {
        let number = WorkerNumber::try_from(index).expect("there are not that many workers");
        Self {
            number,
            progress: journal.progress(),
            journal,
            entry: EntryWriter::new(number),
            pending: VecDeque::new(),
            confirmed: Seq(0),
            written: Seq(0),
            has_marks: false,
            breaks: None,
        }
    }

    /// The incarnation that rooms here are of.
    pub(super) fn owner(&self) -> &Incarnation {
        self.journal.who()
    }

    /// A room begins with the next tick.
    pub(super) fn begin(&mut self, room: &mut Room) {
        room.set_unconfirmed();
        self.entry.begin(room.id());
        self.has_marks = true;
    }

    /// A room takes no step from the next tick on.
    pub(super) fn rest(&mut self, room: RoomId) {
        self.entry.rest(room);
        self.has_marks = true;
    }

    /// A room that is gone, in its last state, stays in the journal until its result is recorded.
    pub(super) fn park(&mut self, room: &Room) {
        let stored = Stored::parked(room.checkpoint().into());
        let at = self.written;
        self.journal.park(room.id(), at, stored.encode());
    }

    /// Whether what was decided by the entry `at` may be acted on.
    pub(super) fn is_confirmed(&self, at: Option<Seq>) -> bool {
        at.is_some_and(|at| at <= self.confirmed)
    }
}

/// Completes when the store has confirmed something that is waited for, or sealed the journal.
pub(super) async fn progress(survival: &mut Option<Survival>) {
    match survival {
        Some(survival) if !survival.pending.is_empty() => {
            if survival.progress.changed().await.is_err() {
                std::future::pending().await
            }
        }
        _ => std::future::pending().await,
    }
}

impl Worker {
    /// Whether rooms must not step: too much waits for the store, or this node's rooms are being
    /// taken away.
    pub(super) fn stands_still(&self) -> bool {
        let survival = self.survival.as_ref();
        survival.is_some_and(|survival| survival.journal.is_full())
    }

    /// Writes the tick down, and the rooms whose turn it is.
    pub(super) fn write_down(&mut self) {
        let Some(survival) = &mut self.survival else {
            return;
        };
        if self.rooms.is_empty() && !survival.has_marks {
            return;
        }
        let now = Instant::now();
        for hosted in self.rooms.values_mut() {
            hosted.write_commands(&mut survival.entry);
            hosted.expire_returns(now);
        }
        survival.has_marks = false;
        let breaks = std::mem::take(&mut survival.breaks);
        let entry = survival.entry.finish();
        let is_urgent = self.lines.are_urgent()
            || breaks.is_some()
            || self.rooms.values().any(|hosted| hosted.is_stopping());
        let seq = match is_urgent {
            true => survival.journal.push(entry),
            false if self.tick.is_multiple_of(GATHER_TICKS) => survival.journal.push_soon(entry),
            false => survival.journal.gather(entry),
        };
        survival.written = seq;
        let waiting: usize = survival.pending.iter().map(|entry| entry.segments).sum();
        survival.pending.push_back(Pending {
            seq,
            tick: self.tick,
            segments: self.segments.len() - waiting,
        });
        self.lines.hold(seq);
        for (id, hosted) in &mut self.rooms {
            if hosted.is_decided() {
                hosted.decided_at.get_or_insert(seq);
            }
            if hosted.has_failed() || hosted.is_frozen() {
                continue;
            }
            if let Some(since) = breaks {
                let stays = hosted.stays_since(since);
                let epoch = || Epoch(rand::random_range(1..=u32::MAX));
                hosted
                    .room
                    .break_histories(|seat| !stays[seat.index()], epoch);
            }
            let reply = hosted.stop();
            let group = (id.0 % u64::from(CHECKPOINT_GROUPS)) as u32;
            let turn = self
                .tick
                .wrapping_add(group * (CHECKPOINT_EVERY / CHECKPOINT_GROUPS));
            let is_due = turn.is_multiple_of(CHECKPOINT_EVERY);
            if reply.is_none() && !is_due && breaks.is_none() {
                continue;
            }
            let checkpoint: Bytes = hosted.room.checkpoint().into();
            let stored = Stored {
                at: seq,
                worker: Some(survival.number),
                room: checkpoint.clone(),
            };
            survival.journal.checkpoint_at(*id, seq, stored.encode());
            if let Some(reply) = reply {
                survival.entry.rest(*id);
                survival.has_marks = true;
                // Nobody waiting: it thaws, or is moved, by what comes next.
                let _ = reply.send(Frozen {
                    at: seq,
                    checkpoint,
                });
            }
        }
        if let Some(since) = breaks {
            self.call_back(since);
        }
    }

    /// Nobody continues what was told until now, except those who have been here since before
    /// `since`.
    pub(super) fn break_histories(&mut self, since: Instant) {
        if let Some(survival) = &mut self.survival {
            survival.breaks.get_or_insert(since);
        }
    }

    /// Has everybody whose history was broken attach again, here: to a new one. What is held for
    /// them comes to their gateways after this, and is of an attachment that is gone.
    fn call_back(&mut self, since: Instant) {
        for (room, hosted) in &mut self.rooms {
            let stays = hosted.stays_since(since);
            for index in (0..stays.len()).filter(|index| !stays[*index]) {
                let seat = crate::game::Seat(index as u16);
                let Some((stream, session)) = hosted.attached[index].take() else {
                    continue;
                };
                self.sessions.remove(&session);
                let attempt = hosted.room.attempt_of(seat).unwrap_or_default();
                if let Some(batch) = self.lines.batch_of(stream, *room) {
                    batch.moved(session, attempt, *room, None);
                }
            }
            hosted.await_returns();
        }
    }

    /// Lets go of what the store has confirmed; or of all rooms, if they are somebody else's.
    pub(super) fn confirm(&mut self) {
        let Some(survival) = &mut self.survival else {
            return;
        };
        let progress = *survival.progress.borrow_and_update();
        if progress.sealed {
            return self.lose_all();
        }
        survival.confirmed = progress.confirmed;
        let (mut safe, mut segments) = (None, 0);
        while let Some(entry) = survival
            .pending
            .pop_front_if(|entry| entry.seq <= progress.confirmed)
        {
            safe = Some(entry.tick);
            segments += entry.segments;
        }
        self.keep_tapes(segments);
        if let Some(safe) = safe {
            let behind = self.tick.wrapping_sub(safe);
            for hosted in self.rooms.values_mut() {
                let tick = hosted.room.tick().0.saturating_sub(behind);
                hosted.room.confirm(Tick(tick));
            }
            self.lines.release(progress.confirmed);
        }
    }

    /// A room is to stand still.
    pub(super) fn freeze(&mut self, room: RoomId, reply: oneshot::Sender<Frozen>) {
        if let Some(hosted) = self.rooms.get_mut(&room)
            && hosted.is_running()
            && !hosted.is_decided()
        {
            hosted.freeze(reply);
        }
    }

    /// A room that stood still goes on here.
    pub(super) fn thaw(&mut self, room: RoomId) {
        if let (Some(hosted), Some(survival)) = (self.rooms.get_mut(&room), &mut self.survival) {
            hosted.thaw();
            survival.entry.begin(room);
            survival.has_marks = true;
        }
    }

    /// A room is another node's.
    pub(super) fn moved(&mut self, room: RoomId, to: Option<&(NodeId, Generation)>) {
        let Some(hosted) = self.rooms.remove(&room) else {
            return;
        };
        let to = to.map(|(node, generation)| (node, *generation));
        self.tell_moved(room, hosted, to);
        if let Some(survival) = &mut self.survival {
            survival.rest(room);
        }
        self.host.forget(room);
    }

    /// This node's rooms have been taken over.
    fn lose_all(&mut self) {
        let rooms = std::mem::take(&mut self.rooms);
        let count = rooms.len();
        for (room, hosted) in rooms {
            self.tell_moved(room, hosted, None);
            self.host.forget(room);
        }
        self.sessions.clear();
        self.segments.clear();
        self.lines.drop_held();
        if let Some(survival) = &mut self.survival {
            survival.pending.clear();
            survival.entry = EntryWriter::new(survival.number);
        }
        self.lines.send();
        tracing::warn!(
            worker = self.index,
            rooms = count,
            "rooms were taken over by others"
        );
    }

    /// The node is somebody new.
    pub(super) fn begin_journal(&mut self, journal: Arc<Journal>) {
        if self.survival.is_some() {
            self.lose_all();
            self.survival = Some(Survival::new(self.index, journal));
        }
    }

    fn tell_moved(
        &mut self,
        room: RoomId,
        hosted: super::Hosted,
        to: Option<(&NodeId, Generation)>,
    ) {
        for (index, attached) in hosted.attached.iter().enumerate() {
            let seat = crate::game::Seat(index as u16);
            let Some((stream, session)) = *attached else {
                continue;
            };
            self.sessions.remove(&session);
            let attempt = hosted.room.attempt_of(seat).unwrap_or_default();
            if let Some(batch) = self.lines.batch_of(stream, room) {
                batch.moved(session, attempt, room, to);
            }
        }
    }
}
