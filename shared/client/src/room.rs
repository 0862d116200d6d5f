//! A room as a client sees it: seats and schema from the attach, values from snapshots.

use std::collections::VecDeque;

use protocol::control::ChannelAttached;
use protocol::frame::Snapshot;
use protocol::id::{PlayerId, RoomId, Tick};
use protocol::session::SNAPSHOTS_KEPT;
use protocol::snapshot::{Schema, SnapshotError, View, decode};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What a room says of itself when a client attaches.
#[derive(Debug, Deserialize)]
pub struct RoomState {
    /// The room.
    pub room: RoomId,
    /// The game's name.
    pub game: String,
    /// This client's seat; none if it watches.
    pub seat: Option<u8>,
    /// How it is shown, if it watches.
    pub watch: Option<WatchState>,
    /// Steps a second.
    pub tick_hz: u32,
    /// A snapshot comes every so many steps.
    pub snapshot_every: u32,
    /// Bits of one step of input.
    pub input_width: u8,
    /// What snapshots are made of.
    pub schema: Schema,
    /// The game's own: its track, its rules.
    pub setup: Box<RawValue>,
    /// Who plays.
    pub seats: Vec<Seat>,
}

/// How a room is shown to who watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct WatchState {
    /// From what happens to when it is shown, in milliseconds; none if it was over before.
    pub delay_ms: Option<u64>,
}

/// One who plays.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Seat {
    /// Its number.
    pub seat: u8,
    /// The player.
    pub player: PlayerId,
    /// The player's name.
    pub name: String,
    /// Whether it is a bot.
    pub bot: bool,
}

/// A room and its last snapshots.
#[derive(Debug)]
pub struct RoomView {
    state: RoomState,
    views: VecDeque<(Tick, View)>,
}

/// Why a room cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// The attach has no state that can be read.
    #[error("the room's state cannot be read")]
    State(#[source] serde_json::Error),
    /// The attach has none.
    #[error("the room gave no state")]
    NoState,
    /// The snapshot cannot be read.
    #[error("the snapshot of tick {0} cannot be read")]
    Snapshot(Tick, #[source] SnapshotError),
    /// The snapshot's baseline is not kept.
    #[error("the baseline of the snapshot of tick {0} is not kept")]
    Baseline(Tick),
}

impl RoomView {
    /// A room, out of the `channel` message.
    ///
    /// # Errors
    /// [`RoomError::State`], [`RoomError::NoState`].
    pub fn new(attached: &ChannelAttached) -> Result<Self, RoomError> {
        let state = attached.state.as_deref().ok_or(RoomError::NoState)?;
        let state = serde_json::from_str(state.get()).map_err(RoomError::State)?;
        Ok(Self {
            state,
            views: VecDeque::new(),
        })
    }

    /// What the room said of itself.
    pub fn state(&self) -> &RoomState {
        &self.state
    }

    /// Takes a snapshot.
    ///
    /// # Errors
    /// [`RoomError::Snapshot`], [`RoomError::Baseline`].
    pub fn handle_snapshot(&mut self, snapshot: &Snapshot) -> Result<&View, RoomError> {
        let tick = snapshot.head.tick;
        let baseline = match snapshot.head.baseline() {
            None => None,
            Some(wanted) => {
                let found = self.views.iter().find(|(tick, _)| *tick == wanted);
                Some(&found.ok_or(RoomError::Baseline(tick))?.1)
            }
        };
        let view = decode(&self.state.schema, baseline, &snapshot.body)
            .map_err(|error| RoomError::Snapshot(tick, error))?;
        if self.views.len() == SNAPSHOTS_KEPT {
            self.views.pop_front();
        }
        self.views.push_back((tick, view));
        Ok(&self.views.back().expect("just pushed").1)
    }

    /// The newest state and its tick.
    pub fn newest(&self) -> Option<(Tick, &View)> {
        self.views.back().map(|(tick, view)| (*tick, view))
    }
}
