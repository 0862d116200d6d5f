//! What a room's game takes in, taped so that it can be run again ([`crate::replay`]).
//!
//! To a game a room is its setup, then joins, leaves, messages and inputs in order, by tick. A
//! tape holds those, and of the inputs only changes: some hundred bytes a second for eight cars.
//! It is cut into segments at every [`SEGMENT_TICKS`] and at the end. Each segment ends with a
//! digest of the game's state, so that a replay knows whether it is still the same race.
//!
//! The tape follows from the room's commands alone, and the open end of it is in checkpoints:
//! whoever goes on with the room cuts the same segments. The last whole ones are there as well, as
//! the node that cut them may have died before it kept them.
//!
//! Layout of a segment, all in postcard: a byte of the [`FORMAT`], the [`Head`], the [`Opening`]
//! if it is the first, then for each happening its tag (ticks since the one before, times 4, plus
//! its [`kind`]) and its fields, and the digest.

use std::collections::VecDeque;

use bytes::Bytes;
use protocol::control::Data;
use protocol::id::Tick;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Output, Room, TICK_HZ};
use crate::game::{DIGEST, Departure, Game, RestoreError, Seat, SeatInput, Setup, digest};

/// A segment is cut at ticks that are a multiple of this: each second.
pub const SEGMENT_TICKS: u32 = TICK_HZ;

/// Segments that go into a checkpoint: the store has so many seconds to take one.
const SAVED: usize = 3;

/// Segments that a room holds: as many seconds can be run again after a checkpoint.
const HELD: usize = 32;

/// Of a segment, raised when its layout changes.
const FORMAT: u8 = 1;

/// What happened, in the lowest two bits of a tag.
mod kind {
    pub(super) const INPUT: u32 = 0;
    pub(super) const JOIN: u32 = 1;
    pub(super) const LEAVE: u32 = 2;
    pub(super) const SAY: u32 = 3;
}

/// A tape's open end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Tape {
    /// The last tick of the segment before.
    after: Tick,
    /// When the last happening of this segment was, or `after`.
    last: Tick,
    /// The happenings of this segment, as they will be in it.
    open: Vec<u8>,
    /// What each seat does.
    bits: Vec<u32>,
}

/// The segments that were cut last, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Recent(VecDeque<(Tick, Bytes)>);

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    after: Tick,
    until: Tick,
    /// No segment follows.
    is_last: bool,
}

/// What a replay begins with.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Opening {
    pub(crate) game: String,
    pub(crate) simulation: u32,
    pub(crate) setup: Setup,
    /// As [`super::RoomSetup::watch_delay`].
    pub(crate) watch_delay: Option<u32>,
}

/// A segment that was read.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) after: Tick,
    pub(crate) until: Tick,
    pub(crate) is_last: bool,
    /// In the first segment only.
    pub(crate) opening: Option<Opening>,
    /// In order; each with the tick after which it came.
    pub(crate) happenings: Vec<(Tick, Happening)>,
    /// Of the game's state at `until`.
    pub(crate) digest: [u8; DIGEST],
}

/// One thing that a game takes in between two steps.
#[derive(Debug)]
pub(crate) enum Happening {
    /// From here on the seat does this.
    Input { seat: Seat, bits: u32 },
    /// As [`Game::join`].
    Join { seat: Seat },
    /// As [`Game::leave`].
    Leave { seat: Seat, departure: Departure },
    /// As [`Game::say`].
    Say {
        from: Seat,
        to: Option<Seat>,
        data: Data,
    },
}

impl Tape {
    /// A tape of a game at its beginning, if it is one that is taped.
    pub(super) fn of(game: &dyn Game, seats: usize) -> Option<Self> {
        game.is_taped().then(|| Self {
            after: Tick(0),
            last: Tick(0),
            open: Vec::new(),
            bits: vec![0; seats],
        })
    }

    /// Whether a room with so many seats that is at `tick` can have it.
    pub(super) fn fits(&self, seats: usize, tick: Tick) -> bool {
        self.bits.len() == seats && self.after <= self.last && self.last <= tick
    }

    fn put(&mut self, at: Tick, kind: u32, fields: &impl Serialize) {
        let tag = (at.0 - self.last.0) << 2 | kind;
        self.last = at;
        let open = std::mem::take(&mut self.open);
        self.open = postcard::to_extend(&(tag, fields), open).expect("a vector takes it");
    }

    pub(super) fn join(&mut self, at: Tick, seat: Seat) {
        self.put(at, kind::JOIN, &seat);
    }

    pub(super) fn leave(&mut self, at: Tick, seat: Seat, departure: Departure) {
        self.put(at, kind::LEAVE, &(seat, departure));
    }

    pub(super) fn say(&mut self, at: Tick, from: Seat, to: Option<Seat>, data: &Data) {
        self.put(at, kind::SAY, &(from, to, data.as_str()));
    }

    /// What the seats do in the step after `at`.
    pub(super) fn inputs(&mut self, at: Tick, inputs: &[SeatInput]) {
        for (index, input) in inputs.iter().enumerate() {
            if self.bits[index] != input.bits {
                self.bits[index] = input.bits;
                self.put(at, kind::INPUT, &(Seat(index as u16), input.bits));
            }
        }
    }

