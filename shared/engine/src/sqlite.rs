//! SQLite, for what must last: one connection, used by one call at a time on a blocking thread.
//!
//! A commit is on the disk before it is confirmed (`synchronous = FULL` on a write-ahead log).
//! That costs a flush each, which is fine for a few matches a second.

mod players;
mod results;
mod schema;
mod seats;

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{Mutex, Semaphore};

pub use results::SqliteResults;
pub use seats::SqliteSeats;

use crate::EngineError;

/// Longest that a call takes, queue included.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// Calls in hand at once, of which one runs; more are refused with [`EngineError::Full`].
pub const MAX_WAITING: usize = 1024;

/// The connection and the queue in front of it. Calls have their turn in the order in which they
/// came.
#[derive(Debug)]
struct Database {
    connection: Arc<Mutex<Connection>>,
    admission: Semaphore,
}

impl Database {
    /// Opens the file, which is made if it is missing, or a database in memory, and brings its
    /// schema up to date.
    fn open(file: Option<&Path>) -> Result<Self, EngineError> {
        let opened = match file {
            Some(file) => make_folder(file).and_then(|()| Ok(Connection::open(file)?)),
            None => Connection::open_in_memory().map_err(Into::into),
        };
        let configured = opened.and_then(|connection| {
            configure(&connection)?;
            Ok(connection)
        });
        let mut connection = configured.map_err(|source| EngineError::Open {
            path: file.unwrap_or(Path::new(":memory:")).to_owned(),
            source,
        })?;
        schema::bring_up_to_date(&mut connection)?;

        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
            admission: Semaphore::new(MAX_WAITING),
        })
    }

    /// Runs `job` when its turn comes. One that has begun runs to its end, even if the caller
    /// gives up or the deadline passes; one that has not begun never will.
    ///
    /// Not a thread of our own: tokio holds a paused clock still while a blocking call runs, so
    /// that the tests of services that pause time do not run into the deadline.
    async fn run<T, F>(&self, operation: &'static str, job: F) -> Result<T, EngineError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, EngineError> + Send + 'static,
    {
        let admitted = self.admission.try_acquire();
        let _admitted = admitted.map_err(|_| EngineError::Full {
            what: "calls waiting for the database",
            limit: MAX_WAITING,
        })?;
        let turn = async {
            let mut connection = Arc::clone(&self.connection).lock_owned().await;
            tokio::task::spawn_blocking(move || job(&mut connection)).await
        };
        match tokio::time::timeout(DEADLINE, turn).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(source)) => Err(EngineError::Store {
                operation,
                source: Box::new(source),
            }),
            Err(_) => Err(EngineError::Deadline { operation }),
        }
    }
}

fn make_folder(file: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
    match file.parent() {
        Some(folder) => Ok(std::fs::create_dir_all(folder)?),
        None => Ok(()),
    }
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(DEADLINE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)
}

fn store(operation: &'static str) -> impl Fn(rusqlite::Error) -> EngineError {
    move |source| EngineError::Store {
        operation,
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_whose_turn_does_not_come_ends_at_the_deadline_and_never_runs() {
        let database = Database::open(None).expect("open");
        let busy = database.connection.lock().await;
        let create = |connection: &mut Connection| {
            let created = connection.execute_batch("CREATE TABLE a (x)");
            created.map_err(store("testing"))
        };
        let outcome = database.run("testing", create).await;
        assert!(matches!(outcome, Err(EngineError::Deadline { .. })));
        drop(busy);
        let outcome = database.run("testing", create).await;
        assert!(outcome.is_ok(), "it was not there yet: {outcome:?}");
    }

    #[tokio::test]
    async fn a_call_beyond_the_queues_bound_is_refused_at_once() {
        let database = Database::open(None).expect("open");
        let all = u32::try_from(MAX_WAITING).expect("fits");
        let queue = database.admission.try_acquire_many(all).expect("free");
        let refused = database.run("testing", |_| Ok(())).await;
        assert!(matches!(refused, Err(EngineError::Full { .. })));
        drop(queue);
        assert!(database.run("testing", |_| Ok(())).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_does_not_run_into_the_deadline() {
        let database = Database::open(None).expect("open");
        for _ in 0..100 {
            assert!(database.run("testing", |_| Ok(())).await.is_ok());
        }
    }

    #[test]
    fn a_commit_is_on_the_disk_before_it_is_confirmed() {
        let folder = tempfile::tempdir().expect("folder");
        let connection = Connection::open(folder.path().join("db")).expect("open");
        configure(&connection).expect("configure");
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get(0));
        let journal: String = pragma("journal_mode").expect("journal mode");
        assert_eq!(journal, "wal");
        let full = 2_i64;
        let synchronous = connection.pragma_query_value(None, "synchronous", |row| row.get(0));
        assert_eq!(synchronous, Ok(full));
    }
}
