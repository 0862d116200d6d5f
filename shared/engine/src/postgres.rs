//! Postgres, for what must last and several processes share.
//!
//! - [`open`]: a pool whose schema is up to date
//! - [`PostgresResults`]: how matches ended, and who played them
//! - [`PostgresSeats`]: who has which seat of an event
//!
//! Every statement works through pgbouncer in transaction mode ([`chassis::postgres`]).

mod columns;
mod players;
mod reading;
mod results;
mod schema;
mod seats;

use std::panic::Location;
use std::time::Duration;

use chassis::backoff::Backoff;
use chassis::postgres::{InvalidPostgres, Parameter, Pool, PoolError, PostgresConfig, Row};
use tokio::time::{Instant, sleep, timeout_at};

pub use results::PostgresResults;
pub use seats::PostgresSeats;

use crate::EngineError;

/// Longest that a call takes, with all its attempts.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// How long a Postgres that is not there is waited for at the start.
pub const CONNECT: Duration = Duration::from_secs(10);

/// Waits between attempts.
const FIRST_RETRY: Duration = Duration::from_millis(20);
const LAST_RETRY: Duration = Duration::from_millis(500);

/// A pool, and the schema brought up to date: of the nodes that start at once, one does it.
///
/// # Errors
/// [`EngineError::Invalid`] names a setting; [`EngineError::SchemaTooNew`];
/// [`EngineError::Store`] or [`EngineError::Deadline`] if Postgres is not there within
/// [`CONNECT`], or lets us not do it.
pub async fn open(config: &PostgresConfig) -> Result<Pool, EngineError> {
    let pool = Pool::open(config).map_err(invalid)?;
    schema::bring_up_to_date(&pool).await?;
    Ok(pool)
}

fn invalid(source: InvalidPostgres) -> EngineError {
    EngineError::Invalid {
        section: "engine.postgres",
        source: Box::new(source),
    }
}

/// Attempts at something that is harmless to repeat, within a limit.
struct Attempts {
    operation: &'static str,
    end: Instant,
    backoff: Backoff,
}

impl Attempts {
    fn within(limit: Duration, operation: &'static str) -> Self {
        Self {
            operation,
            end: Instant::now() + limit,
            backoff: Backoff::new(FIRST_RETRY, LAST_RETRY),
        }
    }

    /// One attempt: what it came to, or none if another one may follow.
    async fn make<T>(
        &mut self,
        attempt: impl Future<Output = Result<T, PoolError>>,
    ) -> Result<Option<T>, EngineError> {
        let operation = self.operation;
        let outcome = timeout_at(self.end, attempt).await;
        let error = match outcome.map_err(|_| EngineError::Deadline { operation })? {
            Ok(done) => return Ok(Some(done)),
            Err(error) => error,
        };
        let wait = self.backoff.next();
        if !error.is_passing() || Instant::now() + wait >= self.end {
            return Err(failed(operation, error));
        }
        sleep(wait).await;
        Ok(None)
    }
}

/// Runs a statement that is harmless to repeat, on behalf of the code at `place`.
async fn query(
    pool: &Pool,
    place: &'static Location<'static>,
    operation: &'static str,
    sql: &str,
    parameters: &[Parameter<'_>],
) -> Result<Vec<Row>, EngineError> {
    let mut attempts = Attempts::within(DEADLINE, operation);
    loop {
        let attempt = async {
            let mut held = pool.acquire_at(place).await?;
            held.query(sql, parameters).await
        };
        if let Some(rows) = attempts.make(attempt).await? {
            return Ok(rows);
        }
    }
}

fn failed(operation: &'static str, error: PoolError) -> EngineError {
    match error {
        PoolError::Busy { max, .. } => EngineError::Full {
            what: "connections to the database",
            limit: max as usize,
        },
        PoolError::Deadline(_) => EngineError::Deadline { operation },
        other => EngineError::Store {
            operation,
            source: Box::new(other),
        },
    }
}
