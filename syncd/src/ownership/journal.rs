//! The owner's end of its journal: what is to be written, what is confirmed, what would be needed
//! to write it all again. Pure.
//!
//! - Entries go in order, one call in flight at a time; those that gather meanwhile go with the
//!   next one (group commit). So do those that nobody waits for. Checkpoints go beside them, never
//!   ahead of the entries, and together if nobody waits for them.
//! - The store may forget the end of what it confirmed (a fail-over) or all of it (it came back
//!   empty). So the owner keeps every entry that some written checkpoint still needs, and the
//!   newest checkpoint of each room. It finds out by the numbers, of entries and of checkpoint
//!   calls, and writes again; until all of it is there again nothing more counts as confirmed.
//! - A checkpoint call is proof that the store has everything that was confirmed: a journal whose
//!   owner has not written one to the present primary is suspect when it is sealed. So none is
//!   sent while an append is under way, which might be confirmed by another primary, nor while
//!   confirmed entries are missing.
//! - A sealed journal is the end: the rooms belong to somebody else.

mod request;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use engine::journals::MAX_ENTRIES;
use engine::{Checkpoints, Seq, Written};
use protocol::id::RoomId;

pub use request::{Reply, Request};

/// Bytes of entries that one call carries at most, unless a single one is larger.
const CALL_BYTES: usize = 1024 * 1024;

/// Rooms and bytes whose checkpoints go in one call at most.
const CALL_ROOMS: (usize, usize) = (128, 512 * 1024);

/// Rooms that are gone are remembered, in case the store forgets that.
const BURIED: usize = 4096;

/// See the module.
#[derive(Debug)]
pub struct OwnJournal {
    state: State,
    /// Number of the first entry in `kept`, or of the next one if there is none.
    first: Seq,
    kept: VecDeque<Bytes>,
    kept_bytes: usize,
    limit: usize,
    /// Somebody waits for entries.
    is_due: bool,
    /// Rooms whose next checkpoint somebody waits for.
    urgent: BTreeSet<RoomId>,
    /// The store has everything up to here, as far as is known.
    stored: Seq,
    /// Everything up to here may be relied on.
    confirmed: Seq,
    /// Some of what was confirmed has to be written again.
    is_repairing: bool,
    shelves: BTreeMap<RoomId, Shelf>,
    gone: BTreeSet<RoomId>,
    /// Rooms that the store was told to be gone, the last ones at the end.
    buried: VecDeque<RoomId>,
    /// Counts checkpoint calls, so that a late one cannot undo a newer one.
    calls: u64,
    /// The newest call that the store has confirmed.
    known: u64,
    appending: Option<Seq>,
    checkpointing: Option<Checkpointing>,
    repaired: bool,
    reopened: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Opening,
    Open,
    Sealed,
}

/// A room's checkpoints.
#[derive(Debug, Default)]
struct Shelf {
    written: Option<Checkpoint>,
    /// Newer than `written`.
    pending: Option<Checkpoint>,
}

/// A room's state, and the last entry that has gone into it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Checkpoint {
    at: Seq,
    bytes: Bytes,
    /// The room takes no step after it.
    is_last: bool,
}

impl Checkpoint {
    /// Entries up to here are not needed for the room.
    fn reaches(&self) -> Seq {
        if self.is_last { Seq(u64::MAX) } else { self.at }
    }
}

impl Shelf {
    fn is_parked(&self) -> bool {
        let written = self.written.as_ref();
        self.pending.is_none() && written.is_some_and(|written| written.is_last)
    }
}

/// What a call under way writes.
#[derive(Debug)]
struct Checkpointing {
    number: u64,
    rooms: Vec<(RoomId, Checkpoint)>,
    gone: Vec<RoomId>,
    keep_from: Seq,
}

