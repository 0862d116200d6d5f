//! Inputs, both ends: each is applied once and in order, or reported as lost.
//!
//! A client numbers its steps of input. The room consumes one a tick; what comes too late or too
//! fast is skipped by rule and reported with an event, never dropped in silence. The client keeps
//! each step until the room says that it is durable. That may be long after the room has applied
//! it: on the same attachment only what the room does not have is sent again, and a room that
//! fell back behind what it had says so when it attaches.

use std::collections::VecDeque;
use std::time::Duration;

use crate::frame::{InputFrame, Steps};
use crate::id::{Epoch, InputSeq, Offset, Tick};
use crate::time::Timestamp;

/// Inputs from `from` to `to`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct InputRange {
    /// The first.
    pub from: InputSeq,
    /// The last.
    pub to: InputSeq,
}

/// The room's end, for one player.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct InputQueue {
    limit: usize,
    /// The last step that was applied or reported.
    processed: InputSeq,
    /// Steps `processed + 1` onwards.
    waiting: VecDeque<u32>,
}

impl InputQueue {
    /// An empty queue that lets at most `limit` steps wait.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            processed: InputSeq(0),
            waiting: VecDeque::new(),
        }
    }

    /// Takes steps numbered from `first` on. Those known already are ignored. Gives the range
    /// that is lost, if any: steps that never came although later ones did, and the oldest ones
    /// over the limit.
    pub fn accept(&mut self, first: InputSeq, steps: &[u32]) -> Option<InputRange> {
        let mut lost: Option<InputRange> = None;
        for (index, step) in steps.iter().enumerate() {
            let seq = InputSeq(first.0.saturating_add(index as u32));
            let last = self.last();
            if seq <= last {
                continue;
            }
            if seq.0 > last.0 + 1 {
                // A gap: what waits before it is lost with it, because order is kept.
                self.lose(InputSeq(seq.0 - 1), &mut lost);
            }
            self.waiting.push_back(*step);
            if self.waiting.len() > self.limit {
                self.lose(InputSeq(self.processed.0 + 1), &mut lost);
            }
        }
        lost
    }

    /// The step to apply now, if one waits.
    pub fn take(&mut self) -> Option<u32> {
        let step = self.waiting.pop_front()?;
        self.processed.0 += 1;
        Some(step)
    }

    /// The last step that was applied or reported.
    pub fn processed(&self) -> InputSeq {
        self.processed
    }

    /// How many steps wait.
    pub fn queued(&self) -> usize {
        self.waiting.len()
    }

    fn last(&self) -> InputSeq {
        InputSeq(self.processed.0 + self.waiting.len() as u32)
    }

    fn lose(&mut self, up_to: InputSeq, lost: &mut Option<InputRange>) {
        let from = lost.map_or(InputSeq(self.processed.0 + 1), |range| range.from);
        *lost = Some(InputRange { from, to: up_to });
        let count = (up_to.0 - self.processed.0) as usize;
        self.waiting.drain(..count.min(self.waiting.len()));
        self.processed = up_to;
    }
}

/// Steps that a client sent and that the room does not have are sent again after this long.
pub const RESEND_INPUT_AFTER: Duration = Duration::from_secs(1);

/// The client's end: steps that are not durable yet.
#[derive(Debug, Clone)]
pub struct InputWindow {
    width: u8,
    limit: usize,
    /// Every step up to here is durable, reported, or given up.
    settled: InputSeq,
    /// Steps `settled + 1` onwards.
    steps: VecDeque<u32>,
    /// The room has every step up to here, on the present attachment; `settled` or later.
    received: InputSeq,
    /// The last step that went out on the present attachment; `received` or later.
    sent: InputSeq,
    resend_at: Option<Timestamp>,
}

impl InputWindow {
    /// An empty window for steps of `width` bits that keeps at most `limit` of them, at least 1.
    pub fn new(width: u8, limit: usize) -> Self {
        Self {
            width,
            limit: limit.max(1),
            settled: InputSeq(0),
            steps: VecDeque::new(),
            received: InputSeq(0),
            sent: InputSeq(0),
            resend_at: None,
        }
    }

