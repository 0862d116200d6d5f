//! The chassis against real sockets.

#![allow(
    clippy::unwrap_used,
    reason = "what fails here fails the test, with the line"
)]

// The name that other crates know this one by.
extern crate pixelrush_chassis as chassis;

#[path = "it/name_server.rs"]
mod name_server;
#[path = "it/resolve.rs"]
mod resolve;

#[path = "it/log.rs"]
mod log;
#[path = "it/postgres.rs"]
mod postgres;
