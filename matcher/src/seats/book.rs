//! Who has which seat of one event. Pure: time is an argument.
//!
//! Every step costs O(log n) in the number of seats, and each reservation that ends costs that
//! once. The numbers 1 to `next` are in use or in `free`, so a free number is found without
//! a search, and the lowest one goes first.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use protocol::id::{PlayerId, SeatNumber};
use protocol::time::Timestamp;

use super::{Begun, Counts, Released, Reserved, Terms};

/// What a player is told to wait when all seats are taken and some are being written.
pub const WRITING_RETRY: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Book {
    holders: BTreeMap<PlayerId, Place>,
    players: BTreeMap<SeatNumber, PlayerId>,
    /// When reservations end.
    ends: BTreeSet<(Timestamp, PlayerId)>,
    /// When it is in doubt whether seats have been written.
    doubts: BTreeSet<(Timestamp, PlayerId)>,
    /// Numbers up to `next` that nobody has.
    free: BTreeSet<SeatNumber>,
    /// The highest number that was ever in use.
    next: u32,
    confirmed: u32,
    version: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    seat: SeatNumber,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reserved { until: Timestamp },
    Writing { until: Timestamp },
    Confirmed,
}

impl Book {
    /// Gives a player a seat, if one is free.
    pub fn reserve(&mut self, player: PlayerId, terms: &Terms, now: Timestamp) -> Reserved {
        self.lapse(now);
        if let Some(place) = self.holders.get(&player) {
            return match place.state {
                State::Reserved { until } => Reserved::Held(place.seat, until.since(now)),
                State::Writing { .. } => Reserved::Writing(place.seat),
                State::Confirmed => Reserved::Confirmed(place.seat),
            };
        }
        if now < terms.opens_at {
            return Reserved::NotOpen(terms.opens_at.since(now));
        }
        if now >= terms.closes_at {
            return Reserved::Closed;
        }
        if self.taken() >= terms.seats {
            return Reserved::Full(self.next_return(terms.seats, now));
        }
        let seat = self.lowest_free();
        let until = now + terms.hold;
        self.put(player, seat, State::Reserved { until }, now);
        Reserved::Held(seat, terms.hold)
    }

    /// A player's seat is about to be written: until that is known it does not end by itself.
    /// After `until` it is in doubt.
    pub fn begin(&mut self, player: PlayerId, until: Timestamp, now: Timestamp) -> Begun {
        self.lapse(now);
        match self.holders.get(&player).copied() {
            None => Begun::Lapsed,
            Some(Place {
                seat,
                state: State::Confirmed,
            }) => Begun::Confirmed(seat),
            Some(Place { seat, .. }) => {
                self.put(player, seat, State::Writing { until }, now);
                Begun::Writing(seat)
            }
        }
    }

    /// The ledger says that the player has this seat. Whoever else was thought to have it has it
    /// no more, and the player has no other one.
    pub fn settle(&mut self, player: PlayerId, seat: SeatNumber, now: Timestamp) {
        let wanted = Place {
            seat,
            state: State::Confirmed,
        };
        if self.holders.get(&player) == Some(&wanted) {
            return;
        }
        if let Some(other) = self.players.get(&seat).copied()
            && other != player
        {
            self.take_back(other, now);
        }
        self.put(player, seat, State::Confirmed, now);
    }

    /// The ledger says that the player does not have this seat, which was being written.
    pub fn undo(&mut self, player: PlayerId, seat: SeatNumber, now: Timestamp) {
        let place = self.holders.get(&player);
        let is_writing = place.is_some_and(|place| {
            place.seat == seat && matches!(place.state, State::Writing { .. })
        });
        if is_writing {
            self.take_back(player, now);
        }
    }

    /// A player gives a reservation back.
    pub fn release(&mut self, player: PlayerId, now: Timestamp) -> Released {
        self.lapse(now);
        let Some(place) = self.holders.get(&player).copied() else {
            return Released::Nothing;
        };
        match place.state {
            State::Confirmed => Released::Confirmed(place.seat),
            State::Writing { .. } => Released::Writing(place.seat),
            State::Reserved { .. } => {
                self.take_back(player, now);
                Released::Released
            }
        }
    }

    /// Frees the seats whose reservations have ended. Gives how many.
    pub fn lapse(&mut self, now: Timestamp) -> usize {
        let mut lapsed = 0;
        while let Some((until, player)) = self.ends.first().copied()
            && until <= now
        {
            self.take_back(player, now);
            lapsed += 1;
        }
        lapsed
    }

    /// Seats that have been in writing for too long, up to `most` of them, the oldest first: the
    /// ledger knows.
    pub fn doubtful(&self, now: Timestamp, most: usize) -> Vec<(PlayerId, SeatNumber)> {
        let doubts = self.doubts.iter().take_while(|(until, _)| *until <= now);
        doubts
            .take(most)
            .map(|(_, player)| (*player, self.holders[player].seat))
            .collect()
    }

    /// How it stands. Versions are greater than `at_least` from here on, which somebody has seen
    /// of a book that is lost.
    pub fn counts(&mut self, seats: u32, at_least: u64) -> Counts {
        if self.version < at_least {
            self.version = at_least + 1;
        }
        Counts {
            version: self.version,
            seats,
            reserved: self.taken() - self.confirmed,
            confirmed: self.confirmed,
        }
    }

    fn taken(&self) -> u32 {
        u32::try_from(self.holders.len()).unwrap_or(u32::MAX)
    }

    fn next_return(&self, seats: u32, now: Timestamp) -> Option<Duration> {
        if self.confirmed >= seats {
            return None;
        }
        let first = self.ends.first().map(|(until, _)| until.since(now));
        Some(first.unwrap_or(WRITING_RETRY))
    }

    fn lowest_free(&self) -> SeatNumber {
        let returned = self.free.first().copied();
        returned.unwrap_or(SeatNumber(self.next + 1))
    }

    /// Puts a player on a seat that nobody else has, off any other one.
    fn put(&mut self, player: PlayerId, seat: SeatNumber, state: State, now: Timestamp) {
        self.take_back(player, now);
        while self.next < seat.0 {
            self.next += 1;
            self.free.insert(SeatNumber(self.next));
        }
        self.free.remove(&seat);
        self.holders.insert(player, Place { seat, state });
        self.players.insert(seat, player);
        match state {
            State::Reserved { until } => {
                self.ends.insert((until, player));
            }
            State::Writing { until } => {
                self.doubts.insert((until, player));
            }
            State::Confirmed => self.confirmed += 1,
        }
        self.changed(now);
    }

    fn take_back(&mut self, player: PlayerId, now: Timestamp) {
        let Some(place) = self.holders.remove(&player) else {
            return;
        };
        self.players.remove(&place.seat);
        self.free.insert(place.seat);
        match place.state {
            State::Reserved { until } => {
                self.ends.remove(&(until, player));
            }
            State::Writing { until } => {
                self.doubts.remove(&(until, player));
            }
            State::Confirmed => self.confirmed -= 1,
        }
        self.changed(now);
    }

    fn changed(&mut self, now: Timestamp) {
        self.version = now.0.max(self.version + 1);
    }
}

#[cfg(test)]
#[path = "properties.rs"]
mod properties;
