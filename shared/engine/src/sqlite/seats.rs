//! The ledger of seats in SQLite.

use std::path::Path;

use protocol::id::{PlayerId, SeatNumber};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::results::{id, read_error};
use super::{Database, store};
use crate::seats::{Booked, Booking, MAX_BOOKINGS, SeatLedger, admit};
use crate::{BoxFuture, EngineError};

/// The ledger of seats in SQLite.
#[derive(Debug)]
pub struct SqliteSeats {
    database: Database,
}

impl SqliteSeats {
    /// The ledger in `file`, which is made, with its folder, if it is missing. Several processes
    /// may use one file on a local disk.
    ///
    /// # Errors
    /// [`EngineError::Open`], [`EngineError::SchemaTooNew`], [`EngineError::Store`].
    pub fn open(file: &Path) -> Result<Self, EngineError> {
        Database::open(Some(file)).map(|database| Self { database })
    }

    /// A ledger that ends with this value.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub fn in_memory() -> Result<Self, EngineError> {
        Database::open(None).map(|database| Self { database })
    }
}

const BOOK: &str = "booking seats";
const SEATS_OF: &str = "reading players' seats";
const BOOKED: &str = "reading an event's seats";

impl SeatLedger for SqliteSeats {
    fn book<'a>(
        &'a self,
        event: &'a str,
        bookings: &'a [Booking],
        now_ms: u64,
    ) -> BoxFuture<'a, Result<Vec<Booked>, EngineError>> {
        Box::pin(async move {
            admit(bookings.len())?;
            let (event, bookings) = (event.to_owned(), bookings.to_vec());
            let job = move |connection: &mut Connection| {
                book(connection, &event, &bookings, now_ms).map_err(read_error(BOOK))
            };
            self.database.run(BOOK, job).await
        })
    }

    fn seats_of<'a>(
        &'a self,
        event: &'a str,
        players: &'a [PlayerId],
    ) -> BoxFuture<'a, Result<Vec<Option<SeatNumber>>, EngineError>> {
        Box::pin(async move {
            admit(players.len())?;
            let (event, players) = (event.to_owned(), players.to_vec());
            let job = move |connection: &mut Connection| {
                // One transaction, so that all are of one moment.
                let transaction = connection.transaction().map_err(store(SEATS_OF))?;
                let seats = players
                    .iter()
                    .map(|player| seat_of(&transaction, &event, *player));
                seats
                    .collect::<rusqlite::Result<_>>()
                    .map_err(read_error(SEATS_OF))
            };
            self.database.run(SEATS_OF, job).await
        })
    }

    fn booked<'a>(
        &'a self,
        event: &'a str,
        after: SeatNumber,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Booking>, EngineError>> {
        Box::pin(async move {
            let (event, limit) = (event.to_owned(), limit.min(MAX_BOOKINGS));
            let job = move |connection: &mut Connection| {
                select_booked(connection, &event, after, limit).map_err(read_error(BOOKED))
            };
            self.database.run(BOOKED, job).await
        })
    }
}

fn book(
    connection: &mut Connection,
    event: &str,
    bookings: &[Booking],
    now_ms: u64,
) -> rusqlite::Result<Vec<Booked>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
    let booked = bookings
        .iter()
        .map(|booking| book_one(&transaction, event, *booking, now_ms))
        .collect::<rusqlite::Result<_>>()?;
    transaction.commit()?;
    Ok(booked)
}

fn book_one(
    transaction: &Transaction<'_>,
    event: &str,
    booking: Booking,
    now_ms: i64,
) -> rusqlite::Result<Booked> {
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO seats (event, seat, player, booked_at_ms) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            event,
            booking.seat.0,
            booking.player.to_string(),
            now_ms
        ])?;
    if inserted == 1 {
        return Ok(Booked::Yours(booking.seat));
    }
    // Something stands in the way: the player's own seat, or whoever has this one.
    if let Some(seat) = seat_of(transaction, event, booking.player)? {
        return Ok(Booked::Yours(seat));
    }
    let by = transaction
        .prepare_cached("SELECT player FROM seats WHERE event = ?1 AND seat = ?2")?
        .query_row(params![event, booking.seat.0], |row| id(row, 0))?;
    Ok(Booked::Taken { by })
}

fn seat_of(
    transaction: &Transaction<'_>,
    event: &str,
    player: PlayerId,
) -> rusqlite::Result<Option<SeatNumber>> {
    transaction
        .prepare_cached("SELECT seat FROM seats WHERE event = ?1 AND player = ?2")?
        .query_row(params![event, player.to_string()], |row| row.get(0))
        .optional()
        .map(|seat| seat.map(SeatNumber))
}

fn select_booked(
    connection: &mut Connection,
    event: &str,
    after: SeatNumber,
    limit: usize,
) -> rusqlite::Result<Vec<Booking>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut select = connection.prepare_cached(
        "SELECT seat, player FROM seats WHERE event = ?1 AND seat > ?2 ORDER BY seat LIMIT ?3",
    )?;
    let bookings = select.query_map(params![event, after.0, limit], |row| {
        Ok(Booking {
            seat: SeatNumber(row.get(0)?),
            player: id(row, 1)?,
        })
    })?;
    bookings.collect()
}
