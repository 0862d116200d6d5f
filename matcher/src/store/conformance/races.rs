//! Matchers that work the same queue at the same time.

use std::sync::Arc;

use engine::BoxFuture;
use protocol::id::{MatchId, TicketId};
use tokio::task::JoinSet;

use super::{Check, Checked, LONG, gather, incarnation, record};
use crate::store::{Gathered, TicketStore, Wanted};

/// Matchers.
const MATCHERS: u64 = 8;

/// The checks of this module.
pub(super) fn checks() -> Vec<Check> {
    vec![
        |store| Box::pin(no_ticket_is_claimed_twice(store)),
        |store| Box::pin(a_match_settles_or_is_given_back_never_both(store)),
        |store| Box::pin(one_member_completes_a_party(store)),
    ]
}

/// Runs `work` once for each matcher at the same time, and gives what came of each.
async fn at_once<T: Send + 'static>(
    store: &Arc<dyn TicketStore>,
    work: impl Fn(Arc<dyn TicketStore>, u64) -> BoxFuture<'static, T>,
) -> Vec<T> {
    let mut tasks = JoinSet::new();
    for number in 0..MATCHERS {
        tasks.spawn(work(Arc::clone(store), number));
    }
    tasks.join_all().await
}

async fn no_ticket_is_claimed_twice(store: Arc<dyn TicketStore>) {
    let tickets: Vec<u64> = (601..=700).collect();
    Checked(&*store).add_all(tickets.iter().copied()).await;
    let work = |store: Arc<dyn TicketStore>, number| -> BoxFuture<'static, Vec<u64>> {
        Box::pin(async move {
            let claimant = incarnation(&format!("matcher-{number}"));
            let mut got = Vec::new();
            // Pairs that overlap with those of others.
            for first in 601..700 {
                let wanted = Wanted {
                    match_id: MatchId(number * 1000 + first),
                    tickets: vec![TicketId(first), TicketId(first + 1)],
                    ask: None,
                };
                let granted = store.claim(&[wanted], &claimant, LONG).await;
                if granted.expect("the store answers")[0] {
                    got.extend([first, first + 1]);
                }
                tokio::task::yield_now().await;
            }
            got
        })
    };
    let mut claimed: Vec<u64> = at_once(&store, work).await.into_iter().flatten().collect();
    claimed.sort_unstable();
    let mut once = claimed.clone();
    once.dedup();
    assert_eq!(claimed, once, "a ticket is in two matches");
    let mut rest = Checked(&*store).waiting("race").await;
    rest.extend(&claimed);
    rest.sort_unstable();
    assert_eq!(rest, tickets, "a ticket is nowhere, or in two places");
    for match_id in (0..MATCHERS).flat_map(|number| (601..700).map(move |n| number * 1000 + n)) {
        Checked(&*store).give_back(match_id).await;
    }
    assert_eq!(Checked(&*store).waiting("race").await, tickets);
    Checked(&*store).remove_all(tickets).await;
}

async fn a_match_settles_or_is_given_back_never_both(store: Arc<dyn TicketStore>) {
    for round in 0..20 {
        let (first, second) = (701 + round * 2, 702 + round * 2);
        let checked = Checked(&*store);
        checked.add_all([first, second]).await;
        checked.claim(&[(first, &[first, second])]).await;
        let work = |store: Arc<dyn TicketStore>, number: u64| -> BoxFuture<'static, bool> {
            Box::pin(async move {
                let record = record(first, &[first, second]);
                if number % 2 == round % 2 {
                    Checked(&*store).settle(&record).await
                } else {
                    Checked(&*store).give_back(first).await;
                    false
                }
            })
        };
        let stands = at_once(&store, work).await.contains(&true);
        let waiting = checked.waiting("race").await;
        let playing = checked.playing(first).await;
        if stands {
            assert!(waiting.is_empty());
            assert_eq!(playing, Some(first));
            checked.end(first, first).await;
        } else {
            assert_eq!(waiting, [first, second]);
            assert_eq!(playing, None);
            checked.remove_all([first, second]).await;
        }
    }
}

async fn one_member_completes_a_party(store: Arc<dyn TicketStore>) {
    let size = u8::try_from(MATCHERS).expect("a few");
    let work = |store: Arc<dyn TicketStore>, number| -> BoxFuture<'static, bool> {
        Box::pin(async move {
            let one = gather("zzzz", size, 801 + number);
            let gathered = Checked(&*store).gather(&one).await;
            matches!(gathered, Gathered::Complete(_))
        })
    };
    let complete = at_once(&store, work).await;
    assert_eq!(complete.iter().filter(|complete| **complete).count(), 1);
    assert_eq!(Checked(&*store).waiting("race").await.len(), 1);
    Checked(&*store).remove_all(801..801 + MATCHERS).await;
}
