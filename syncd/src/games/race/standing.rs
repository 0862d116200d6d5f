//! How far a car has come. Checkpoints count in order only: who cuts a corner or turns around
//! gains nothing.

use serde::{Deserialize, Serialize};

use super::track::{Place, Track};

/// One car's progress.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Standing {
    /// Checkpoints passed, the start line at the start included.
    passed: u32,
    /// Laps completed.
    laps: u32,
    finish: Option<Finish>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Finish {
    place: u32,
    ticks: u32,
}

/// Sorts cars by how well they do, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Finished, at this place.
    Finished(u32),
    /// Checkpoints still missing, then the distance to the next one.
    Driving(std::cmp::Reverse<u32>, i64),
}

impl Standing {
    /// Counts what a move passes; gives how many laps are complete if one is complete with it.
    pub(super) fn advance(&mut self, track: &Track, from: Place, to: Place) -> Option<u32> {
        if !track.passes_gate(self.next_gate(track), from, to) {
            return None;
        }
        let completes = self.passed > 0 && self.next_gate(track) == 0;
        self.passed += 1;
        if !completes {
            return None;
        }
        self.laps += 1;
        Some(self.laps)
    }

    pub(super) fn finish(&mut self, place: u32, ticks: u32) {
        self.finish = Some(Finish { place, ticks });
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// From the start to the finish.
    pub(super) fn ticks(&self) -> Option<u32> {
        self.finish.map(|finish| finish.ticks)
    }

    /// From 1.
    pub(super) fn lap_being_driven(&self) -> u32 {
        self.laps + 1
    }

    pub(super) fn rank(&self, track: &Track, place: Place) -> Rank {
        match self.finish {
            Some(finish) => Rank::Finished(finish.place),
            None => {
                let distance = track.gate_distance_squared(self.next_gate(track), place);
                Rank::Driving(std::cmp::Reverse(self.passed), distance)
            }
        }
    }

    fn next_gate(&self, track: &Track) -> usize {
        self.passed as usize % track.gates()
    }
}
