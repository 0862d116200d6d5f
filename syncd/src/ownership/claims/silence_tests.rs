//! Whose journal is sealed, and when, after the store was silent.

use protocol::id::Generation;

use super::*;

const TTL: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(500);

fn node(number: u64) -> Incarnation {
    Incarnation {
        node: format!("syncd-{number}").parse().unwrap(),
        generation: Generation(7),
    }
}

/// What is seen when these nodes of three have leases.
fn view(alive: &[u64]) -> View {
    let alive: BTreeSet<Incarnation> = alive.iter().copied().map(node).collect();
    let journal = |number| JournalInfo {
        who: node(number),
        sealed: false,
    };
    View {
        lineage: "one".to_owned(),
        heirs: alive.clone(),
        alive,
        journals: (1..=3).map(journal).collect(),
    }
}

/// Looks at the store until `until`; gives whom it seals, and when.
fn look(
    claims: &mut Claims,
    now: &mut Timestamp,
    until: Timestamp,
    alive: &[u64],
) -> Vec<(Incarnation, Timestamp)> {
    let mut sealed = Vec::new();
    while *now <= until {
        claims.handle_view(*now, view(alive));
        while let Some(ask) = claims.poll_ask(*now) {
            if let Ask::Seal(who) = &ask {
                sealed.push((who.clone(), *now));
            }
            claims.handle_answer(*now, &ask, Answer::Unknown);
        }
        *now = *now + LOOK;
    }
    sealed
}

/// A claimant that has seen all three for a while.
fn settled() -> (Claims, Timestamp) {
    let mut claims = Claims::new(node(1), TTL);
    let mut now = Timestamp(1_000_000);
    let until = now + TTL * 2;
    assert_eq!(look(&mut claims, &mut now, until, &[1, 2, 3]), []);
    (claims, now)
}

#[test]
fn a_node_without_a_lease_is_sealed_at_once() {
    let (mut claims, mut now) = settled();
    let at = now;
    assert_eq!(look(&mut claims, &mut now, at, &[1, 3]), [(node(2), at)]);
}

#[test]
fn who_vanished_while_the_store_was_silent_has_a_lease_to_come_back() {
    let (mut claims, mut now) = settled();
    now = now + TTL * 2;
    let back = now;
    // We renew first, the others some looks later.
    assert_eq!(look(&mut claims, &mut now, back + TTL / 2, &[1]), []);
    assert_eq!(look(&mut claims, &mut now, back + TTL * 3, &[1, 2, 3]), []);
    // Whoever goes from then on is sealed as ever.
    let at = now;
    assert_eq!(look(&mut claims, &mut now, at, &[1, 3]), [(node(2), at)]);
}

#[test]
fn who_does_not_come_back_within_a_lease_is_sealed() {
    let (mut claims, mut now) = settled();
    now = now + TTL * 2;
    let back = now;
    let sealed = look(&mut claims, &mut now, back + TTL * 2, &[1, 3]);
    assert!(
        sealed
            .iter()
            .all(|(who, at)| *who == node(2) && *at >= back + TTL)
    );
    assert_eq!(sealed.first(), Some(&(node(2), back + TTL)));
}

#[test]
fn who_was_gone_before_the_silence_is_not_waited_for() {
    let (mut claims, mut now) = settled();
    let at = now;
    look(&mut claims, &mut now, at, &[1, 3]);
    now = now + TTL * 2;
    let back = now;
    let sealed = look(&mut claims, &mut now, back, &[1]);
    assert_eq!(sealed, [(node(2), back)]);
}

#[test]
fn one_whose_own_lease_had_ended_waits_from_when_it_is_renewed() {
    let (mut claims, mut now) = settled();
    // The store answers; it is the renewals that do not get through.
    let at = now;
    assert_eq!(look(&mut claims, &mut now, at + TTL * 2, &[]), []);
    let back = now;
    assert_eq!(look(&mut claims, &mut now, back + TTL / 2, &[1]), []);
    assert_eq!(look(&mut claims, &mut now, back + TTL, &[1, 2, 3]), []);
}
