//! The contract of [`SeatStore`], for every store there is or will be.
//!
//! Panics say what is broken. Time is tokio's for a store in memory and real for one on a server;
//! no check waits for more than a second or so of it.

use std::sync::Arc;
use std::time::Duration;

use engine::BoxFuture;
use protocol::id::{PlayerId, SeatNumber};
use protocol::time::Timestamp;
use tokio::time::{Instant, sleep, timeout};

use super::{MOST, Part, Rebuilt, Sale, SeatStore, Swept, Told};
use crate::seats::{Begun, Counts, Released, Reserved, Terms};

/// Longer than any check takes.
const LONG: Duration = Duration::from_secs(60);

/// A reservation whose end is waited for.
const SHORT: Duration = Duration::from_millis(150);

/// Longest that a check waits for something to happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// A year in which no test is run, in microseconds since 1970.
const LATER: Timestamp = Timestamp(4_000_000_000_000_000);

type Check = fn(Checked) -> BoxFuture<'static, ()>;

macro_rules! checks {
    ($($name:ident),+ $(,)?) => {
        [$((stringify!($name), (|checked| Box::pin($name(checked))) as Check)),+]
    };
}

/// Runs every check over `store`, which is empty.
pub async fn all(store: Arc<dyn SeatStore>) {
    let checks = checks![
        a_cold_event_sells_nothing_until_it_is_rebuilt,
        a_player_gets_the_lowest_seat_and_keeps_it,
        seats_are_given_between_opening_and_closing,
        a_full_event_says_when_a_seat_may_come_back,
        a_reservation_that_ends_goes_to_the_next,
        a_seat_that_is_given_back_goes_to_the_next,
        a_seat_in_writing_stays_until_the_ledger_has_spoken,
        what_the_ledger_does_not_have_is_free_again,
        what_the_ledger_has_counts_more_than_a_reservation,
        what_is_settled_while_cold_is_there_when_it_opens,
        a_rebuild_that_lacks_a_part_does_not_open,
        a_rebuild_over_an_open_event_sells_nothing_twice,
        every_change_has_a_greater_version_and_is_news,
        versions_go_on_from_what_was_seen,
        fewer_seats_take_none_away,
        many_at_once_get_a_seat_each_and_no_more_than_there_are,
    ];
    for (name, check) in checks {
        let checked = Checked {
            store: Arc::clone(&store),
            sale: sale(name, 3),
        };
        check(checked).await;
    }
}

/// An event for the checks, open now.
pub fn sale(name: &str, seats: u32) -> Sale {
    Sale {
        name: name[..name.len().min(32)].parse().expect("a good name"),
        terms: Terms {
            seats,
            opens_at: Timestamp(0),
            closes_at: LATER,
            hold: LONG,
        },
    }
}

async fn a_cold_event_sells_nothing_until_it_is_rebuilt(at: Checked) {
    let cold = at.store.reserve(&at.sale, &[P1]).await;
    assert_eq!(cold.expect("an answer"), Told::Cold);
    let cold = at.store.begin(&at.sale, &[P1], LONG).await;
    assert_eq!(cold.expect("an answer"), Told::Cold);
    let cold = at.store.release(&at.sale, &[P1]).await;
    assert_eq!(cold.expect("an answer"), Told::Cold);
    let cold = at.store.sweep(&at.sale, 0).await;
    assert_eq!(cold.expect("an answer"), Told::Cold);
    at.open(&[(P1, 2)]).await;
    assert_eq!(at.reserve(P1).await, Reserved::Confirmed(SeatNumber(2)));
    at.holds(P2, 1).await;
    at.holds(P3, 3).await;
    assert_eq!(at.counts().await.free(), 0);
}

async fn a_player_gets_the_lowest_seat_and_keeps_it(at: Checked) {
    at.open(&[]).await;
    at.holds(P1, 1).await;
    at.holds(P2, 2).await;
    at.holds(P1, 1).await;
    let twice = at.reserve_all(&[P3, P3]).await;
    assert!(twice.iter().all(|one| is_held(*one, 3)), "{twice:?}");
    let counts = at.counts().await;
    assert_eq!(
        (counts.reserved, counts.confirmed, counts.free()),
        (3, 0, 0)
    );
}

