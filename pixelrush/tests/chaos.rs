//! Everything fails once while a crowd plays. `cargo xtask chaos` is the long run, and `cargo xtask
//! points` lets a process die between any two steps.
//!
//! A binary of its own, as cargo runs those one after the other: a crowd takes the whole machine,
//! and what it sees counts.

#[path = "chaos/run.rs"]
mod run;

use std::time::Duration;

use e2e::chaos::{self, Fault, StoreFault};
use e2e::fleet::{FleetOptions, NodeRef};
use e2e::store::StoreKind;

use run::run;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_process_dies_once_and_nobody_can_tell_from_the_races() {
    let faults = chaos::basics(&FleetOptions::new(String::new()));
    run(StoreKind::Single, 48, None, faults).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_takes_over_and_nodes_go_and_nobody_can_tell_from_the_races() {
    let faults = vec![
        Fault::Store(StoreFault::FailOver),
        Fault::Drain {
            node: NodeRef::syncd(1),
        },
        Fault::Kill {
            node: NodeRef::syncd(2),
            down: Duration::ZERO,
        },
    ];
    run(StoreKind::Sentinel, 24, None, faults).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_away_for_half_a_minute_and_nobody_can_tell_from_the_races() {
    let away = StoreFault::Restart {
        down: Duration::from_secs(30),
    };
    run(StoreKind::Single, 24, None, vec![Fault::Store(away)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_and_redis_fail_while_seats_are_sold_and_each_is_sold_once() {
    let faults = vec![
        Fault::Database {
            down: Duration::from_secs(4),
        },
        Fault::Kill {
            node: NodeRef::matcher(1),
            down: Duration::ZERO,
        },
        Fault::Store(StoreFault::Empty),
        Fault::Database {
            down: Duration::ZERO,
        },
        Fault::Kill {
            node: NodeRef::syncd(0),
            down: Duration::ZERO,
        },
    ];
    run(StoreKind::Single, 24, Some(120), faults).await;
}
