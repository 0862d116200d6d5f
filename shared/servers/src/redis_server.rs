//! One Redis.

use std::time::Duration;

use redis::{Client, Connection};
use tempfile::TempDir;

use crate::process::Process;
use crate::{port, wait_until};

/// One Redis, on a port of its own for as long as this handle lives.
#[derive(Debug)]
pub struct RedisServer {
    port: u16,
    folder: TempDir,
    arguments: Vec<String>,
    process: Option<Process>,
}

impl RedisServer {
    /// Starts one that keeps nothing on disk.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one that has every write on disk before it confirms it.
    pub fn start_durable() -> Self {
        Self::start_with(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    /// Starts one with more arguments.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let mut server = Self {
            port: port::free(),
            folder: tempfile::tempdir().expect("a folder"),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            process: None,
        };
        server.restart();
        server
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again with what is on its disk. One that runs is killed first.
    pub fn restart(&mut self) {
        self.kill();
        let folder = self.folder.path().display().to_string();
        let mut arguments: Vec<String> = [
            ("--port", self.port.to_string().as_str()),
            ("--bind", "127.0.0.1"),
            ("--dir", &folder),
            ("--save", ""),
            ("--logfile", &format!("{folder}/log")),
            ("--repl-diskless-sync-delay", "0"),
        ]
        .iter()
        .flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()])
        .collect();
        arguments.extend(self.arguments.iter().cloned());
        self.process = Some(Process::start("redis-server", "redis-server", &arguments));
        wait_until("Redis answers", || self.ask(redis::cmd("PING")));
    }

    /// Starts it again without any data, on the same port.
    pub fn restart_empty(&mut self) {
        self.kill();
        self.folder = tempfile::tempdir().expect("a folder");
        self.restart();
    }

    /// Freezes it: connections stay open and nothing is answered.
    pub fn pause(&self) {
        self.running().pause();
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.running().resume();
    }

    /// Whether it has been started and not been killed.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Runs a command, for a test's own look at what is there.
    pub fn query<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> T {
        let mut connection = self.connection().expect("Redis is reachable");
        command.query(&mut connection).expect("Redis answers")
    }

    /// Runs a command whose failure says that it is not ready.
    pub(crate) fn ask(&self, command: redis::Cmd) -> Option<String> {
        let value: redis::Value = command.query(&mut self.connection()?).ok()?;
        Some(match value {
            redis::Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            other => format!("{other:?}"),
        })
    }

    fn connection(&self) -> Option<Connection> {
        connection(&self.url())
    }

    fn running(&self) -> &Process {
        self.process.as_ref().expect("it has not been killed")
    }
}

/// A connection that does not wait for a frozen server without end.
pub(crate) fn connection(url: &str) -> Option<Connection> {
    let limit = Duration::from_secs(2);
    let client = Client::open(url).expect("a well-formed URL");
    let connection = client.get_connection_with_timeout(limit).ok()?;
    connection.set_read_timeout(Some(limit)).ok()?;
    Some(connection)
}
