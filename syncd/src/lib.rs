//! syncd: authoritative rooms with a fixed step, and delta snapshots of them.
//!
//! Pure, no I/O, no clock:
//! - [`game`]: what a game is; [`games`]: those there are; [`games::race`]: the race
//! - [`room`]: one game with its players: commands in, events and snapshots out
//! - `viewer`, `interest`, `delta`: what each player is shown, and its bytes
//! - [`recording`]: a room's commands, run again
//! - [`ownership`]: what is written down of rooms, and who takes them over
//! - [`replay`]: a room's game, run again from the tape that the room made
//! - `ticker`: when steps are due; `load`: how busy that makes a worker
//!
//! Around it:
//! - `grpc`: gateways' streams and matchers' calls come in, and are handed to a worker
//! - `host`: which rooms there are, on which worker
//! - `worker`: steps many rooms, speaks for them to gateways
//! - `spectators`: shows races to who has no seat, later, from their tapes
//! - `results`: what becomes of a room that ended; `tapes`: its game, kept to be run again
//! - [`faults`]: where tests let a syncd die
//! - [`config`], `meters`; [`build`], [`Syncd::serve`]: the service

pub mod config;
pub mod faults;
pub mod game;
pub mod games;
pub mod ownership;
pub mod recording;
pub mod replay;
pub mod room;

mod delta;
mod grpc;
mod host;
mod interest;
mod load;
mod meters;
mod results;
mod service;
mod spectators;
mod tapes;
mod ticker;
mod viewer;
mod worker;

pub use config::Config;
pub use service::{Announce, Failed, Parts, Syncd, build, build_with};
