//! Events with a limited number of seats: many players, one opening second, few seats.
//!
//! A seat has a number and is in one of three states. It is *free*; it is *reserved*, by one player,
//! until a moment; or it is *confirmed*, by one player, for good. A player has one seat at most.
//! While a confirmation is being made durable the reservation is *being written*: it does not end
//! by itself, as nobody knows yet whether it took effect.
//!
//! Reservations are in a store that is quick and may lose things ([`store`]); confirmed seats are in
//! a ledger that does neither ([`engine::SeatLedger`]). The ledger is what decides: it takes a seat's
//! number once and a player once, so whatever the store has lost or made up, no seat is sold twice.
//! `docs/adr/0013-seats.md` goes through what may fail.
//!
//! - [`book`]: who has which seat; pure, and what a store does
//! - [`store`]: the book that all matchers share, in memory and in Redis
//! - [`office`]: takes players' wishes, and brings book and ledger together
//! - [`board`]: how events stand, as far as a matcher knows

pub mod board;
pub mod book;
pub mod office;
pub mod store;

use std::time::Duration;

use protocol::id::SeatNumber;
use protocol::time::Timestamp;

pub use book::Book;

/// How an event's seats stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Grows with every change, also over a store that has lost its data: of two counts the one
    /// with the greater version is newer. Microseconds since 1970 when it was made, or more.
    pub version: u64,
    /// How many there are.
    pub seats: u32,
    /// How many are reserved, or being written.
    pub reserved: u32,
    /// How many are confirmed.
    pub confirmed: u32,
}

impl Counts {
    /// How many can be reserved.
    pub fn free(&self) -> u32 {
        self.seats.saturating_sub(self.reserved + self.confirmed)
    }
}

/// What an event allows, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Seats.
    pub seats: u32,
    /// From when they can be reserved, in microseconds since 1970.
    pub opens_at: Timestamp,
    /// From when they cannot any more.
    pub closes_at: Timestamp,
    /// How long a reservation lasts.
    pub hold: Duration,
}

/// What came of a wish for a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// The player has this seat, for so much longer. Asking again does not make it longer.
    Held(SeatNumber, Duration),
    /// The player has confirmed it, and it is being written.
    Writing(SeatNumber),
    /// The player has it for good.
    Confirmed(SeatNumber),
    /// There is none. One may come back after so long; `None`: all are confirmed.
    Full(Option<Duration>),
    /// Not for so much longer.
    NotOpen(Duration),
    /// Not any more.
    Closed,
}

/// What came of beginning to write a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// It is kept until it is written.
    Writing(SeatNumber),
    /// The player has it for good already.
    Confirmed(SeatNumber),
    /// The player has no seat, or not any more.
    Lapsed,
}

/// What came of giving a seat back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// It is free.
    Released,
    /// The player has none.
    Nothing,
    /// It is confirmed, and stays so.
    Confirmed(SeatNumber),
    /// It is being written.
    Writing(SeatNumber),
}
