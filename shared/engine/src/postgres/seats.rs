//! The ledger of seats in Postgres.

use std::collections::BTreeMap;
use std::panic::Location;

use chassis::postgres::types::Type;
use chassis::postgres::{Parameter, Pool, PoolError, Row, Transaction};
use protocol::id::{PlayerId, SeatNumber};

use super::reading::Reading;
use super::{Attempts, DEADLINE, query};
use crate::seats::{Booked, Booking, MAX_BOOKINGS, SeatLedger, admit};
use crate::{BoxFuture, EngineError};

/// The ledger of seats in Postgres.
pub struct PostgresSeats {
    pool: Pool,
}

impl PostgresSeats {
    /// The ledger at the end of `pool`, which [`open`](super::open) has made.
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }
}

const BOOK: &str = "booking seats";
const SEATS_OF: &str = "reading players' seats";
const BOOKED: &str = "reading an event's seats";

/// Those who book seats of one event do so one after the other: two keys are in each one's way,
/// and in whichever order they were taken, two at once could wait for each other. What keeps a seat
/// from being sold twice is the keys, not this.
const TURN: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 4085101327263451809))";

const IN_THE_WAY: &str = "
    SELECT seat, player FROM seats WHERE event = $1 AND seat = ANY ($2)
    UNION
    SELECT seat, player FROM seats WHERE event = $1 AND player = ANY ($3)";

const INSERT: &str = "
    INSERT INTO seats (event, seat, player, booked_at_ms)
    SELECT $1, new.seat, new.player, $4 FROM unnest($2, $3) AS new (seat, player)
    ON CONFLICT DO NOTHING";

const SELECT_OF: &str = "SELECT seat, player FROM seats WHERE event = $1 AND player = ANY ($2)";

const SELECT: &str = "
    SELECT seat, player FROM seats WHERE event = $1 AND seat > $2 ORDER BY seat LIMIT $3";

impl SeatLedger for PostgresSeats {
    fn book<'a>(
        &'a self,
        event: &'a str,
        bookings: &'a [Booking],
        now_ms: u64,
    ) -> BoxFuture<'a, Result<Vec<Booked>, EngineError>> {
        Box::pin(async move {
            admit(bookings.len())?;
            let place = Location::caller();
            let mut attempts = Attempts::within(DEADLINE, BOOK);
            loop {
                let attempt = book(&self.pool, place, event, bookings, now_ms);
                // Else somebody who does not take turns came between, or Postgres was lost.
                if let Some(Some(booked)) = attempts.make(attempt).await? {
                    return booked;
                }
            }
        })
    }

    fn seats_of<'a>(
        &'a self,
        event: &'a str,
        players: &'a [PlayerId],
    ) -> BoxFuture<'a, Result<Vec<Option<SeatNumber>>, EngineError>> {
        Box::pin(async move {
            admit(players.len())?;
            let names: Vec<String> = players.iter().map(PlayerId::to_string).collect();
            let of: [Parameter<'_>; 2] = [(&event, Type::TEXT), (&names, Type::TEXT_ARRAY)];
            let place = Location::caller();
            let rows = query(&self.pool, place, SEATS_OF, SELECT_OF, &of).await?;
            let booked = bookings(SEATS_OF, &rows)?;
            let by_player: BTreeMap<PlayerId, SeatNumber> =
                booked.iter().map(|one| (one.player, one.seat)).collect();
            let seats = players.iter().map(|player| by_player.get(player).copied());
            Ok(seats.collect())
        })
    }

    fn booked<'a>(
        &'a self,
        event: &'a str,
        after: SeatNumber,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Booking>, EngineError>> {
        Box::pin(async move {
            let limit = i64::try_from(limit.min(MAX_BOOKINGS)).unwrap_or(i64::MAX);
            let after = i64::from(after.0);
            let of: [Parameter<'_>; 3] = [
                (&event, Type::TEXT),
                (&after, Type::INT8),
                (&limit, Type::INT8),
            ];
            let place = Location::caller();
            let rows = query(&self.pool, place, BOOKED, SELECT, &of).await?;
            bookings(BOOKED, &rows)
        })
    }
}