impl OwnJournal {
    /// A journal that is to be opened. It is [full](Self::is_full) with `limit` bytes of entries.
    pub fn new(limit: usize) -> Self {
        Self {
            state: State::Closed,
            first: Seq(1),
            kept: VecDeque::new(),
            kept_bytes: 0,
            limit,
            is_due: false,
            urgent: BTreeSet::new(),
            stored: Seq(0),
            confirmed: Seq(0),
            is_repairing: false,
            shelves: BTreeMap::new(),
            gone: BTreeSet::new(),
            buried: VecDeque::new(),
            calls: 0,
            known: 0,
            appending: None,
            checkpointing: None,
            repaired: false,
            reopened: false,
        }
    }

    /// Adds an entry; gives its number.
    pub fn push(&mut self, entry: Bytes) -> Seq {
        self.is_due = true;
        self.gather(entry)
    }

    /// The same of an entry that nobody waits for: it goes with the next one that is pushed, or
    /// with the next checkpoint.
    pub fn gather(&mut self, entry: Bytes) -> Seq {
        self.kept_bytes += entry.len();
        self.kept.push_back(entry);
        self.last()
    }

    /// A room's state after the entry `at`, which has been pushed.
    pub fn checkpoint(&mut self, room: RoomId, at: Seq, bytes: Bytes) {
        let is_last = false;
        self.set_pending(room, Checkpoint { at, bytes, is_last });
    }

    /// A room's last state, after the entry `at`: it takes no step any more, so that no later entry
    /// is needed for it however long it stays.
    pub fn park(&mut self, room: RoomId, at: Seq, bytes: Bytes) {
        self.set_pending(
            room,
            Checkpoint {
                at,
                bytes,
                is_last: true,
            },
        );
    }

    fn set_pending(&mut self, room: RoomId, checkpoint: Checkpoint) {
        self.is_due = true;
        self.gone.remove(&room);
        self.shelves.entry(room).or_default().pending = Some(checkpoint);
    }

    /// The room needs no checkpoint any more.
    pub fn forget(&mut self, room: RoomId) {
        self.urgent.remove(&room);
        if self.shelves.remove(&room).is_some() {
            self.gone.insert(room);
        }
    }

    /// The last entry there is.
    pub fn last(&self) -> Seq {
        Seq(self.first.0 + self.kept.len() as u64 - 1)
    }

    /// Everything up to here is safe, with all that it rests on.
    pub fn confirmed(&self) -> Seq {
        self.confirmed
    }

    /// Whether the newest checkpoint that was given of `room` is in the store.
    pub fn is_written(&self, room: RoomId) -> bool {
        let shelf = self.shelves.get(&room);
        shelf.is_some_and(|shelf| shelf.pending.is_none() && shelf.written.is_some())
    }

    /// Whether somebody else has taken the rooms.
    pub fn is_sealed(&self) -> bool {
        self.state == State::Sealed
    }

    /// Whether the store is so far behind that no more should come.
    pub fn is_full(&self) -> bool {
        self.kept_bytes > self.limit
    }

    /// Whether the store has lost what it confirmed, and does not have all of it again.
    pub fn is_repairing(&self) -> bool {
        self.is_repairing
    }

    /// Bytes of entries that are kept.
    pub fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    /// Whether the store has lost something of the journal and has it again since the last call:
    /// what else this node has in the store should be said again, too.
    pub fn take_repaired(&mut self) -> bool {
        std::mem::take(&mut self.repaired)
    }

    /// Whether the store had lost the whole journal since the last call, and with it whether it
    /// was sealed. Rooms of a node that may have been taken for dead go on with new epochs then.
    pub fn take_reopened(&mut self) -> bool {
        std::mem::take(&mut self.reopened)
    }

    /// The next request to send. Each is answered by [`handle_reply`](Self::handle_reply), once;
    /// at most one of each kind is under way.
    pub fn poll_request(&mut self) -> Option<Request> {
        match self.state {
            State::Sealed | State::Opening => None,
            State::Closed if self.appending.is_some() || self.checkpointing.is_some() => None,
            State::Closed => {
                self.state = State::Opening;
                let after = Seq(self.first.0 - 1);
                Some(Request::Open { after })
            }
            State::Open if self.appending.is_some() => None,
            State::Open => self.write_checkpoints().or_else(|| self.append()),
        }
    }

    /// Somebody waits for the newest checkpoint of a room.
    pub fn urge(&mut self, room: RoomId) {
        self.urgent.insert(room);
    }

