//! The matcher's clock: wall time at the start, monotonic from there.
//!
//! Tickets are stamped with it, and other matchers of the same queue read the stamps, so its zero
//! has to mean the same everywhere; jumps of the wall clock must not reorder a queue, so it is
//! asked once in a process. It follows tokio's clock, which tests stop. What must be agreed on to
//! the moment, such as the end of a claim, is for the store's clock to say.

use std::sync::OnceLock;

use chassis::clock::unix_ms;
use protocol::time::Timestamp;
use tokio::time::Instant;

/// A moment, and the wall's time of it in microseconds.
static ZERO: OnceLock<(Instant, u64)> = OnceLock::new();

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
    zero: u64,
}

impl Clock {
    /// The process's clock.
    pub(crate) fn start() -> Self {
        let (started, zero) =
            *ZERO.get_or_init(|| (Instant::now(), unix_ms().saturating_mul(1000)));
        Self { started, zero }
    }

    /// Microseconds since 1970.
    pub(crate) fn now(&self) -> Timestamp {
        let (zero, now) = (Timestamp(self.zero), Instant::now());
        match now.checked_duration_since(self.started) {
            Some(since) => zero + since,
            // Another runtime's clock, as in tests.
            None => zero - self.started.duration_since(now),
        }
    }
}
