//! Tickets and claims.

use protocol::id::MatchId;

use super::{Checked, checks, incarnation, ticket};
use crate::store::{Added, Found, Removed, Standing};

checks![
    tickets_wait_by_age_in_their_own_queue,
    tickets_come_out_as_they_went_in,
    a_player_who_joins_again_keeps_the_place,
    a_ticket_is_kept_out_by_any_of_its_members,
    a_ticket_is_removed_once,
    a_ticket_that_is_gone_is_not_brought_back,
    a_place_is_kept_for_the_matcher_that_saw_the_player_last,
    a_match_gets_all_its_tickets_or_none,
    of_two_matches_one_gets_a_ticket,
    a_claimed_ticket_cannot_be_removed,
    tickets_come_back_with_their_age,
    who_left_a_claimed_ticket_does_not_come_back,
];

async fn tickets_wait_by_age_in_their_own_queue(store: Checked<'_>) {
    for one in [
        ticket(101, "race", &[1], 30),
        ticket(102, "race", &[2], 10),
        ticket(103, "duel", &[3], 20),
        ticket(104, "race", &[4], 10),
    ] {
        assert_eq!(store.add(one).await, Added::Waiting);
    }
    assert_eq!(
        store.waiting("race").await,
        [102, 104, 101],
        "by age, then by id"
    );
    assert_eq!(store.waiting("duel").await, [103]);
    store.remove_all([1, 2, 3, 4]).await;
}

async fn tickets_come_out_as_they_went_in(store: Checked<'_>) {
    let mut one = ticket(u64::MAX, "race", &[u64::MAX, 7], 1_764_000_000_123_456);
    one.regions = super::regions(&[("east", 20), ("west", 90)]);
    one.members[0].name = "\"Zoë\" \\ {}\u{1f3ce}".to_owned();
    one.members[1].rating = -3;
    one.members[1].bot = true;
    one.members[0].deviation = 350;
    one.members[0].roles = super::roles(&["tank", "healer"]);
    one.version = Some("1.2.0-rc1+7".parse().expect("a good version"));
    one.attributes = super::attributes(&[("input", "pad"), ("chat", "on")]);
    store.add(one.clone()).await;
    let waiting = super::waiting(store.0, &one.mode).await;
    assert_eq!(waiting.iter().map(|one| &**one).collect::<Vec<_>>(), [&one]);
    let standing = store.standing(7).await;
    assert!(matches!(standing, Standing::Ticket(found) if *found.ticket == one));
    store.remove_all([7]).await;
}

async fn a_player_who_joins_again_keeps_the_place(store: Checked<'_>) {
    let first = ticket(111, "race", &[1], 10);
    store.add(first.clone()).await;
    let again = [
        first.clone(),
        ticket(112, "race", &[1], 20),
        ticket(113, "duel", &[1], 20),
    ];
    for again in again {
        let Added::Kept(Standing::Ticket(found)) = store.add(again).await else {
            panic!("a player got a second ticket");
        };
        assert_eq!((&*found.ticket, found.claimed_by), (&first, None));
    }
    assert_eq!(store.waiting("race").await, [111]);
    assert!(store.waiting("duel").await.is_empty());
    store.remove_all([1]).await;
    assert_eq!(
        store.add(ticket(114, "duel", &[1], 20)).await,
        Added::Waiting
    );
    store.remove_all([1]).await;
}

async fn a_ticket_is_kept_out_by_any_of_its_members(store: Checked<'_>) {
    let first = ticket(121, "race", &[2], 10);
    store.add(first.clone()).await;
    let found = Standing::Ticket(Found::waiting(first.into()));
    let party = store.add(ticket(122, "race", &[1, 2], 20)).await;
    assert_eq!(party, Added::Kept(found));
    assert!(store.is_nowhere(1).await, "half a ticket was added");
    store.remove_all([2]).await;
}

async fn a_ticket_is_removed_once(store: Checked<'_>) {
    store.add(ticket(131, "race", &[1, 2], 10)).await;
    assert_eq!(store.remove(1).await, Removed::Gone);
    assert_eq!(store.remove(1).await, Removed::Unknown);
    assert!(store.is_nowhere(1).await && store.is_nowhere(2).await);
    assert!(store.waiting("race").await.is_empty());
}

