//! Values out of rows. One that does not fit its type is not the store's failure: repeating will
//! not help.

use std::str::FromStr;

use chassis::postgres::Row;
use chassis::postgres::types::FromSqlOwned;

use crate::EngineError;

/// A row of a statement, which has a name for errors.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) operation: &'static str,
    pub(super) row: &'a Row,
}

impl Reading<'_> {
    pub(super) fn value<T: FromSqlOwned>(self, column: usize) -> Result<T, EngineError> {
        let value = self.row.try_get(column);
        value.map_err(|_| damaged(self.operation, column))
    }

    pub(super) fn id<T: FromStr>(self, column: usize) -> Result<T, EngineError> {
        let text: String = self.value(column)?;
        text.parse().map_err(|_| damaged(self.operation, column))
    }

    /// A number that is never negative.
    pub(super) fn number(self, column: usize) -> Result<u64, EngineError> {
        self.value::<i64>(column).map(i64::unsigned_abs)
    }

    pub(super) fn small(self, column: usize) -> Result<u32, EngineError> {
        self.small_or_none(column)?
            .ok_or_else(|| damaged(self.operation, column))
    }

    pub(super) fn small_or_none(self, column: usize) -> Result<Option<u32>, EngineError> {
        let number: Option<i64> = self.value(column)?;
        let small = number.map(u32::try_from).transpose();
        small.map_err(|_| damaged(self.operation, column))
    }
}

pub(super) fn damaged(operation: &'static str, column: usize) -> EngineError {
    EngineError::Damaged {
        operation,
        detail: format!("column {column} does not hold what it should"),
    }
}
