//! What a game is, to the rest of syncd: a [`GameKind`] names it and makes instances, a [`Game`]
//! is one of them. A new game implements the trait and is listed in
//! [`Games`](crate::games::Games); nothing else changes.
//!
//! A game is deterministic: integer arithmetic, randomness only out of the seed of its
//! [`Setup`], iteration in a fixed order. The same setup and the same calls give the same bytes
//! on every machine; fail-over, replays and the browser's prediction rest on that.
//!
//! A game can be written down and restored ([`Game::save`], [`GameKind::restore`]): what it gives
//! after that is what it would have given without. [`store`] and [`load`] do it for a game whose
//! state serialises.

use std::fmt;

use bytes::Bytes;
use protocol::control::{Data, ErrorCode, ErrorMessage};
use protocol::id::PlayerId;
use protocol::snapshot::{Schema, View};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A place in a room, from 0. It belongs to one player for as long as the room lives.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seat(pub u16);

impl Seat {
    /// The seat as an index.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Who has a seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatSetup {
    /// The player.
    pub player: PlayerId,
    /// The name that others see.
    pub name: String,
    /// Whether it is a bot of ours.
    pub bot: bool,
    /// The team, where the game has teams.
    pub team: u32,
    /// The player's rating.
    pub rating: i32,
}

/// What an instance of a game is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// The only randomness that the game has.
    pub seed: u64,
    /// Who plays; a seat's number is its index.
    pub seats: Vec<SeatSetup>,
    /// The mode's settings, a JSON object; empty for the game's defaults.
    pub settings: String,
}

/// A kind of game: what is known before there is an instance.
#[derive(Clone, Copy)]
pub struct GameKind {
    /// Its name, as modes and clients say it.
    pub name: &'static str,
    /// Bits of one step of a player's input, 1 to 32.
    pub input_bits: u8,
    /// What its snapshots hold.
    pub schema: fn() -> Schema,
    /// Which simulation it is: raised whenever the same inputs would give other states, or the
    /// saved state has another form. A room moves only between nodes that agree on it.
    pub version: u32,
    /// Makes an instance.
    pub create: fn(&Setup) -> Result<Box<dyn Game>, SetupError>,
    /// Makes an instance of that setup again, as [`Game::save`] has written it down.
    pub restore: Restore,
}

/// A kind's way to make an instance of a setup again.
pub type Restore = fn(&Setup, &[u8]) -> Result<Box<dyn Game>, RestoreError>;

impl fmt::Debug for GameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GameKind").field(&self.name).finish()
    }
}

/// One running game. The room calls [`step`](Self::step) once a tick, first for tick 1, and tells
/// of presence between steps.
pub trait Game: Send {
    /// The player of `seat` is connected now.
    fn join(&mut self, seat: Seat);

    /// The player of `seat` is not connected any more.
    fn leave(&mut self, seat: Seat, departure: Departure);

    /// The player of `from`, who is present, says `data` to the seat `to`, or to all. Between
    /// steps; what it adds to `events` is told at once. Any JSON may come: a game that takes
    /// messages judges them. This one takes none.
    ///
    /// # Errors
    /// What the sender alone is told.
    fn say(
        &mut self,
        _from: Seat,
        _to: Option<Seat>,
        _data: &Data,
        _events: &mut Vec<GameEvent>,
    ) -> Result<(), ErrorMessage> {
        let text = "this game takes no messages";
        Err(ErrorMessage::new(ErrorCode::BadMessage, text))
    }

    /// Goes one tick on. `inputs` has an entry for each seat, in order.
    fn step(&mut self, inputs: &[SeatInput], events: &mut Vec<GameEvent>);

    /// All that changes while it runs, for the kind's `restore`. What follows from the setup is
    /// left out.
    fn save(&self) -> Vec<u8>;

    /// Writes the state into `view`, which is empty and of the kind's schema.
    fn encode(&self, view: &mut View);

    /// How much the player of `viewer` needs the entity in slot `entity`.
    fn interest(&self, viewer: Seat, entity: usize) -> Priority;

    /// Whether rooms of it are taped ([`crate::replay`]), second by second. A game that shows
    /// nothing worth watching, or that must not be kept, says no.
    fn is_taped(&self) -> bool {
        true
    }

    /// What a client must know before the first snapshot: the `setup` of the room's state.
    fn setup(&self) -> serde_json::Value;

    /// Whether it is decided. The room goes on stepping for a while.
    fn is_over(&self) -> bool;