    /// Whether there is something to write, other than entries, that somebody waits for.
    pub fn has_urgent(&self) -> bool {
        let can_be_written = |room: &RoomId| {
            let pending = self
                .shelves
                .get(room)
                .and_then(|shelf| shelf.pending.as_ref());
            pending.is_some_and(|pending| pending.at <= self.stored)
        };
        !self.gone.is_empty() || self.urgent.iter().any(can_be_written)
    }

    /// As [`poll_request`](Self::poll_request), but for checkpoints, which can wait for others to go
    /// with.
    pub fn poll_entries(&mut self) -> Option<Request> {
        match self.state {
            State::Open if self.appending.is_none() => self.append(),
            State::Open => None,
            State::Closed | State::Opening | State::Sealed => self.poll_request(),
        }
    }

    /// The answer to a request.
    pub fn handle_reply(&mut self, request: &Request, reply: Reply) {
        match request {
            Request::Open { .. } => self.opened(reply),
            Request::Append { .. } => {
                let upto = self.appending.take();
                // What was to be written is so still.
                self.is_due |= reply != Some(Written::Done);
                match (reply, upto) {
                    (Some(Written::Done), Some(upto)) => self.stored = self.stored.max(upto),
                    (Some(refusal), _) => self.refused(refusal),
                    (None, _) => {}
                }
            }
            Request::Checkpoint(checkpoints) => {
                let call = self.checkpointing.take();
                match (reply, call) {
                    // The store has lost the journal since.
                    (Some(Written::Done), _) if self.state != State::Open => {}
                    (Some(Written::Done), Some(call)) => self.checkpointed(call),
                    (Some(Written::Gap(last)), _) if last >= checkpoints.last => self.rewrite(),
                    (Some(refusal), _) => self.refused(refusal),
                    (None, _) => {}
                }
            }
        }
        self.advance();
    }

    fn opened(&mut self, reply: Reply) {
        match reply {
            Some(Written::Done) => {
                self.state = State::Open;
                self.stored = Seq(self.first.0 - 1);
                self.is_due = !self.kept.is_empty();
            }
            Some(Written::Sealed) => self.state = State::Sealed,
            // It is there again, or never was: ask again.
            Some(Written::Gap(_) | Written::Missing) | None => self.state = State::Closed,
        }
    }

    /// The store lacks what it had, or the journal is not ours any more.
    fn refused(&mut self, refusal: Written) {
        match refusal {
            Written::Done => {}
            Written::Sealed => self.state = State::Sealed,
            // What follows is kept here: go on from there.
            Written::Gap(last) if last.next() >= self.first => self.stored = last,
            Written::Gap(_) | Written::Missing => self.begin_anew(),
        }
    }

    /// All that is kept has to be written again.
    fn begin_anew(&mut self) {
        if self.state == State::Sealed {
            return;
        }
        self.state = State::Closed;
        self.reopened = true;
        self.rewrite();
    }

    /// All checkpoints have to be written again; those that are in the store are older.
    fn rewrite(&mut self) {
        self.is_repairing = true;
        self.is_due = true;
        self.known = 0;
        for shelf in self.shelves.values_mut() {
            let written = shelf.written.take();
            shelf.pending = shelf.pending.take().or(written);
        }
        let buried = self.buried.drain(..);
        self.gone
            .extend(buried.filter(|room| !self.shelves.contains_key(room)));
    }

    /// What is stored counts as confirmed once every room has its checkpoint.
    fn advance(&mut self) {
        if self.is_repairing {
            let whole = self.stored >= self.confirmed
                && self.shelves.values().all(|shelf| shelf.written.is_some());
            if self.state != State::Open || !whole {
                return;
            }
            self.is_repairing = false;
            self.repaired = true;
        }
        if self.state == State::Open {
            self.confirmed = self.confirmed.max(self.stored);
        }
    }

