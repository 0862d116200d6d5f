//! A pool of connections to Postgres whose size, lifetimes and credentials change under load.
//!
//! A caller takes its turn in a queue that is served in order (`turns`), and then a
//! connection out of a bb8 pool that is built once at [`CEILING`]; how many there may be is the
//! limiter's business, which counts sockets until Postgres itself has let go of them. bb8 alone
//! cannot be resized, and lets late-comers overtake. Why it is cut like this, and what bounds it,
//! is in `docs/adr/0011-database-pool.md`.
//!
//! - [`PostgresConfig`]: where Postgres is and as whom; [`PoolConfig`]: how many connections
//! - [`Pool`]: hands out connections, and is changed while it does
//! - [`Held`], [`Transaction`]: what a connection can do
//! - [`PoolError`]: why there is no connection, or no answer
//! - [`routes`]: the pool for operators, at the private port
//!
//! # Works through pgbouncer
//! In transaction mode two statements outside a transaction may meet two servers, and pgbouncer
//! before 1.21 knows no prepared statements. So [`Held`] offers nothing that lives longer than a
//! transaction: statements are sent with the types of their parameters in one round trip
//! (`query_typed`), several statements at once only inside a transaction. `SET`, `LISTEN`,
//! session-level advisory locks and temporary tables are not for this pool: use `SET LOCAL` and
//! `pg_advisory_xact_lock`. Parameters are of built-in types.
//!
//! # Bounds and deadlines
//! Waiting for a connection ends after [`PoolConfig::acquire`], a statement after
//! [`PostgresConfig::deadline`], connecting after [`CONNECT`]. The queue is as long as callers make
//! it, each of which leaves it at its deadline.

mod admin;
mod automatic;
mod config;
mod dial;
mod error;
mod held;
mod holders;
mod keeper;
mod limiter;
mod link;
mod meters;
mod pool;
mod turns;

pub use admin::routes;
pub use automatic::Automatic;
pub use config::{PoolConfig, PostgresConfig};
pub use dial::{CONNECT, DialError};
pub use error::{InvalidPostgres, PoolError};
pub use held::{Held, Parameter, Transaction};
pub use holders::Holding;
pub use pool::{CEILING, Pool, Status};
pub use tokio_postgres::types;
pub use tokio_postgres::{Row, error::SqlState};