/// Books all of them in one transaction. Gives `None`, and changes nothing, if what was in the way
/// has changed meanwhile.
async fn book(
    pool: &Pool,
    place: &'static Location<'static>,
    event: &str,
    wanted: &[Booking],
    now_ms: u64,
) -> Result<Option<Result<Vec<Booked>, EngineError>>, PoolError> {
    let mut held = pool.acquire_at(place).await?;
    let mut transaction = held.begin().await?;
    transaction.query(TURN, &[(&event, Type::TEXT)]).await?;
    let rows = in_the_way(&mut transaction, event, wanted).await?;
    let known = match bookings(BOOK, &rows) {
        Ok(known) => known,
        Err(damaged) => {
            transaction.rollback().await?;
            return Ok(Some(Err(damaged)));
        }
    };
    let (booked, new) = outcomes(&known, wanted);
    if insert(&mut transaction, event, &new, now_ms).await? != new.len() as u64 {
        transaction.rollback().await?;
        return Ok(None);
    }
    transaction.commit().await?;
    Ok(Some(Ok(booked)))
}

async fn in_the_way(
    transaction: &mut Transaction<'_>,
    event: &str,
    wanted: &[Booking],
) -> Result<Vec<Row>, PoolError> {
    let (seats, players) = columns(wanted);
    let of: [Parameter<'_>; 3] = [
        (&event, Type::TEXT),
        (&seats, Type::INT8_ARRAY),
        (&players, Type::TEXT_ARRAY),
    ];
    transaction.query(IN_THE_WAY, &of).await
}

async fn insert(
    transaction: &mut Transaction<'_>,
    event: &str,
    new: &[Booking],
    now_ms: u64,
) -> Result<u64, PoolError> {
    if new.is_empty() {
        return Ok(0);
    }
    let (seats, players) = columns(new);
    let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
    let of: [Parameter<'_>; 4] = [
        (&event, Type::TEXT),
        (&seats, Type::INT8_ARRAY),
        (&players, Type::TEXT_ARRAY),
        (&now_ms, Type::INT8),
    ];
    transaction.execute(INSERT, &of).await
}

/// What comes of each booking, in order, where `known` are those in the way of any; and those that
/// are new.
fn outcomes(known: &[Booking], wanted: &[Booking]) -> (Vec<Booked>, Vec<Booking>) {
    let mut by_player: BTreeMap<PlayerId, SeatNumber> = BTreeMap::new();
    let mut by_seat: BTreeMap<SeatNumber, PlayerId> = BTreeMap::new();
    for one in known {
        by_player.insert(one.player, one.seat);
        by_seat.insert(one.seat, one.player);
    }
    let mut new = Vec::new();
    let booked = wanted.iter().map(|one| {
        if let Some(seat) = by_player.get(&one.player) {
            return Booked::Yours(*seat);
        }
        if let Some(by) = by_seat.get(&one.seat) {
            return Booked::Taken { by: *by };
        }
        by_player.insert(one.player, one.seat);
        by_seat.insert(one.seat, one.player);
        new.push(*one);
        Booked::Yours(one.seat)
    });
    (booked.collect(), new)
}

fn columns(bookings: &[Booking]) -> (Vec<i64>, Vec<String>) {
    let seats = bookings.iter().map(|one| i64::from(one.seat.0));
    let players = bookings.iter().map(|one| one.player.to_string());
    (seats.collect(), players.collect())
}

fn bookings(operation: &'static str, rows: &[Row]) -> Result<Vec<Booking>, EngineError> {
    let booking = |row: &Row| {
        let reading = Reading { operation, row };
        Ok(Booking {
            seat: SeatNumber(reading.small(0)?),
            player: reading.id(1)?,
        })
    };
    rows.iter().map(booking).collect()
}