async fn seats_are_given_between_opening_and_closing(mut at: Checked) {
    at.open(&[]).await;
    at.sale.terms.opens_at = LATER;
    let early = at.reserve(P1).await;
    let year = Duration::from_secs(365 * 24 * 3600);
    assert!(
        matches!(early, Reserved::NotOpen(left) if left > year),
        "{early:?}"
    );
    at.sale.terms.opens_at = Timestamp(0);
    at.holds(P1, 1).await;
    at.sale.terms.closes_at = Timestamp(1_000_000);
    assert_eq!(at.reserve(P2).await, Reserved::Closed);
    at.holds(P1, 1).await;
    assert_eq!(at.begin(P1).await, Begun::Writing(SeatNumber(1)));
}

async fn a_full_event_says_when_a_seat_may_come_back(at: Checked) {
    at.open(&[(P1, 1)]).await;
    at.holds(P2, 2).await;
    at.holds(P3, 3).await;
    let full = at.reserve(P4).await;
    assert!(
        matches!(full, Reserved::Full(Some(left)) if left <= LONG),
        "{full:?}"
    );
    at.confirm(P2, 2).await;
    at.confirm(P3, 3).await;
    assert_eq!(at.reserve(P4).await, Reserved::Full(None), "sold out");
}

async fn a_reservation_that_ends_goes_to_the_next(mut at: Checked) {
    at.open(&[]).await;
    at.sale.terms.seats = 1;
    at.sale.terms.hold = SHORT;
    at.holds(P1, 1).await;
    at.sale.terms.hold = LONG;
    let until = Instant::now() + PATIENCE;
    while !is_held(at.reserve(P2).await, 1) {
        at.wait(until, "the seat is free").await;
    }
    assert_eq!(at.begin(P1).await, Begun::Lapsed, "too late, and told");
    assert!(matches!(at.reserve(P1).await, Reserved::Full(_)));
}

async fn a_seat_that_is_given_back_goes_to_the_next(at: Checked) {
    at.open(&[]).await;
    for (player, seat) in [(P1, 1), (P2, 2), (P3, 3)] {
        at.holds(player, seat).await;
    }
    assert_eq!(at.release(P2).await, Released::Released);
    assert_eq!(at.release(P2).await, Released::Nothing);
    at.holds(P4, 2).await;
    at.confirm(P4, 2).await;
    assert_eq!(at.release(P4).await, Released::Confirmed(SeatNumber(2)));
}

async fn a_seat_in_writing_stays_until_the_ledger_has_spoken(at: Checked) {
    at.open(&[]).await;
    at.holds(P1, 1).await;
    let begun = at.begin_within(P1, SHORT).await;
    assert_eq!(begun, Begun::Writing(SeatNumber(1)));
    assert_eq!(at.release(P1).await, Released::Writing(SeatNumber(1)));
    assert_eq!(at.reserve(P1).await, Reserved::Writing(SeatNumber(1)));
    let in_doubt = vec![(P1, SeatNumber(1))];
    let until = Instant::now() + PATIENCE;
    while at.sweep().await.doubtful != in_doubt {
        at.wait(until, "it is in doubt").await;
    }
    at.holds(P2, 2).await;
    at.settle(P1, 1).await;
    assert_eq!(at.sweep().await, Swept::default());
    assert_eq!(at.begin(P1).await, Begun::Confirmed(SeatNumber(1)));
}

async fn what_the_ledger_does_not_have_is_free_again(at: Checked) {
    at.open(&[]).await;
    at.holds(P1, 1).await;
    at.undo(P1, 1).await;
    at.holds(P1, 1).await;
    at.begin(P1).await;
    at.undo(P1, 2).await;
    assert_eq!(at.reserve(P1).await, Reserved::Writing(SeatNumber(1)));
    at.undo(P1, 1).await;
    at.holds(P2, 1).await;
    at.confirm(P2, 1).await;
    at.undo(P2, 1).await;
    assert_eq!(at.reserve(P2).await, Reserved::Confirmed(SeatNumber(1)));
}

async fn what_the_ledger_has_counts_more_than_a_reservation(at: Checked) {
    at.open(&[]).await;
    at.holds(P1, 1).await;
    at.holds(P2, 2).await;
    at.settle(P2, 1).await;
    assert_eq!(at.begin(P1).await, Begun::Lapsed);
    assert_eq!(at.reserve(P2).await, Reserved::Confirmed(SeatNumber(1)));
    at.holds(P1, 2).await;
    let counts = at.counts().await;
    assert_eq!((counts.reserved, counts.confirmed), (1, 1));
}

