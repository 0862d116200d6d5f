//! A connection in the hand of a caller: what it can do works through pgbouncer, too.

use std::sync::Arc;
use std::time::Duration;

use bb8::PooledConnection;
use tokio::time::{Instant, timeout};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::error::PoolError;
use super::holders::Entry;
use super::link::{Dialler, Link};
use super::pool::Shared;
use super::turns::Turn;

/// A parameter of a statement, `$1` and so on, and its type, which has to be a built-in one.
pub type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// A connection that is held: it goes back when this is dropped. A call that is dropped before it
/// is answered is cancelled, and its connection is not used again.
pub struct Held {
    // Goes back first, so that whose turn is next finds it.
    link: PooledConnection<'static, Dialler>,
    deadline: Duration,
    shared: Arc<Shared>,
    entry: Entry,
    _turn: Turn,
}

impl Held {
    pub(super) fn new(
        link: PooledConnection<'static, Dialler>,
        entry: Entry,
        turn: Turn,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            link,
            deadline: shared.deadline(),
            shared,
            entry,
            _turn: turn,
        }
    }

    /// Runs one statement, and gives its rows.
    ///
    /// # Errors
    /// [`PoolError::Statement`], [`PoolError::Deadline`].
    pub async fn query(
        &mut self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, PoolError> {
        let asked = async |client: &Client| client.query_typed(sql, parameters).await;
        call(&mut self.link, self.deadline, asked).await
    }

    /// Runs one statement, and gives the number of rows that it changed.
    ///
    /// # Errors
    /// [`PoolError::Statement`], [`PoolError::Deadline`].
    pub async fn execute(
        &mut self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<u64, PoolError> {
        let asked = async |client: &Client| client.execute_typed(sql, parameters).await;
        call(&mut self.link, self.deadline, asked).await
    }

    /// Begins a transaction. Dropped without [`Transaction::commit`] it is rolled back, which costs
    /// the connection: where that is not a rare case use [`Transaction::rollback`].
    ///
    /// # Errors
    /// [`PoolError::Statement`], [`PoolError::Deadline`].
    pub async fn begin(&mut self) -> Result<Transaction<'_>, PoolError> {
        self.link.is_open = true;
        let begun = async |client: &Client| client.batch_execute("BEGIN").await;
        call(&mut self.link, self.deadline, begun).await?;
        Ok(Transaction {
            deadline: self.deadline,
            link: &mut self.link,
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.link.idle_since = Instant::now();
        self.shared.meters.used(self.entry.held_for());
    }
}

/// A transaction: of all statements until it is committed, or of none.
pub struct Transaction<'a> {
    link: &'a mut Link,
    deadline: Duration,
}

impl Transaction<'_> {
    /// As [`Held::query`].
    ///
    /// # Errors
    /// The same.
    pub async fn query(
        &mut self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, PoolError> {
        let asked = async |client: &Client| client.query_typed(sql, parameters).await;
        call(self.link, self.deadline, asked).await
    }

    /// As [`Held::execute`].
    ///
    /// # Errors
    /// The same.
    pub async fn execute(
        &mut self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<u64, PoolError> {
        let asked = async |client: &Client| client.execute_typed(sql, parameters).await;
        call(self.link, self.deadline, asked).await
    }

    /// Runs several statements without parameters, with a deadline of their own.
    ///
    /// # Errors
    /// [`PoolError::Statement`], [`PoolError::Deadline`].
    pub async fn batch(&mut self, sql: &str, deadline: Duration) -> Result<(), PoolError> {
        let asked = async |client: &Client| client.batch_execute(sql).await;
        call(self.link, deadline, asked).await
    }

    /// Ends the transaction: all of it is there.
    ///
    /// # Errors
    /// [`PoolError::Statement`], [`PoolError::Deadline`]: then whether it is there is unknown.
    pub async fn commit(self) -> Result<(), PoolError> {
        self.end("COMMIT").await
    }

    /// Ends the transaction: nothing of it is there.
    ///
    /// # Errors
    /// [`PoolError::Statement`], [`PoolError::Deadline`]: nothing of it is there all the same.
    pub async fn rollback(self) -> Result<(), PoolError> {
        self.end("ROLLBACK").await
    }

    async fn end(self, sql: &'static str) -> Result<(), PoolError> {
        let asked = async |client: &Client| client.batch_execute(sql).await;
        call(self.link, self.deadline, asked).await?;
        self.link.is_open = false;
        Ok(())
    }
}

/// Runs `ask` within `deadline`. The mark says to whoever drops the connection in between that
/// Postgres still works for it.
async fn call<T>(
    link: &mut Link,
    deadline: Duration,
    ask: impl AsyncFnOnce(&Client) -> Result<T, tokio_postgres::Error>,
) -> Result<T, PoolError> {
    link.is_busy = true;
    let answered = timeout(deadline, ask(&link.client)).await;
    let answered = answered.map_err(|_| PoolError::Deadline(deadline))?;
    link.is_busy = false;
    Ok(answered?)
}
