//! Writes a player's history down. Pure: what comes is told to it, with the time.

use std::time::Duration;

use protocol::control::ChannelAttached;
use protocol::frame::{Event, Snapshot};
use protocol::id::{Channel, InputSeq, MatchId, RoomId};
use protocol::session::SessionEvent;
use serde::{Deserialize, Serialize};

use super::{Entry, History, SeatIn, What};

/// Silence that is worth an entry, in a room where 20 snapshots come a second.
const NOTED_IN_ROOM: Duration = Duration::from_millis(150);

/// The same elsewhere: in the queue a word comes every second.
const NOTED: Duration = Duration::from_millis(2_500);

/// What a player waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Its session.
    Session,
    /// A match.
    Match,
    /// The first word of its room.
    Room,
    /// The end of its race.
    Race,
    /// Nothing: it has stopped.
    Nothing,
}

/// What the match channel's state says, as far as a history cares.
#[derive(Debug, Deserialize)]
pub(crate) struct MatchState {
    /// Whether the player waits in a queue.
    pub(crate) queue: Option<serde::de::IgnoredAny>,
    /// The match that it is in.
    #[serde(rename = "match")]
    pub(crate) current: Option<CurrentMatch>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CurrentMatch {
    #[serde(rename = "match")]
    pub(crate) id: MatchId,
    pub(crate) room: RoomId,
    pub(crate) ticket: String,
}

impl MatchState {
    pub(crate) fn of(attached: &ChannelAttached) -> Option<Self> {
        serde_json::from_str(attached.state.as_deref()?.get()).ok()
    }
}

/// Writes one history.
#[derive(Debug)]
pub struct Recorder {
    history: History,
    phase: Phase,
    is_live: bool,
    is_racing: bool,
    losses: usize,
    /// The room that was entered last.
    room: Option<RoomId>,
    has_left: bool,
    durable: InputSeq,
}

impl Recorder {
    /// A recorder with nothing yet.
    pub fn new(number: u64) -> Self {
        Self {
            history: History::new(number),
            phase: Phase::Session,
            is_live: false,
            is_racing: false,
            losses: 0,
            room: None,
            has_left: false,
            durable: InputSeq(0),
        }
    }

    /// What is written so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// What the player waits for.
    pub fn phase(&self) -> Phase {
        match self.is_live {
            true => self.phase,
            false => Phase::Session,
        }
    }

    /// Whether the player's car is under way.
    pub fn is_racing(&self) -> bool {
        self.is_racing
    }

    /// Connections that were lost.
    pub fn losses(&self) -> usize {
        self.losses
    }

    /// Says whether the car is under way.
    pub fn set_racing(&mut self, is_racing: bool) {
        self.is_racing = is_racing;
    }

    /// The room that the player is in.
    pub fn room(&self) -> Option<RoomId> {
        self.room.filter(|_| !self.has_left)
    }

    /// The player asked for a match.
    pub fn queued(&mut self, at: Duration) {
        self.phase = Phase::Match;
        self.add(at, What::Queued);
    }

    /// The player asked to be in a room.
    pub fn entering(&mut self) {
        self.phase = Phase::Room;
        self.room = None;
        self.has_left = false;
    }

    /// The player left a room. What it had been told before may still come.
    pub fn left(&mut self, at: Duration, room: RoomId) {
        self.phase = Phase::Match;
        self.has_left = true;
        self.add(at, What::Left { room });
    }

    /// The player has come to rest.
    pub fn done(&mut self, at: Duration) {
        self.phase = Phase::Nothing;
        self.history.is_done = true;
        self.history.progress = at;
    }