    /// Adds a step. Gives its number, and the range that had to be given up to make room.
    pub fn push(&mut self, step: u32) -> (InputSeq, Option<InputRange>) {
        let mut lost = None;
        if self.steps.len() >= self.limit {
            let oldest = InputSeq(self.settled.0 + 1);
            lost = Some(InputRange {
                from: oldest,
                to: oldest,
            });
            self.settle(oldest);
        }
        self.steps.push_back(step);
        (self.last(), lost)
    }

    /// The room attached, and goes on with the history that the steps are counted in. It has them
    /// up to `processed`, which is less than before if it fell back; a room that does not say so
    /// gets everything that is not durable.
    pub fn handle_attached(&mut self, processed: Option<InputSeq>) {
        self.received = processed.map_or(self.settled, |processed| {
            processed.clamp(self.settled, self.last())
        });
        self.sent = self.received;
        self.resend_at = None;
    }

    /// The room says which steps it has applied or reported, and which of those are durable. What
    /// it says of steps that there are not is ignored.
    pub fn handle_snapshot(&mut self, now: Timestamp, processed: InputSeq, durable: InputSeq) {
        let before = self.received;
        if durable > self.settled && durable <= self.last() {
            self.settle(durable);
        }
        if processed > self.received && processed <= self.last() {
            self.received = processed;
            self.sent = self.sent.max(processed);
        }
        if self.received > before {
            self.resend_at = (self.sent > self.received).then(|| now + RESEND_INPUT_AFTER);
        }
    }

