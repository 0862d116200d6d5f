//! Waiting for what a server does in its own time.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything here may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until `holds` gives something, and gives it.
///
/// # Panics
/// It has not after 30 s.
pub fn wait_until<T>(what: &str, mut holds: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = holds() {
            return found;
        }
        assert!(
            started.elapsed() < DEADLINE,
            "not after {DEADLINE:?}: {what}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}
