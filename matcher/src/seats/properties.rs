//! What holds of a book whatever is done to it.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const HOLD: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
enum Step {
    Reserve(u64),
    Begin(u64),
    /// Settles the seat that the player is writing.
    Written(u64),
    /// Settles any seat, as a ledger does that knows what the book has lost.
    Settle(u64, u32),
    Undo(u64),
    Release(u64),
    Wait(u64),
    Seats(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let player = 0..12_u64;
    let step = prop_oneof![
        8 => player.clone().prop_map(Step::Reserve),
        4 => player.clone().prop_map(Step::Begin),
        4 => player.clone().prop_map(Step::Written),
        1 => (player.clone(), 1..8_u32).prop_map(|(player, seat)| Step::Settle(player, seat)),
        1 => player.clone().prop_map(Step::Undo),
        2 => player.prop_map(Step::Release),
        3 => (0..4_000_000_u64).prop_map(Step::Wait),
        1 => (1..7_u32).prop_map(Step::Seats),
    ];
    proptest::collection::vec(step, 0..200)
}

struct World {
    book: Book,
    /// What a real ledger would hold: a number once, a player once.
    ledger: BTreeMap<SeatNumber, PlayerId>,
    terms: Terms,
    now: Timestamp,
}

impl World {
    fn new(seats: u32) -> Self {
        Self {
            book: Book::default(),
            ledger: BTreeMap::new(),
            now: Timestamp(1_000_000),
            terms: Terms {
                seats,
                opens_at: Timestamp(0),
                closes_at: Timestamp(u64::MAX),
                hold: HOLD,
            },
        }
    }

