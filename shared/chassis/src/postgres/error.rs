//! Why there is no connection, or no answer.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::error::SqlState;

use super::dial::DialError;

/// Settings that cannot be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidPostgres {
    /// The setting, as the file's section names it.
    pub field: &'static str,
    /// What is wrong, and what to do.
    pub problem: String,
}

/// Why there is no connection, or no answer.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// All connections were in use for as long as a caller may wait.
    #[error("no connection was free within {waited:?}: {max} may be open, {in_use} are in use")]
    Busy {
        /// How long it was waited for.
        waited: Duration,
        /// How many there may be.
        max: u32,
        /// How many others hold.
        in_use: u32,
    },
    /// Postgres did not let anyone in for as long as a caller may wait.
    #[error("no connection to Postgres within {waited:?}")]
    Unreachable {
        /// How long it was waited for.
        waited: Duration,
        /// The last attempt's failure.
        #[source]
        source: Arc<DialError>,
    },
    /// A statement was not answered in time. It is cancelled; whether it took effect is unknown.
    #[error("Postgres did not answer within {0:?}")]
    Deadline(Duration),
    /// A statement failed.
    #[error("a statement failed")]
    Statement(#[from] tokio_postgres::Error),
    /// New settings were refused; the old ones are in force.
    #[error("the old settings stay")]
    Invalid(#[from] InvalidPostgres),
    /// The new login was tried and does not work; the old one is in force.
    #[error("the old login stays")]
    Login(#[source] Arc<DialError>),
}

impl PoolError {
    /// What Postgres calls the failure, if it was Postgres that failed a statement.
    pub fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Statement(error) => error.code(),
            _ => None,
        }
    }

    /// Whether the same may succeed soon: the connection was lost, Postgres is going down or
    /// coming up, or another transaction was in the way. Whether the statement took effect is
    /// unknown, so it is repeated only if that is harmless.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Unreachable { .. } => true,
            Self::Statement(error) => match error.code() {
                Some(code) => is_passing(code),
                None => error.is_closed() || std::error::Error::source(error).is_some_and(is_io),
            },
            Self::Deadline(_) | Self::Invalid(_) | Self::Login(_) => false,
        }
    }
}

fn is_io(source: &(dyn std::error::Error + 'static)) -> bool {
    source.is::<std::io::Error>()
}

fn is_passing(code: &SqlState) -> bool {
    // Classes 08 (connection) and 57P (operator intervention), and what asks to be repeated.
    let code = code.code();
    code.starts_with("08") || code.starts_with("57P") || ["40001", "40P01", "53300"].contains(&code)
}
