//! The two clocks. Pure code takes time as an argument; the edges read it here.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Microseconds since this process first asked. Monotonic: it never goes back, and it does not
/// count the time that the machine was suspended.
pub fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed();
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970 by the wall clock, which may jump either way. For stamps that people
/// or other machines read, never for measuring.
pub fn unix_ms() -> u64 {
    // A machine whose clock stands before 1970 gets 0 rather than a panic.
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_never_goes_back() {
        let first = now();
        assert!(now() >= first);
    }

    #[test]
    fn unix_ms_is_past_2020() {
        assert!(unix_ms() > 1_577_836_800_000);
    }
}
