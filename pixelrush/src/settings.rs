//! The one configuration file. Every service reads the same file and takes its own sections;
//! `pixelrush.example.toml` in the repository shows every key.

use std::path::{Path, PathBuf};

use chassis::admin::AdminConfig;
use chassis::config::ConfigError;
use chassis::postgres::PostgresConfig;
use chassis::resolve::ResolveConfig;
use chassis::telemetry::TelemetryConfig;
use engine::leases::keeper::LeaseConfig;
use engine::redis::RedisConfig;
use serde::{Deserialize, Serialize};

use crate::bots::BotsConfig;

/// All settings.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    /// Logs.
    pub(crate) telemetry: TelemetryConfig,
    /// The private port.
    pub(crate) admin: AdminConfig,
    /// Keys.
    pub(crate) secrets: SecretsConfig,
    /// Where state is kept.
    pub(crate) engine: EngineConfig,
    /// How hosts are found by name.
    pub(crate) resolve: ResolveConfig,
    /// The edge.
    pub(crate) gateway: gateway::Config,
    /// Matchmaking.
    pub(crate) matcher: matcher::Config,
    /// Rooms.
    pub(crate) syncd: syncd::Config,
    /// Bots of the one-process mode.
    pub(crate) bots: BotsConfig,
}

/// Where keys are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SecretsConfig {
    /// A file of at least 32 bytes, the same for every gateway and matcher: it signs tokens.
    pub(crate) signing_key_file: Option<PathBuf>,
    /// A file of at least 32 bytes, the same for every gateway: it makes players' ids. Absent:
    /// the signing key. Changing it makes every guest a new player.
    pub(crate) id_key_file: Option<PathBuf>,
}

/// Where state is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct EngineConfig {
    /// On the embedded engine, a folder for what must last: results, and keys of the one-process mode. Absent: in memory,
    /// gone with the process.
    pub(crate) data_dir: Option<PathBuf>,
    /// The store that services which run apart share: they find each other by their leases, and
    /// rooms outlive their nodes. Absent: the embedded engine.
    pub(crate) redis: Option<RedisConfig>,
    /// The database for what must last. Absent: Redis, or the embedded engine.
    pub(crate) postgres: Option<PostgresConfig>,
    /// How leases are kept.
    pub(crate) lease: LeaseConfig,
}

/// Settings that a reload applies; a change of any other one waits for a restart.
const LIVE: [&str; 16] = [
    "telemetry.level",
    "engine.postgres.url",
    "engine.postgres.password_file",
    "engine.postgres.ca_file",
    "engine.postgres.deadline",
    "engine.postgres.pool",
    "gateway.limits",
    "gateway.loopback_limits",
    "gateway.api_keys",
    "matcher.tick",
    "matcher.state_every",
    "matcher.grace",
    "matcher.forget_after",
    "matcher.placing",
    "matcher.modes",
    "matcher.events",
];