    /// Whether the ledger takes it, or has it.
    fn write(&mut self, player: PlayerId, seat: SeatNumber) -> bool {
        let of_player = self.ledger.iter().find(|(_, holder)| **holder == player);
        match (self.ledger.get(&seat), of_player) {
            (None, None) => self.ledger.insert(seat, player).is_none(),
            (Some(holder), _) => *holder == player,
            (None, Some(_)) => false,
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let (terms, now) = (self.terms, self.now);
        match *step {
            Step::Reserve(player) => {
                let before = self.book.clone();
                let free_before = {
                    let mut before = before;
                    before.lapse(now);
                    before.counts(terms.seats, 0).free()
                };
                match self.book.reserve(PlayerId(player), &terms, now) {
                    Reserved::Full(_) => prop_assert_eq!(free_before, 0),
                    Reserved::Held(_, left) => prop_assert!(left <= HOLD && !left.is_zero()),
                    Reserved::Confirmed(seat) => {
                        prop_assert_eq!(self.ledger.get(&seat), Some(&PlayerId(player)));
                    }
                    Reserved::Writing(_) => {}
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            Step::Begin(player) => {
                self.book.begin(PlayerId(player), now + HOLD, now);
            }
            Step::Written(player) => {
                let player = PlayerId(player);
                if let Begun::Writing(seat) = self.book.begin(player, now + HOLD, now) {
                    if self.write(player, seat) {
                        self.book.settle(player, seat, now);
                    } else {
                        self.book.undo(player, seat, now);
                    }
                }
            }
            Step::Settle(player, seat) => {
                if self.write(PlayerId(player), SeatNumber(seat)) {
                    self.book.settle(PlayerId(player), SeatNumber(seat), now);
                }
            }
            Step::Undo(player) => {
                for (doubted, seat) in self.book.doubtful(now, 100) {
                    if doubted == PlayerId(player) && self.ledger.get(&seat) != Some(&doubted) {
                        self.book.undo(doubted, seat, now);
                    }
                }
            }
            Step::Release(player) => {
                self.book.release(PlayerId(player), now);
            }
            Step::Wait(micros) => self.now = now + Duration::from_micros(micros),
            Step::Seats(seats) => self.terms.seats = seats,
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        let Book {
            holders,
            players,
            free,
            next,
            confirmed,
            ..
        } = &self.book;
        let back: BTreeMap<SeatNumber, PlayerId> = holders
            .iter()
            .map(|(player, at)| (at.seat, *player))
            .collect();
        prop_assert_eq!(&back, players, "a seat has one player, a player one seat");
        let known: BTreeSet<SeatNumber> = players.keys().chain(free).copied().collect();
        let all: BTreeSet<SeatNumber> = (1..=*next).map(SeatNumber).collect();
        prop_assert_eq!(&known, &all, "every number is with a player or free");
        prop_assert_eq!(players.len() + free.len(), all.len(), "and not both");
        let kept = holders
            .iter()
            .filter(|(_, at)| at.state == State::Confirmed);
        let kept: BTreeMap<SeatNumber, PlayerId> =
            kept.map(|(player, at)| (at.seat, *player)).collect();
        prop_assert_eq!(kept.len() as u32, *confirmed);
        prop_assert_eq!(
            kept,
            self.ledger.clone(),
            "what the ledger has, and no more"
        );
        Ok(())
    }
}

proptest! {
    #[test]
    fn no_seat_is_sold_twice_and_none_is_lost(seats in 1..7_u32, steps in steps()) {
        let mut world = World::new(seats);
        let mut version = 0;
        for step in &steps {
            let before = world.book.counts(world.terms.seats, 0);
            world.step(step)?;
            world.check()?;
            let after = world.book.counts(world.terms.seats, 0);
            prop_assert!(after.version >= version);
            if (after.reserved, after.confirmed) != (before.reserved, before.confirmed) {
                prop_assert!(after.version > before.version, "a change has a version of its own");
            }
            version = after.version;
        }
    }

    #[test]
    fn no_more_are_taken_than_there_are(seats in 1..7_u32, steps in steps()) {
        let mut world = World::new(seats);
        for step in &steps {
            // Seats come from reservations alone here, and their number stays.
            if matches!(step, Step::Settle(..) | Step::Seats(_)) {
                continue;
            }
            world.step(step)?;
            let counts = world.book.counts(seats, 0);
            prop_assert!(counts.reserved + counts.confirmed <= seats);
            prop_assert!(world.ledger.keys().all(|seat| seat.0 <= seats));
        }
    }
}

fn terms() -> Terms {
    World::new(1).terms
}

fn at(seconds: u64) -> Timestamp {
    Timestamp(1_000_000) + Duration::from_secs(seconds)
}

const A: PlayerId = PlayerId(1);
const B: PlayerId = PlayerId(2);
const ONE: SeatNumber = SeatNumber(1);

#[test]
fn a_seat_that_is_not_confirmed_in_time_goes_to_the_next_and_its_first_holder_is_refused() {
    let mut book = Book::default();
    assert_eq!(book.reserve(A, &terms(), at(0)), Reserved::Held(ONE, HOLD));
    let left = Duration::from_secs(3);
    assert_eq!(book.reserve(A, &terms(), at(2)), Reserved::Held(ONE, left));
    assert_eq!(book.reserve(B, &terms(), at(2)), Reserved::Full(Some(left)));
    assert_eq!(book.reserve(B, &terms(), at(5)), Reserved::Held(ONE, HOLD));
    assert_eq!(book.begin(A, at(10), at(5)), Begun::Lapsed);
}

#[test]
fn a_seat_in_writing_is_nobody_elses_until_the_ledger_has_spoken() {
    let mut book = Book::default();
    book.reserve(A, &terms(), at(0));
    assert_eq!(book.begin(A, at(10), at(4)), Begun::Writing(ONE));
    let full = Reserved::Full(Some(WRITING_RETRY));
    assert_eq!(book.reserve(B, &terms(), at(20)), full);
    assert_eq!(book.release(A, at(20)), Released::Writing(ONE));
    assert_eq!(book.doubtful(at(9), 9), []);
    assert_eq!(book.doubtful(at(10), 9), [(A, ONE)]);
    let mut written = book.clone();
    written.settle(A, ONE, at(20));
    assert_eq!(written.begin(A, at(30), at(20)), Begun::Confirmed(ONE));
    assert_eq!(written.release(A, at(20)), Released::Confirmed(ONE));
    assert_eq!(written.reserve(B, &terms(), at(20)), Reserved::Full(None));
    book.undo(A, ONE, at(20));
    assert_eq!(book.reserve(B, &terms(), at(20)), Reserved::Held(ONE, HOLD));
}

#[test]
fn seats_are_given_between_opening_and_closing() {
    let mut book = Book::default();
    let terms = Terms {
        opens_at: at(10),
        closes_at: at(12),
        ..terms()
    };
    let left = Duration::from_secs(3);
    assert_eq!(book.reserve(A, &terms, at(7)), Reserved::NotOpen(left));
    assert_eq!(book.reserve(A, &terms, at(11)), Reserved::Held(ONE, HOLD));
    assert_eq!(book.reserve(B, &terms, at(12)), Reserved::Closed);
    assert_eq!(
        book.begin(A, at(20), at(13)),
        Begun::Writing(ONE),
        "in time"
    );
}

#[test]
fn what_the_ledger_says_counts_more_than_a_reservation() {
    let mut book = Book::default();
    book.reserve(A, &terms(), at(0));
    book.settle(B, ONE, at(1));
    assert_eq!(book.begin(A, at(5), at(1)), Begun::Lapsed);
    assert_eq!(book.reserve(B, &terms(), at(1)), Reserved::Confirmed(ONE));
}

#[test]
fn versions_go_on_from_what_was_seen_of_a_book_that_is_lost() {
    let mut book = Book::default();
    assert_eq!(book.counts(1, 5_000_000).version, 5_000_001);
    assert_eq!(book.counts(1, 5_000_000).version, 5_000_001);
    book.reserve(A, &terms(), at(0));
    assert!(book.counts(1, 0).version > 5_000_001, "ahead of the clock");
}
