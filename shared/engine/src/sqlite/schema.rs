//! The schema and its history. `user_version` says how many steps a file has behind it.

use rusqlite::Connection;

use super::store;
use crate::EngineError;

/// Each step once, in order; a released step is never edited. A step expands: release N-1 must
/// be able to go on with what N has written.
const STEPS: [&str; 3] = [
    include_str!("0001-results.sql"),
    include_str!("0002-seats.sql"),
    include_str!("0003-ratings.sql"),
];

const OPERATION: &str = "bringing the database's schema up to date";

pub(super) fn bring_up_to_date(connection: &mut Connection) -> Result<(), EngineError> {
    apply(connection, &STEPS)
}

fn apply(connection: &mut Connection, steps: &[&str]) -> Result<(), EngineError> {
    // Immediate, so that of two processes that open one file the second sees the first's work.
    let transaction = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(store(OPERATION))?;
    let found: i64 = transaction
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(store(OPERATION))?;
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    let done = usize::try_from(found)
        .ok()
        .filter(|done| *done <= steps.len())
        .ok_or(EngineError::SchemaTooNew { found, known })?;
    for step in &steps[done..] {
        transaction.execute_batch(step).map_err(store(OPERATION))?;
    }
    transaction
        .pragma_update(None, "user_version", known)
        .map_err(store(OPERATION))?;
    transaction.commit().map_err(store(OPERATION))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(connection: &Connection) -> i64 {
        connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .expect("version")
    }

    #[test]
    fn only_the_steps_that_are_missing_are_taken() {
        let mut connection = Connection::open_in_memory().expect("open");
        let steps = [
            "CREATE TABLE a (x) STRICT",
            "CREATE TABLE b (x INTEGER) STRICT",
        ];
        let first = ["CREATE TABLE a (x INTEGER) STRICT"];
        apply(&mut connection, &first).expect("first");
        apply(&mut connection, &steps).expect("the second alone");
        apply(&mut connection, &steps).expect("nothing to do");
        assert_eq!(version(&connection), 2);
    }

    #[test]
    fn a_step_that_fails_leaves_the_schema_as_it_was() {
        let mut connection = Connection::open_in_memory().expect("open");
        let steps = ["CREATE TABLE a (x INTEGER) STRICT; nonsense"];
        assert!(apply(&mut connection, &steps).is_err());
        assert_eq!(version(&connection), 0);
        bring_up_to_date(&mut connection).expect("nothing was left behind");
    }

    #[test]
    fn a_newer_schema_is_refused() {
        let mut connection = Connection::open_in_memory().expect("open");
        connection
            .pragma_update(None, "user_version", 99)
            .expect("pragma");
        let refused = bring_up_to_date(&mut connection);
        assert!(matches!(
            refused,
            Err(EngineError::SchemaTooNew { found: 99, known }) if known == STEPS.len() as i64
        ));
    }
}
