//! Everything fails once while a crowd plays. `cargo xtask chaos` is the long run.
//!
//! A binary of its own, as cargo runs those one after the other: a crowd takes the whole machine,
//! and what it sees counts.

use std::path::Path;
use std::time::Duration;

use chassis::faults::Point;
use e2e::chaos::{self, ChaosOptions, Fault, StoreFault};
use e2e::fleet::{FleetOptions, NodeRef};
use e2e::store::StoreKind;
use tokio::sync::Mutex;

/// Only one of these at a time.
static MACHINE: Mutex<()> = Mutex::const_new(());

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

/// Seats first, as there is an end of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_dies_between_any_two_steps_of_a_seat_a_claim_and_a_result() {
    let (seats, claims): (Vec<Point>, Vec<Point>) = matcher::faults::POINTS
        .into_iter()
        .partition(|point| point.0.contains(".seat."));
    let of_matcher = seats.into_iter().chain(claims);
    let of_matcher = of_matcher.map(|point| (NodeRef::matcher(0), point));
    let of_syncd = syncd::faults::POINTS.map(|point| (NodeRef::syncd(0), point));
    let faults = of_matcher
        .chain(of_syncd)
        .map(|(node, point)| Fault::Point {
            node,
            point: point.0,
            count: 1,
        });
    run(StoreKind::Single, 24, Some(400), faults.collect()).await;
}

async fn run(store: StoreKind, players: u64, seats: Option<u32>, faults: Vec<Fault>) {
    let _machine = MACHINE.lock().await;
    let binary = Path::new(env!("CARGO_BIN_EXE_pixelrush"));
    let folder = tempfile::tempdir().expect("a folder");
    let options = ChaosOptions {
        seed: 3,
        players,
        store,
        seats,
        proxies: false,
        faults,
    };
    let mut tell = |line: &str| println!("{line}");
    let report = chaos::run(binary, folder.path(), &options, &mut tell).await;
    let report = report.unwrap_or_else(|error| panic!("{error}"));
    println!("{}", report.text());
    if report.has_failed() {
        let kept = folder.keep();
        panic!("logs and histories are in {}", kept.display());
    }
}
