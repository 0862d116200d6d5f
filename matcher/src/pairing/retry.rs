//! When a ticket that found no match is tried again.
//!
//! Windows widen steadily, and to try a ticket at every point would cost more than a match that
//! comes a moment earlier is worth. So it is tried when it has waited an eighth longer, at least
//! [`SHORTEST`] and at most [`LONGEST`] after the last time, and at the very moments from which
//! more is allowed: beginning short-handed, bots, and windows at their caps. After the last of
//! these only others can bring it a match, and it is tried no more.

use std::time::Duration;

use protocol::time::Timestamp;

use crate::config::Mode;

const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(2);

/// The next time for a ticket that waits since `since`; always later than `now`.
pub(super) fn next(mode: &Mode, since: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let widest = since + widened_after(mode);
    let step = (now.since(since) / 8).clamp(SHORTEST, LONGEST);
    let bots = mode.bots.then_some(since + mode.bots_after);
    let ahead = [
        Some(since + mode.early_start_after),
        bots,
        Some(widest),
        (now < widest).then(|| now + step),
    ];
    ahead.into_iter().flatten().filter(|at| *at > now).min()
}

/// How long it takes until neither window widens any more.
fn widened_after(mode: &Mode) -> Duration {
    let after = |start: u32, per_second: u32, cap: u32| {
        let missing = u64::from(cap - start) * 1000;
        let millis = missing.div_ceil(u64::from(per_second.max(1)));
        if per_second == 0 { 0 } else { millis }
    };
    let (window, region) = (&mode.window, &mode.region);
    let rating = after(window.start, window.widen_per_second, window.cap);
    let latency = after(region.start_ms, region.widen_ms_per_second, region.cap_ms);
    Duration::from_millis(rating.max(latency))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModeOptions;

    fn times(mode: &Mode) -> Vec<Duration> {
        let since = Timestamp(1_000_000);
        let after = |at: &Timestamp| next(mode, since, *at);
        std::iter::successors(Some(since), after)
            .map(|at| at.since(since))
            .collect()
    }

    #[test]
    fn tries_become_rarer_and_end_when_nothing_is_ahead() {
        let mode = Mode::new(ModeOptions::default()).unwrap();
        let times = times(&mode);
        assert!(times.len() < 50, "{times:?}");
        for at in [mode.bots_after, mode.early_start_after] {
            assert!(times.contains(&at));
        }
        // 200 to 1000 points in steps of 25 a second; regions are there before.
        assert_eq!(times.last(), Some(&Duration::from_secs(32)));
        let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.max() <= Some(LONGEST));
    }

    #[test]
    fn windows_that_do_not_widen_are_not_waited_for() {
        let mut options = ModeOptions {
            bots: false,
            ..ModeOptions::default()
        };
        options.window.widen_per_second = 0;
        options.region.widen_ms_per_second = 0;
        let mode = Mode::new(options).unwrap();
        assert_eq!(times(&mode), [Duration::ZERO, mode.early_start_after]);
    }
}
