//! The games that this build can run.
//!
//! - [`race`]: cars on a track, simulated here
//! - [`relay`]: messages between members, presence, a host; the members do the rest

pub mod race;
pub mod relay;

use std::collections::BTreeMap;

use crate::game::{GameKind, RestoreError};

/// Games by name. A build with games of its own starts from [`Games::default`] or from none.
#[derive(Debug, Clone)]
pub struct Games(BTreeMap<&'static str, GameKind>);

impl Games {
    /// No games.
    pub fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds a game, in place of one of the same name.
    pub fn with(mut self, kind: GameKind) -> Self {
        self.0.insert(kind.name, kind);
        self
    }

    /// The game called `name`.
    pub fn find(&self, name: &str) -> Option<&GameKind> {
        self.0.get(name)
    }

    /// The game called `name`, if it is that very simulation.
    pub(crate) fn find_as(&self, name: &str, simulation: u32) -> Result<&GameKind, RestoreError> {
        let Some(kind) = self.find(name) else {
            return Err(RestoreError::UnknownGame {
                game: name.to_owned(),
                known: self.names().collect::<Vec<_>>().join(", "),
            });
        };
        match kind.version == simulation {
            true => Ok(kind),
            false => Err(RestoreError::Simulation {
                game: name.to_owned(),
                theirs: simulation,
                ours: kind.version,
            }),
        }
    }

    /// What a node must have in common with another to go on with its rooms: every game and its
    /// version, in order, such as `race:1,relay:1`.
    pub fn simulation(&self) -> String {
        let games = self.0.values();
        let games = games.map(|kind| format!("{}:{}", kind.name, kind.version));
        games.collect::<Vec<_>>().join(",")
    }

    /// Every name, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }
}

impl Default for Games {
    fn default() -> Self {
        Self::none().with(race::KIND).with(relay::KIND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_simulation_names_every_game_with_its_version() {
        assert_eq!(Games::default().simulation(), "race:1,relay:1");
        assert_eq!(Games::none().simulation(), "");
    }
}
