//! The pause in forming a mode's matches after one of them found no room.

use std::time::Duration;

use chassis::backoff::Backoff;
use protocol::time::Timestamp;

/// Shortest and longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// The pause of one mode. It ends for good when a match of the mode finds a room.
#[derive(Debug)]
pub(super) struct Pause {
    until: Timestamp,
    backoff: Backoff,
}

impl Default for Pause {
    fn default() -> Self {
        Self {
            until: Timestamp(0),
            backoff: Backoff::new(PAUSE.0, PAUSE.1),
        }
    }
}

impl Pause {
    /// Another match found no room.
    pub(super) fn extend(&mut self, now: Timestamp) {
        self.until = now + self.backoff.next();
    }

    /// Whether no match is to be formed.
    pub(super) fn holds(&self, now: Timestamp) -> bool {
        now < self.until
    }
}
