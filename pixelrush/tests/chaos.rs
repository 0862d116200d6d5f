//! Everything fails once while a crowd plays. `cargo xtask chaos` is the long run.
//!
//! A binary of its own, as cargo runs those one after the other: a crowd takes the whole machine,
//! and what it sees counts.

use std::path::Path;
use std::time::Duration;

use e2e::chaos::{self, ChaosOptions, Fault, StoreFault};
use e2e::fleet::{FleetOptions, NodeRef};
use e2e::store::StoreKind;
use tokio::sync::Mutex;

/// Only one of these at a time.
static MACHINE: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_process_dies_once_and_nobody_can_tell_from_the_races() {
    let faults = chaos::basics(&FleetOptions::new(String::new()));
    run(StoreKind::Single, 48, faults).await;
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
    run(StoreKind::Sentinel, 24, faults).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_away_for_half_a_minute_and_nobody_can_tell_from_the_races() {
    let away = StoreFault::Restart {
        down: Duration::from_secs(30),
    };
    run(StoreKind::Single, 24, vec![Fault::Store(away)]).await;
}

async fn run(store: StoreKind, players: u64, faults: Vec<Fault>) {
    let _machine = MACHINE.lock().await;
    let binary = Path::new(env!("CARGO_BIN_EXE_pixelrush"));
    let folder = tempfile::tempdir().expect("a folder");
    let options = ChaosOptions {
        seed: 3,
        players,
        store,
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
