//! The Postgres under a fleet, for what must last.
//!
//! Calls block for as long as the server takes, and panic where it does not do what it should.

use std::path::Path;

use chassis::postgres::PostgresConfig;
use engine::{Engine, EngineError};
use servers::PostgresServer;

/// The server, which ends with this value.
#[derive(Debug)]
pub struct Database {
    server: PostgresServer,
    config: PostgresConfig,
}

impl Database {
    /// Starts it; the file with its password goes to `folder`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn start(folder: &Path) -> std::io::Result<Self> {
        let file = folder.join("postgres.password");
        std::fs::write(&file, PostgresServer::PASSWORD)?;
        let server = PostgresServer::start();
        let config = PostgresConfig {
            url: server.url(),
            password_file: Some(file),
            ..PostgresConfig::default()
        };
        Ok(Self { server, config })
    }

    /// The section `[engine.postgres]` for it, without its head.
    pub fn config_text(&self) -> String {
        let file = self
            .config
            .password_file
            .as_deref()
            .unwrap_or(Path::new(""));
        format!("url = {:?}\npassword_file = {file:?}\n", self.config.url)
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts it again with what it had confirmed.
    pub fn restart(&mut self) {
        self.server.restart();
    }

    /// `engine` with what lasts in it, for a look at what is stored.
    ///
    /// # Errors
    /// It cannot be reached.
    pub async fn under(&self, engine: Engine) -> Result<Engine, EngineError> {
        engine.lasting_in(&self.config).await
    }
}
