//! The matcher: players come with a wish to play, and get a seat in a room.
//!
//! - [`config`]: modes, windows, times
//! - [`ticket`]: a wish to play, of one player or a party
//! - [`pairing`]: which tickets make a match; pure
//! - [`seats`]: events with a limited number of seats
//! - [`store`]: where tickets are, and that each is in one place
//! - `desk`: the task that owns players, queues and matches; `event` is what it tells clients
//! - `placing`, `nodes`: a room for a match, and the syncd nodes that have rooms
//! - `ratings`, `players`: how good players are, for the desk and for gateways
//! - [`faults`]: where tests let a matcher die
//! - [`estimate`]: how much longer a wait will be
//! - `grpc`: the gateways' streams; `metrics`, `clock`
//! - [`build`], [`Matcher::run`]: the service

mod clock;
pub mod config;
mod desk;
pub mod estimate;
mod event;
pub mod faults;
mod grpc;
mod metrics;
mod nodes;
pub mod pairing;
mod placing;
mod players;
mod ratings;
pub mod seats;
mod service;
pub mod store;
pub mod ticket;

pub use config::Config;
pub use nodes::{NodeSource, SyncdNode};
pub use service::{BuildError, Dependencies, Matcher, Seats, ServeError, build};
