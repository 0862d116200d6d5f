//! Where Redis is.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use redis::{ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo};
use serde::{Deserialize, Serialize};

use crate::EngineError;

/// Where Redis is, and how it is used. All nodes of a deployment have the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RedisConfig {
    /// `redis://host:port[/database]`: the server, some nodes of the Cluster, or the sentinels.
    /// A password is refused here: URLs end up in logs.
    pub urls: Vec<String>,
    /// What is at the URLs.
    pub topology: Topology,
    /// The name by which the sentinels know the primary.
    pub service: String,
    /// Begins every key, so that several deployments can share a server.
    pub prefix: String,
    /// The user to log in as; the default user without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// A file with the password alone in it; without one there is no logging in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Longest that a call takes, with all its attempts.
    #[serde(with = "chassis::config::duration")]
    pub deadline: Duration,
    /// How many replicas have to have a seal or a claim before it counts. More than 0 makes them
    /// outlast the loss of the primary, and fail while too few replicas are there.
    pub replicas: u32,
}

/// What kind of Redis there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topology {
    /// One server, or a name that leads to the primary.
    Single,
    /// A Redis Cluster.
    Cluster,
    /// A primary with replicas, watched by sentinels.
    Sentinel,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            urls: vec!["redis://127.0.0.1:6379".to_owned()],
            topology: Topology::Single,
            service: "pixelrush".to_owned(),
            prefix: "pr".to_owned(),
            user: None,
            password_file: None,
            deadline: Duration::from_millis(500),
            replicas: 0,
        }
    }
}

/// A configuration that has been read: what to connect to, and as whom.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) seeds: Vec<Address>,
    pub(super) topology: Topology,
    pub(super) service: String,
    pub(super) prefix: String,
    pub(super) login: RedisConnectionInfo,
    pub(super) deadline: Duration,
    pub(super) replicas: u32,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Address {
    /// Reads `host:port`, as servers write it in redirections.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        Some(Self {
            host: host.to_owned(),
            port: port.parse().ok()?,
        })
    }
}

impl Settings {
    pub(super) fn read(config: &RedisConfig) -> Result<Self, EngineError> {
        let mut login = RedisConnectionInfo::default();
        let mut seeds = Vec::new();
        for url in &config.urls {
            let (address, database) = parse(url)?;
            login = login.set_db(database);
            seeds.push(address);
        }
        if seeds.is_empty() {
            return Err(refused("nowhere", "set `urls` in [engine.redis]"));
        }
        if let Some(user) = &config.user {
            login = login.set_username(user);
        }
        if let Some(file) = &config.password_file {
            let password = fs::read_to_string(file).map_err(|source| EngineError::Open {
                path: file.clone(),
                source: Box::new(source),
            })?;
            login = login.set_password(password.trim_end_matches(['\n', '\r']));
        }
        Ok(Self {
            seeds,
            topology: config.topology,
            service: config.service.clone(),
            prefix: config.prefix.clone(),
            login,
            deadline: config.deadline,
            replicas: config.replicas,
        })
    }

    /// Names the servers, for people.
    pub(super) fn address(&self) -> String {
        let seeds: Vec<String> = self.seeds.iter().map(Address::to_string).collect();
        seeds.join(", ")
    }
}

fn parse(url: &str) -> Result<(Address, i64), EngineError> {
    // Not even the host of what cannot be read is shown: it may be a password in the wrong place.
    let info = url.into_connection_info().map_err(|_| {
        refused(
            "a URL",
            "`urls` in [engine.redis] are like redis://host:6379",
        )
    })?;
    let ConnectionAddr::Tcp(host, port) = info.addr() else {
        return Err(refused("a URL", "only redis://host:port is supported"));
    };
    let address = Address {
        host: host.clone(),
        port: *port,
    };
    if info.redis_settings().password().is_some() {
        return Err(refused(
            &address.to_string(),
            "take the password out of the URL and name a file with it as `password_file`",
        ));
    }
    Ok((address, info.redis_settings().db()))
}

fn refused(address: &str, remedy: &'static str) -> EngineError {
    EngineError::Connect {
        address: address.to_owned(),
        remedy,
        source: "the configuration does not do".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Settings, EngineError> {
        Settings::read(&RedisConfig {
            urls: vec![url.to_owned()],
            ..RedisConfig::default()
        })
    }

    #[test]
    fn urls_name_a_host_a_port_and_a_database() {
        let settings = read("redis://example.test:7000/3").expect("a URL");
        assert_eq!(settings.address(), "example.test:7000");
        assert_eq!(settings.login.db(), 3);
        assert_eq!(read("redis://h").expect("a URL").address(), "h:6379");
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_repeated() {
        for url in ["redis://:secret@h:1", "redis://u:secret@h:1", "secret"] {
            let refused = read(url).err().expect("refused").to_string();
            assert!(!refused.contains("secret"), "{refused}");
        }
    }
}
