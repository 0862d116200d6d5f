//! The origin's side of resume: the log of what one client has not acknowledged on one channel.
//!
//! The log lives where events are made (matcher, syncd), never in a gateway. Delivery is
//! go-back-N: events leave in order, acknowledgements are cumulative, and what stays
//! unacknowledged is sent again after a resume, on request, or when nothing moved for
//! [`RESEND_AFTER`]. With the client's [`crate::cursor`] that makes every event take effect once.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::frame::{Ack, Event};
use crate::id::{Channel, Epoch, Offset, Position};
use crate::time::Timestamp;

/// Sent events that nobody acknowledged for this long are sent again.
pub const RESEND_AFTER: Duration = Duration::from_secs(2);

/// Requests to resend are met at most this often, the next one late rather than not at all: a
/// request is some bytes, and what it asks for can be the whole log.
pub const RESEND_PAUSE: Duration = Duration::from_millis(100);

/// How a client comes to a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Attach {
    /// It has nothing: it starts with whole state and a new history.
    Fresh,
    /// It has this, and wants the rest.
    Resume(Position),
    /// The connection between gateway and origin broke, the client never left: go on from what
    /// it acknowledged.
    Continue,
}

/// What came of an attach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attached {
    /// Where the client stands: events follow from here.
    pub position: Position,
    /// Whether that continues what it had. `false`: send whole state.
    pub recovered: bool,
}

/// Bounds of a log. At either one the history is given up: the next attach gets a new epoch and
/// whole state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// Most events kept.
    pub events: usize,
    /// Most payload bytes kept.
    pub bytes: usize,
}

/// Default bounds: a client that is away for minutes on a channel of a few events a second.
pub const LOG_LIMITS: LogLimits = LogLimits {
    events: 512,
    bytes: 256 * 1024,
};

/// The log is full; the client must start afresh. Detach it with a code that lets it reconnect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more events are unacknowledged than the log keeps")]
pub struct LogOverflow;

/// Events of one channel for one client, from the first unacknowledged one on.
#[derive(Debug)]
pub struct EventLog {
    channel: Channel,
    limits: LogLimits,
    epoch: Epoch,
    /// Everything up to here is acknowledged and gone.
    acked: Offset,
    /// Everything up to here has been handed out on the present attachment.
    sent: Offset,
    entries: VecDeque<Bytes>,
    bytes: usize,
    resend_at: Option<Timestamp>,
    /// When a request to resend was met last.
    asked_at: Option<Timestamp>,
    /// Whether a client was ever told of this history. Before that nobody can continue it.
    told: bool,
}

/// A log as it can be written down: what its owner has promised, without what has been handed to
/// the present attachment. Who restores it has no attachment yet.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SavedLog {
    epoch: Epoch,
    acked: Offset,
    entries: Vec<Vec<u8>>,
    told: bool,
}

impl EventLog {
    /// An empty log with the history `epoch`, which the caller draws at random.
    pub fn new(channel: Channel, epoch: Epoch, limits: LogLimits) -> Self {
        Self {
            channel,
            limits,
            epoch,
            acked: Offset(0),
            sent: Offset(0),
            entries: VecDeque::new(),
            bytes: 0,
            resend_at: None,
            asked_at: None,
            told: false,
        }
    }

    /// The log of `saved`, with nothing handed out; `None` if it is over a limit, which none that
    /// was saved with the same limits is.
    pub fn restore(channel: Channel, limits: LogLimits, saved: SavedLog) -> Option<Self> {
        let bytes = saved.entries.iter().map(Vec::len).sum();
        let last = u32::try_from(saved.entries.len()).ok();
        let last = last.and_then(|count| saved.acked.0.checked_add(count));
        if last.is_none() || saved.entries.len() > limits.events || bytes > limits.bytes {
            return None;
        }
        Some(Self {
            acked: saved.acked,
            sent: saved.acked,
            entries: saved.entries.into_iter().map(Bytes::from).collect(),
            bytes,
            told: saved.told,
            ..Self::new(channel, saved.epoch, limits)
        })
    }

    /// What [`restore`](Self::restore) takes.
    pub fn save(&self) -> SavedLog {
        SavedLog {
            epoch: self.epoch,
            acked: self.acked,
            entries: self.entries.iter().map(|entry| entry.to_vec()).collect(),
            told: self.told,
        }
    }

    /// Ends the history: nobody can continue it, by no kind of attach. `new_epoch` must differ
    /// from every epoch that this channel had before.
    pub fn end_history(&mut self, new_epoch: Epoch) {
        *self = Self::new(self.channel, new_epoch, self.limits);
    }

