//! The schema and its history. The table `pixelrush_schema` has a row for each step behind it.
//!
//! Releases follow each other while both run, so a step *expands*: what release N-1 reads and
//! writes is still there. What nobody needs any more is taken away by a later step, which says so
//! by the oldest release that can go on with it.

use std::time::Duration;

use chassis::postgres::types::Type;
use chassis::postgres::{Parameter, Pool, PoolError, Transaction};

use super::{Attempts, CONNECT};
use crate::EngineError;

/// One step; a released one is never edited.
struct Step {
    sql: &'static str,
    /// The schema that a release has to know at least to work on what this step leaves.
    oldest: i64,
}

const STEPS: [Step; 3] = [
    Step {
        sql: include_str!("0001-results.sql"),
        oldest: 1,
    },
    Step {
        sql: include_str!("0002-ratings.sql"),
        oldest: 1,
    },
    Step {
        sql: include_str!("0003-seats.sql"),
        oldest: 1,
    },
];

/// Longest that the steps take, and that the node that takes them is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

const OPERATION: &str = "bringing the database's schema up to date";

/// Any number will do, as long as it is always this one.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7016996765293437281)";

const HISTORY: &str = "CREATE TABLE IF NOT EXISTS pixelrush_schema (
    version    BIGINT      PRIMARY KEY,
    oldest     BIGINT      NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL DEFAULT now())";

/// What is there: the last step, and the oldest schema that a release has to know for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    version: i64,
    oldest: i64,
}

pub(super) async fn bring_up_to_date(pool: &Pool) -> Result<(), EngineError> {
    apply(pool, &STEPS).await
}

async fn apply(pool: &Pool, steps: &[Step]) -> Result<(), EngineError> {
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    let limit = CONNECT + PATIENCE;
    let mut attempts = Attempts::within(limit, OPERATION);
    let found = loop {
        if let Some(found) = attempts.make(take(pool, steps)).await? {
            break found;
        }
    };
    if found.oldest > known {
        return Err(EngineError::SchemaTooNew {
            found: found.version,
            known,
        });
    }
    if found.version > known {
        tracing::info!(
            found = found.version,
            known,
            "a newer release has expanded the database's schema, which this one can go on with"
        );
    }
    Ok(())
}

/// Takes the steps that are missing, in one transaction; gives what was there before.
async fn take(pool: &Pool, steps: &[Step]) -> Result<Found, PoolError> {
    let mut held = pool.acquire().await?;
    let mut transaction = held.begin().await?;
    transaction.batch(LOCK, PATIENCE).await?;
    transaction.batch(HISTORY, PATIENCE).await?;
    let found = found(&mut transaction).await?;
    let done = usize::try_from(found.version).unwrap_or(0);
    for (number, step) in (1_i64..).zip(steps).skip(done) {
        transaction.batch(step.sql, PATIENCE).await?;
        let insert = "INSERT INTO pixelrush_schema (version, oldest) VALUES ($1, $2)";
        let values: [Parameter<'_>; 2] = [(&number, Type::INT8), (&step.oldest, Type::INT8)];
        transaction.execute(insert, &values).await?;
    }
    transaction.commit().await?;
    Ok(found)
}

async fn found(transaction: &mut Transaction<'_>) -> Result<Found, PoolError> {
    let newest = "SELECT version, oldest FROM pixelrush_schema ORDER BY version DESC LIMIT 1";
    let rows = transaction.query(newest, &[]).await?;
    let found = rows.first().map(|row| Found {
        version: row.get(0),
        oldest: row.get(1),
    });
    Ok(found.unwrap_or(Found {
        version: 0,
        oldest: 0,
    }))
}

#[cfg(test)]
mod tests {
    use chassis::postgres::PostgresConfig;
    use servers::PostgresServer;

    use super::*;

    const FIRST: Step = Step {
        sql: "CREATE TABLE a (x INT); INSERT INTO a VALUES (1)",
        oldest: 1,
    };
    const SECOND: Step = Step {
        sql: "CREATE TABLE b (x INT)",
        oldest: 1,
    };

    fn pool(server: &PostgresServer, folder: &tempfile::TempDir) -> Pool {
        let file = folder.path().join("password");
        std::fs::write(&file, PostgresServer::PASSWORD).expect("a file");
        let config = PostgresConfig {
            url: server.url(),
            password_file: Some(file),
            ..PostgresConfig::default()
        };
        Pool::open(&config).expect("good settings")
    }

    #[tokio::test]
    async fn steps_are_taken_once_by_one_of_many_nodes_and_whole_or_not_at_all() {
        let server = PostgresServer::start();
        let folder = tempfile::tempdir().expect("a folder");
        let pool = pool(&server, &folder);
        let nodes = (0..8).map(|_| apply(&pool, &[FIRST]));
        for outcome in futures_util::future::join_all(nodes).await {
            outcome.expect("one takes it, the others see it");
        }
        assert_eq!(server.query("SELECT count(*) FROM a").trim(), "1");

        let broken = Step {
            sql: "CREATE TABLE c (x INT); nonsense",
            oldest: 1,
        };
        let failed = apply(&pool, &[FIRST, SECOND, broken]).await;
        assert!(
            matches!(failed, Err(EngineError::Store { .. })),
            "{failed:?}"
        );
        let tables = "SELECT count(*) FROM pg_tables WHERE tablename IN ('b', 'c')";
        assert_eq!(server.query(tables).trim(), "0", "nothing is left of it");
        apply(&pool, &[FIRST, SECOND])
            .await
            .expect("the second alone");
        assert_eq!(
            server
                .query("SELECT max(version) FROM pixelrush_schema")
                .trim(),
            "2"
        );
    }

    #[tokio::test]
    async fn a_newer_schema_is_refused_only_if_it_cannot_be_gone_on_with() {
        let server = PostgresServer::start();
        let folder = tempfile::tempdir().expect("a folder");
        let pool = pool(&server, &folder);
        apply(&pool, &[FIRST, SECOND])
            .await
            .expect("a newer release");
        apply(&pool, &[FIRST])
            .await
            .expect("the one before goes on");
        let contracts = Step {
            sql: "DROP TABLE a",
            oldest: 2,
        };
        apply(&pool, &[FIRST, SECOND, contracts])
            .await
            .expect("a newer one still");
        let refused = apply(&pool, &[FIRST]).await;
        assert!(
            matches!(
                refused,
                Err(EngineError::SchemaTooNew { found: 3, known: 1 })
            ),
            "{refused:?}"
        );
    }
}
