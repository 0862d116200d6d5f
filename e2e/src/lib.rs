//! What is run against a whole PixelRush: by testers against any deployment, and by the tests of
//! this repository.
//!
//! - [`smoke`]: the suite behind `pixelrush smoke --target URL`; [`junit`] writes its report
//! - [`journey`]: one player's way from login to result, and what it saw
//! - [`racer`]: a player that races by itself
//! - [`process`], [`probe`]: PixelRush processes for tests, on free ports
//! - [`deployment`]: four of them with static addresses; [`failover`]: a race through a fault
//! - [`fleet`]: many of them over a shared Redis, any of which can fail; [`store`]: that Redis
//! - [`crowd`]: players that race until they are told to stop; [`history`]: what they saw, and the
//!   rules that it is held against
//! - [`takers`]: players who want seats of an event; [`database`]: a Postgres under the fleet
//! - [`chaos`]: all of that while things fail by a seed
//! - [`proxy`]: a network that is slow, stalls, goes silent, is cut or refuses

pub mod chaos;
pub mod crowd;
pub mod database;
pub mod deployment;
pub mod failover;
pub mod fleet;
pub mod history;
pub mod journey;
pub mod junit;
pub mod probe;
pub mod process;
pub mod proxy;
pub mod racer;
pub mod smoke;
pub mod store;
pub mod takers;
