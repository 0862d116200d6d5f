//! The stream between gateways and an origin, over gRPC in memory.

#![allow(
    clippy::unwrap_used,
    reason = "what fails here fails the test, with the line"
)]

// The name that other crates know this one by.
extern crate pixelrush_rpc as rpc;

#[path = "it/origin.rs"]
mod origin;
#[path = "it/streams.rs"]
mod streams;
