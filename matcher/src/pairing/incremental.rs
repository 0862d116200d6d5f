//! A queue that is kept, against brute force: what comes, goes and grows old by turns leaves
//! nothing that could be matched.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::properties::{NOW, is_match, modes, oldest_matchable, people, tickets};
use super::*;

const LIMITS: Limits = Limits {
    matches: usize::MAX,
    searches: usize::MAX,
};

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    Comes,
    /// The one that waits at this place, counted around.
    Goes(usize),
    Later(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Comes),
        1 => (0_usize..100).prop_map(Step::Goes),
        2 => (1_u64..4_000).prop_map(Step::Later),
    ];
    prop::collection::vec(step, 0..40)
}

/// A queue, and what is known to be in it.
#[derive(Default)]
struct Kept {
    queue: Queue,
    waiting: Vec<Arc<Ticket>>,
}

impl Kept {
    fn pass(&mut self, mode: &Mode, now: Timestamp, limits: Limits) -> Vec<Proposal> {
        let proposals = self.queue.pass(mode, now, limits);
        let taken: BTreeSet<_> = proposals
            .iter()
            .flat_map(|proposal| &proposal.tickets)
            .map(|seated| seated.ticket.id)
            .collect();
        let before = self.waiting.len();
        self.waiting.retain(|ticket| !taken.contains(&ticket.id));
        assert_eq!(
            before - self.waiting.len(),
            taken.len(),
            "each waited, and once"
        );
        assert_eq!(self.queue.len(), self.waiting.len());
        proposals
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nothing_that_can_be_matched_is_left(
        mode in modes(),
        coming in tickets(9, true),
        steps in steps(),
    ) {
        let mut now = NOW;
        let mut coming = coming.into_iter();
        let mut kept = Kept::default();
        for step in steps {
            match step {
                Step::Comes => {
                    if let Some(ticket) = coming.next() {
                        kept.queue.insert(Arc::clone(&ticket), now);
                        kept.waiting.push(ticket);
                    }
                }
                Step::Goes(place) if !kept.waiting.is_empty() => {
                    let place = place % kept.waiting.len();
                    let ticket = kept.waiting.remove(place);
                    prop_assert_eq!(kept.queue.remove(ticket.id), Some(ticket));
                }
                Step::Goes(_) => {}
                Step::Later(millis) => now = now + Duration::from_millis(millis),
            }
            for proposal in kept.pass(&mode, now, LIMITS) {
                let people = people(&proposal);
                let bots = proposal.tickets.len() - people.len();
                prop_assert!(is_match(&mode, &people, bots, now), "{proposal:?}");
            }
        }
        // Every deadline passes, each at its time, until there is none ahead.
        while let Some(next) = kept.queue.next_try() {
            now = next.max(now);
            kept.pass(&mode, now, LIMITS);
        }
        prop_assert_eq!(oldest_matchable(&mode, &kept.waiting, now), None);
    }

    #[test]
    fn a_ticket_that_comes_goes_to_the_oldest_that_it_brings_a_match(
        mode in modes(),
        waiting in tickets(8, true),
    ) {
        let mut kept = Kept::default();
        for ticket in waiting {
            // As it comes: younger than those who wait.
            let mut ticket = Ticket::clone(&ticket);
            ticket.enqueued_at = NOW - Duration::from_millis(8_000 - 1_000 * ticket.id.0);
            let ticket = Arc::new(ticket);
            kept.queue.insert(Arc::clone(&ticket), NOW);
            kept.waiting.push(ticket);
            let oldest = oldest_matchable(&mode, &kept.waiting, NOW);
            let first = kept.pass(&mode, NOW, LIMITS).into_iter().next();
            let anchor = first.map(|first| people(&first)[0].id);
            prop_assert_eq!(anchor, oldest);
        }
    }

    #[test]
    fn bounded_passes_come_to_everything_in_the_end(
        mode in modes(),
        waiting in tickets(9, true),
    ) {
        let mut kept = Kept::default();
        for ticket in waiting {
            kept.queue.insert(Arc::clone(&ticket), NOW);
            kept.waiting.push(ticket);
        }
        let little = Limits { matches: 1, searches: 1 };
        for _ in 0..1_000 {
            kept.pass(&mode, NOW, little);
            if kept.queue.next_try().is_none_or(|next| next > NOW) {
                break;
            }
        }
        prop_assert!(kept.queue.next_try().is_none_or(|next| next > NOW), "it never ends");
        prop_assert_eq!(oldest_matchable(&mode, &kept.waiting, NOW), None);
    }
}
