//! Matches that ask their players first.

use std::time::Duration;

use protocol::id::{MatchId, PlayerId, TicketId};

use super::{Checked, LONG, checks, gather, incarnation, record, ticket};
use crate::store::{
    Acceptance, Added, Answered, Asking, CoolDown, Gathered, Question, Removed, Standing, Wanted,
};

checks![
    a_match_that_everyone_accepts_is_complete,
    who_declines_leaves_and_the_others_wait_again,
    who_does_not_answer_in_time_leaves,
    who_leaves_the_queue_instead_is_kept_out_too,
    a_question_that_nobody_holds_any_more_costs_nothing,
    a_party_of_which_one_declines_gathers_again,
    cool_downs_grow_up_to_the_longest,
];

/// So long that no check sees its end.
const COOL_DOWN: CoolDown = CoolDown {
    first: Duration::from_secs(100),
    most: Duration::from_secs(150),
};

/// Claims tickets for a match that asks for `within`; `willing` need not be asked.
async fn ask(
    store: Checked<'_>,
    match_id: u64,
    tickets: &[u64],
    willing: &[u64],
    within: Duration,
) {
    let wanted = Wanted {
        match_id: MatchId(match_id),
        tickets: tickets.iter().copied().map(TicketId).collect(),
        ask: Some(Question {
            within,
            willing: willing.iter().copied().map(PlayerId).collect(),
        }),
    };
    let granted = store
        .0
        .claim(&[wanted], &incarnation("matcher-1"), LONG)
        .await;
    assert_eq!(granted.expect("the store answers"), [true]);
}

async fn answer(store: Checked<'_>, player: u64, match_id: u64, accepts: bool) -> Answered {
    let answered = store
        .0
        .answer(PlayerId(player), MatchId(match_id), accepts, COOL_DOWN)
        .await;
    answered.expect("the store answers")
}

async fn acceptance(store: Checked<'_>, match_id: u64) -> Acceptance {
    let stands = store.0.acceptance(&[MatchId(match_id)], COOL_DOWN).await;
    stands.expect("the store answers")[0]
}

async fn asking(store: Checked<'_>, player: u64) -> Option<Asking> {
    match store.standing(player).await {
        Standing::Ticket(found) => found.asking,
        other => panic!("{other:?}"),
    }
}

/// Whether a player is kept out.
async fn is_out(store: Checked<'_>, player: u64, ticket_id: u64) -> bool {
    match store.add(ticket(ticket_id, "race", &[player], 9)).await {
        Added::Cooling(left) => {
            assert!(
                left > Duration::from_secs(90) && left <= COOL_DOWN.most,
                "{left:?}"
            );
            true
        }
        Added::Waiting => {
            store.remove_all([player]).await;
            false
        }
        other => panic!("{other:?}"),
    }
}

async fn a_match_that_everyone_accepts_is_complete(store: Checked<'_>) {
    store.add_all(1801..=1803).await;
    ask(store, 1810, &[1801, 1802, 1803], &[1803], LONG).await;
    let asked = asking(store, 1801).await.expect("it is asked");
    assert!(!asked.accepted && asked.left > LONG / 2 && asked.left <= LONG);
    assert!(
        asking(store, 1803)
            .await
            .is_some_and(|asked| asked.accepted)
    );
    assert_eq!(acceptance(store, 1810).await, Acceptance::Open);
    for _ in 0..2 {
        assert_eq!(answer(store, 1801, 1810, true).await, Answered::Accepted);
    }
    assert!(
        asking(store, 1801)
            .await
            .is_some_and(|asked| asked.accepted)
    );
    assert_eq!(acceptance(store, 1810).await, Acceptance::Open);
    assert_eq!(answer(store, 1802, 1810, true).await, Answered::Accepted);
    for _ in 0..2 {
        assert_eq!(acceptance(store, 1810).await, Acceptance::Complete);
    }
    assert_eq!(
        answer(store, 1801, 1810, false).await,
        Answered::Unknown,
        "it is being made"
    );
    assert!(store.settle(&record(1810, &[1801, 1802, 1803])).await);
    assert_eq!(store.playing(1801).await, Some(1810));
    store.end(1810, 1810).await;
}

