//! The contract of [`Leases`].

use std::slice::from_ref;
use std::time::Duration;

use protocol::id::Generation;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::leases::{Leases, Load, NodeKind, NodeRecord};
use crate::{BoxFuture, EngineError};

/// Runs every check over `leases`, which is empty. `ttl` is a lease that the store can end
/// exactly enough: 200 ms and more on a real clock.
pub async fn all(leases: &dyn Leases, ttl: Duration) {
    type Check = for<'a> fn(&'a dyn Leases, Duration) -> BoxFuture<'a, ()>;
    let checks: [Check; 7] = [
        |leases, ttl| Box::pin(nodes_are_listed_by_kind_in_the_order_of_names(leases, ttl)),
        |leases, ttl| Box::pin(a_renewal_replaces_the_record(leases, ttl)),
        |leases, ttl| {
            Box::pin(an_older_generation_neither_renews_nor_withdraws(
                leases, ttl,
            ))
        },
        |leases, ttl| Box::pin(a_lease_that_is_not_renewed_vanishes_by_itself(leases, ttl)),
        |leases, ttl| Box::pin(a_lease_that_is_renewed_stays(leases, ttl)),
        |leases, ttl| {
            Box::pin(an_older_generation_is_refused_after_the_lease_ended(
                leases, ttl,
            ))
        },
        |leases, ttl| Box::pin(watchers_see_nodes_come_change_and_go(leases, ttl)),
    ];
    for check in checks {
        check(leases, ttl).await;
        for kind in NodeKind::ALL {
            let left = list(leases, kind).await;
            assert!(left.is_empty(), "a check left nodes behind: {left:?}");
        }
    }
}

async fn nodes_are_listed_by_kind_in_the_order_of_names(leases: &dyn Leases, ttl: Duration) {
    let [b, a] = ["order-b", "order-a"].map(|name| record(name, NodeKind::Syncd, 1));
    let gateway = record("order-a", NodeKind::Gateway, 1);
    for node in [&b, &a, &gateway] {
        renew(leases, node, ttl).await;
    }
    assert_eq!(list(leases, NodeKind::Syncd).await, [a.clone(), b.clone()]);
    assert_eq!(
        list(leases, NodeKind::Gateway).await,
        from_ref(&gateway),
        "two kinds may use one name"
    );
    for node in [&b, &a, &gateway] {
        withdraw(leases, node).await;
    }
    // Without a lease there is nothing to withdraw, and that is no error.
    withdraw(leases, &b).await;
}

async fn a_renewal_replaces_the_record(leases: &dyn Leases, ttl: Duration) {
    let mut node = record("renewed", NodeKind::Syncd, 1);
    renew(leases, &node, ttl).await;
    node.load.rooms = 3;
    renew(leases, &node, ttl).await;
    assert_eq!(list(leases, NodeKind::Syncd).await, from_ref(&node));
    let restarted = NodeRecord {
        generation: Generation(2),
        ..node
    };
    renew(leases, &restarted, ttl).await;
    assert_eq!(list(leases, NodeKind::Syncd).await, from_ref(&restarted));
    withdraw(leases, &restarted).await;
}

async fn an_older_generation_neither_renews_nor_withdraws(leases: &dyn Leases, ttl: Duration) {
    let new = record("fenced", NodeKind::Matcher, 7);
    let old = record("fenced", NodeKind::Matcher, 6);
    renew(leases, &new, ttl).await;
    assert_fenced(leases.renew(&old, ttl).await);
    assert_fenced(leases.withdraw(old.kind, &old.node, old.generation).await);
    assert_eq!(list(leases, NodeKind::Matcher).await, from_ref(&new));
    withdraw(leases, &new).await;
}

async fn a_lease_that_is_not_renewed_vanishes_by_itself(leases: &dyn Leases, ttl: Duration) {
    let node = record("silent", NodeKind::Gateway, 1);
    renew(leases, &node, ttl).await;
    let renewed_at = Instant::now();
    until_watched(leases, NodeKind::Gateway, ttl, from_ref(&node)).await;
    until_watched(leases, NodeKind::Gateway, ttl * 10, &[]).await;
    assert!(renewed_at.elapsed() >= ttl.mul_f64(0.9), "it ended early");
    assert_eq!(list(leases, NodeKind::Gateway).await, []);
}