impl Settings {
    /// Reads the file, if there is one, and the environment.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        chassis::config::load(file, chassis::config::environment())
    }

    /// What changed, split into what applies at once and what waits for a restart.
    pub(crate) fn changes(&self, new: &Self) -> (Vec<String>, Vec<String>) {
        chassis::config::changes(self, new)
            .into_iter()
            .partition(|path| {
                LIVE.iter()
                    .any(|live| path == live || path.starts_with(&format!("{live}.")))
            })
    }

    /// These settings with all of `new` that [`LIVE`] lists: what is in force after a reload.
    pub(crate) fn with_live(&self, new: &Self) -> Self {
        let mut settings = self.clone();
        settings.telemetry.level = new.telemetry.level.clone();
        if let (Some(old), Some(new)) = (&mut settings.engine.postgres, &new.engine.postgres) {
            old.clone_from(new);
        }
        settings.gateway = self.gateway.with_live(&new.gateway);
        settings.matcher = matcher::Config {
            node: self.matcher.node.clone(),
            listen: self.matcher.listen,
            advertise: self.matcher.advertise.clone(),
            nodes: self.matcher.nodes.clone(),
            players: self.matcher.players,
            mailbox: self.matcher.mailbox,
            ..new.matcher.clone()
        };
        settings
    }

    /// The settings as an operator may see them. Keys are files or hashes, so nothing is secret;
    /// hashes are blanked all the same.
    pub(crate) fn shown(&self) -> serde_json::Value {
        let mut shown = self.clone();
        for key in &mut shown.gateway.api_keys {
            key.sha256 = "…".to_owned();
        }
        serde_json::to_value(shown).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../pixelrush.example.toml")
    }

    #[test]
    fn the_example_is_read_and_states_the_defaults() {
        let read: Settings = chassis::config::load(Some(&example()), std::iter::empty())
            .unwrap_or_else(|error| panic!("{error}"));
        let differences = chassis::config::changes(&Settings::default(), &read);
        let meant = ["gateway.rooms", "matcher.nodes", "secrets.signing_key_file"];
        let others: Vec<_> = differences
            .iter()
            .filter(|path| !meant.contains(&path.as_str()))
            .collect();
        assert!(others.is_empty(), "{others:?}");
    }

    #[test]
    fn the_example_names_every_key() {
        let text = std::fs::read_to_string(example()).expect("the example is there");
        let defaults = serde_json::to_value(Settings::default()).expect("settings are JSON");
        let mut missing = Vec::new();
        keys(&defaults, &mut |key| {
            if !text.contains(key) {
                missing.push(key.to_owned());
            }
        });
        assert!(missing.is_empty(), "{missing:?}");
    }

    fn keys(value: &serde_json::Value, each: &mut impl FnMut(&str)) {
        if let serde_json::Value::Object(map) = value {
            for (key, value) in map {
                each(key);
                keys(value, each);
            }
        }
    }

    #[test]
    fn a_reload_puts_in_force_what_it_lists_as_live_and_nothing_else() {
        let old = Settings::default();
        let mut new = old.clone();
        new.telemetry.level = "debug".to_owned();
        new.gateway.limits.connections = 7;
        new.gateway.heartbeat.interval = std::time::Duration::from_secs(3);
        new.matcher.grace = std::time::Duration::from_secs(3);
        new.matcher.players = 3;
        new.bots.spare = 3;
        let (live, _) = old.changes(&new);
        let in_force = chassis::config::changes(&old, &old.with_live(&new));
        assert_eq!(in_force, live);
        assert_eq!(
            live,
            [
                "gateway.limits.connections",
                "matcher.grace",
                "telemetry.level"
            ]
        );
    }

    #[test]
    fn a_database_changes_while_running_and_comes_or_goes_by_a_restart() {
        let without = Settings::default();
        let mut with = Settings::default();
        with.engine.postgres = Some(PostgresConfig::default());
        let mut larger = with.clone();
        let database = larger.engine.postgres.as_mut().expect("it was set");
        database.pool.max = 20;
        database.pool.automatic = Some(chassis::postgres::Automatic::default());
        let (live, waiting) = with.changes(&larger);
        assert_eq!(
            live,
            ["engine.postgres.pool.automatic", "engine.postgres.pool.max"]
        );
        assert!(waiting.is_empty(), "{waiting:?}");
        assert_eq!(with.with_live(&larger), larger);
        let (live, waiting) = without.changes(&with);
        assert_eq!(
            (live.len(), waiting),
            (0, vec!["engine.postgres".to_owned()])
        );
        assert_eq!(without.with_live(&with), without);
        assert_eq!(with.with_live(&without), with);
    }

    #[test]
    fn the_examples_commented_stores_are_read() {
        let text = std::fs::read_to_string(example()).expect("the example is there");
        let begins = |line: &str| {
            ["# [engine.redis]", "# [engine.postgres"]
                .iter()
                .any(|begin| line.starts_with(begin))
        };
        let mut stores = String::new();
        let mut inside = false;
        for line in text.lines() {
            inside = begins(line) || (inside && line.starts_with('#'));
            if let Some(setting) = line.strip_prefix("# ").filter(|_| inside) {
                stores += &format!("{setting}\n");
            }
        }
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("stores.toml");
        std::fs::write(&file, stores).expect("written");
        let read: Settings = chassis::config::load(Some(&file), std::iter::empty())
            .unwrap_or_else(|error| panic!("{error}"));
        let mut shown = read.engine.postgres.expect("it is there");
        assert!(shown.password_file.take().is_some() && shown.ca_file.take().is_some());
        assert_eq!(
            shown.pool.automatic.take(),
            Some(chassis::postgres::Automatic::default())
        );
        assert_eq!(shown, PostgresConfig::default());
        assert!(read.engine.redis.is_some());
    }

    #[test]
    fn limits_change_while_running_and_addresses_do_not() {
        let old = Settings::default();
        let mut new = old.clone();
        new.gateway.limits.connections = 7;
        new.gateway.listen = ([0, 0, 0, 0], 80).into();
        let (live, waiting) = old.changes(&new);
        assert_eq!(live, ["gateway.limits.connections"]);
        assert_eq!(waiting, ["gateway.listen"]);
    }
}
