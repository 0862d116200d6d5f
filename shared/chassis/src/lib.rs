//! What every service stands on. Nothing here knows a word of the game.
//!
//! Everything is a handle that is passed in: there are no globals but the two that the ecosystem
//! insists on, the log subscriber and the metrics recorder, which [`telemetry::init`] installs.
//!
//! - [`config`]: one TOML file, environment overrides, unknown keys refused by name
//! - [`telemetry`]: logs, metrics, and what the process itself costs
//! - [`readiness`]: named conditions that must all hold before traffic is wanted
//! - [`drain`]: leaving in order: who still works, and for how long they may
//! - [`admin`]: the private HTTP server: health, metrics, configuration, log level, drain
//! - [`listen`]: sockets with the options that long-lived connections need
//! - [`handover`]: listening sockets for the process that replaces this one
//! - [`resolve`]: endpoints of services by DNS, followed as they change and probed before use
//! - [`postgres`]: connections to Postgres, as many as there may be at the moment
//! - [`limit`]: how much, how fast, how many at once
//! - [`backoff`]: how long to wait before the next attempt
//! - [`faults`]: points at which tests let a process die
//! - [`clock`]: the two clocks, for the edges that hand time to pure code

pub mod admin;
pub mod backoff;
pub mod clock;
pub mod config;
pub mod drain;
pub mod faults;
pub mod handover;
pub mod limit;
pub mod listen;
pub mod postgres;
pub mod readiness;
pub mod resolve;
pub mod telemetry;