    fn append(&mut self) -> Option<Request> {
        if self.appending.is_some() || self.stored >= self.last() || !self.is_due {
            return None;
        }
        let from = self.stored.next();
        let mut bytes = 0;
        let entries: Vec<Bytes> = self
            .kept
            .range((from.0 - self.first.0) as usize..)
            .take(MAX_ENTRIES)
            .take_while(|entry| {
                let fits = bytes == 0 || bytes + entry.len() <= CALL_BYTES;
                bytes += entry.len();
                fits
            })
            .cloned()
            .collect();
        let upto = Seq(self.stored.0 + entries.len() as u64);
        self.is_due = upto < self.last();
        self.appending = Some(upto);
        Some(Request::Append {
            first: from,
            entries,
        })
    }

    fn write_checkpoints(&mut self) -> Option<Request> {
        if self.checkpointing.is_some() || self.stored < self.confirmed {
            return None;
        }
        let stored = self.stored;
        let mut bytes = 0;
        let rooms: Vec<(RoomId, Checkpoint)> = self
            .shelves
            .iter()
            .filter_map(|(room, shelf)| Some((*room, shelf.pending.as_ref()?)))
            .filter(|(_, pending)| pending.at <= stored)
            .take(CALL_ROOMS.0)
            .take_while(|(_, pending)| {
                let fits = bytes == 0 || bytes + pending.bytes.len() <= CALL_ROOMS.1;
                bytes += pending.bytes.len();
                fits
            })
            .map(|(room, pending)| (room, pending.clone()))
            .collect();
        // Without rooms that step nobody needs any entry.
        let is_idle = self.shelves.values().all(Shelf::is_parked)
            && !self.kept.is_empty()
            && stored == self.last();
        if rooms.is_empty() && self.gone.is_empty() && !is_idle {
            return None;
        }
        let gone: Vec<RoomId> = self.gone.iter().copied().collect();
        let keep_from = self.keep_from(&rooms);
        for (room, _) in &rooms {
            self.urgent.remove(room);
        }
        self.calls += 1;
        self.checkpointing = Some(Checkpointing {
            number: self.calls,
            rooms: rooms.clone(),
            gone: gone.clone(),
            keep_from,
        });
        let rooms = rooms.into_iter().map(|(room, new)| (room, new.bytes));
        Some(Request::Checkpoint(Checkpoints {
            call: self.calls,
            after: self.known,
            rooms: rooms.collect(),
            gone,
            last: stored,
            keep_from,
        }))
    }

    /// The first entry that is needed once `writing` is written.
    fn keep_from(&self, writing: &[(RoomId, Checkpoint)]) -> Seq {
        let is_writing = |room: &RoomId| writing.binary_search_by_key(room, |new| new.0).is_ok();
        let is_old =
            |(room, shelf): (&RoomId, &Shelf)| shelf.written.is_none() && !is_writing(room);
        if self.is_repairing && self.shelves.iter().any(is_old) {
            return Seq(0); // how old what the store has of these rooms is, nobody knows
        }
        let position = |(room, shelf): (&RoomId, &Shelf)| {
            let new = writing.binary_search_by_key(room, |(room, _)| *room);
            match (new, &shelf.written, &shelf.pending) {
                (Ok(index), ..) => writing[index].1.reaches(),
                (Err(_), Some(written), _) => written.reaches(),
                (Err(_), None, Some(pending)) => pending.reaches(),
                (Err(_), None, None) => self.stored,
            }
        };
        let oldest = self.shelves.iter().map(position).min();
        oldest.unwrap_or(self.stored).min(self.stored).next()
    }

    fn checkpointed(&mut self, call: Checkpointing) {
        self.known = call.number;
        for (room, written) in call.rooms {
            if let Some(shelf) = self.shelves.get_mut(&room) {
                shelf.pending.take_if(|pending| *pending == written);
                shelf.written = Some(written);
            }
        }
        for room in call.gone {
            if self.gone.remove(&room) {
                self.buried.push_back(room);
            }
        }
        let surplus = self.buried.len().saturating_sub(BURIED);
        self.buried.drain(..surplus);
        while self.first < call.keep_from
            && let Some(entry) = self.kept.pop_front()
        {
            self.kept_bytes -= entry.len();
            self.first = self.first.next();
        }
    }
}

#[cfg(test)]
mod tests;
