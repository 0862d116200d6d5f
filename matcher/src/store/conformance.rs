//! The contract of [`TicketStore`], for every store there is or will be.
//!
//! Each check leaves the store empty. Panics say what is broken.

use std::collections::BTreeMap;

use engine::BoxFuture;
use protocol::id::{MatchId, PlayerId, TicketId};
use protocol::time::Timestamp;

use super::{Added, Removed, TicketStore, Wanted};
use crate::config::ModeName;
use crate::ticket::{Member, Ticket};

/// Runs every check over `store`, which is empty and holds at least a hundred tickets.
pub async fn all(store: &dyn TicketStore) {
    type Check = for<'a> fn(&'a dyn TicketStore) -> BoxFuture<'a, ()>;
    let checks: [Check; 9] = [
        |store| Box::pin(tickets_wait_by_age_in_their_own_queue(store)),
        |store| Box::pin(a_player_who_joins_again_keeps_the_place(store)),
        |store| Box::pin(a_party_is_kept_out_by_any_of_its_members(store)),
        |store| Box::pin(a_ticket_is_removed_once(store)),
        |store| Box::pin(a_match_gets_all_its_tickets_or_none(store)),
        |store| Box::pin(of_two_matches_one_gets_a_ticket(store)),
        |store| Box::pin(a_claimed_ticket_cannot_be_removed(store)),
        |store| Box::pin(tickets_come_back_with_their_age(store)),
        |store| Box::pin(a_settled_match_has_no_tickets(store)),
    ];
    for check in checks {
        check(store).await;
        for mode in ["race", "duel"] {
            let left = waiting(store, mode).await;
            assert!(left.is_empty(), "a check left tickets behind: {left:?}");
        }
    }
}

/// A ticket for the checks.
pub fn ticket(id: u64, mode: &str, players: &[u64], enqueued_at: u64) -> Ticket {
    let member = |player: &u64| Member {
        player: PlayerId(*player),
        name: format!("player {player}"),
        rating: 1500,
        bot: false,
    };
    Ticket {
        id: TicketId(id),
        mode: self::mode(mode),
        members: players.iter().map(member).collect(),
        regions: BTreeMap::new(),
        enqueued_at: Timestamp(enqueued_at),
    }
}

async fn tickets_wait_by_age_in_their_own_queue(store: &dyn TicketStore) {
    for one in [
        ticket(1, "race", &[1], 30),
        ticket(2, "race", &[2], 10),
        ticket(3, "duel", &[3], 20),
        ticket(4, "race", &[4], 10),
    ] {
        assert_eq!(add(store, one).await, Added::Waiting);
    }
    assert_eq!(
        waiting(store, "race").await,
        [2, 4, 1],
        "by age, then by id"
    );
    assert_eq!(waiting(store, "duel").await, [3]);
    clear(store, &[1, 2, 3, 4]).await;
}

async fn a_player_who_joins_again_keeps_the_place(store: &dyn TicketStore) {
    let first = ticket(1, "race", &[1], 10);
    add(store, first.clone()).await;
    for again in [ticket(2, "race", &[1], 20), ticket(3, "duel", &[1], 20)] {
        let Added::Kept(found) = add(store, again).await else {
            panic!("a player got a second ticket");
        };
        assert_eq!((&*found.ticket, found.claimed_by), (&first, None));
    }
    assert_eq!(waiting(store, "race").await, [1]);
    assert!(waiting(store, "duel").await.is_empty());
    clear(store, &[1]).await;
    assert_eq!(
        add(store, ticket(2, "duel", &[1], 20)).await,
        Added::Waiting
    );
    clear(store, &[2]).await;
}

async fn a_party_is_kept_out_by_any_of_its_members(store: &dyn TicketStore) {
    add(store, ticket(1, "race", &[2], 10)).await;
    let party = add(store, ticket(2, "race", &[1, 2], 20)).await;
    assert!(matches!(party, Added::Kept(found) if found.ticket.id == TicketId(1)));
    assert!(find(store, 1).await.is_none(), "half a party was added");
    clear(store, &[1]).await;
}

async fn a_ticket_is_removed_once(store: &dyn TicketStore) {
    add(store, ticket(1, "race", &[1, 2], 10)).await;
    assert_eq!(remove(store, 1).await, Removed::Gone);
    assert_eq!(remove(store, 1).await, Removed::Unknown);
    assert!(find(store, 1).await.is_none() && find(store, 2).await.is_none());
}

async fn a_match_gets_all_its_tickets_or_none(store: &dyn TicketStore) {
    for id in 1..=4 {
        add(store, ticket(id, "race", &[id], id)).await;
    }
    let granted = claim(
        store,
        &[(71, &[1, 9]), (72, &[2, 3]), (73, &[4, 4]), (74, &[4])],
    )
    .await;
    assert_eq!(granted, [false, true, false, true]);
    assert_eq!(waiting(store, "race").await, [1]);
    assert_eq!(find(store, 3).await, Some((3, Some(72))));
    assert_eq!(find(store, 1).await, Some((1, None)));
    settle(store, 72).await;
    settle(store, 74).await;
    clear(store, &[1]).await;
}

