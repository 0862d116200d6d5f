#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::*;
use protocol::id::Generation;

const ROOM: RoomId = RoomId(7);

fn incarnation(name: &str) -> Incarnation {
    Incarnation {
        node: name.parse().unwrap(),
        generation: Generation(1),
    }
}

fn view(lineage: &str, alive: &[&Incarnation], journals: &[&Incarnation]) -> View {
    let alive: BTreeSet<Incarnation> = alive.iter().copied().cloned().collect();
    let journals = journals.iter().map(|who| JournalInfo {
        who: (*who).clone(),
        sealed: false,
    });
    View {
        lineage: lineage.to_owned(),
        heirs: alive.clone(),
        alive,
        journals: journals.collect(),
    }
}

/// Claims that have asked for a room of `other`, and got no answer.
fn unanswered(now: Timestamp, me: &Incarnation, other: &Incarnation) -> Claims {
    let mut claims = Claims::new(me.clone(), Duration::ZERO);
    claims.handle_view(now, view("a", &[me], &[me, other]));
    let placed = Placement {
        owner: other.clone(),
        generation: Generation(1),
    };
    while let Some(ask) = claims.poll_ask(now) {
        let answer = match &ask {
            Ask::Seal(_) => Answer::Sealed(Some(Seal {
                by: me.clone(),
                last: engine::Seq(0),
                is_suspect: false,
            })),
            Ask::Estate(_) => Answer::Estate(Estate {
                checkpoints: vec![(ROOM, bytes::Bytes::new())],
                entries: Vec::new(),
            }),
            Ask::Find(..) => Answer::Found(vec![Some(placed.clone())]),
            Ask::Claim { .. } | Ask::Retire(_) => Answer::Unknown,
        };
        claims.handle_answer(now, &ask, answer);
        while let Some(act) = claims.poll_act() {
            assert!(matches!(act, Act::Prepare { room: ROOM, .. }), "{act:?}");
            claims.handle_prepared(now, other, ROOM, true);
        }
    }
    assert_eq!(claims.under_way(), 1);
    claims
}

#[test]
fn a_claim_without_an_answer_is_let_go_of_when_the_owner_lives_again() {
    let (me, other) = (incarnation("a"), incarnation("b"));
    let mut claims = unanswered(Timestamp(1_000_000), &me, &other);
    let later = Timestamp(1_000_000) + RETRY_AFTER;
    claims.handle_view(later, view("b", &[&me, &other], &[&me, &other]));
    let ask = claims.poll_ask(later).unwrap();
    assert_eq!(ask, Ask::Find(other.clone(), vec![ROOM]));
    let placed = Placement {
        owner: other,
        generation: Generation(1),
    };
    claims.handle_answer(later, &ask, Answer::Found(vec![Some(placed)]));
    assert!(matches!(claims.poll_act(), Some(Act::Abandon(ROOM))));
    assert_eq!(claims.under_way(), 0);
    assert_eq!(
        claims.poll_ask(later),
        None,
        "a node that lives is not sealed"
    );
}

#[test]
fn a_room_that_is_ours_by_now_waits_for_the_seal() {
    let (me, other) = (incarnation("a"), incarnation("b"));
    let mut claims = unanswered(Timestamp(1_000_000), &me, &other);
    let later = Timestamp(1_000_000) + RETRY_AFTER;
    claims.handle_view(later, view("b", &[&me, &other], &[&me, &other]));
    let ask = claims.poll_ask(later).unwrap();
    let ours = Placement {
        owner: me,
        generation: Generation(2),
    };
    claims.handle_answer(later, &ask, Answer::Found(vec![Some(ours)]));
    assert!(claims.poll_act().is_none());
    assert_eq!(claims.under_way(), 1);
    assert_eq!(claims.poll_timeout(), Some(later + LOOK_AGAIN));
}
