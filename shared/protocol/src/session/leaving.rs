//! Leaves that must not be lost. `room.leave` and `queue.leave` have no answer of the matcher that
//! could be waited for, so what was left is remembered until the matcher shows that it is gone:
//! at most one queue and one room.
//!
//! A leave names no room, so an old one must never reach the matcher once a later match may
//! stand: it is said again only if the matcher's last word is that very match, and no `queue.join`
//! that came after it waits for its answer.

use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::control::{ClientMessage, ErrorMessage, QueueLeave, RoomLeave};
use crate::id::RoomId;
use crate::time::Timestamp;

/// Shortest pause before a refused leave is said again, whatever the server says.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// What a client has left, as far as the matcher may not know.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    /// The match that the matcher told of last: it gives a ticket its room.
    told: Option<Match>,
    queue: Option<Word>,
    room: Option<LeftRoom>,
}

#[derive(Debug)]
struct LeftRoom {
    ticket: String,
    room: Option<RoomId>,
    word: Word,
    /// `queue.join`s said since, that are not refused: one of them may lead to a later match.
    joins: u32,
}

/// How far a leave has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// Not on the matcher's present attach: its next state decides.
    Unsaid,
    /// Said, and nothing speaks against it so far.
    Said,
    /// To be said again, then.
    Due(Timestamp),
}

#[derive(Debug, Clone, Deserialize)]
struct Match {
    room: RoomId,
    ticket: String,
}

/// As the match channel's `state` has it.
#[derive(Debug, Deserialize)]
struct MatchState {
    queue: Option<IgnoredAny>,
    #[serde(rename = "match")]
    playing: Option<Match>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "e")]
enum MatchEvent {
    #[serde(rename = "match.found")]
    Found(Match),
    #[serde(rename = "match.ended")]
    Ended { room: RoomId },
    #[serde(rename = "queue.left")]
    QueueLeft,
}

impl Leaving {
    /// The player leaves the queue; `said`: the server is being told.
    pub(super) fn leave_queue(&mut self, said: bool) {
        self.queue = Some(Word::new(said));
    }

    /// The player leaves the room that `ticket` is for; `said`: the server is being told.
    pub(super) fn leave_room(&mut self, ticket: String, said: bool) {
        let told = self.told.as_ref().filter(|told| told.ticket == ticket);
        self.room = Some(LeftRoom {
            room: told.map(|told| told.room),
            ticket,
            word: Word::new(said),
            joins: 0,
        });
    }

    /// The player enters a room: the one before is no more, or wanted again.
    pub(super) fn enter_room(&mut self) {
        self.room = None;
    }

    /// The player wants to queue; `said`: the server is being told. Gives what has to be said
    /// first, or the server would refuse.
    pub(super) fn join_queue(&mut self, said: bool) -> Option<ClientMessage> {
        self.queue = None;
        let left = self.room.as_mut().filter(|_| said)?;
        let first = left.joins == 0 && matches!(left.word, Word::Due(_));
        if first {
            left.word = Word::Said;
        }
        left.joins += 1;
        first.then_some(ClientMessage::RoomLeave(RoomLeave {}))
    }

    /// The connection is lost, or the gateway lost the matcher: what was said may be lost too.
    pub(super) fn handle_lost(&mut self) {
        if let Some(word) = &mut self.queue {
            *word = Word::Unsaid;
        }
        if let Some(left) = &mut self.room {
            left.word = Word::Unsaid;
            left.joins = 0;
        }
    }

    /// The match channel is attached.
    pub(super) fn handle_state(&mut self, now: Timestamp, state: Option<&RawValue>) {
        let state = state.and_then(|state| serde_json::from_str::<MatchState>(state.get()).ok());
        let Some(state) = state else { return };
        if state.queue.is_none() {
            self.queue = None;
        } else if let Some(word) = &mut self.queue {
            *word = Word::Due(now);
        }
        match &state.playing {
            None => self.room = None,
            Some(playing) => self.keep_only(playing),
        }
        if let Some(left) = &mut self.room {
            left.word = Word::Due(now);
        }
        self.told = state.playing;
    }

    /// An event of the match channel took effect.
    pub(super) fn handle_event(&mut self, payload: &[u8]) {
        match serde_json::from_slice::<MatchEvent>(payload) {
            Ok(MatchEvent::Found(found)) => {
                self.queue = None;
                self.keep_only(&found);
                self.told = Some(found);
            }
            Ok(MatchEvent::Ended { room: ended }) => {
                self.room.take_if(|left| left.room == Some(ended));
                self.told.take_if(|told| told.room == ended);
            }
            Ok(MatchEvent::QueueLeft) => self.queue = None,
            Err(_) => {} // of another type, or one that whoever plays will complain about
        }
    }

    /// The matcher has the player in a queue, so in no match.
    pub(super) fn handle_queued(&mut self) {
        self.room = None;
    }

    /// The server refused something.
    pub(super) fn handle_refused(&mut self, now: Timestamp, error: &ErrorMessage) {
        let word = match (error.re.as_deref(), &mut self.room) {
            (Some("queue.leave"), _) => self.queue.as_mut(),
            (Some("room.leave"), Some(left)) => Some(&mut left.word),
            (Some("queue.join"), Some(left)) => {
                left.joins = left.joins.saturating_sub(1);
                None
            }
            _ => None,
        };
        if let (Some(word @ Word::Said), Some(millis)) = (word, error.retry_after_ms) {
            *word = Word::Due(now + Duration::from_millis(millis).max(SHORTEST_PAUSE));
        }
    }

    /// What is to be said again now; only for a connection that is live.
    pub(super) fn poll_transmit(&mut self, now: Timestamp) -> Option<ClientMessage> {
        if let Some(word) = &mut self.queue
            && word.take_due(now)
        {
            return Some(ClientMessage::QueueLeave(QueueLeave {}));
        }
        let left = self.room.as_mut().filter(|left| left.joins == 0)?;
        left.word
            .take_due(now)
            .then_some(ClientMessage::RoomLeave(RoomLeave {}))
    }

    /// When to ask [`poll_transmit`](Self::poll_transmit) next.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        let room = self.room.as_ref().filter(|left| left.joins == 0);
        let words = [self.queue, room.map(|left| left.word)];
        let due = words.into_iter().flatten().filter_map(|word| match word {
            Word::Due(at) => Some(at),
            _ => None,
        });
        due.min()
    }

    /// The player is in this match, so no other one is left to leave.
    fn keep_only(&mut self, playing: &Match) {
        self.room.take_if(|left| !left.is_of(playing));
        if let Some(left) = &mut self.room {
            left.room = Some(playing.room);
        }
    }
}

impl LeftRoom {
    /// By the room if it is known, else by the ticket, of which a player has one for a match.
    fn is_of(&self, playing: &Match) -> bool {
        match self.room {
            Some(room) => room == playing.room,
            None => self.ticket == playing.ticket,
        }
    }
}

impl Word {
    fn new(said: bool) -> Self {
        if said { Self::Said } else { Self::Unsaid }
    }

    fn take_due(&mut self, now: Timestamp) -> bool {
        let due = matches!(self, Self::Due(at) if *at <= now);
        if due {
            *self = Self::Said;
        }
        due
    }
}