    fn cut(&mut self, until: Tick, is_last: bool, opening: Option<Opening>, state: &[u8]) -> Bytes {
        let head = Head {
            after: self.after,
            until,
            is_last,
        };
        let mut bytes = postcard::to_extend(&(FORMAT, head), Vec::new())
            .and_then(|bytes| match opening {
                Some(opening) => postcard::to_extend(&opening, bytes),
                None => Ok(bytes),
            })
            .expect("a vector takes it");
        bytes.append(&mut self.open);
        bytes.extend_from_slice(&digest(state));
        (self.after, self.last) = (until, until);
        bytes.into()
    }
}

impl Recent {
    fn push(&mut self, until: Tick, bytes: Bytes) {
        if self.0.len() == HELD {
            self.0.pop_front();
        }
        self.0.push_back((until, bytes));
    }

    /// For a checkpoint: the last of them.
    pub(super) fn save(&self) -> Vec<(Tick, Vec<u8>)> {
        let first = self.0.len().saturating_sub(SAVED);
        let saved = self.0.range(first..);
        saved
            .map(|(until, bytes)| (*until, bytes.to_vec()))
            .collect()
    }

    /// What [`save`](Self::save) gave, for a room that is at `tick`.
    pub(super) fn restore(saved: Vec<(Tick, Vec<u8>)>, tick: Tick) -> Option<Self> {
        let is_in_order = saved.is_sorted_by(|(one, _), (other, _)| one < other);
        let is_past = saved.last().is_none_or(|(until, _)| *until <= tick);
        let segments = saved
            .into_iter()
            .map(|(until, bytes)| (until, bytes.into()));
        (is_in_order && is_past).then(|| Self(segments.collect()))
    }
}

impl Room {
    /// The segments of its tape that were cut last, oldest first: those of the last seconds before
    /// its checkpoint, and all since. For whoever takes it over, to be kept again.
    pub(crate) fn recent_segments(&self) -> impl Iterator<Item = (Tick, Bytes)> + '_ {
        self.recent.0.iter().cloned()
    }

    /// Ends a segment where one ends.
    pub(super) fn cut_tape(&mut self, out: &mut Vec<Output>) {
        let is_last = self.is_over() || self.ended.is_some();
        let Some(tape) = &mut self.tape else { return };
        if !is_last && !self.tick.0.is_multiple_of(SEGMENT_TICKS) {
            return;
        }
        let opening = (tape.after == Tick(0)).then(|| Opening {
            game: self.kind.name.to_owned(),
            simulation: self.kind.version,
            setup: self.setup.game.clone(),
            watch_delay: self.setup.watch_delay,
        });
        let until = self.tick;
        let bytes = tape.cut(until, is_last, opening, &self.game.save());
        if is_last {
            self.tape = None;
        }
        self.recent.push(until, bytes.clone());
        out.push(Output::Segment { until, bytes });
    }
}

impl Segment {
    /// Reads a segment. Any bytes may come.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, RestoreError> {
        let (&theirs, mut rest) = bytes.split_first().ok_or(DAMAGED)?;
        if theirs != FORMAT {
            let ours = FORMAT;
            return Err(RestoreError::Format { theirs, ours });
        }
        let (body, digest) = rest.split_last_chunk().ok_or(DAMAGED)?;
        rest = body;
        let Head {
            after,
            until,
            is_last,
        } = take(&mut rest)?;
        if until <= after {
            return Err(DAMAGED);
        }
        let opening = match after {
            Tick(0) => Some(take(&mut rest)?),
            _ => None,
        };
        let mut happenings = Vec::new();
        let mut at = after;
        while !rest.is_empty() {
            let tag: u32 = take(&mut rest)?;
            at = at.0.checked_add(tag >> 2).map(Tick).ok_or(DAMAGED)?;
            if at >= until {
                return Err(DAMAGED);
            }
            happenings.push((at, Happening::take(tag & 3, &mut rest)?));
        }
        Ok(Self {
            after,
            until,
            is_last,
            opening,
            happenings,
            digest: *digest,
        })
    }
}

impl Happening {
    fn take(kind: u32, rest: &mut &[u8]) -> Result<Self, RestoreError> {
        Ok(match kind {
            kind::INPUT => {
                let (seat, bits) = take(rest)?;
                Self::Input { seat, bits }
            }
            kind::JOIN => Self::Join { seat: take(rest)? },
            kind::LEAVE => {
                let (seat, departure) = take(rest)?;
                Self::Leave { seat, departure }
            }
            _ => {
                let (from, to, data): (Seat, Option<Seat>, String) = take(rest)?;
                let data = Data::parse(&data).map_err(|_| DAMAGED)?;
                Self::Say { from, to, data }
            }
        })
    }

    /// The highest seat that it is about.
    pub(crate) fn highest_seat(&self) -> Seat {
        match self {
            Self::Input { seat, .. } | Self::Join { seat } | Self::Leave { seat, .. } => *seat,
            Self::Say { from, to, .. } => to.map_or(*from, |to| to.max(*from)),
        }
    }
}

const DAMAGED: RestoreError = RestoreError::Damaged("a segment of a tape");

fn take<T: DeserializeOwned>(rest: &mut &[u8]) -> Result<T, RestoreError> {
    let (value, after) = postcard::take_from_bytes(rest).map_err(|_| DAMAGED)?;
    *rest = after;
    Ok(value)
}