async fn a_ticket_that_is_gone_is_not_brought_back(store: Checked<'_>) {
    let one = ticket(141, "race", &[1], 10);
    store.add(one.clone()).await;
    store.remove_all([1]).await;
    assert_eq!(store.add(one).await, Added::Gone);
    assert!(store.is_nowhere(1).await);
}

async fn a_place_is_kept_for_the_matcher_that_saw_the_player_last(store: Checked<'_>) {
    store.add_all([151, 152]).await;
    let (first, second) = (incarnation("matcher-1"), incarnation("matcher-2"));
    let remove = async |player: u64, by| {
        let removed = store
            .0
            .remove(protocol::id::PlayerId(player), Some(by))
            .await;
        removed.expect("the store answers")
    };
    assert_eq!(remove(151, &second).await, Removed::Kept);
    store.look(151, false, "matcher-2").await;
    assert_eq!(remove(151, &second).await, Removed::Kept, "it only asked");
    store.look(151, true, "matcher-2").await;
    assert_eq!(remove(151, &first).await, Removed::Kept);
    assert_eq!(store.found(151).await, Some((151, None)));
    assert_eq!(remove(151, &second).await, Removed::Gone);
    assert_eq!(remove(152, &first).await, Removed::Gone);
    assert_eq!(remove(152, &first).await, Removed::Unknown);
}

async fn a_match_gets_all_its_tickets_or_none(store: Checked<'_>) {
    store.add_all(161..=164).await;
    let granted = store
        .claim(&[
            (71, &[161, 169]),
            (72, &[162, 163]),
            (73, &[164, 164]),
            (74, &[164]),
        ])
        .await;
    assert_eq!(granted, [false, true, false, true]);
    assert_eq!(store.waiting("race").await, [161]);
    assert_eq!(store.found(163).await, Some((163, Some(72))));
    assert_eq!(store.found(161).await, Some((161, None)));
    store.give_back(72).await;
    store.give_back(74).await;
    store.remove_all(161..=164).await;
}

async fn of_two_matches_one_gets_a_ticket(store: Checked<'_>) {
    store.add_all(171..=173).await;
    let granted = store.claim(&[(71, &[171, 172]), (72, &[172, 173])]).await;
    assert_eq!(granted, [true, false]);
    assert_eq!(store.claim(&[(73, &[171])]).await, [false]);
    assert_eq!(
        store.claim(&[(71, &[171, 172])]).await,
        [true],
        "asking twice gives the same answer"
    );
    store.give_back(71).await;
    store.remove_all(171..=173).await;
}

async fn a_claimed_ticket_cannot_be_removed(store: Checked<'_>) {
    store.add_all([181]).await;
    store.claim(&[(71, &[181])]).await;
    for _ in 0..2 {
        assert_eq!(store.remove(181).await, Removed::Claimed(MatchId(71)));
        assert!(store.is_nowhere(181).await, "who has left is not asked");
    }
    let again = store.add(ticket(182, "race", &[181], 20)).await;
    assert!(matches!(
        again,
        Added::Kept(Standing::Ticket(found)) if found.claimed_by == Some(MatchId(71))
    ));
    store.give_back(71).await;
    assert_eq!(store.remove(181).await, Removed::Unknown);
}

async fn tickets_come_back_with_their_age(store: Checked<'_>) {
    store.add_all(191..=193).await;
    store.claim(&[(71, &[191, 193])]).await;
    store.give_back(71).await;
    assert_eq!(store.waiting("race").await, [191, 192, 193]);
    assert_eq!(store.found(191).await, Some((191, None)));
    assert_eq!(
        store.claim(&[(72, &[191, 192, 193])]).await,
        [true],
        "what came back can be claimed"
    );
    store.give_back(71).await;
    assert_eq!(
        store.found(191).await,
        Some((191, Some(72))),
        "an old match gave a new one's ticket back"
    );
    store.give_back(72).await;
    store.remove_all(191..=193).await;
}

async fn who_left_a_claimed_ticket_does_not_come_back(store: Checked<'_>) {
    store.add_all(201..=202).await;
    store.claim(&[(71, &[201, 202])]).await;
    store.remove(201).await;
    store.give_back(71).await;
    assert_eq!(store.waiting("race").await, [202]);
    assert!(store.is_nowhere(201).await);
    store.add(ticket(203, "duel", &[201], 5)).await;
    store.remove_all([201, 202]).await;
}
