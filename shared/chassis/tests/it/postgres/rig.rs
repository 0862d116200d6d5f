//! Servers, and pools on them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pixelrush_chassis::postgres::{Pool, PoolConfig, PostgresConfig};
use servers::PostgresServer;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// Longest that anything may take to be well again.
const DEADLINE: Duration = Duration::from_secs(20);

/// A Postgres of its own, and the file with its password.
pub(crate) struct Rig {
    pub(crate) server: PostgresServer,
    folder: TempDir,
}

impl Rig {
    pub(crate) fn start() -> Self {
        let rig = Self {
            server: PostgresServer::start(),
            folder: tempfile::tempdir().expect("a folder"),
        };
        rig.write_password(PostgresServer::PASSWORD);
        rig
    }

    pub(crate) fn password_file(&self) -> PathBuf {
        self.folder.path().join("password")
    }

    pub(crate) fn write_password(&self, password: &str) {
        write(&self.password_file(), &format!("{password}\n"));
    }

    pub(crate) fn config(&self, max: u32) -> PostgresConfig {
        PostgresConfig {
            url: self.server.url(),
            password_file: Some(self.password_file()),
            pool: PoolConfig {
                max,
                acquire: Duration::from_secs(10),
                ..PoolConfig::default()
            },
            ..PostgresConfig::default()
        }
    }

    pub(crate) fn pool(&self, max: u32) -> Pool {
        Pool::open(&self.config(max)).expect("good settings")
    }
}

/// Replaced at once, as whoever rotates secrets does it.
fn write(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).expect("a file");
    std::fs::rename(new, file).expect("replaced");
}

/// Asks again and again until it `holds`.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !holds().await {
        assert!(Instant::now() < until, "not in time: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// The server process that answers for a connection.
pub(crate) async fn process(pool: &Pool) -> i32 {
    let mut held = pool.acquire().await.expect("a connection");
    let rows = held.query("SELECT pg_backend_pid()", &[]).await;
    rows.expect("an answer")[0].get(0)
}
