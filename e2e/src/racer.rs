//! A player that races by itself: what bots, the smoke suite and tests have behind their
//! sessions.

use std::time::Duration;

use client::room::RoomView;
use protocol::frame::Event;
use protocol::id::{Channel, RoomId};
use protocol::session::SessionEvent;
use serde::Deserialize;
use syncd::games::race::pilot::Pilot;
use syncd::games::race::track::Track;
use syncd::games::race::wire::{CarState, Phase, RaceState};

/// How often input is sent.
pub const INPUT_EVERY: Duration = Duration::from_millis(50);

/// Steps of input in each frame: 60 a second.
const STEPS: usize = 3;

/// Steps that may wait at the room. What waits acts late, so after a freeze a racer that has sent
/// too much sends less for a moment: otherwise it would steer half a second behind to the end.
const QUEUED: u8 = 6;

/// What a reliable event says, as far as a racer cares.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "e")]
pub enum GameEvent {
    /// A match was formed.
    #[serde(rename = "match.found")]
    MatchFound {
        /// Where it is played.
        room: RoomId,
        /// For `room.join`.
        ticket: String,
    },
    /// The match is over.
    #[serde(rename = "match.ended")]
    MatchEnded {
        /// Where it was played.
        room: RoomId,
        /// `finished`, `lost`, …
        reason: String,
    },
    /// The player is not in the queue any more.
    #[serde(rename = "queue.left")]
    QueueLeft {
        /// Why.
        reason: String,
    },
    /// The race began.
    #[serde(rename = "race.start")]
    RaceStart {
        /// When.
        tick: u32,
    },
    /// A car went over the line.
    #[serde(rename = "race.lap")]
    RaceLap {
        /// Which.
        seat: u8,
        /// Laps done.
        lap: u32,
    },
    /// A car finished.
    #[serde(rename = "race.finish")]
    RaceFinish {
        /// Which.
        seat: u8,
        /// From 1.
        place: u32,
    },
    /// Inputs that came too late or too fast.
    #[serde(rename = "inputs.lost")]
    InputsLost {
        /// The first.
        from: u32,
        /// The last.
        to: u32,
    },
    /// The room is over.
    #[serde(rename = "room.ended")]
    RoomEnded {
        /// The game's result.
        result: serde_json::Value,
    },
    /// Anything else.
    #[serde(other)]
    Other,
}

impl GameEvent {
    /// Reads an event's payload.
    ///
    /// # Errors
    /// If it is no JSON object, or one of a known kind with wrong fields.
    pub fn of(event: &Event) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(&event.payload)
    }
}

/// The match that an attached match channel says the player is in.
#[derive(Debug, Deserialize)]
struct MatchState {
    #[serde(rename = "match")]
    current: Option<CurrentMatch>,
}

#[derive(Debug, Deserialize)]
struct CurrentMatch {
    ticket: String,
}

/// What a racer wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// Join this room.
    Found(String),
    /// The race is over.
    Over,
}

/// Races by what a session tells.
#[derive(Debug)]
pub struct Racer {
    pilot: Pilot,
    room: Option<(RoomView, Track)>,
    held: u32,
    /// Steps that waited at the room when it was seen last.
    queued: u8,
}

impl Racer {
    /// A racer whose ways follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            pilot: Pilot::new(seed),
            room: None,
            held: 0,
            queued: 0,
        }
    }

    /// Whether input is wanted.
    pub fn is_racing(&self) -> bool {
        self.room.is_some()
    }

    /// The room as it was seen last.
    pub fn room(&self) -> Option<&RoomView> {
        self.room.as_ref().map(|(room, _)| room)
    }

    /// The race as it was seen last.
    pub fn race(&self) -> Option<RaceState> {
        let (_, view) = self.room()?.newest()?;
        Some(RaceState::of(view))
    }

    /// This racer's car as it was seen last.
    pub fn car(&self) -> Option<CarState> {
        let room = self.room()?;
        CarState::of(room.newest()?.1, usize::from(room.state().seat?))
    }

    /// The steps to send now.
    pub fn steps(&self) -> Vec<u32> {
        let count = match self.queued {
            ..=QUEUED => STEPS,
            15.. => 0,
            _ => STEPS - 1,
        };
        vec![self.held; count]
    }

    /// Takes what the session told.
    pub fn handle(&mut self, event: &SessionEvent) -> Change {
        match event {
            SessionEvent::Channel(attached) if attached.ch == Channel::Room => {
                self.enter(attached);
                Change::None
            }
            SessionEvent::Channel(attached) if !attached.recovered => {
                let state = attached.state.as_deref();
                let state = state.and_then(|state| serde_json::from_str(state.get()).ok());
                match state.and_then(|state: MatchState| state.current) {
                    Some(current) => Change::Found(current.ticket),
                    None => Change::None,
                }
            }
            SessionEvent::Event(event) => self.handle_event(event),
            SessionEvent::Snapshot(snapshot) => {
                self.queued = snapshot.head.queued;
                if let Some((room, _)) = &mut self.room
                    && room.handle_snapshot(snapshot).is_ok()
                {
                    self.decide();
                }
                Change::None
            }
            SessionEvent::ChannelClosed(closed) if closed.ch == Channel::Room => {
                self.room = None;
                Change::Over
            }
            _ => Change::None,
        }
    }

    fn enter(&mut self, attached: &protocol::control::ChannelAttached) {
        #[derive(Deserialize)]
        struct Setup {
            track: Track,
        }
        let Ok(room) = RoomView::new(attached) else {
            return;
        };
        let Ok(setup) = serde_json::from_str::<Setup>(room.state().setup.get()) else {
            return;
        };
        self.room = Some((room, setup.track));
    }

    fn handle_event(&mut self, event: &Event) -> Change {
        match GameEvent::of(event) {
            Ok(GameEvent::MatchFound { ticket, .. }) => Change::Found(ticket),
            Ok(GameEvent::RoomEnded { .. } | GameEvent::MatchEnded { .. }) => {
                self.room = None;
                Change::Over
            }
            _ => Change::None,
        }
    }

    fn decide(&mut self) {
        let racing = self.race().is_some_and(|race| race.phase == Phase::Racing);
        let car = self.car();
        self.held = match (&self.room, car) {
            (Some((_, track)), Some(car)) if racing => self.pilot.drive(track, &car),
            _ => 0,
        };
    }
}
