//! What operators see of the pool.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

use super::pool::Status;

/// Handles, and what the automatic mode reads.
pub(super) struct Meters {
    wait: Histogram,
    used: Histogram,
    timeouts: Counter,
    resizes: Counter,
    leaks: Counter,
    connects: [Counter; 2],
    max: Gauge,
    open: Gauge,
    in_use: Gauge,
    idle: Gauge,
    waiting: Gauge,
    served: AtomicU64,
    late: AtomicU64,
}

impl Meters {
    pub(super) fn new() -> Self {
        describe();
        let connects =
            |outcome: &'static str| counter!("postgres_pool_connects_total", "outcome" => outcome);
        Self {
            wait: histogram!("postgres_pool_wait_seconds"),
            used: histogram!("postgres_pool_use_seconds"),
            timeouts: counter!("postgres_pool_timeouts_total"),
            resizes: counter!("postgres_pool_resizes_total"),
            leaks: counter!("postgres_pool_leaks_total"),
            connects: [connects("failed"), connects("done")],
            max: gauge!("postgres_pool_max"),
            open: gauge!("postgres_pool_open"),
            in_use: gauge!("postgres_pool_in_use"),
            idle: gauge!("postgres_pool_idle"),
            waiting: gauge!("postgres_pool_waiting"),
            served: AtomicU64::new(0),
            late: AtomicU64::new(0),
        }
    }

    /// A caller has, or has not, got a connection after `waited`; `late` if that is longer.
    pub(super) fn waited(&self, waited: Duration, late: Option<Duration>, served: bool) {
        self.wait.record(waited);
        self.served.fetch_add(1, Ordering::Relaxed);
        if late.is_some_and(|late| waited > late) {
            self.late.fetch_add(1, Ordering::Relaxed);
        }
        if !served {
            self.timeouts.increment(1);
        }
    }

    /// Callers, and those who were late, since the last call.
    pub(super) fn take_callers(&self) -> (u64, u64) {
        let take = |counted: &AtomicU64| counted.swap(0, Ordering::Relaxed);
        (take(&self.served), take(&self.late))
    }

    pub(super) fn used(&self, used: Duration) {
        self.used.record(used);
    }

    pub(super) fn connected(&self, done: bool) {
        self.connects[usize::from(done)].increment(1);
    }

    pub(super) fn resized(&self) {
        self.resizes.increment(1);
    }

    pub(super) fn leaked(&self) {
        self.leaks.increment(1);
    }

    pub(super) fn show(&self, status: &Status) {
        self.max.set(status.pool.max);
        self.open.set(status.open);
        self.in_use.set(status.in_use);
        self.idle.set(status.idle);
        self.waiting.set(status.waiting);
    }
}

fn describe() {
    for (name, text) in [
        (
            "postgres_pool_wait_seconds",
            "Time callers waited for a connection",
        ),
        ("postgres_pool_use_seconds", "Time a connection was held"),
    ] {
        describe_histogram!(name, Unit::Seconds, text);
    }
    for (name, text) in [
        (
            "postgres_pool_timeouts_total",
            "Callers who got no connection in time",
        ),
        ("postgres_pool_resizes_total", "Changes of the largest size"),
        (
            "postgres_pool_leaks_total",
            "Connections that were held too long",
        ),
        ("postgres_pool_connects_total", "Attempts to connect"),
    ] {
        describe_counter!(name, text);
    }
    for (name, text) in [
        ("postgres_pool_max", "Most connections that there may be"),
        (
            "postgres_pool_open",
            "Connections that there are, those being opened and closed included",
        ),
        ("postgres_pool_in_use", "Connections that callers hold"),
        ("postgres_pool_idle", "Connections that nobody holds"),
        ("postgres_pool_waiting", "Callers who wait for a connection"),
    ] {
        describe_gauge!(name, text);
    }
}
