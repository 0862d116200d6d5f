//! A room's game, run again from its tape.
//!
//! A [`Replay`] takes the segments of a tape as they come and goes on tick by tick as far as they
//! reach: behind a race that is running, or through one that is over. It shows what the room's
//! game showed at every tick, and knows whether it does: each segment ends with a digest of the
//! state that the game was in.

use std::collections::VecDeque;

use protocol::id::Tick;
use protocol::snapshot::{Schema, View};

use crate::game::{
    DIGEST, Departure, Game, GameEvent, GameKind, RestoreError, Seat, SeatInput, SeatResult, Setup,
    digest,
};
use crate::games::Games;
use crate::room::{Happening, Segment};

/// Why a tape cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// This build does not run it, or it is damaged.
    #[error(transparent)]
    Tape(#[from] RestoreError),
    /// A segment is missing.
    #[error("a segment begins after tick {found}, the tape reaches to tick {expected}")]
    Gap {
        /// Where the tape ends so far.
        expected: Tick,
        /// Where the segment begins.
        found: Tick,
    },
}

/// Told who comes and, with a departure, who goes, and what is told so far.
pub(crate) type Moved<'a> = dyn FnMut(&Setup, &mut Vec<GameEvent>, Seat, Option<Departure>) + 'a;

/// A game that is run again.
pub struct Replay {
    kind: GameKind,
    schema: Schema,
    setup: Setup,
    watch_delay: Option<u32>,
    game: Box<dyn Game>,
    inputs: Vec<SeatInput>,
    tick: Tick,
    until: Tick,
    is_whole: bool,
    /// What is still to come, each with the tick after which it came.
    happenings: VecDeque<(Tick, Happening)>,
    /// Digests of states that are still to come, by tick.
    digests: VecDeque<(Tick, [u8; DIGEST])>,
    diverged: Option<Tick>,
}

impl Replay {
    /// A replay at tick 0 of the tape whose first segment is `first`.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub fn new(games: &Games, first: &[u8]) -> Result<Self, ReplayError> {
        let mut segment = Segment::read(first)?;
        let Some(opening) = segment.opening.take() else {
            return Err(ReplayError::Gap {
                expected: Tick(0),
                found: segment.after,
            });
        };
        let kind = games.find_as(&opening.game, opening.simulation)?;
        let setup = opening.setup;
        let mut replay = Self {
            kind: *kind,
            schema: (kind.schema)(),
            game: (kind.create)(&setup).map_err(RestoreError::from)?,
            inputs: vec![SeatInput::default(); setup.seats.len()],
            setup,
            watch_delay: opening.watch_delay,
            tick: Tick(0),
            until: Tick(0),
            is_whole: false,
            happenings: VecDeque::new(),
            digests: VecDeque::new(),
            diverged: None,
        };
        replay.append(segment)?;
        Ok(replay)
    }

    /// Adds the next segment. One that the tape has already changes nothing.
    ///
    /// # Errors
    /// [`ReplayError`]; the replay is as before.
    pub fn push(&mut self, segment: &[u8]) -> Result<(), ReplayError> {
        let segment = Segment::read(segment)?;
        if segment.until <= self.until {
            return Ok(());
        }
        self.append(segment)
    }

    fn append(&mut self, segment: Segment) -> Result<(), ReplayError> {
        if segment.after != self.until {
            return Err(ReplayError::Gap {
                expected: self.until,
                found: segment.after,
            });
        }
        let seats = self.inputs.len();
        let is_known =
            |(_, happening): &(Tick, Happening)| happening.highest_seat().index() < seats;
        if !segment.happenings.iter().all(is_known) {
            return Err(RestoreError::Damaged("seats in a segment of a tape").into());
        }
        self.until = segment.until;
        self.is_whole = segment.is_last;
        self.happenings.extend(segment.happenings);
        self.digests.push_back((segment.until, segment.digest));
        Ok(())
    }

    /// Goes one tick on and adds what the game tells to `events`. `false`: the tape reaches no
    /// further, so far at least.
    pub fn step(&mut self, events: &mut Vec<GameEvent>) -> bool {
        self.step_with(events, &mut |_, _, _, _| {})
    }

    /// The same, and tells `moved` of presence.
    pub(crate) fn step_with(&mut self, events: &mut Vec<GameEvent>, moved: &mut Moved<'_>) -> bool {
        if self.tick >= self.until {
            return false;
        }
        while let Some((at, _)) = self.happenings.front()
            && *at <= self.tick
            && let Some((_, happening)) = self.happenings.pop_front()
        {
            self.take(happening, events, moved);
        }
        self.tick.0 += 1;
        self.game.step(&self.inputs, events);
        if let Some((_, expected)) = self.digests.pop_front_if(|(tick, _)| *tick == self.tick)
            && self.diverged.is_none()
            && digest(&self.game.save()) != expected
        {
            self.diverged = Some(self.tick);
        }
        true
    }

    fn take(&mut self, happening: Happening, events: &mut Vec<GameEvent>, moved: &mut Moved<'_>) {
        match happening {
            Happening::Input { seat, bits } => self.inputs[seat.index()].bits = bits,
            Happening::Join { seat } => {
                self.inputs[seat.index()].present = true;
                self.game.join(seat);
                moved(&self.setup, events, seat, None);
            }
            Happening::Leave { seat, departure } => {
                self.inputs[seat.index()].present = false;
                self.game.leave(seat, departure);
                moved(&self.setup, events, seat, Some(departure));
            }
            Happening::Say { from, to, data } => {
                // What the game refused then it refuses now, to nobody.
                let _ = self.game.say(from, to, &data, events);
            }
        }
    }

    /// The first tick at which the game was not in the state that the tape says, of those that
    /// it says: the end of each segment. What is shown after it is not what was.
    pub fn diverged(&self) -> Option<Tick> {
        self.diverged
    }

    /// The last step.
    pub fn tick(&self) -> Tick {
        self.tick
    }

    /// How far the tape reaches.
    pub fn until(&self) -> Tick {
        self.until
    }

    /// Whether the tape reaches to the game's end.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The game's name.
    pub fn game(&self) -> &'static str {
        self.kind.name
    }

    /// What the game was made from: its seats.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Bits of one step of a player's input.
    pub(crate) fn input_bits(&self) -> u8 {
        self.kind.input_bits
    }

    /// As [`crate::room::RoomSetup::watch_delay`].
    pub fn watch_delay(&self) -> Option<u32> {
        self.watch_delay
    }

    /// Which seats have somebody, now.
    pub fn present(&self) -> Vec<bool> {
        self.inputs.iter().map(|input| input.present).collect()
    }

    /// What a client must know before the first view, as [`Game::setup`].
    pub fn state(&self) -> serde_json::Value {
        self.game.setup()
    }

    /// The fields of its views.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The game's whole state.
    pub fn view(&self) -> View {
        let mut view = View::new(&self.schema);
        self.game.encode(&mut view);
        view
    }

    /// How each seat did, once the game is over.
    pub fn result(&self) -> Option<Vec<SeatResult>> {
        self.game.is_over().then(|| self.game.result())
    }
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay")
            .field("game", &self.kind.name)
            .field("tick", &self.tick)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