async fn a_lease_that_is_renewed_stays(leases: &dyn Leases, ttl: Duration) {
    let node = record("lively", NodeKind::Gateway, 1);
    let mut pace = interval(ttl / 3);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..9 {
        renew(leases, &node, ttl).await;
        pace.tick().await;
        assert_eq!(list(leases, NodeKind::Gateway).await, from_ref(&node));
    }
    withdraw(leases, &node).await;
}

async fn an_older_generation_is_refused_after_the_lease_ended(leases: &dyn Leases, ttl: Duration) {
    let new = record("woken", NodeKind::Syncd, 2);
    let old = record("woken", NodeKind::Syncd, 1);
    renew(leases, &new, ttl).await;
    until_watched(leases, NodeKind::Syncd, ttl, from_ref(&new)).await;
    until_watched(leases, NodeKind::Syncd, ttl * 10, &[]).await;
    assert_fenced(leases.renew(&old, ttl).await);

    renew(leases, &new, ttl).await;
    withdraw(leases, &new).await;
    assert_fenced(leases.renew(&old, ttl).await);
}

async fn watchers_see_nodes_come_change_and_go(leases: &dyn Leases, ttl: Duration) {
    let kind = NodeKind::Syncd;
    let mut node = record("watched", kind, 1);
    // The waits are shorter than the TTL, so that what is seen is the change and not its end.
    renew(leases, &node, ttl * 20).await;
    until_watched(leases, kind, ttl * 10, from_ref(&node)).await;
    node.load = Load {
        rooms: 5,
        sessions: 40,
        capacity: 100,
        draining: true,
        busy: 650,
        overloaded: true,
    };
    renew(leases, &node, ttl * 20).await;
    until_watched(leases, kind, ttl * 10, from_ref(&node)).await;
    withdraw(leases, &node).await;
    until_watched(leases, kind, ttl * 10, &[]).await;
}

fn record(name: &str, kind: NodeKind, generation: u64) -> NodeRecord {
    NodeRecord {
        node: name.parse().expect("a node's name"),
        kind,
        generation: Generation(generation),
        endpoint: format!("http://{name}.test:1"),
        load: Load::default(),
        build: "1".to_owned(),
        simulation: "race:1".to_owned(),
        region: String::new(),
    }
}

async fn renew(leases: &dyn Leases, record: &NodeRecord, ttl: Duration) {
    let renewed = leases.renew(record, ttl).await;
    assert!(renewed.is_ok(), "{record:?} renews: {renewed:?}");
}

async fn withdraw(leases: &dyn Leases, record: &NodeRecord) {
    let NodeRecord {
        node,
        kind,
        generation,
        ..
    } = record;
    let withdrawn = leases.withdraw(*kind, node, *generation).await;
    assert!(withdrawn.is_ok(), "{record:?} withdraws: {withdrawn:?}");
}

async fn list(leases: &dyn Leases, kind: NodeKind) -> Vec<NodeRecord> {
    leases.list(kind).await.expect("the store lists nodes")
}

async fn until_watched(
    leases: &dyn Leases,
    kind: NodeKind,
    deadline: Duration,
    expected: &[NodeRecord],
) {
    let mut watch = leases.watch(kind);
    let seen = timeout(deadline, watch.wait_for(|nodes| nodes[..] == *expected)).await;
    let seen = seen.is_ok_and(|watched| watched.is_ok());
    assert!(
        seen,
        "watchers of {kind:?} see {expected:?} in {deadline:?}"
    );
}

fn assert_fenced(outcome: Result<(), EngineError>) {
    assert!(
        matches!(outcome, Err(EngineError::Fenced { .. })),
        "an older generation is fenced off: {outcome:?}"
    );
}
