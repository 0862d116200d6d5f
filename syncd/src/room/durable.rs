//! Which inputs are durable. A room applies inputs at once; whoever journals them learns later
//! that they are written down, and tells the room by ticks.
//!
//! This is about what snapshots say, not about what the room is: it is no part of a checkpoint,
//! and rooms that differ in it alone take the same steps.

use std::collections::VecDeque;

use protocol::id::{InputSeq, Tick};

use super::Room;

/// Most runs of a trail. Over it every second one is left out: what is durable is then told late,
/// but never too early.
const RUNS: usize = 64;

/// What was processed at each tick that is not confirmed yet, of one seat. A player's steps come
/// one a tick for long stretches, so that runs are few.
#[derive(Debug, Clone, Default)]
pub(super) struct Trail {
    durable: InputSeq,
    runs: VecDeque<Run>,
}

/// A stretch of ticks in which what was processed stood still or rose by one each.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: Tick,
    last: Tick,
    processed: InputSeq,
    rises: bool,
}

impl Run {
    /// What was processed at `tick`, which is not before the run.
    fn at(&self, tick: Tick) -> InputSeq {
        match self.rises {
            true => InputSeq(self.processed.0 + tick.min(self.last).0 - self.first.0),
            false => self.processed,
        }
    }

    fn extend(&mut self, tick: Tick, processed: InputSeq) -> bool {
        if tick.0 != self.last.0 + 1 {
            return false;
        }
        let rises = processed.0 == self.at(self.last).0.wrapping_add(1);
        if (self.first == self.last || !self.rises) && processed == self.processed {
            self.rises = false;
        } else if rises && (self.first == self.last || self.rises) {
            self.rises = true;
        } else {
            return false;
        }
        self.last = tick;
        true
    }
}

impl Trail {
    /// Everything up to `processed` is durable.
    pub(super) fn restart(&mut self, processed: InputSeq) {
        self.durable = processed;
        self.runs.clear();
    }

    /// The step of `tick` was taken.
    pub(super) fn note(&mut self, tick: Tick, processed: InputSeq) {
        if self.runs.is_empty() && processed == self.durable {
            return; // as a seat without inputs does
        }
        if let Some(run) = self.runs.back_mut()
            && run.extend(tick, processed)
        {
            return;
        }
        if self.runs.len() == RUNS {
            let mut keep = false;
            self.runs.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.runs.push_back(Run {
            first: tick,
            last: tick,
            processed,
            rises: false,
        });
    }

    /// Everything up to `tick` is written down.
    pub(super) fn confirm(&mut self, tick: Tick) {
        while let Some(run) = self.runs.front_mut()
            && run.first <= tick
        {
            self.durable = self.durable.max(run.at(tick));
            if run.last <= tick {
                self.runs.pop_front();
            } else {
                let next = Tick(tick.0 + 1);
                run.processed = run.at(next);
                run.first = next;
            }
        }
    }

    /// How many of those that are `processed` are not durable.
    pub(super) fn lag(&self, processed: InputSeq) -> u32 {
        processed.0.saturating_sub(self.durable.0)
    }
}

impl Room {
    /// From here on nothing is durable until it is [confirmed](Self::confirm): inputs, and the
    /// result of the game. In a room that is never told this, everything is durable at once.
    pub fn set_unconfirmed(&mut self) {
        self.confirmed = Some(self.tick);
        for member in &mut self.members {
            member.confirm_all();
        }
    }

    /// Everything up to and with the step of `tick` is durable.
    pub fn confirm(&mut self, tick: Tick) {
        let Some(confirmed) = &mut self.confirmed else {
            return;
        };
        *confirmed = tick.min(self.tick).max(*confirmed);
        for member in &mut self.members {
            member.trail.confirm(*confirmed);
        }
    }

    /// Whether the game is over, and no crash can undo it.
    pub(super) fn is_surely_over(&self) -> bool {
        self.over_at
            .is_some_and(|over| self.confirmed.is_none_or(|confirmed| confirmed >= over))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_player_who_drives_along_takes_one_run() {
        let mut trail = Trail::default();
        (1..=3_600).for_each(|tick| trail.note(Tick(tick), InputSeq(tick)));
        assert_eq!(trail.runs.len(), 1);
        trail.confirm(Tick(3_500));
        assert_eq!(trail.lag(InputSeq(3_600)), 100);
        trail.confirm(Tick(3_600));
        assert_eq!((trail.lag(InputSeq(3_600)), trail.runs.len()), (0, 0));
        (3_601..9_999).for_each(|tick| trail.note(Tick(tick), InputSeq(3_600)));
        assert_eq!(trail.runs.len(), 0);
    }

    proptest! {
        #[test]
        fn what_is_told_durable_was_processed_by_a_confirmed_tick(
            rises in prop::collection::vec((0u32..4, 0u32..6), 1..600),
        ) {
            let mut trail = Trail::default();
            let (mut processed, mut confirmed) = (vec![0], 0);
            for (index, (rise, behind)) in rises.into_iter().enumerate() {
                // Mostly one a tick, at times none, rarely a jump.
                let rise = [1, 1, 0, 7][rise as usize];
                let tick = index as u32 + 1;
                processed.push(processed[index] + rise);
                trail.note(Tick(tick), InputSeq(processed[tick as usize]));
                if behind == 0 && tick.is_multiple_of(7) {
                    confirmed = tick / 2;
                    trail.confirm(Tick(confirmed));
                }
                let now = processed[tick as usize];
                prop_assert!(trail.runs.len() <= RUNS);
                prop_assert!(now - trail.lag(InputSeq(now)) <= processed[confirmed as usize]);
            }
            let (last, now) = (processed.len() as u32 - 1, processed[processed.len() - 1]);
            trail.confirm(Tick(last));
            prop_assert_eq!(trail.lag(InputSeq(now)), 0);
        }
    }
}
