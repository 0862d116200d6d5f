//! How far a race may be shown. Pure: time is an argument.
//!
//! Of a race that runs, nobody without a seat may see what happens before its delay has passed. A
//! tape says no times, only ticks, and comes in pieces. That a piece up to tick U was there at time
//! R proves that tick U was over by then, and tick t before it by R − (U − t)/60 s, as ticks never
//! come faster than their rate. Each piece gives such a bound, and the earliest holds: a piece that
//! came late is made up for by the next one, and a race that stood still is not caught up with.

use std::collections::VecDeque;
use std::time::Duration;

use protocol::id::Tick;
use tokio::time::Instant;

use crate::room::TICK_HZ;

/// When what is on a tape is shown.
#[derive(Debug)]
pub(super) enum Pace {
    /// So long after it happened.
    Live {
        delay: Duration,
        /// Up to where the tape was known to reach, and when, in order. At most a piece a second
        /// for as long as the delay.
        heard: VecDeque<(Tick, Instant)>,
    },
    /// As it went, from when the first watcher came.
    Recorded { began: Instant },
}

impl Pace {
    pub(super) fn live(delay: Duration) -> Self {
        let heard = VecDeque::new();
        Self::Live { delay, heard }
    }

    /// The tape reaches to `until` at `now`.
    pub(super) fn hear(&mut self, until: Tick, now: Instant) {
        if let Self::Live { heard, .. } = self {
            heard.push_back((until, now));
        }
    }

    /// The last tick that may be shown. It never goes back.
    pub(super) fn due(&mut self, now: Instant) -> Tick {
        match self {
            Self::Recorded { began } => Tick(ticks_of(now - *began)),
            Self::Live { delay, heard } => {
                let shown = |(until, at): &(Tick, Instant)| match now.checked_duration_since(*at) {
                    Some(known) if known >= *delay => *until,
                    known => {
                        let early = *delay - known.unwrap_or_default();
                        // One more, as ticks are counted down.
                        Tick(until.0.saturating_sub(ticks_of(early) + 1))
                    }
                };
                let due = heard.iter().map(shown).max().unwrap_or_default();
                while heard.len() > 1 && heard.front().is_some_and(|(until, _)| *until <= due) {
                    // What it allows is allowed by its successors from here on, or shown.
                    if heard.get(1).is_none_or(|next| shown(next) < due) {
                        break;
                    }
                    heard.pop_front();
                }
                due
            }
        }
    }
}

fn ticks_of(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros() * u128::from(TICK_HZ) / 1_000_000).unwrap_or(u32::MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_secs(5);

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// A race that began at the time `0` and stands still for some time after some tick; its tape
    /// is looked at with a jitter.
    #[test]
    fn nothing_is_shown_before_its_delay_also_of_a_race_that_stood_still() {
        let start = Instant::now();
        let stood = (600, ms(4_000));
        let happened = |tick: u32| {
            let pause = if tick > stood.0 { stood.1 } else { ms(0) };
            start + ms(u64::from(tick) * 1_000 / 60) + pause
        };
        let mut pace = Pace::live(DELAY);
        let (mut heard, mut shown) = (0, Tick(0));
        let mut worst = Duration::ZERO;
        for step in 0..3_000u64 {
            let now = start + ms(step * 10);
            let late = ms(step * 37 % 900);
            if now >= happened(heard + 60) + late {
                heard += 60;
                pace.hear(Tick(heard), now);
            }
            let due = pace.due(now);
            assert!(due >= shown, "{due} after {shown}");
            shown = due;
            if due > Tick(0) {
                assert!(now >= happened(due.0) + DELAY, "tick {due} at {step}");
                if !(600..=660).contains(&due.0) {
                    worst = worst.max(now - happened(due.0) - DELAY);
                }
            }
        }
        assert!(shown > Tick(1_100), "{shown}");
        assert!(worst < ms(1_000), "late by {worst:?}");
    }

    #[test]
    fn a_tape_that_is_found_in_the_middle_of_a_race_is_shown_up_to_the_delay() {
        let start = Instant::now();
        let mut pace = Pace::live(DELAY);
        pace.hear(Tick(6_000), start);
        assert_eq!(pace.due(start), Tick(6_000 - 301));
        assert_eq!(pace.due(start + ms(2_500)), Tick(6_000 - 151));
        assert_eq!(pace.due(start + ms(60_000)), Tick(6_000));
    }

    #[test]
    fn a_recording_goes_at_its_own_rate() {
        let began = Instant::now();
        let mut pace = Pace::Recorded { began };
        assert_eq!(pace.due(began), Tick(0));
        assert_eq!(pace.due(began + ms(1_500)), Tick(90));
    }
}
