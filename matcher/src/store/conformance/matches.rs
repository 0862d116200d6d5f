//! Matches that run.

use protocol::id::{MatchId, PlayerId, TicketId};

use super::{Checked, LONG, checks, record, ticket};
use crate::store::{Added, Ending, Removed, Restored, Spot, Standing};

checks![
    who_is_as_expected_is_no_news,
    a_match_takes_the_place_of_its_tickets,
    who_left_before_the_match_has_no_seat_in_it,
    a_claim_that_was_given_back_does_not_settle,
    a_match_that_is_over_frees_its_players,
    a_match_of_another_room_goes_on,
    a_room_that_ended_first_makes_no_match,
    who_leaves_for_good_is_free,
    a_match_that_was_lost_is_restored,
    a_match_that_is_restored_takes_its_own_tickets_only,
    what_ended_or_stands_is_not_restored,
];

async fn a_match_takes_the_place_of_its_tickets(store: Checked<'_>) {
    store.add_all([401, 402]).await;
    store.claim(&[(401, &[401, 402])]).await;
    let one = record(401, &[401, 402]);
    for _ in 0..2 {
        assert!(store.settle(&one).await, "asking twice is the same");
    }
    for player in [401, 402] {
        let standing = store.standing(player).await;
        assert!(matches!(standing, Standing::Match(found) if *found == one));
        assert_eq!(store.remove(player).await, Removed::Unknown);
    }
    let mut other = one.clone();
    other.room.0 += 1;
    assert!(!store.settle(&other).await, "a match has one room");
    let again = store.add(ticket(403, "race", &[401], 20)).await;
    assert!(matches!(again, Added::Kept(Standing::Match(_))));
    assert_eq!(
        store.add(ticket(401, "race", &[409], 20)).await,
        Added::Gone
    );
    store.give_back(401).await;
    assert!(store.waiting("race").await.is_empty());
    store.end(401, 401).await;
}

async fn who_is_as_expected_is_no_news(store: Checked<'_>) {
    let (waits, plays) = (Spot::Waiting(TicketId(9481)), Spot::Playing(MatchId(9481)));
    assert!(store.has_moved(9481, waits).await, "it is not there yet");
    store.add_all([9481]).await;
    assert!(!store.has_moved(9481, waits).await);
    assert!(store.has_moved(9481, Spot::Waiting(TicketId(9482))).await);
    assert!(store.has_moved(9481, plays).await);
    store.claim(&[(9481, &[9481])]).await;
    assert!(store.has_moved(9481, waits).await, "it is claimed");
    assert!(store.settle(&record(9481, &[9481])).await);
    assert!(store.has_moved(9481, waits).await);
    assert!(!store.has_moved(9481, plays).await);
    store.end(9481, 9481).await;
    assert!(store.has_moved(9481, plays).await);
}

async fn who_left_before_the_match_has_no_seat_in_it(store: Checked<'_>) {
    store.add_all([411, 412]).await;
    store.claim(&[(411, &[411, 412])]).await;
    store.remove(411).await;
    assert!(store.settle(&record(411, &[411, 412])).await);
    assert!(store.is_nowhere(411).await);
    assert_eq!(store.playing(412).await, Some(411));
    assert_eq!(
        store.add(ticket(413, "race", &[411], 20)).await,
        Added::Waiting
    );
    store.end(411, 411).await;
    store.remove_all([411]).await;
}

async fn a_claim_that_was_given_back_does_not_settle(store: Checked<'_>) {
    store.add_all([421, 422]).await;
    let one = record(421, &[421, 422]);
    assert!(!store.settle(&one).await, "there was no claim");
    store.claim(&[(421, &[421, 422])]).await;
    assert!(!store.settle(&record(421, &[421])).await, "not this claim");
    store.give_back(421).await;
    assert!(!store.settle(&one).await);
    store.claim(&[(422, &[421, 422])]).await;
    assert!(!store.settle(&one).await, "another match has them");
    assert_eq!(store.found(421).await, Some((421, Some(422))));
    store.give_back(422).await;
    store.remove_all([421, 422]).await;
}