    /// Attaches a client. `new_epoch` is used if its history cannot be continued; it must differ
    /// from every epoch that this channel had before.
    pub fn attach(&mut self, attach: Attach, new_epoch: Epoch) -> Attached {
        let continues = match attach {
            Attach::Fresh => false,
            Attach::Continue => self.told,
            Attach::Resume(at) => {
                at.epoch == self.epoch && (self.acked..=self.last()).contains(&at.offset)
            }
        };
        if let (true, Attach::Resume(at)) = (continues, attach) {
            self.forget(at.offset);
        }
        if !continues {
            self.end_history(new_epoch);
        }
        self.told = true;
        self.asked_at = None; // whoever asks now is somebody else
        self.rewind();
        let position = Position {
            epoch: self.epoch,
            offset: self.acked,
        };
        Attached {
            position,
            recovered: continues,
        }
    }

    /// Appends an event.
    ///
    /// # Errors
    /// [`LogOverflow`] at the bounds; the history ends there and the log is empty.
    pub fn append(&mut self, payload: Bytes) -> Result<Offset, LogOverflow> {
        if self.entries.len() >= self.limits.events
            || self.bytes + payload.len() > self.limits.bytes
            || self.last().0 == u32::MAX
        {
            let next = Epoch(self.epoch.0.wrapping_add(1).max(1));
            self.end_history(next);
            return Err(LogOverflow);
        }
        self.bytes += payload.len();
        self.entries.push_back(payload);
        Ok(self.last())
    }

    /// Takes the client's acknowledgement. One of another history, or of events that there are
    /// not, is ignored.
    pub fn handle_ack(&mut self, now: Timestamp, ack: Ack) {
        if ack.epoch != self.epoch || ack.offset > self.last() {
            return;
        }
        if ack.offset > self.acked {
            self.forget(ack.offset);
            self.sent = self.sent.max(self.acked);
            self.resend_at = (self.sent > self.acked).then(|| now + RESEND_AFTER);
        }
        if ack.resend {
            let free_at = self.asked_at.map_or(now, |asked| asked + RESEND_PAUSE);
            if free_at <= now {
                self.asked_at = Some(now);
                self.rewind();
            } else if let Some(resend_at) = &mut self.resend_at {
                *resend_at = free_at.min(*resend_at);
            }
        }
    }

