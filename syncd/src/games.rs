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
