//! The engine on Redis: one server, a primary found by sentinels, or a Cluster.
//!
//! - [`RedisConfig`]: where it is
//! - [`Redis`]: runs scripts where their keys are, within a deadline
//! - [`Script`], [`Call`]: what is run
//! - [`RedisLeases`], [`RedisPlacements`], [`RedisJournals`], [`RedisTapes`], [`RedisResults`]
//! - [`ResultQueue`]: results on their way to a database
//!
//! # Connections, and which for what
//! Commands of all callers share one *multiplexed* connection to each server: a call costs no
//! connection, and calls that come together go out in one write. What holds a connection takes an
//! *exclusive* one from a pool (bb8): that is `WAIT` alone, which holds back every reply behind it
//! and speaks of the writes of its own connection only. Subscriptions have their own connection.
//! Nothing here reads with blocking commands.
//!
//! # Failing over
//! Calls are routed by hash slot over the servers of a *layout*: one, or the Cluster's primaries.
//! One task watches over each server's connection and one over the layout. What the servers refuse
//! because it is not theirs (any more), and what is lost with a connection, is tried again within
//! the deadline of the call, so **everything that is run must be harmless to repeat**. A server
//! that stays away is not waited for: its calls fail at once until a probe gets through.

mod config;
mod discovery;
mod health;
mod layout;
mod link;
mod run;
mod script;
mod subscription;

mod journals;
mod leases;
mod placements;
mod result_queue;
mod results;
mod tapes;

pub use ::redis::{FromRedisValue, ToRedisArgs, Value};
pub use config::{RedisConfig, Topology};
pub use health::Without;
pub use journals::RedisJournals;
pub use leases::RedisLeases;
pub use placements::RedisPlacements;
pub use result_queue::{
    Entry as QueueEntry, MAX_QUEUED, MAX_TAKEN, ResultQueue, TAKEN_FOR, Taken, Whereabouts,
};
pub use results::RedisResults;
pub use run::{CONNECT, Redis};
pub use script::{Call, Script};
pub use subscription::Heard;
pub use tapes::RedisTapes;
