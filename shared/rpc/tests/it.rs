//! The stream between gateways and an origin, over gRPC in memory; and endpoints found by name.

#![allow(
    clippy::unwrap_used,
    reason = "what fails here fails the test, with the line"
)]

// The name that other crates know this one by.
extern crate pixelrush_rpc as rpc;

#[path = "it/contract.rs"]
mod contract;
#[path = "../../chassis/tests/it/name_server.rs"]
#[allow(
    dead_code,
    reason = "shared with the tests of chassis, which use all of it"
)]
mod name_server;
#[path = "it/names.rs"]
mod names;
#[path = "it/origin.rs"]
mod origin;
#[path = "it/streams.rs"]
mod streams;
