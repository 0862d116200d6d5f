//! The matcher's clock: wall time at the start, monotonic from there.
//!
//! Tickets are stamped with it, and other matchers of the same queue read the stamps, so its zero
//! has to mean the same everywhere; jumps of the wall clock must not reorder a queue, so it is
//! asked once. It follows tokio's clock, which tests stop.

use chassis::clock::unix_ms;
use protocol::time::Timestamp;
use tokio::time::Instant;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
    zero: u64,
}

impl Clock {
    /// A clock that starts now.
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
            zero: unix_ms().saturating_mul(1000),
        }
    }

    /// Microseconds since 1970.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.zero) + self.started.elapsed()
    }
}
