//! Real servers for tests. Each starts on free ports with its files in a temporary folder, and is
//! gone with its handle, or with the test's process however that ends.
//!
//! Calls block for as long as the server takes, and panic with what to do: this is for tests.
//!
//! - [`RedisServer`]: one Redis, which can be killed, restarted with or without its data, paused
//! - [`Sentinel`]: a primary and its replica, watched by sentinels
//! - [`Cluster`]: three primaries with a replica each
//! - [`PostgresServer`]: one Postgres; [`Pgbouncer`]: in front of it
//! - [`wait_until`]: the one way to wait

mod cluster;
mod port;
mod postgres_server;
mod process;
mod redis_server;
mod sentinel;
mod wait;

pub use cluster::Cluster;
pub use postgres_server::{Pgbouncer, PostgresServer};
pub use redis_server::RedisServer;
pub use sentinel::Sentinel;
pub use wait::wait_until;
