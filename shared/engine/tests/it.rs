//! The conformance suites over the embedded engine and over real servers, and what is
//! special about each.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "it/real.rs"]
mod real;

#[path = "it/embedded.rs"]
mod embedded;
#[path = "it/failover.rs"]
mod failover;
#[path = "it/forms.rs"]
mod forms;
#[path = "it/on_postgres.rs"]
mod on_postgres;
#[path = "it/on_redis.rs"]
mod on_redis;
#[path = "it/pipeline.rs"]
mod pipeline;
#[path = "it/trouble.rs"]
mod trouble;
