//! One table of deadlines, in place of sleeps scattered through the code.

use crate::time::Timestamp;

/// Deadlines of `N` kinds. A kind is a plain index; at most one deadline of each is armed.
#[derive(Debug, Clone)]
pub struct Timers<const N: usize> {
    deadlines: [Option<Timestamp>; N],
}

impl<const N: usize> Default for Timers<N> {
    fn default() -> Self {
        Self {
            deadlines: [None; N],
        }
    }
}

impl<const N: usize> Timers<N> {
    /// Arms `timer` for `deadline`, in place of what it was armed for.
    pub fn set(&mut self, timer: usize, deadline: Timestamp) {
        self.deadlines[timer] = Some(deadline);
    }

    /// Arms `timer` only if it is not armed yet.
    pub fn set_if_unarmed(&mut self, timer: usize, deadline: Timestamp) {
        self.deadlines[timer].get_or_insert(deadline);
    }

    /// Disarms `timer`.
    pub fn stop(&mut self, timer: usize) {
        self.deadlines[timer] = None;
    }

    /// The nearest deadline.
    pub fn next(&self) -> Option<Timestamp> {
        self.deadlines.iter().flatten().min().copied()
    }

    /// Disarms and gives one timer whose deadline has come, the earliest first.
    pub fn expired(&mut self, now: Timestamp) -> Option<usize> {
        let (timer, deadline) = self
            .deadlines
            .iter()
            .enumerate()
            .filter_map(|(timer, deadline)| deadline.map(|deadline| (timer, deadline)))
            .min_by_key(|(_, deadline)| *deadline)?;
        if deadline > now {
            return None;
        }
        self.deadlines[timer] = None;
        Some(timer)
    }
}
