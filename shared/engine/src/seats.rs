//! The ledger of seats: who has which seat of an event, for good. This must last.
//!
//! It is what decides. Whatever a quicker store believes about reservations, a seat belongs to the
//! player whom the ledger took it for, and it takes a seat's number once and a player once.

use protocol::id::{PlayerId, SeatNumber};

use crate::{BoxFuture, EngineError};

/// Most bookings, or players, in one call.
pub const MAX_BOOKINGS: usize = 512;

/// A seat, and who has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Booking {
    /// Its number in the event.
    pub seat: SeatNumber,
    /// Who has it.
    pub player: PlayerId,
}

/// What came of a booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Booked {
    /// The player has this seat of the event: the one that was asked for, or an earlier one.
    Yours(SeatNumber),
    /// Somebody else has the seat.
    Taken {
        /// Who.
        by: PlayerId,
    },
}

/// Who has which seat. Limits: [`MAX_BOOKINGS`] a call; seats as the disk allows. An event is
/// named by its configuration; the ledger knows no more of it.
pub trait SeatLedger: Send + Sync + 'static {
    /// Books seats, durably, in order; gives what came of each. Repeating is harmless: on any
    /// error but [`EngineError::TooLarge`], repeat.
    ///
    /// # Errors
    /// [`EngineError::TooLarge`] for too many at once, [`EngineError::Full`] while too many calls
    /// wait, else the store's; nothing is confirmed then, and any of it may have taken effect.
    fn book<'a>(
        &'a self,
        event: &'a str,
        bookings: &'a [Booking],
        now_ms: u64,
    ) -> BoxFuture<'a, Result<Vec<Booked>, EngineError>>;

    /// The seat of each player, in the order in which they are named.
    ///
    /// # Errors
    /// [`EngineError::TooLarge`] for too many at once, else the store's.
    fn seats_of<'a>(
        &'a self,
        event: &'a str,
        players: &'a [PlayerId],
    ) -> BoxFuture<'a, Result<Vec<Option<SeatNumber>>, EngineError>>;

    /// The bookings of an event in the order of their seats, those after `after`; at most `limit`
    /// and at most [`MAX_BOOKINGS`].
    ///
    /// # Errors
    /// The store cannot be asked.
    fn booked<'a>(
        &'a self,
        event: &'a str,
        after: SeatNumber,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Booking>, EngineError>>;
}

/// Refuses what is more than a call takes.
pub(crate) fn admit(many: usize) -> Result<(), EngineError> {
    if many > MAX_BOOKINGS {
        return Err(EngineError::TooLarge {
            what: "seats in one call",
            limit: MAX_BOOKINGS,
        });
    }
    Ok(())
}
