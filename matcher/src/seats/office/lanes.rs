//! The two lanes.

use std::sync::Arc;

use chassis::clock::unix_ms;
use engine::{Booked, Booking};
use protocol::id::{PlayerId, SeatNumber};
use protocol::time::Timestamp;
use tokio::sync::mpsc;

use super::{Answered, Asked, Away, EXCHANGES, Office, Outcome, Wish, away, by_event};
use crate::faults;
use crate::seats::store::{MOST, Sale};
use crate::seats::{Begun, Reserved};

/// Reservations, what is given back, and who has what.
pub(super) async fn reserve<C: Send + 'static>(
    office: Arc<Office>,
    mut asked: mpsc::Receiver<Asked<C>>,
    answers: mpsc::Sender<Answered<C>>,
) {
    let mut batch = Vec::with_capacity(MOST);
    while asked.recv_many(&mut batch, MOST).await > 0 {
        for (event, mut group) in by_event(std::mem::take(&mut batch)) {
            let sale = office.sale(&event);
            // Seats that are given back go to those who came together with that.
            for wish in [Wish::Release, Wish::Look, Wish::Reserve] {
                let (those, others): (Vec<_>, Vec<_>) =
                    group.into_iter().partition(|asked| asked.wish == wish);
                group = others;
                let wanted = players(&those);
                if those.is_empty() {
                    continue;
                }
                let outcomes = match &sale {
                    None => vec![Outcome::Unknown; those.len()],
                    Some(sale) => match wish {
                        Wish::Release => office.release_all(sale, &wanted).await,
                        Wish::Look => office.reserve_all(&closed(sale), &wanted).await,
                        Wish::Reserve | Wish::Confirm => office.reserve_all(sale, &wanted).await,
                    },
                };
                office.answer(&answers, those, outcomes).await;
            }
        }
    }
}

/// The event with nothing to be had: asking for a seat tells which one the player has.
fn closed(sale: &Sale) -> Sale {
    let mut closed = sale.clone();
    (closed.terms.opens_at, closed.terms.closes_at) = (Timestamp(0), Timestamp(0));
    closed
}

/// Confirmations.
pub(super) async fn confirm<C: Send + 'static>(
    office: Arc<Office>,
    mut asked: mpsc::Receiver<Asked<C>>,
    answers: mpsc::Sender<Answered<C>>,
) {
    let mut batch = Vec::with_capacity(MOST);
    while asked.recv_many(&mut batch, MOST).await > 0 {
        for (event, group) in by_event(std::mem::take(&mut batch)) {
            let Some(sale) = office.sale(&event) else {
                let outcomes = vec![Outcome::Unknown; group.len()];
                office.answer(&answers, group, outcomes).await;
                continue;
            };
            let written = office.write_all(&sale, &players(&group)).await;
            let Written { outcomes, seats } = written;
            office.answer(&answers, group, outcomes).await;
            // After the answers: what the store does not hear, a later round finds.
            faults::BEFORE_NOTE.pass();
            office.settle(&sale, &seats).await;
            faults::AFTER_NOTE.pass();
        }
    }
}

fn players<C>(asked: &[Asked<C>]) -> Vec<PlayerId> {
    asked.iter().map(|asked| asked.player).collect()
}

/// What came of writing seats.
struct Written {
    /// For each player.
    outcomes: Vec<Outcome>,
    /// What the ledger has, for the store to know.
    seats: Vec<(PlayerId, SeatNumber)>,
}

impl Office {
    async fn answer<C>(
        &self,
        answers: &mpsc::Sender<Answered<C>>,
        asked: Vec<Asked<C>>,
        outcomes: Vec<Outcome>,
    ) {
        for (asked, outcome) in asked.into_iter().zip(outcomes) {
            self.meters.answered(&outcome);
            // An error means that whoever asked has ended.
            let _ = answers.send(Answered { asked, outcome }).await;
        }
    }

    async fn reserve_all(&self, sale: &Sale, players: &[PlayerId]) -> Vec<Outcome> {
        let reserved = self.ask(sale, || self.store.reserve(sale, players)).await;
        faults::AFTER_RESERVE.pass();
        match reserved {
            Ok(outcomes) => outcomes.into_iter().map(Outcome::Reserved).collect(),
            Err(Away) => vec![Outcome::Away; players.len()],
        }
    }

    async fn release_all(&self, sale: &Sale, players: &[PlayerId]) -> Vec<Outcome> {
        let released = self.ask(sale, || self.store.release(sale, players));
        match released.await {
            Ok(outcomes) => outcomes.into_iter().map(Outcome::Released).collect(),
            Err(Away) => vec![Outcome::Away; players.len()],
        }
    }