async fn what_is_settled_while_cold_is_there_when_it_opens(at: Checked) {
    at.settle(P1, 2).await;
    assert_eq!(at.rebuild(1, 0, true, &[(P2, 1)]).await, Rebuilt::Done);
    assert_eq!(at.reserve(P1).await, Reserved::Confirmed(SeatNumber(2)));
    at.holds(P3, 3).await;
}

async fn a_rebuild_that_lacks_a_part_does_not_open(at: Checked) {
    assert_eq!(at.rebuild(1, 0, false, &[(P1, 1)]).await, Rebuilt::Done);
    assert_eq!(at.rebuild(2, 1, true, &[(P2, 2)]).await, Rebuilt::Again);
    let cold = at.store.reserve(&at.sale, &[P1]).await;
    assert_eq!(cold.expect("an answer"), Told::Cold);
    for _ in 0..2 {
        assert_eq!(at.rebuild(1, 1, true, &[(P2, 2)]).await, Rebuilt::Done);
    }
    assert_eq!(at.reserve(P1).await, Reserved::Confirmed(SeatNumber(1)));
    assert_eq!(at.reserve(P2).await, Reserved::Confirmed(SeatNumber(2)));
}

async fn a_rebuild_over_an_open_event_sells_nothing_twice(at: Checked) {
    at.open(&[(P1, 1)]).await;
    at.holds(P2, 2).await;
    at.open(&[(P1, 1), (P3, 2)]).await;
    assert_eq!(at.reserve(P3).await, Reserved::Confirmed(SeatNumber(2)));
    assert_eq!(at.begin(P2).await, Begun::Lapsed);
    at.holds(P2, 3).await;
    assert!(matches!(at.reserve(P4).await, Reserved::Full(_)));
}

async fn every_change_has_a_greater_version_and_is_news(at: Checked) {
    let mut news = at.store.news();
    at.open(&[]).await;
    let mut version = at.counts().await.version;
    let mut changed = async |at: &Checked| {
        let counts = at.counts().await;
        assert!(counts.version > version, "{counts:?} after {version}");
        assert_eq!(at.counts().await, counts, "looking changes nothing");
        version = counts.version;
        counts
    };
    at.holds(P1, 1).await;
    changed(&at).await;
    at.confirm(P1, 1).await;
    changed(&at).await;
    at.holds(P2, 2).await;
    changed(&at).await;
    at.release(P2).await;
    let last = changed(&at).await;
    let heard = timeout(PATIENCE, async {
        loop {
            let news = news.recv().await.expect("fewer than would be lost");
            if news.event == at.sale.name && news.counts == last {
                return;
            }
        }
    });
    heard.await.expect("every change is news");
}

async fn versions_go_on_from_what_was_seen(at: Checked) {
    at.open(&[]).await;
    let ahead = at.counts().await.version + 1_000_000_000_000;
    let told = at.store.sweep(&at.sale, ahead).await.expect("an answer");
    assert!(
        matches!(told, Told::Known(_, counts) if counts.version > ahead),
        "{told:?}"
    );
    let before = at.counts().await.version;
    at.holds(P1, 1).await;
    assert!(at.counts().await.version > before);
}

async fn fewer_seats_take_none_away(mut at: Checked) {
    at.open(&[(P1, 1)]).await;
    at.holds(P2, 2).await;
    at.sale.terms.seats = 1;
    at.confirm(P2, 2).await;
    assert_eq!(at.reserve(P3).await, Reserved::Full(None));
    assert_eq!(at.counts().await.free(), 0);
    at.sale.terms.seats = 3;
    at.holds(P3, 3).await;
}

