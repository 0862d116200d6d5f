//! A crowd on a fleet of processes while faults happen, and what they all saw against the rules.

use std::path::Path;

use e2e::chaos::{self, ChaosOptions, Fault};
use e2e::store::StoreKind;
use tokio::sync::Mutex;

/// Only one of these at a time.
static MACHINE: Mutex<()> = Mutex::const_new(());

pub(crate) async fn run(store: StoreKind, players: u64, seats: Option<u32>, faults: Vec<Fault>) {
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
