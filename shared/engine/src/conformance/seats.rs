//! The contract of [`SeatLedger`].

use protocol::id::{PlayerId, SeatNumber};

use crate::EngineError;
use crate::seats::{Booked, Booking, MAX_BOOKINGS, SeatLedger};

/// Runs every check over `ledger`, which is empty.
pub async fn all(ledger: &dyn SeatLedger) {
    a_booking_is_read_back(ledger).await;
    a_booking_that_is_repeated_changes_nothing(ledger).await;
    a_seat_is_sold_once(ledger).await;
    a_player_has_one_seat(ledger).await;
    the_second_booking_of_one_call_sees_the_first(ledger).await;
    of_many_at_once_each_seat_has_one_player_and_each_player_one_seat(ledger).await;
    bookings_come_in_order_and_in_pages(ledger).await;
    events_do_not_share_seats(ledger).await;
    too_many_at_once_are_refused(ledger).await;
}

async fn a_booking_is_read_back(ledger: &dyn SeatLedger) {
    assert_eq!(booked(ledger, "a", 0, 10).await, []);
    assert_eq!(book(ledger, "a", &[(3, 7)]).await, [yours(3)]);
    assert_eq!(booked(ledger, "a", 0, 10).await, [booking((3, 7))]);
    assert_eq!(
        seats_of(ledger, "a", &[8, 7]).await,
        [None, Some(SeatNumber(3))]
    );
}

async fn a_booking_that_is_repeated_changes_nothing(ledger: &dyn SeatLedger) {
    for _ in 0..3 {
        assert_eq!(book(ledger, "b", &[(1, 1)]).await, [yours(1)]);
    }
    assert_eq!(booked(ledger, "b", 0, 10).await, [booking((1, 1))]);
}

async fn a_seat_is_sold_once(ledger: &dyn SeatLedger) {
    assert_eq!(book(ledger, "c", &[(1, 1)]).await, [yours(1)]);
    let by = PlayerId(1);
    assert_eq!(book(ledger, "c", &[(1, 2)]).await, [Booked::Taken { by }]);
    assert_eq!(booked(ledger, "c", 0, 10).await, [booking((1, 1))]);
}

async fn a_player_has_one_seat(ledger: &dyn SeatLedger) {
    book(ledger, "d", &[(1, 1), (2, 2)]).await;
    // Also where somebody has the seat that is asked for.
    assert_eq!(book(ledger, "d", &[(3, 1), (2, 1)]).await, [yours(1); 2]);
    assert_eq!(booked(ledger, "d", 0, 10).await.len(), 2);
}

async fn the_second_booking_of_one_call_sees_the_first(ledger: &dyn SeatLedger) {
    let by = PlayerId(1);
    let outcome = book(ledger, "e", &[(1, 1), (1, 2), (2, 1)]).await;
    assert_eq!(outcome, [yours(1), Booked::Taken { by }, yours(1)]);
}

async fn of_many_at_once_each_seat_has_one_player_and_each_player_one_seat(
    ledger: &dyn SeatLedger,
) {
    let one: Vec<(u32, u64)> = (1..=50).map(|number| (number, u64::from(number))).collect();
    let other: Vec<(u32, u64)> = (1..=50).map(|n| (n, u64::from(n % 50) + 1)).collect();
    let (one, other) = tokio::join!(book(ledger, "f", &one), book(ledger, "f", &other));
    let all = booked(ledger, "f", 0, MAX_BOOKINGS).await;
    let mut players: Vec<PlayerId> = all.iter().map(|booking| booking.player).collect();
    players.sort_unstable();
    players.dedup();
    assert_eq!(players.len(), all.len(), "a player has one seat");
    let told = one.iter().chain(&other);
    let told = told.filter(|booked| matches!(booked, Booked::Yours(_)));
    assert!(told.count() >= all.len(), "who has a seat is told");
}

async fn bookings_come_in_order_and_in_pages(ledger: &dyn SeatLedger) {
    let numbers = [5, 1, 4, 2, 3];
    let wanted: Vec<(u32, u64)> = numbers.iter().map(|n| (*n, 100 + u64::from(*n))).collect();
    book(ledger, "g", &wanted).await;
    let seats = async |after, limit| {
        let page = booked(ledger, "g", after, limit).await;
        page.iter()
            .map(|booking| booking.seat.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(seats(0, 2).await, [1, 2]);
    assert_eq!(seats(2, 2).await, [3, 4]);
    assert_eq!(seats(4, usize::MAX).await, [5]);
    assert!(seats(5, 2).await.is_empty());
}

async fn events_do_not_share_seats(ledger: &dyn SeatLedger) {
    assert_eq!(book(ledger, "h", &[(1, 1)]).await, [yours(1)]);
    assert_eq!(book(ledger, "i", &[(1, 2)]).await, [yours(1)]);
    assert_eq!(seats_of(ledger, "i", &[1]).await, [None]);
}

async fn too_many_at_once_are_refused(ledger: &dyn SeatLedger) {
    let many: Vec<Booking> = (1..)
        .map(|number| booking((number, u64::from(number))))
        .take(MAX_BOOKINGS + 1)
        .collect();
    let refused = ledger.book("j", &many, 1).await;
    assert!(
        matches!(refused, Err(EngineError::TooLarge { .. })),
        "too many are refused: {refused:?}"
    );
    assert_eq!(booked(ledger, "j", 0, 10).await, []);
}

fn booking((seat, player): (u32, u64)) -> Booking {
    Booking {
        seat: SeatNumber(seat),
        player: PlayerId(player),
    }
}

fn yours(seat: u32) -> Booked {
    Booked::Yours(SeatNumber(seat))
}

async fn book(ledger: &dyn SeatLedger, event: &str, bookings: &[(u32, u64)]) -> Vec<Booked> {
    let bookings: Vec<Booking> = bookings.iter().copied().map(booking).collect();
    let booked = ledger.book(event, &bookings, 1_000).await;
    booked.expect("the ledger books")
}

async fn booked(ledger: &dyn SeatLedger, event: &str, after: u32, limit: usize) -> Vec<Booking> {
    let booked = ledger.booked(event, SeatNumber(after), limit).await;
    booked.expect("the ledger is read")
}

async fn seats_of(
    ledger: &dyn SeatLedger,
    event: &str,
    players: &[u64],
) -> Vec<Option<SeatNumber>> {
    let players: Vec<PlayerId> = players.iter().copied().map(PlayerId).collect();
    let seats = ledger.seats_of(event, &players).await;
    seats.expect("the ledger is read")
}
