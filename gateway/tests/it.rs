//! The gateway as its clients see it: over real sockets, with fake origins behind it.
//!
//! - `rig`: a gateway, its two ports and its origins; `origin` is the fake behind it
//! - `raw`: a WebSocket client that says exactly what a test wants, right or wrong
//! - `player`: a client of the session protocol on top of it; `web`: plain HTTP
//! - `conformance`: RFC 6455 against `/debug/echo`
//! - `directory`: leaderboards and players, which a matcher is asked for
//! - `homes`: rooms and players that move between nodes; `fleet` is a rig with several
//! - `watch`: rooms that are watched
//! - `names`: origins whose hosts are names
//! - `bad_input`: what goes wrong at `/v1/ws` and the login, and what the client is told

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../../shared/chassis/tests/it/name_server.rs"]
#[allow(
    dead_code,
    reason = "shared with the tests of chassis, which use all of it"
)]
mod name_server;

mod it {
    mod bad_input;
    mod conformance;
    mod directory;
    mod fleet;
    mod homes;
    mod names;
    mod origin;
    mod player;
    mod raw;
    mod rig;
    mod watch;
    mod web;
}