    /// What the session told.
    pub fn note(&mut self, at: Duration, event: &SessionEvent) {
        match event {
            SessionEvent::Welcome(welcome) => {
                self.is_live = true;
                self.history.player = Some(welcome.player);
                let (node, resumed) = (welcome.node.clone(), welcome.resumed);
                self.add(at, What::Welcome { node, resumed });
            }
            SessionEvent::Lost { code } => {
                self.add(at, What::Lost { code: *code });
                self.losses += 1;
                self.is_live = false;
            }
            SessionEvent::Restored { freeze } => self.add(at, What::Restored { freeze: *freeze }),
            SessionEvent::Channel(attached) => self.attached(at, attached),
            SessionEvent::Event(event) => self.event(at, event),
            SessionEvent::Snapshot(snapshot) => self.snapshot(at, snapshot),
            SessionEvent::QueueState(_) => self.moved(at),
            SessionEvent::ChannelLost(lost) => {
                let (channel, reason) = (lost.ch, lost.reason.clone());
                self.add(at, What::OutOfReach { channel, reason });
            }
            SessionEvent::ChannelClosed(closed) => {
                let (channel, reason) = (closed.ch, closed.reason.clone());
                let room = self.room_of(channel);
                self.add(
                    at,
                    What::Closed {
                        channel,
                        room,
                        reason,
                    },
                );
            }
            SessionEvent::Refused(error) => self.add(at, refused(error)),
            // What is given up on the way out of a room is settled by nobody's fault.
            SessionEvent::InputsGivenUp(range) if self.room().is_some() => {
                let (from, to) = (range.from, range.to);
                self.add(at, What::GivenUp { from, to });
            }
            SessionEvent::Malformed(text) => self.add(at, What::Malformed { text: text.clone() }),
            SessionEvent::Ended(why) => {
                self.is_live = false;
                self.add(
                    at,
                    What::Ended {
                        why: format!("{why:?}"),
                    },
                );
            }
            SessionEvent::GoAway(_)
            | SessionEvent::InputsGivenUp(_)
            | SessionEvent::EventsListed(_)
            | SessionEvent::Private(_)
            | SessionEvent::EventCounts(_)
            | SessionEvent::EventSeat(_) => {}
        }
    }

    fn attached(&mut self, at: Duration, attached: &ChannelAttached) {
        let mut seat = None;
        if attached.ch == Channel::Room {
            #[derive(Deserialize)]
            struct RoomState {
                room: RoomId,
            }
            let state = attached.state.as_deref();
            if let Some(state) = state.and_then(|state| serde_json::from_str(state.get()).ok()) {
                let RoomState { room } = state;
                self.room = Some(room);
            }
            if !attached.recovered {
                self.durable = InputSeq(0);
            }
            self.phase = Phase::Race;
        } else if let Some(current) = MatchState::of(attached).and_then(|state| state.current) {
            let (match_id, room) = (current.id, current.room);
            seat = Some(SeatIn { match_id, room });
        }
        let what = What::Attached {
            channel: attached.ch,
            room: self.room_of(attached.ch),
            epoch: attached.epoch,
            offset: attached.offset,
            recovered: attached.recovered,
            seat,
        };
        self.add(at, what);
    }

    fn event(&mut self, at: Duration, event: &Event) {
        self.moved(at);
        let what = What::Event {
            channel: event.channel,
            room: self.room_of(event.channel),
            epoch: event.epoch,
            offset: event.offset,
            payload: String::from_utf8_lossy(&event.payload).into_owned(),
        };
        self.add(at, what);
    }

    fn snapshot(&mut self, at: Duration, snapshot: &Snapshot) {
        self.moved(at);
        let processed = snapshot.head.processed;
        if processed < self.durable {
            let durable = self.durable;
            self.add(at, What::Undone { durable, processed });
        }
        let durable = processed.0.saturating_sub(snapshot.head.durable_lag);
        self.durable = self.durable.max(InputSeq(durable));
    }

    /// The player sees that things go on.
    fn moved(&mut self, at: Duration) {
        let lasted = at.saturating_sub(self.history.progress);
        let noted = match self.phase {
            Phase::Race => NOTED_IN_ROOM,
            _ => NOTED,
        };
        if lasted >= noted {
            let phase = self.phase();
            self.add(at, What::Silence { lasted, phase });
        }
        self.history.progress = at;
    }

    fn room_of(&self, channel: Channel) -> Option<RoomId> {
        self.room.filter(|_| channel == Channel::Room)
    }

    fn add(&mut self, at: Duration, what: What) {
        self.history.entries.push(Entry { at, what });
    }
}

fn refused(error: &protocol::control::ErrorMessage) -> What {
    let code = serde_json::to_value(error.code).ok();
    let code = code.and_then(|code| code.as_str().map(str::to_owned));
    What::Refused {
        re: error.re.clone(),
        code: code.unwrap_or_default(),
        message: error.message.clone(),
        retry: error.retry_after_ms.is_some(),
    }
}