    /// Sends again what the room did not get in time.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.resend_at.is_some_and(|deadline| deadline <= now) {
            self.sent = self.received;
            self.resend_at = None;
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.resend_at
    }

    /// The next frame of steps that have not been sent.
    pub fn poll_transmit(
        &mut self,
        now: Timestamp,
        epoch: Epoch,
        offset: Offset,
        snapshot: Tick,
    ) -> Option<InputFrame> {
        if self.sent >= self.last() {
            return None;
        }
        let first = InputSeq(self.sent.0 + 1);
        let mut steps = Steps::new(self.width);
        let start = (self.sent.0 - self.settled.0) as usize;
        for step in self.steps.range(start..) {
            if !steps.push(*step) {
                break;
            }
            self.sent.0 += 1;
        }
        self.resend_at.get_or_insert(now + RESEND_INPUT_AFTER);
        Some(InputFrame {
            epoch,
            offset,
            snapshot,
            first,
            steps,
        })
    }

    /// The newest step.
    pub fn last(&self) -> InputSeq {
        InputSeq(self.settled.0 + self.steps.len() as u32)
    }

    /// The steps that are not settled, with their numbers. A prediction replays those after the
    /// `processed` of the snapshot that it starts from.
    pub fn unsettled(&self) -> impl Iterator<Item = (InputSeq, u32)> {
        let first = self.settled.0 + 1;
        self.steps
            .iter()
            .enumerate()
            .map(move |(index, step)| (InputSeq(first + index as u32), *step))
    }

    fn settle(&mut self, up_to: InputSeq) {
        self.steps.drain(..(up_to.0 - self.settled.0) as usize);
        self.settled = up_to;
        self.received = self.received.max(up_to);
        self.sent = self.sent.max(up_to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: u32, to: u32) -> Option<InputRange> {
        Some(InputRange {
            from: InputSeq(from),
            to: InputSeq(to),
        })
    }

    #[test]
    fn steps_are_applied_once_and_in_order() {
        let mut queue = InputQueue::new(10);
        assert_eq!(queue.accept(InputSeq(1), &[10, 11, 12]), None);
        assert_eq!(queue.accept(InputSeq(2), &[11, 12, 13]), None);
        let applied: Vec<u32> = std::iter::from_fn(|| queue.take()).collect();
        assert_eq!(applied, [10, 11, 12, 13]);
        assert_eq!(queue.accept(InputSeq(1), &[10, 11, 12, 13]), None);
        assert_eq!((queue.take(), queue.processed()), (None, InputSeq(4)));
    }

    #[test]
    fn a_gap_is_reported_with_what_waited_before_it() {
        let mut queue = InputQueue::new(10);
        queue.accept(InputSeq(1), &[1, 2]);
        queue.take();
        assert_eq!(queue.accept(InputSeq(6), &[6, 7]), range(2, 5));
        assert_eq!(queue.take(), Some(6));
        assert_eq!(queue.processed(), InputSeq(6));
    }

    #[test]
    fn the_oldest_over_the_limit_are_reported() {
        let mut queue = InputQueue::new(3);
        assert_eq!(queue.accept(InputSeq(1), &[1, 2, 3, 4, 5]), range(1, 2));
        assert_eq!((queue.take(), queue.queued()), (Some(3), 2));
    }

    #[test]
    fn a_number_near_the_end_does_not_overflow() {
        let mut queue = InputQueue::new(3);
        assert_eq!(
            queue.accept(InputSeq(u32::MAX - 16), &[1]),
            range(1, u32::MAX - 17)
        );
        assert_eq!(queue.take(), Some(1));
    }

    fn window_of(steps: u32) -> InputWindow {
        let mut window = InputWindow::new(4, 100);
        (0..steps).for_each(|step| assert_eq!(window.push(step % 16).1, None));
        window
    }

    /// The first step and the number of steps of the next frame.
    fn next(window: &mut InputWindow, now: Timestamp) -> Option<(u32, usize)> {
        window
            .poll_transmit(now, Epoch(1), Offset(0), Tick(0))
            .map(|frame| (frame.first.0, frame.steps.as_slice().len()))
    }

    #[test]
    fn what_is_not_durable_goes_out_again_to_a_room_that_does_not_say_what_it_has() {
        let now = Timestamp(0);
        let mut window = window_of(20);
        assert_eq!(next(&mut window, now), Some((1, 15)));
        assert_eq!(next(&mut window, now), Some((16, 5)));
        assert_eq!(next(&mut window, now), None);
        window.handle_snapshot(now, InputSeq(19), InputSeq(17));
        window.handle_attached(None);
        assert_eq!(next(&mut window, now), Some((18, 3)));
    }

    #[test]
    fn a_room_that_says_what_it_has_gets_the_rest_and_one_that_fell_back_gets_it_again() {
        let now = Timestamp(0);
        let mut window = window_of(20);
        while next(&mut window, now).is_some() {}
        window.handle_snapshot(now, InputSeq(19), InputSeq(3));
        window.handle_attached(Some(InputSeq(19)));
        assert_eq!(next(&mut window, now), Some((20, 1)));
        window.handle_attached(Some(InputSeq(10)));
        assert_eq!(next(&mut window, now), Some((11, 10)));
        // Less than was durable, or more than there is, is no truth.
        window.handle_attached(Some(InputSeq(1)));
        assert_eq!(next(&mut window, now), Some((4, 15)));
        window.handle_attached(Some(InputSeq(99)));
        assert_eq!(next(&mut window, now), None);
    }

    #[test]
    fn what_the_room_has_is_not_sent_again_however_long_it_is_not_durable() {
        let mut window = window_of(20);
        let mut now = Timestamp(0);
        while next(&mut window, now).is_some() {}
        window.handle_snapshot(now, InputSeq(18), InputSeq(0));
        now = now + RESEND_INPUT_AFTER;
        window.handle_timeout(now);
        assert_eq!(next(&mut window, now), Some((19, 2)));
        window.handle_snapshot(now, InputSeq(20), InputSeq(0));
        assert_eq!(window.poll_timeout(), None);
        assert_eq!(window.unsettled().count(), 20);
        window.handle_snapshot(now, InputSeq(20), InputSeq(20));
        assert_eq!(window.unsettled().count(), 0);
    }

    #[test]
    fn a_full_window_gives_up_the_oldest_and_says_so() {
        let mut window = InputWindow::new(4, 2);
        window.push(1);
        window.push(2);
        assert_eq!(window.push(3), (InputSeq(3), range(1, 1)));
        window.handle_snapshot(Timestamp(0), InputSeq(99), InputSeq(99));
        assert_eq!(window.unsettled().count(), 2);
    }
}
