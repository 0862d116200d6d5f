//! What ends by itself when nobody takes care of it.

use std::time::Duration;

use protocol::id::{MatchId, PlayerId};
use tokio::time::Instant;

use super::{Checked, LONG, PATIENCE, checks, gather, incarnation, record, sighting, ticket};
use crate::store::{Asked, Removed, Sighting, Standing, TicketStore};

/// Short, yet longer than some calls take.
const SHORT: Duration = Duration::from_millis(300);

checks![
    claims_that_run_out_are_given_back,
    claims_that_are_renewed_are_kept,
    who_is_not_seen_loses_the_place,
    who_is_seen_keeps_the_place,
    a_member_who_is_not_seen_breaks_the_party_up,
    a_claimed_ticket_waits_for_its_match_even_unseen,
    matches_end_with_their_lifetime,
];

fn short_sighting() -> Sighting {
    Sighting {
        grace: SHORT,
        ..sighting("matcher-1")
    }
}

async fn see(store: &dyn TicketStore, player: u64, sighting: &Sighting) {
    let asked = Asked {
        player: PlayerId(player),
        is_here: true,
    };
    let standing = store.standing(&[asked], sighting).await;
    standing.expect("the store answers");
}

async fn claims_that_run_out_are_given_back(store: Checked<'_>) {
    store.add_all([501, 502, 503]).await;
    store.claim_for(&[(501, &[501, 502])], SHORT).await;
    store.claim(&[(502, &[503])]).await;
    let given_back = || async move { store.waiting("race").await == [501, 502] };
    store.sweep_until("the end of a claim", given_back).await;
    assert!(!store.settle(&record(501, &[501, 502])).await);
    assert_eq!(store.found(503).await, Some((503, Some(502))));
    store.give_back(502).await;
    store.remove_all([501, 502, 503]).await;
}

async fn claims_that_are_renewed_are_kept(store: Checked<'_>) {
    store.add_all([511, 512]).await;
    store.claim_for(&[(511, &[511])], SHORT).await;
    store.claim_for(&[(512, &[512])], SHORT).await;
    let renewed = store.0.renew(&[MatchId(511), MatchId(519)], LONG).await;
    renewed.expect("the store answers");
    let given_back = || async move { store.waiting("race").await == [512] };
    store.sweep_until("the end of a claim", given_back).await;
    assert!(store.settle(&record(511, &[511])).await);
    store.end(511, 511).await;
    store.remove_all([512]).await;
}

async fn who_is_not_seen_loses_the_place(store: Checked<'_>) {
    let one = ticket(521, "race", &[521], 10);
    store.add_for(one, &short_sighting()).await;
    store.gather(&gather("kkkk", 2, 522)).await;
    see(store.0, 522, &short_sighting()).await;
    let gone = || async move { store.is_nowhere(521).await && store.is_nowhere(522).await };
    store.sweep_until("the end of a sighting", gone).await;
    assert!(store.waiting("race").await.is_empty());
}

async fn who_is_seen_keeps_the_place(store: Checked<'_>) {
    for player in [531, 532] {
        let one = ticket(player, "race", &[player], 10);
        store.add_for(one, &short_sighting()).await;
    }
    store.look(531, true, "matcher-2").await;
    let gone = || async move { store.is_nowhere(532).await };
    store.sweep_until("the end of a sighting", gone).await;
    assert_eq!(store.found(531).await, Some((531, None)));
    see(store.0, 531, &short_sighting()).await;
    let second = incarnation("matcher-2");
    let since = Instant::now();
    loop {
        let removed = store.0.remove(PlayerId(531), Some(&second)).await;
        match removed.expect("the store answers") {
            Removed::Kept => assert!(since.elapsed() < PATIENCE, "kept for ever"),
            removed => break assert_eq!(removed, Removed::Gone, "unseen, anyone may"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn a_member_who_is_not_seen_breaks_the_party_up(store: Checked<'_>) {
    for player in [541, 542] {
        store.gather(&gather("llll", 2, player)).await;
    }
    see(store.0, 541, &short_sighting()).await;
    let gone = || async move { store.is_nowhere(541).await };
    store.sweep_until("the end of a sighting", gone).await;
    assert!(matches!(store.standing(542).await, Standing::Gathering(at) if at.present == 1));
    store.remove_all([542]).await;
}

async fn a_claimed_ticket_waits_for_its_match_even_unseen(store: Checked<'_>) {
    for player in [551, 552] {
        let one = ticket(player, "race", &[player], 10);
        store.add_for(one, &short_sighting()).await;
    }
    store.claim(&[(551, &[551])]).await;
    let gone = || async move { store.is_nowhere(552).await };
    store.sweep_until("the end of a sighting", gone).await;
    assert!(store.settle(&record(551, &[551])).await);
    assert_eq!(store.playing(551).await, Some(551));
    store.end(551, 551).await;
}

async fn matches_end_with_their_lifetime(store: Checked<'_>) {
    store.add_all([561]).await;
    store.claim(&[(561, &[561])]).await;
    assert!(store.settle_for(&record(561, &[561]), SHORT).await);
    let over = || async move { store.is_nowhere(561).await };
    store.sweep_until("the end of a match", over).await;
    store.add(ticket(562, "race", &[561], 10)).await;
    assert_eq!(store.found(561).await, Some((562, None)));
    store.remove_all([561]).await;
}
