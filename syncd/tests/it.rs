//! The real gRPC service, in memory, with gateways and clients that are played here.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

// The name that other crates know this one by.
extern crate pixelrush_syncd as syncd;

#[path = "it/client.rs"]
mod client;
#[path = "it/cut.rs"]
mod cut;
#[path = "it/fake.rs"]
mod fake;

#[path = "it/adopt.rs"]
mod adopt;
#[path = "it/attach.rs"]
mod attach;
#[path = "it/forms.rs"]
mod forms;
#[path = "it/names.rs"]
mod names;
#[path = "it/race.rs"]
mod race;
#[path = "it/relay.rs"]
mod relay;
#[path = "it/results.rs"]
mod results;
#[path = "it/rooms.rs"]
mod rooms;
#[path = "it/silence.rs"]
mod silence;
#[path = "it/survive.rs"]
mod survive;
#[path = "it/watch.rs"]
mod watch;
