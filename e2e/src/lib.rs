//! What is run against a whole PixelRush: by testers against any deployment, and by the tests of
//! this repository.
//!
//! - [`smoke`]: the suite behind `pixelrush smoke --target URL`; [`junit`] writes its report
//! - [`journey`]: one player's way from login to result, and what it saw
//! - [`racer`]: a player that races by itself
//! - [`process`], [`deployment`]: PixelRush processes for tests, on free ports
//! - [`failover`]: a race through a fault
//! - [`proxy`]: a network that is slow, stalls, goes silent, is cut or refuses

pub mod deployment;
pub mod failover;
pub mod journey;
pub mod junit;
pub mod process;
pub mod proxy;
pub mod racer;
pub mod smoke;
