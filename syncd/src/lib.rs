//! syncd: authoritative rooms with a fixed step, and delta snapshots of them.
//!
//! Pure, no I/O, no clock:
//! - [`game`]: what a game is; [`games`]: those there are; [`games::race`]: the race
//! - [`room`]: one game with its players: commands in, events and snapshots out
//! - `viewer`, `interest`, `delta`: what each player is shown, and its bytes
//! - [`recording`]: a room's commands, run again

pub mod game;
pub mod games;
pub mod recording;
pub mod room;

mod delta;
mod interest;
mod viewer;