    /// How each seat did, in the order that is shown. Final once [`is_over`](Self::is_over).
    fn result(&self) -> Vec<SeatResult>;
}

/// How a player went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Departure {
    /// The connection was lost; the player may be back.
    Lost,
    /// For good.
    Left,
}

/// What a seat does in one tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SeatInput {
    /// The input bits, none above the kind's `input_bits`; 0 is neutral.
    pub bits: u32,
    /// Whether the player is connected.
    pub present: bool,
}

/// Whom an event is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Every seat.
    All,
    /// One seat.
    Seat(Seat),
}

/// Something that clients must learn exactly once, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GameEvent {
    /// Whom it is for.
    pub to: Audience,
    /// A JSON object whose `e` names its type.
    pub payload: Bytes,
}

impl GameEvent {
    /// An event for every seat. `event` must serialise as an object with `e`.
    pub fn to_all(event: &impl Serialize) -> Self {
        Self {
            to: Audience::All,
            payload: json(event),
        }
    }

    /// An event for one seat. `event` must serialise as an object with `e`.
    pub fn to_seat(seat: Seat, event: &impl Serialize) -> Self {
        Self {
            to: Audience::Seat(seat),
            payload: json(event),
        }
    }
}

/// JSON of a value whose maps have string keys.
pub(crate) fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value)
        .expect("events have string keys only")
        .into()
}

/// How much a viewer needs an entity: what does not fit into a snapshot waits, the least needed
/// first. 0 is never needed, and not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(pub u16);

/// How a seat did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeatResult {
    /// Whose.
    pub seat: Seat,
    /// From 1.
    pub place: u32,
    /// Ticks from the start to the finish; none if it did not finish.
    pub ticks: Option<u32>,
}

/// Why there can be no such game.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct SetupError {
    /// The field of the setup at fault, such as `settings.laps`.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

impl SetupError {
    /// An error of one field.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
        }
    }
}

/// Why a room or a game cannot be made again from what was written down.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// Written by a build whose format this one does not read.
    #[error("format {theirs} of a room's state is unknown; this build reads {ours}")]
    Format {
        /// The format of what was written.
        theirs: u8,
        /// The one that this build has.
        ours: u8,
    },
    /// This build does not have the game.
    #[error("game {game:?} is unknown; this build has {known}")]
    UnknownGame {
        /// Its name.
        game: String,
        /// Names of those that there are.
        known: String,
    },
    /// This build would go on in another way.
    #[error("game {game:?} ran as simulation {theirs}; this build has {ours}")]
    Simulation {
        /// The game's name.
        game: String,
        /// The version that it ran as.
        theirs: u32,
        /// The one that this build has.
        ours: u32,
    },
    /// The bytes are not what was written.
    #[error("what was written down is damaged: {0}")]
    Damaged(&'static str),
    /// This build does not take the setup that it was made from.
    #[error("the setup is not taken any more: {0}")]
    Setup(#[from] SetupError),
}

/// Writes state down in a compact form that [`load`] reads.
pub fn store(state: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(state).expect("state has sequences of known lengths only")
}

/// Reads what [`store`] has written. Any bytes may come.
///
/// # Errors
/// [`RestoreError::Damaged`], which names `what`.
pub fn load<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, RestoreError> {
    match postcard::take_from_bytes(bytes) {
        Ok((state, [])) => Ok(state),
        _ => Err(RestoreError::Damaged(what)),
    }
}

/// Bytes of a [`digest`].
pub(crate) const DIGEST: usize = 8;

/// The first bytes of SHA-256: they tell damage and difference, they are no seal.
pub(crate) fn digest(bytes: &[u8]) -> [u8; DIGEST] {
    let whole = Sha256::digest(bytes);
    std::array::from_fn(|index| whole[index])
}

impl Setup {
    /// The settings as a game's own type; empty settings are `{}`.
    ///
    /// # Errors
    /// [`SetupError`] that names the field.
    pub fn parse_settings<T: DeserializeOwned>(&self) -> Result<T, SetupError> {
        let text = match self.settings.as_str() {
            "" => "{}",
            text => text,
        };
        let mut json = serde_json::Deserializer::from_str(text);
        serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let field = match error.path().to_string().as_str() {
                "." => "settings".to_owned(),
                path => format!("settings.{path}"),
            };
            SetupError::new(field, error.into_inner().to_string())
        })
    }
}
