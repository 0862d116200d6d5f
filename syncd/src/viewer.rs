//! What one player has been shown: baselines for deltas, and what waits to be shown.

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::id::Tick;
use protocol::snapshot::View;

/// Snapshots that are remembered, two seconds at 20 a second. Clients keep as many. A baseline
/// that is older is given up, and the next snapshot is whole.
const REMEMBERED: usize = 40;

/// One player's view of a room.
#[derive(Debug, Default)]
pub(crate) struct Viewer {
    /// What was sent, oldest first, from the acknowledged one on.
    sent: VecDeque<(Tick, Arc<View>)>,
    /// Whether the oldest is acknowledged, and so the baseline.
    acknowledged: bool,
    /// By slot: priority gathered while waiting to be sent.
    waiting: Vec<u32>,
}

impl Viewer {
    /// Forgets everything: the next snapshot is whole.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    /// The client has the snapshot of `tick`. One that is not remembered is ignored.
    pub(crate) fn acknowledge(&mut self, tick: Tick) {
        if let Some(index) = self.sent.iter().position(|(sent, _)| *sent == tick) {
            self.sent.drain(..index);
            self.acknowledged = true;
        }
    }

    /// What the client has for certain.
    pub(crate) fn baseline(&self) -> Option<&Arc<View>> {
        let (_, view) = self.sent.front().filter(|_| self.acknowledged)?;
        Some(view)
    }

    /// When that was.
    pub(crate) fn baseline_tick(&self) -> Option<Tick> {
        let (tick, _) = self.sent.front().filter(|_| self.acknowledged)?;
        Some(*tick)
    }

    /// Remembers what was sent.
    pub(crate) fn sent(&mut self, tick: Tick, view: Arc<View>) {
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
            self.acknowledged = false;
        }
        self.sent.push_back((tick, view));
    }

    /// Gathered priorities, a number for each of `capacity` slots.
    pub(crate) fn waiting(&mut self, capacity: usize) -> &mut [u32] {
        self.waiting.resize(capacity, 0);
        &mut self.waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::snapshot::Schema;

    fn view() -> Arc<View> {
        Arc::new(View::new(&Schema::new(0, vec![], vec![]).unwrap()))
    }

    #[test]
    fn the_newest_acknowledged_snapshot_is_the_baseline() {
        let mut viewer = Viewer::default();
        (1..=5).for_each(|tick| viewer.sent(Tick(tick), view()));
        assert_eq!(viewer.baseline_tick(), None);
        viewer.acknowledge(Tick(3));
        assert_eq!(viewer.baseline_tick(), Some(Tick(3)));
        viewer.acknowledge(Tick(2));
        viewer.acknowledge(Tick(99));
        assert_eq!(viewer.baseline_tick(), Some(Tick(3)));
    }

    #[test]
    fn a_baseline_that_is_too_old_is_given_up_until_a_later_one_is_acknowledged() {
        let mut viewer = Viewer::default();
        (1..=REMEMBERED as u32).for_each(|tick| viewer.sent(Tick(tick), view()));
        viewer.acknowledge(Tick(1));
        assert_eq!(viewer.baseline_tick(), Some(Tick(1)));
        viewer.sent(Tick(1000), view());
        assert_eq!(viewer.baseline_tick(), None);
        viewer.acknowledge(Tick(20));
        assert_eq!(viewer.baseline_tick(), Some(Tick(20)));
    }
}