    async fn write_all(&self, sale: &Sale, players: &[PlayerId]) -> Written {
        let mut written = Written {
            outcomes: vec![Outcome::Away; players.len()],
            seats: Vec::new(),
        };
        // By their places in `players`.
        let mut open: Vec<usize> = (0..players.len()).collect();
        for exchange in 0..EXCHANGES {
            if exchange > 0 && self.exchange(sale, players, &open).await.is_err() {
                break;
            }
            match self.write(sale, players, &open, &mut written).await {
                Ok(taken) if taken.is_empty() => break,
                Ok(taken) => open = taken,
                Err(Away) => break,
            }
            if exchange + 1 == EXCHANGES {
                // Nothing was written for them, and their seats are others'.
                for place in &open {
                    written.outcomes[*place] = Outcome::Lapsed;
                }
            }
        }
        written
    }

    /// Seats that are somebody else's by the ledger, for others that are free.
    async fn exchange(
        &self,
        sale: &Sale,
        players: &[PlayerId],
        open: &[usize],
    ) -> Result<(), Away> {
        let players: Vec<PlayerId> = open.iter().map(|place| players[*place]).collect();
        let reserved = self.ask(sale, || self.store.reserve(sale, &players));
        let reserved: Vec<Reserved> = reserved.await?;
        self.meters.taken.increment(players.len() as u64);
        let found = reserved.iter().filter(|r| matches!(r, Reserved::Held(..)));
        tracing::warn!(
            event = %sale.name, players = players.len(), found = found.count(),
            "the store had sold seats that the ledger has: it has lost some"
        );
        Ok(())
    }

    /// Writes the seats of those at `open`. Gives those whose seats are somebody else's.
    async fn write(
        &self,
        sale: &Sale,
        players: &[PlayerId],
        open: &[usize],
        written: &mut Written,
    ) -> Result<Vec<usize>, Away> {
        let wanted: Vec<PlayerId> = open.iter().map(|place| players[*place]).collect();
        faults::BEFORE_BEGIN.pass();
        let begun = self.ask(sale, || self.store.begin(sale, &wanted, self.writing));
        let begun: Vec<Begun> = begun.await?;
        let (mut bookings, mut booking, mut lapsed) = (Vec::new(), Vec::new(), Vec::new());
        for (place, begun) in open.iter().zip(begun) {
            match begun {
                Begun::Confirmed(seat) => written.outcomes[*place] = Outcome::Confirmed(seat),
                Begun::Lapsed => lapsed.push(*place),
                Begun::Writing(seat) => {
                    let player = players[*place];
                    bookings.push(Booking { seat, player });
                    booking.push(*place);
                }
            }
        }
        self.look_up(sale, players, &lapsed, written).await?;
        if bookings.is_empty() {
            return Ok(Vec::new());
        }
        faults::BEFORE_BOOK.pass();
        let booked = self.ledger.book(sale.name.as_str(), &bookings, unix_ms());
        let booked = booked.await.map_err(away)?;
        faults::AFTER_BOOK.pass();
        let (mut taken, mut others) = (Vec::new(), Vec::new());
        for ((place, wanted), booked) in booking.into_iter().zip(&bookings).zip(booked) {
            match booked {
                Booked::Yours(seat) => {
                    written.outcomes[place] = Outcome::Confirmed(seat);
                    written.seats.push((players[place], seat));
                }
                Booked::Taken { by } => {
                    taken.push(place);
                    others.push((by, wanted.seat));
                }
            }
        }
        self.settle(sale, &others).await;
        Ok(taken)
    }

    /// The store does not know of seats of these players. The ledger may, if the store has lost
    /// them.
    async fn look_up(
        &self,
        sale: &Sale,
        players: &[PlayerId],
        lapsed: &[usize],
        written: &mut Written,
    ) -> Result<(), Away> {
        if lapsed.is_empty() {
            return Ok(());
        }
        let asked: Vec<PlayerId> = lapsed.iter().map(|place| players[*place]).collect();
        let seats = self.ledger.seats_of(sale.name.as_str(), &asked).await;
        for (place, seat) in lapsed.iter().zip(seats.map_err(away)?) {
            written.outcomes[*place] = match seat {
                Some(seat) => {
                    written.seats.push((players[*place], seat));
                    Outcome::Confirmed(seat)
                }
                None => Outcome::Lapsed,
            };
        }
        Ok(())
    }
}
