//! A room's history, run again.
//!
//! What a recording proves for one process, fail-over and replays rest on across processes: a
//! room's setup and its commands, with the ticks that they came after, give the same bytes.

use protocol::id::Tick;
use serde::{Deserialize, Serialize};

use crate::game::{GameKind, SetupError};
use crate::room::{Applied, Command, Output, Room, RoomSetup};

/// A room's setup and every command that it took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// The name of the room's game.
    pub game: String,
    /// What the room was made from.
    pub setup: RoomSetup,
    /// Commands in order, each with the tick after which it came.
    pub commands: Vec<(Tick, Command)>,
    /// The last tick.
    pub until: Tick,
}

/// A room that is recorded. Memory grows with the room's life: for tests and for finding bugs.
#[derive(Debug)]
pub struct Recorder {
    room: Room,
    commands: Vec<(Tick, Command)>,
}

impl Recorder {
    /// Records `room`, which has not taken a step or command yet.
    pub fn new(room: Room) -> Self {
        Self {
            room,
            commands: Vec::new(),
        }
    }

    /// As [`Room::apply`].
    pub fn apply(&mut self, command: Command) -> Applied {
        self.commands.push((self.room.tick(), command.clone()));
        self.room.apply(command)
    }

    /// As [`Room::step`].
    pub fn step(&mut self, out: &mut Vec<Output>) {
        self.room.step(out);
    }

    /// The room as it is now.
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// What was recorded.
    pub fn finish(self) -> Recording {
        Recording {
            game: self.room.game().to_owned(),
            setup: self.room.setup().clone(),
            commands: self.commands,
            until: self.room.tick(),
        }
    }
}

impl Recording {
    /// Runs the room again and gives all that left it, in order.
    ///
    /// # Errors
    /// [`SetupError`] if this build's game does not take the setup.
    pub fn run(self, kind: &GameKind) -> Result<Vec<Output>, SetupError> {
        let mut room = Room::new(kind, self.setup)?;
        let mut commands = self.commands.into_iter().peekable();
        let mut out = Vec::new();
        while room.tick() < self.until {
            while let Some((_, command)) = commands.next_if(|(tick, _)| *tick == room.tick()) {
                room.apply(command);
            }
            room.step(&mut out);
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests;
