//! Clients, the ledger and the quick store agree about an event: no seat is sold twice, and what
//! was told for good is there.

use std::collections::{BTreeMap, BTreeSet};

use engine::Booking;
use protocol::id::{PlayerId, SeatNumber};
use serde::Serialize;

use super::Violation;

/// What somebody was told for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SeatTelling {
    /// Who.
    pub player: PlayerId,
    /// The seat that is the player's; none: all are sold.
    pub seat: Option<SeatNumber>,
}

/// What those who wanted seats were told.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SeatsTold {
    /// How many wanted one.
    pub takers: u64,
    /// How many of them have one or were told that there is none.
    pub served: u64,
    /// Everything that was told for good.
    pub tellings: Vec<SeatTelling>,
}

/// An event after a run, as everyone who should know has it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Seats {
    /// How many there are.
    pub seats: u32,
    /// What the takers were told.
    pub told: SeatsTold,
    /// What the ledger has.
    #[serde(skip)]
    pub ledger: Vec<Booking>,
    /// How many each matcher says are confirmed and free, by what the quick store tells it.
    pub counts: BTreeMap<String, (u32, u32)>,
}

pub(super) fn check(seats: &Seats, found: &mut Vec<Violation>) {
    let mut broken = |text: String| found.push(Violation::new("seats", Vec::new(), text));
    let (told, ledger) = (&seats.told, &seats.ledger);
    if told.served < told.takers {
        let text = format!("{} of {} takers were served", told.served, told.takers);
        broken(text);
    }
    let sold: BTreeMap<SeatNumber, PlayerId> =
        ledger.iter().map(|one| (one.seat, one.player)).collect();
    let holders: BTreeSet<PlayerId> = ledger.iter().map(|one| one.player).collect();
    if sold.len() != ledger.len() || holders.len() != ledger.len() {
        broken("the ledger has a seat twice, or a player".to_owned());
    }
    if let Some(beyond) = ledger.iter().find(|one| one.seat.0 > seats.seats) {
        broken(format!(
            "seat {} of {} was sold",
            beyond.seat.0, seats.seats
        ));
    }
    let mut owners: BTreeMap<SeatNumber, PlayerId> = BTreeMap::new();
    for telling in &told.tellings {
        let (player, Some(seat)) = (telling.player, telling.seat) else {
            if ledger.len() < seats.seats as usize {
                let count = ledger.len();
                broken(format!(
                    "{} was told that all are sold; {count} are",
                    telling.player
                ));
            }
            continue;
        };
        if sold.get(&seat) != Some(&player) {
            let by = sold.get(&seat);
            broken(format!(
                "seat {} was told to {player}; the ledger has {by:?}",
                seat.0
            ));
        }
        let before = owners.insert(seat, player);
        if before.is_some_and(|before| before != player) {
            broken(format!(
                "seat {} was told to {before:?} and {player}",
                seat.0
            ));
        }
    }
    for (player, numbers) in told.seats() {
        if numbers.len() > 1 {
            broken(format!("{player} was told {} seats", numbers.len()));
        }
    }
    let confirmed = u32::try_from(ledger.len()).unwrap_or(u32::MAX);
    for (matcher, counts) in &seats.counts {
        let (store, free) = *counts;
        if store != confirmed || free + store != seats.seats {
            broken(format!(
                "{matcher} says that {store} seats are confirmed and {free} free; the ledger has {confirmed}"
            ));
        }
    }
}

impl SeatsTold {
    /// The seats that each player was told of: one, if all tellings agree.
    fn seats(&self) -> BTreeMap<PlayerId, BTreeSet<SeatNumber>> {
        let mut seats: BTreeMap<PlayerId, BTreeSet<SeatNumber>> = BTreeMap::new();
        for telling in &self.tellings {
            seats
                .entry(telling.player)
                .or_default()
                .extend(telling.seat);
        }
        seats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats(told: &[(u64, Option<u32>)], ledger: &[(u32, u64)]) -> Seats {
        let telling = |(player, seat): &(u64, Option<u32>)| SeatTelling {
            player: PlayerId(*player),
            seat: seat.map(SeatNumber),
        };
        let booking = |(seat, player): &(u32, u64)| Booking {
            seat: SeatNumber(*seat),
            player: PlayerId(*player),
        };
        Seats {
            seats: 2,
            told: SeatsTold {
                takers: told.len() as u64,
                served: told.len() as u64,
                tellings: told.iter().map(telling).collect(),
            },
            ledger: ledger.iter().map(booking).collect(),
            counts: BTreeMap::from([(
                "matcher-1".to_owned(),
                (ledger.len() as u32, 2 - ledger.len() as u32),
            )]),
        }
    }

    fn broken(seats: &Seats) -> usize {
        let mut found = Vec::new();
        check(seats, &mut found);
        found.len()
    }

    #[test]
    fn an_event_that_was_sold_as_told_breaks_no_rule() {
        let all = [(1, Some(1)), (1, Some(1)), (2, Some(2)), (3, None)];
        assert_eq!(broken(&seats(&all, &[(1, 1), (2, 2)])), 0);
    }

    #[test]
    fn each_lie_is_found() {
        let whole = [(1, 1), (2, 2)];
        assert!(
            broken(&seats(&[(1, Some(1)), (3, Some(1))], &whole)) > 0,
            "sold twice"
        );
        assert!(
            broken(&seats(&[(1, Some(1)), (1, Some(2))], &whole)) > 0,
            "two seats"
        );
        assert!(
            broken(&seats(&[(1, Some(1))], &[])) > 0,
            "told and not booked"
        );
        assert!(
            broken(&seats(&[(3, None)], &[(1, 1)])) > 0,
            "not all are sold"
        );
        assert!(
            broken(&seats(&[], &[(3, 1)])) > 0,
            "a seat that there is not"
        );
        let mut counted = seats(&[(1, Some(1))], &[(1, 1)]);
        counted.counts.insert("matcher-2".to_owned(), (0, 2));
        assert_eq!(broken(&counted), 1, "a matcher does not know");
        let mut unserved = seats(&[], &[]);
        unserved.told.takers = 1;
        assert_eq!(broken(&unserved), 1, "somebody waits");
    }
}