async fn a_match_that_is_over_frees_its_players(store: Checked<'_>) {
    store.add_all([431, 432]).await;
    store.claim(&[(431, &[431, 432])]).await;
    store.settle(&record(431, &[431, 432])).await;
    for _ in 0..2 {
        store.end(431, 431).await;
        assert!(store.is_nowhere(431).await && store.is_nowhere(432).await);
    }
    let again = ticket(433, "duel", &[431], 20);
    assert_eq!(store.add(again).await, Added::Waiting);
    store.end(431, 431).await;
    assert_eq!(store.found(431).await, Some((433, None)));
    store.remove_all([431]).await;
}

async fn a_match_of_another_room_goes_on(store: Checked<'_>) {
    store.add_all([441]).await;
    store.claim(&[(441, &[441])]).await;
    store.settle(&record(441, &[441])).await;
    store.end(441, 449).await;
    assert_eq!(store.playing(441).await, Some(441));
    store.end(441, 441).await;
}

async fn a_room_that_ended_first_makes_no_match(store: Checked<'_>) {
    store.add_all([451]).await;
    store.claim(&[(451, &[451])]).await;
    store.end(451, 451).await;
    assert!(!store.settle(&record(451, &[451])).await);
    assert_eq!(store.found(451).await, Some((451, Some(451))));
    store.give_back(451).await;
    store.remove_all([451]).await;
}

async fn who_leaves_for_good_is_free(store: Checked<'_>) {
    store.add_all([461, 462]).await;
    store.claim(&[(461, &[461, 462])]).await;
    store.settle(&record(461, &[461, 462])).await;
    for match_id in [469, 461, 461] {
        let departed = store.0.depart(PlayerId(461), MatchId(match_id)).await;
        departed.expect("the store answers");
        let left = match_id == 461;
        assert_eq!(store.is_nowhere(461).await, left, "another match, or this");
    }
    assert_eq!(store.playing(462).await, Some(461));
    store.add(ticket(463, "race", &[461], 20)).await;
    store.end(461, 461).await;
    assert_eq!(store.found(461).await, Some((463, None)));
    store.remove_all([461]).await;
}

async fn restore(store: Checked<'_>, match_id: u64, tickets: &[u64]) -> Restored {
    let restored = store.0.restore(&record(match_id, tickets), LONG).await;
    restored.expect("the store answers")
}

async fn a_match_that_was_lost_is_restored(store: Checked<'_>) {
    assert_eq!(
        restore(store, 471, &[471, 472]).await,
        Restored::Restored,
        "an empty store"
    );
    let standing = store.standing(471).await;
    assert!(matches!(standing, Standing::Match(found) if *found == record(471, &[471, 472])));
    assert_eq!(store.playing(472).await, Some(471));
    store.end(471, 471).await;
}

async fn a_match_that_is_restored_takes_its_own_tickets_only(store: Checked<'_>) {
    store.add_all(481..=484).await;
    store.claim(&[(481, &[481]), (482, &[482])]).await;
    let restored = restore(store, 481, &[481, 482, 483]).await;
    assert_eq!(restored, Restored::Restored);
    assert_eq!(store.playing(481).await, Some(481), "it was claimed by it");
    assert_eq!(store.found(482).await, Some((482, Some(482))));
    assert_eq!(store.playing(483).await, Some(481), "it waited");
    assert_eq!(store.found(484).await, Some((484, None)));
    store.end(481, 481).await;
    store.give_back(482).await;
    store.remove_all([482, 484]).await;
}

async fn what_ended_or_stands_is_not_restored(store: Checked<'_>) {
    store.add_all([491, 492]).await;
    store.claim(&[(491, &[491, 492])]).await;
    store.settle(&record(491, &[491, 492])).await;
    let departed = store.0.depart(PlayerId(491), MatchId(491)).await;
    departed.expect("the store answers");
    assert_eq!(restore(store, 491, &[491, 492]).await, Restored::Stands);
    assert!(store.is_nowhere(491).await);
    store.end(491, 491).await;
    assert_eq!(
        restore(store, 491, &[491, 492]).await,
        Restored::Ended(Ending::Finished)
    );
    assert!(store.is_nowhere(492).await);
}