    /// Sends again what nobody acknowledged in time.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.resend_at.is_some_and(|deadline| deadline <= now) {
            self.rewind();
        }
    }

    /// The next event to send to the attached client.
    pub fn poll_transmit(&mut self, now: Timestamp) -> Option<Event> {
        let index = (self.sent.0 - self.acked.0) as usize;
        let payload = self.entries.get(index)?.clone();
        self.sent.0 += 1;
        self.resend_at.get_or_insert(now + RESEND_AFTER);
        Some(Event {
            channel: self.channel,
            epoch: self.epoch,
            offset: self.sent,
            payload,
        })
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.resend_at
    }

    /// The history's name.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The newest event.
    pub fn last(&self) -> Offset {
        Offset(self.acked.0 + self.entries.len() as u32)
    }

    /// Whether everything is acknowledged.
    pub fn is_settled(&self) -> bool {
        self.entries.is_empty()
    }

    fn rewind(&mut self) {
        self.sent = self.acked;
        self.resend_at = None;
    }

    fn forget(&mut self, up_to: Offset) {
        for _ in self.acked.0..up_to.0 {
            if let Some(payload) = self.entries.pop_front() {
                self.bytes -= payload.len();
            }
        }
        self.acked = up_to;
        if self.entries.is_empty() {
            self.entries = VecDeque::new(); // an idle player keeps no buffer
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1);

    fn log_of(events: u32) -> EventLog {
        let mut log = EventLog::new(Channel::Match, Epoch(7), LOG_LIMITS);
        for number in 1..=events {
            log.append(Bytes::from(number.to_string())).unwrap();
        }
        log
    }

    fn drain(log: &mut EventLog) -> Vec<u32> {
        std::iter::from_fn(|| log.poll_transmit(NOW))
            .map(|event| event.offset.0)
            .collect()
    }

    fn resume(epoch: u32, offset: u32) -> Attach {
        Attach::Resume(Position {
            epoch: Epoch(epoch),
            offset: Offset(offset),
        })
    }

    #[test]
    fn a_resume_sends_what_the_client_does_not_have() {
        let mut log = log_of(5);
        assert_eq!(drain(&mut log), [1, 2, 3, 4, 5]);
        let attached = log.attach(resume(7, 3), Epoch(8));
        assert!(attached.recovered);
        assert_eq!(drain(&mut log), [4, 5]);
    }

    #[test]
    fn a_history_that_cannot_be_continued_starts_anew() {
        for attach in [Attach::Fresh, resume(6, 3), resume(7, 6), resume(7, 1)] {
            let mut log = log_of(5);
            let ack = Ack {
                channel: Channel::Match,
                epoch: Epoch(7),
                offset: Offset(2),
                resend: false,
            };
            log.handle_ack(NOW, ack);
            let attached = log.attach(attach, Epoch(8));
            assert_eq!(
                attached.position,
                Position {
                    epoch: Epoch(8),
                    offset: Offset(0)
                }
            );
            assert!(!attached.recovered);
            assert_eq!(drain(&mut log), Vec::<u32>::new());
        }
    }

    #[test]
    fn what_is_not_acknowledged_is_sent_again_after_a_while() {
        let mut log = log_of(3);
        assert_eq!(drain(&mut log), [1, 2, 3]);
        let ack = Ack {
            channel: Channel::Match,
            epoch: Epoch(7),
            offset: Offset(1),
            resend: false,
        };
        log.handle_ack(NOW, ack);
        log.handle_timeout(NOW + RESEND_AFTER);
        assert_eq!(drain(&mut log), [2, 3]);
        let all = Ack {
            offset: Offset(3),
            ..ack
        };
        log.handle_ack(NOW, all);
        assert_eq!(log.poll_timeout(), None);
        assert!(log.is_settled());
    }

    #[test]
    fn a_forged_acknowledgement_loses_nothing() {
        let mut log = log_of(2);
        for (epoch, offset) in [(7, 3), (6, 1), (7, u32::MAX)] {
            let ack = Ack {
                channel: Channel::Match,
                epoch: Epoch(epoch),
                offset: Offset(offset),
                resend: false,
            };
            log.handle_ack(NOW, ack);
        }
        assert_eq!(drain(&mut log), [1, 2]);
    }

    #[test]
    fn a_full_log_ends_its_history() {
        let limits = LogLimits {
            events: 2,
            bytes: 100,
        };
        let mut log = EventLog::new(Channel::Room, Epoch(7), limits);
        log.append(Bytes::from_static(b"a")).unwrap();
        log.append(Bytes::from_static(b"b")).unwrap();
        assert_eq!(log.append(Bytes::from_static(b"c")), Err(LogOverflow));
        assert!(!log.attach(resume(7, 1), Epoch(9)).recovered);
    }

    #[test]
    fn a_history_that_nobody_was_told_of_is_not_continued() {
        let mut log = EventLog::new(Channel::Room, Epoch(7), LOG_LIMITS);
        assert!(!log.attach(Attach::Continue, Epoch(8)).recovered);
        assert!(log.attach(Attach::Continue, Epoch(9)).recovered);
        for _ in 0..LOG_LIMITS.events {
            log.append(Bytes::new()).unwrap();
        }
        assert_eq!(log.append(Bytes::new()), Err(LogOverflow));
        assert!(!log.attach(Attach::Continue, Epoch(9)).recovered);
    }

    #[test]
    fn a_restored_log_goes_on_where_the_saved_one_stood() {
        let mut log = log_of(5);
        assert!(log.attach(resume(7, 2), Epoch(8)).recovered);
        drain(&mut log);
        let restored = EventLog::restore(Channel::Match, LOG_LIMITS, log.save());
        let mut restored = restored.unwrap();
        assert_eq!(restored.save(), log.save());
        assert_eq!(restored.poll_timeout(), None);
        assert!(restored.attach(Attach::Continue, Epoch(8)).recovered);
        assert_eq!(drain(&mut restored), [3, 4, 5]);
        let small = LogLimits {
            events: 2,
            bytes: 100,
        };
        assert!(EventLog::restore(Channel::Match, small, log.save()).is_none());
    }

    #[test]
    fn a_history_that_was_ended_is_not_continued() {
        for attach in [Attach::Continue, resume(7, 3), resume(8, 0)] {
            let mut log = log_of(5);
            log.attach(resume(7, 0), Epoch(6));
            log.end_history(Epoch(9));
            let attached = log.attach(attach, Epoch(10));
            assert!(!attached.recovered, "{attach:?}");
            assert_eq!(attached.position.epoch, Epoch(10));
        }
    }

    #[test]
    fn requests_to_resend_are_met_at_a_bounded_pace() {
        let mut log = log_of(3);
        let ask = Ack {
            channel: Channel::Match,
            epoch: Epoch(7),
            offset: Offset(0),
            resend: true,
        };
        drain(&mut log);
        let mut sent = 0;
        for _ in 0..50 {
            log.handle_ack(NOW, ask);
            sent += drain(&mut log).len();
        }
        assert_eq!(sent, 3);
        let due = log.poll_timeout().unwrap();
        assert_eq!(due, NOW + RESEND_PAUSE);
        log.handle_timeout(due);
        assert_eq!(drain(&mut log), [1, 2, 3]);
    }

    #[test]
    fn a_history_ends_before_its_numbers_do() {
        let mut log = EventLog::new(Channel::Room, Epoch(7), LOG_LIMITS);
        log.acked = Offset(u32::MAX - 1);
        log.sent = log.acked;
        assert_eq!(log.append(Bytes::new()), Ok(Offset(u32::MAX)));
        assert_eq!(log.append(Bytes::new()), Err(LogOverflow));
    }
}
