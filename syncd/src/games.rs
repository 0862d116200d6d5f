//! The games that this build can run.
//!
//! - [`race`]: cars on a track, simulated here
//! - [`relay`]: messages between members, presence, a host; the members do the rest

pub mod race;
pub mod relay;

use std::collections::BTreeMap;

use crate::game::GameKind;

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