async fn of_two_matches_one_gets_a_ticket(store: &dyn TicketStore) {
    for id in 1..=3 {
        add(store, ticket(id, "race", &[id], id)).await;
    }
    let granted = claim(store, &[(71, &[1, 2]), (72, &[2, 3])]).await;
    assert_eq!(granted, [true, false]);
    assert_eq!(claim(store, &[(73, &[1])]).await, [false]);
    assert_eq!(
        claim(store, &[(71, &[1, 2])]).await,
        [true],
        "asking twice gives the same answer"
    );
    settle(store, 71).await;
    clear(store, &[3]).await;
}

async fn a_claimed_ticket_cannot_be_removed(store: &dyn TicketStore) {
    add(store, ticket(1, "race", &[1], 10)).await;
    claim(store, &[(71, &[1])]).await;
    assert_eq!(remove(store, 1).await, Removed::Claimed(MatchId(71)));
    let again = add(store, ticket(2, "race", &[1], 20)).await;
    assert!(matches!(again, Added::Kept(found) if found.claimed_by == Some(MatchId(71))));
    settle(store, 71).await;
}

async fn tickets_come_back_with_their_age(store: &dyn TicketStore) {
    for id in 1..=3 {
        add(store, ticket(id, "race", &[id], id)).await;
    }
    claim(store, &[(71, &[1, 3])]).await;
    let back = store
        .give_back(MatchId(71))
        .await
        .expect("the store answers");
    assert_eq!(
        back.iter().map(|ticket| ticket.id.0).collect::<Vec<_>>(),
        [1, 3]
    );
    assert_eq!(waiting(store, "race").await, [1, 2, 3]);
    let again = store
        .give_back(MatchId(71))
        .await
        .expect("the store answers");
    assert!(again.is_empty(), "given back twice");
    assert_eq!(
        claim(store, &[(72, &[1, 2, 3])]).await,
        [true],
        "what came back can be claimed"
    );
    settle(store, 71).await;
    assert_eq!(
        find(store, 1).await,
        Some((1, Some(72))),
        "an old match settled a new one's ticket"
    );
    settle(store, 72).await;
}

async fn a_settled_match_has_no_tickets(store: &dyn TicketStore) {
    add(store, ticket(1, "race", &[1, 2], 10)).await;
    claim(store, &[(71, &[1])]).await;
    settle(store, 71).await;
    assert!(find(store, 1).await.is_none() && find(store, 2).await.is_none());
    assert_eq!(remove(store, 1).await, Removed::Unknown);
    let back = store
        .give_back(MatchId(71))
        .await
        .expect("the store answers");
    assert!(back.is_empty(), "a settled match gave tickets back");
    assert_eq!(
        add(store, ticket(2, "race", &[2], 20)).await,
        Added::Waiting
    );
    clear(store, &[2]).await;
}

fn mode(name: &str) -> ModeName {
    name.parse().expect("a good name")
}

async fn add(store: &dyn TicketStore, ticket: Ticket) -> Added {
    store.add(ticket).await.expect("the store answers")
}

async fn remove(store: &dyn TicketStore, ticket: u64) -> Removed {
    let removed = store.remove(TicketId(ticket)).await;
    removed.expect("the store answers")
}

async fn clear(store: &dyn TicketStore, tickets: &[u64]) {
    for ticket in tickets {
        assert_eq!(remove(store, *ticket).await, Removed::Gone);
    }
}

async fn waiting(store: &dyn TicketStore, name: &str) -> Vec<u64> {
    let mode = mode(name);
    let waiting = store.waiting(&mode).await.expect("the store answers");
    waiting.iter().map(|ticket| ticket.id.0).collect()
}

async fn claim(store: &dyn TicketStore, wanted: &[(u64, &[u64])]) -> Vec<bool> {
    let wanted: Vec<Wanted> = wanted
        .iter()
        .map(|(match_id, tickets)| Wanted {
            match_id: MatchId(*match_id),
            tickets: tickets.iter().copied().map(TicketId).collect(),
        })
        .collect();
    store.claim(&wanted).await.expect("the store answers")
}

async fn settle(store: &dyn TicketStore, match_id: u64) {
    let settled = store.settle(MatchId(match_id)).await;
    settled.expect("the store answers");
}

async fn find(store: &dyn TicketStore, player: u64) -> Option<(u64, Option<u64>)> {
    let found = store.find(PlayerId(player)).await;
    let found = found.expect("the store answers")?;
    Some((
        found.ticket.id.0,
        found.claimed_by.map(|match_id| match_id.0),
    ))
}
