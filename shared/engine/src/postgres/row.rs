//! Reading rows.

use std::str::FromStr;

use chassis::postgres::Row;
use chassis::postgres::types::FromSqlOwned;

use crate::EngineError;

/// A column.
pub(super) fn value<T: FromSqlOwned>(
    operation: &'static str,
    row: &Row,
    column: usize,
) -> Result<T, EngineError> {
    row.try_get(column).map_err(|_| damaged(operation, column))
}

/// A column that has an id as its text.
pub(super) fn id<T: FromStr>(
    operation: &'static str,
    row: &Row,
    column: usize,
) -> Result<T, EngineError> {
    let text: String = value(operation, row, column)?;
    text.parse().map_err(|_| damaged(operation, column))
}

/// A value that does not fit its type is not the store's failure: repeating will not help.
pub(super) fn damaged(operation: &'static str, column: usize) -> EngineError {
    EngineError::Damaged {
        operation,
        detail: format!("column {column} does not hold what it should"),
    }
}
