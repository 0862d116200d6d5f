//! How busy a worker is: the share of the time for its steps that it uses. Pure.
//!
//! A worker that needs more than all of it is late with every room that it has, so new rooms are
//! refused long before. What a room costs shows only once its players are there; so rooms that
//! came of late are taken to cost what the others do.

use std::time::Duration;

use crate::room::TICK_HZ;

/// Over so much time the share is smoothed: a hiccup refuses nobody, and a rush is seen in time.
const SMOOTHED_OVER: f64 = 2.0;

/// Rooms that a guess for one more can build on.
const ENOUGH: f64 = 4.0;

/// The load of one worker.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Load {
    /// 1: all of the time for its steps.
    busy: f64,
    /// Rooms in the same time.
    rooms: f64,
}

impl Load {
    /// A worker with `rooms` rooms needed `spent` for what was due in `ticks` ticks.
    pub(crate) fn note(&mut self, spent: Duration, ticks: u32, rooms: usize) {
        if ticks == 0 {
            return;
        }
        let budget = f64::from(ticks) / f64::from(TICK_HZ);
        let weight = budget / (SMOOTHED_OVER + budget);
        self.busy += weight * (spent.as_secs_f64() / budget - self.busy);
        self.rooms += weight * (rooms as f64 - self.rooms);
    }

    /// The share that is used.
    pub(crate) fn busy(&self) -> f64 {
        self.busy
    }

    /// The share that `rooms` rooms are going to use: more than now, if some are new.
    pub(crate) fn expected(&self, rooms: usize) -> f64 {
        let growth = match self.rooms >= ENOUGH {
            true => (rooms as f64 / self.rooms).max(1.0),
            false => 1.0,
        };
        self.busy * growth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Seconds of a worker that needs `spent` for each tick.
    fn run(load: &mut Load, seconds: u32, spent: Duration, rooms: usize) {
        (0..seconds * TICK_HZ).for_each(|_| load.note(spent, 1, rooms));
    }

    #[test]
    fn the_share_follows_what_the_worker_needs_within_seconds() {
        let mut load = Load::default();
        run(&mut load, 10, ms(10), 100);
        assert!((load.busy() - 0.6).abs() < 0.01, "{load:?}");
        load.note(ms(100), 6, 100);
        assert!(load.busy() < 0.65, "one hiccup: {load:?}");
        run(&mut load, 10, ms(1), 100);
        assert!(load.busy() < 0.07, "{load:?}");
    }

    #[test]
    fn steps_that_are_made_up_for_together_count_as_those_that_come_one_by_one() {
        let (mut one, mut four) = (Load::default(), Load::default());
        run(&mut one, 20, ms(5), 10);
        (0..20 * TICK_HZ / 4).for_each(|_| four.note(ms(20), 4, 10));
        assert!((one.busy() - four.busy()).abs() < 0.01);
    }

    #[test]
    fn rooms_that_have_just_come_count_before_they_cost_anything() {
        let mut load = Load::default();
        run(&mut load, 20, ms(5), 100);
        assert!((load.expected(100) - 0.3).abs() < 0.01, "{load:?}");
        assert!((load.expected(200) - 0.6).abs() < 0.01);
        assert!(
            (load.expected(50) - 0.3).abs() < 0.01,
            "rooms that left cost until they are seen to"
        );
        let mut young = Load::default();
        run(&mut young, 1, ms(2), 1);
        assert!(young.expected(50) < 0.2, "nothing follows from one room");
    }
}
