//! Feeds: what a reader of them knows is what the store holds.

use std::collections::BTreeSet;

use super::{Checked, LONG, checks, mode, record, ticket};
use crate::store::{Change, Cursor, feed};

checks![
    a_feed_tells_all_that_happens_to_a_queue_in_order,
    a_feed_tells_of_its_own_queue_only,
    a_reader_who_is_too_far_behind_is_told_so,
    a_reader_of_another_history_is_told_so,
    tickets_are_found_while_they_wait,
    a_scan_gives_a_long_queue_in_parts,
];

impl Checked<'_> {
    async fn feed_end(self, name: &str) -> Cursor {
        let end = self.0.feed_end(&mode(name)).await;
        end.expect("the store answers")
    }

    /// All that was told since `cursor`, which moves on.
    async fn told(self, name: &str, cursor: &mut Cursor) -> Option<Vec<Change>> {
        let mut told = Vec::new();
        loop {
            let fed = self.0.feed(&mode(name), cursor).await;
            let fed = fed.expect("the store answers")?;
            told.extend(fed.changes);
            *cursor = fed.upto;
            if !fed.more {
                return Some(told);
            }
        }
    }
}

fn waits(ticket: u64) -> Change {
    Change::Waits(protocol::id::TicketId(ticket))
}

fn gone(ticket: u64) -> Change {
    Change::Gone(protocol::id::TicketId(ticket))
}

async fn a_feed_tells_all_that_happens_to_a_queue_in_order(store: Checked<'_>) {
    let mut cursor = store.feed_end("race").await;
    assert_eq!(store.told("race", &mut cursor).await, Some(vec![]));
    store.add_all([901, 902, 903]).await;
    store.remove_all([902]).await;
    store.claim(&[(91, &[901, 903])]).await;
    let told = store.told("race", &mut cursor).await;
    let first = [
        waits(901),
        waits(902),
        waits(903),
        gone(902),
        gone(901),
        gone(903),
    ];
    assert_eq!(told.as_deref(), Some(&first[..]));
    store.give_back(91).await;
    let told = store.told("race", &mut cursor).await;
    assert_eq!(told.as_deref(), Some(&[waits(901), waits(903)][..]));
    store.claim(&[(92, &[901])]).await;
    store.settle(&record(92, &[901])).await;
    store.end(92, 92).await;
    let told = store.told("race", &mut cursor).await;
    assert_eq!(told.as_deref(), Some(&[gone(901)][..]), "once for a ticket");
    store.remove_all([903]).await;
}

async fn a_feed_tells_of_its_own_queue_only(store: Checked<'_>) {
    let mut race = store.feed_end("race").await;
    let mut duel = store.feed_end("duel").await;
    store.add(ticket(911, "duel", &[911], 1)).await;
    assert_eq!(store.told("race", &mut race).await, Some(vec![]));
    assert_eq!(store.told("duel", &mut duel).await, Some(vec![waits(911)]));
    store.remove_all([911]).await;
}

async fn a_reader_who_is_too_far_behind_is_told_so(store: Checked<'_>) {
    let mut cursor = store.feed_end("duel").await;
    let mut near = cursor.clone();
    for round in 0..feed::KEPT {
        store.add(ticket(921, "duel", &[921], 1)).await;
        store.claim(&[(93, &[921])]).await;
        store.give_back(93).await;
        if round % 20 == 0 {
            assert!(store.told("duel", &mut near).await.is_some());
        }
    }
    store.remove_all([921]).await;
    assert_eq!(store.told("duel", &mut cursor).await, None);
    let told = store.told("duel", &mut near).await.expect("near enough");
    assert_eq!(told.last(), Some(&gone(921)));
}

async fn a_reader_of_another_history_is_told_so(store: Checked<'_>) {
    store.add_all([931]).await;
    let here = store.feed_end("race").await;
    let elsewhere = Cursor {
        content: "+tk_0000000000000000".to_owned(),
        place: here.place.clone(),
    };
    let later = Cursor {
        place: "9999999999999-0".to_owned(),
        content: here.content.clone(),
    };
    for mut cursor in [later, elsewhere] {
        if cursor != here {
            let told = store.told("race", &mut cursor).await;
            assert_eq!(told, None, "{cursor:?} is not of this history");
        }
    }
    store.remove_all([931]).await;
}

async fn tickets_are_found_while_they_wait(store: Checked<'_>) {
    store.add_all(941..=943).await;
    let found = async || {
        let ids = [941, 942, 943, 944].map(protocol::id::TicketId);
        let found = store.0.find(&ids).await.expect("the store answers");
        found.iter().map(|ticket| ticket.id.0).collect::<Vec<_>>()
    };
    assert_eq!(found().await, [941, 942, 943]);
    store.claim_for(&[(94, &[942])], LONG).await;
    assert_eq!(found().await, [941, 943]);
    store.give_back(94).await;
    store.remove_all([941]).await;
    assert_eq!(found().await, [942, 943]);
    store.remove_all([942, 943]).await;
    assert!(found().await.is_empty());
}

async fn a_scan_gives_a_long_queue_in_parts(store: Checked<'_>) {
    store.add_all(951..=1350).await;
    let waiting: BTreeSet<u64> = store.waiting("race").await.into_iter().collect();
    assert!(waiting.into_iter().eq(951..=1350));
    store.remove_all(951..=1350).await;
}