async fn who_declines_leaves_and_the_others_wait_again(store: Checked<'_>) {
    store.add_all(1821..=1824).await;
    ask(store, 1820, &[1821, 1822, 1823], &[], LONG).await;
    assert_eq!(answer(store, 1824, 1820, true).await, Answered::Unknown);
    assert_eq!(answer(store, 1821, 1829, true).await, Answered::Unknown);
    assert_eq!(answer(store, 1821, 1820, true).await, Answered::Accepted);
    let declined = answer(store, 1822, 1820, false).await;
    assert_eq!(declined, Answered::Declined(COOL_DOWN.first));
    assert_eq!(acceptance(store, 1820).await, Acceptance::Off);
    assert_eq!(answer(store, 1821, 1820, true).await, Answered::Unknown);
    assert_eq!(
        store.waiting("race").await,
        [1821, 1823, 1824],
        "as old as before"
    );
    assert_eq!(asking(store, 1821).await, None);
    assert!(store.is_nowhere(1822).await && is_out(store, 1822, 1825).await);
    let party = store.gather(&gather("cool", 2, 1822)).await;
    assert!(matches!(party, Gathered::Cooling(_)), "{party:?}");
    store.remove_all([1821, 1823, 1824]).await;
    assert!(
        !is_out(store, 1823, 1826).await,
        "who was not asked for long"
    );
    // A match that does not ask, of a ticket that was in one that did.
    store.add_all([1827]).await;
    ask(store, 1830, &[1827], &[], LONG).await;
    store.give_back(1830).await;
    assert_eq!(store.claim(&[(1831, &[1827])]).await, [true]);
    assert_eq!(asking(store, 1827).await, None);
    store.give_back(1831).await;
    store.remove_all([1827]).await;
}

async fn who_does_not_answer_in_time_leaves(store: Checked<'_>) {
    store.add_all(1841..=1842).await;
    ask(store, 1840, &[1841, 1842], &[], Duration::from_millis(200)).await;
    assert_eq!(answer(store, 1841, 1840, true).await, Answered::Accepted);
    store
        .sweep_until("the end of the question", || async move {
            acceptance(store, 1840).await == Acceptance::Off
        })
        .await;
    assert_eq!(store.waiting("race").await, [1841]);
    assert!(store.is_nowhere(1842).await && is_out(store, 1842, 1843).await);
    store.remove_all([1841]).await;
    assert!(!is_out(store, 1841, 1844).await);
}

async fn who_leaves_the_queue_instead_is_kept_out_too(store: Checked<'_>) {
    store.add_all(1851..=1852).await;
    ask(store, 1850, &[1851, 1852], &[], LONG).await;
    assert_eq!(store.remove(1852).await, Removed::Claimed(MatchId(1850)));
    assert_eq!(acceptance(store, 1850).await, Acceptance::Off);
    assert_eq!(store.waiting("race").await, [1851]);
    assert!(is_out(store, 1852, 1853).await);
    store.remove_all([1851]).await;
}

async fn a_question_that_nobody_holds_any_more_costs_nothing(store: Checked<'_>) {
    store.add_all(1861..=1862).await;
    let wanted = Wanted {
        match_id: MatchId(1860),
        tickets: vec![TicketId(1861), TicketId(1862)],
        ask: Some(Question {
            within: LONG,
            willing: Vec::new(),
        }),
    };
    let soon = Duration::from_millis(100);
    let granted = store
        .0
        .claim(&[wanted], &incarnation("matcher-1"), soon)
        .await;
    assert_eq!(granted.expect("the store answers"), [true]);
    assert_eq!(answer(store, 1861, 1860, true).await, Answered::Accepted);
    store
        .sweep_until("the end of the claim", || async move {
            store.waiting("race").await == [1861, 1862]
        })
        .await;
    assert_eq!(acceptance(store, 1860).await, Acceptance::Off);
    store.remove_all([1861, 1862]).await;
    for player in [1861, 1862] {
        assert!(!is_out(store, player, player + 10).await);
    }
}

async fn a_party_of_which_one_declines_gathers_again(store: Checked<'_>) {
    store.gather(&gather("asked", 2, 1881)).await;
    store.gather(&gather("asked", 2, 1882)).await;
    store.add_all([1883]).await;
    ask(store, 1880, &[1882, 1883], &[], LONG).await;
    let declined = answer(store, 1881, 1880, false).await;
    assert_eq!(declined, Answered::Declined(COOL_DOWN.first));
    let Standing::Gathering(gathering) = store.standing(1882).await else {
        panic!("it gathers again");
    };
    assert_eq!((gathering.present, gathering.size), (1, 2));
    assert_eq!(store.waiting("race").await, [1883]);
    store.remove_all([1882, 1883]).await;
}

async fn cool_downs_grow_up_to_the_longest(store: Checked<'_>) {
    let short = CoolDown {
        first: Duration::from_millis(40),
        most: Duration::from_secs(100),
    };
    let mut paused = Vec::new();
    for round in 0..3 {
        let id = 1890 + round;
        store
            .sweep_until("the end of the cool-down", || async move {
                store.add(ticket(id, "race", &[1890], id)).await == Added::Waiting
            })
            .await;
        ask(store, id, &[id], &[], LONG).await;
        let answered = store
            .0
            .answer(PlayerId(1890), MatchId(id), false, short)
            .await;
        match answered.expect("the store answers") {
            Answered::Declined(pause) => paused.push(pause.as_millis()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(paused, [40, 80, 160]);
}
