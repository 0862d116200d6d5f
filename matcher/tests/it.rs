//! The matcher as gateways and syncd nodes see it: its real gRPC service in memory, on a stopped
//! clock, between a gateway and syncd nodes that the tests play.

#![allow(
    clippy::unwrap_used,
    reason = "what fails here fails the test, with the line"
)]

#[path = "it/accepting.rs"]
mod accepting;
#[path = "it/agreement.rs"]
mod agreement;
#[path = "it/attempts.rs"]
mod attempts;
#[path = "it/clients.rs"]
mod clients;
#[path = "it/failover.rs"]
mod failover;
#[path = "it/flaky.rs"]
mod flaky;
#[path = "it/forms.rs"]
mod forms;
#[path = "it/gateway.rs"]
mod gateway;
#[path = "it/moves.rs"]
mod moves;
#[path = "it/on_redis.rs"]
mod on_redis;
#[path = "it/outages.rs"]
mod outages;
#[path = "it/parties.rs"]
mod parties;
#[path = "it/private.rs"]
mod private;
#[path = "it/queues.rs"]
mod queues;
#[path = "it/ratings.rs"]
mod ratings;
#[path = "it/receipts.rs"]
mod receipts;
#[path = "it/rooms.rs"]
mod rooms;
#[path = "it/rules.rs"]
mod rules;
#[path = "it/seats.rs"]
mod seats;
#[path = "it/seats_desk.rs"]
mod seats_desk;
#[path = "it/seats_faults.rs"]
mod seats_faults;
#[path = "it/seats_redis.rs"]
mod seats_redis;
#[path = "it/syncd.rs"]
mod syncd;
#[path = "it/world.rs"]
mod world;