async fn many_at_once_get_a_seat_each_and_no_more_than_there_are(mut at: Checked) {
    at.sale.terms.seats = 20;
    at.open(&[]).await;
    let takers = (0..20_u64).map(|group| {
        let (store, sale) = (Arc::clone(&at.store), at.sale.clone());
        tokio::spawn(async move {
            let players: Vec<PlayerId> = (0..MOST as u64)
                .map(|n| PlayerId(group * 300 + n))
                .collect();
            let told = store.reserve(&sale, &players).await.expect("an answer");
            let Told::Known(outcomes, _) = told else {
                panic!("it is open");
            };
            let held = players
                .into_iter()
                .zip(outcomes)
                .filter_map(|(player, outcome)| {
                    let Reserved::Held(seat, _) = outcome else {
                        return None;
                    };
                    Some((seat, player))
                });
            held.collect::<Vec<_>>()
        })
    });
    let mut held = Vec::new();
    for taker in takers.collect::<Vec<_>>() {
        held.extend(taker.await.expect("no panic"));
    }
    held.sort_unstable();
    held.dedup();
    let seats: Vec<u32> = held.iter().map(|(seat, _)| seat.0).collect();
    assert_eq!(seats, (1..=20).collect::<Vec<_>>());
    assert_eq!(at.counts().await.reserved, 20);
}

const P1: PlayerId = PlayerId(1);
const P2: PlayerId = PlayerId(2);
const P3: PlayerId = PlayerId(3);
const P4: PlayerId = PlayerId(4);

fn is_held(outcome: Reserved, seat: u32) -> bool {
    matches!(outcome, Reserved::Held(number, _) if number.0 == seat)
}

/// A store, and an event that is this check's own.
struct Checked {
    store: Arc<dyn SeatStore>,
    sale: Sale,
}

impl Checked {
    async fn open(&self, seats: &[(PlayerId, u32)]) {
        let token = rand::random();
        assert_eq!(self.rebuild(token, 0, true, seats).await, Rebuilt::Done);
    }

    async fn rebuild(
        &self,
        token: u64,
        index: u32,
        is_last: bool,
        seats: &[(PlayerId, u32)],
    ) -> Rebuilt {
        let part = Part {
            token,
            index,
            is_last,
            seats: seats
                .iter()
                .map(|(p, seat)| (*p, SeatNumber(*seat)))
                .collect(),
        };
        let rebuilt = self.store.rebuild(&self.sale, &part).await;
        rebuilt.expect("the store rebuilds")
    }

    async fn reserve_all(&self, players: &[PlayerId]) -> Vec<Reserved> {
        known(self.store.reserve(&self.sale, players).await).0
    }

    async fn reserve(&self, player: PlayerId) -> Reserved {
        self.reserve_all(&[player]).await[0]
    }

    async fn holds(&self, player: PlayerId, seat: u32) {
        let outcome = self.reserve(player).await;
        assert!(is_held(outcome, seat), "{outcome:?}, not seat {seat}");
    }

    async fn begin_within(&self, player: PlayerId, within: Duration) -> Begun {
        known(self.store.begin(&self.sale, &[player], within).await).0[0]
    }

    async fn begin(&self, player: PlayerId) -> Begun {
        self.begin_within(player, LONG).await
    }

    async fn settle(&self, player: PlayerId, seat: u32) {
        let seats = [(player, SeatNumber(seat))];
        let settled = self.store.settle(&self.sale, &seats);
        settled.await.expect("the store settles");
    }

    async fn undo(&self, player: PlayerId, seat: u32) {
        let seats = [(player, SeatNumber(seat))];
        let undone = self.store.undo(&self.sale, &seats);
        undone.await.expect("the store frees seats");
    }

    async fn confirm(&self, player: PlayerId, seat: u32) {
        assert_eq!(self.begin(player).await, Begun::Writing(SeatNumber(seat)));
        self.settle(player, seat).await;
    }

    async fn release(&self, player: PlayerId) -> Released {
        known(self.store.release(&self.sale, &[player]).await).0[0]
    }

    async fn sweep(&self) -> Swept {
        known(self.store.sweep(&self.sale, 0).await).0
    }

    async fn counts(&self) -> Counts {
        known(self.store.sweep(&self.sale, 0).await).1
    }

    /// Lets a moment go by, unless it has lasted too long already.
    async fn wait(&self, until: Instant, what: &str) {
        assert!(Instant::now() < until, "not in time: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

fn known<T>(told: Result<Told<T>, engine::EngineError>) -> (T, Counts) {
    match told.expect("the store answers") {
        Told::Known(value, counts) => (value, counts),
        Told::Cold => panic!("the event is open"),
    }
}
