//! Where Postgres is, as whom to log in, and how many connections there may be.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::automatic::Automatic;
use super::error::InvalidPostgres;
use super::pool::CEILING;

/// Where Postgres is and how it is used. All of it may change while running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PostgresConfig {
    /// `postgres://user@host:port/database`: the server, or a pgbouncer in front of it. A password
    /// is refused here: URLs end up in logs.
    pub url: String,
    /// A file with the password alone in it; without one there is none. It is read again every
    /// second: new connections log in with what it holds now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// A PEM file of certificates. With it connections are encrypted, and the server's certificate
    /// must be signed by one of them and be for the URL's host. Without it nothing is encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Longest that a statement takes; then it is cancelled.
    #[serde(with = "crate::config::duration")]
    pub deadline: Duration,
    /// How many connections there may be.
    pub pool: PoolConfig,
}

/// How many connections there may be, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoolConfig {
    /// Most connections of this process, as Postgres counts them: up to [`CEILING`].
    pub max: u32,
    /// Connections that are kept open though nobody uses them.
    pub min_idle: u32,
    /// A connection is replaced when it is this old, give or take a tenth; in use, when it comes
    /// back.
    #[serde(with = "crate::config::duration")]
    pub max_lifetime: Duration,
    /// A connection that nobody used for this long is closed, down to `min_idle`.
    #[serde(with = "crate::config::duration")]
    pub idle_timeout: Duration,
    /// Longest that a caller waits for a connection.
    #[serde(with = "crate::config::duration")]
    pub acquire: Duration,
    /// A connection that is held for this long is reported, with the place in the code.
    #[serde(with = "crate::config::duration")]
    pub leak_after: Duration,
    /// The size follows how long callers wait, in these bounds; `max` is where it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automatic: Option<Automatic>,
}

impl Default for PostgresConfig {
    fn default() -> Self {
        Self {
            url: "postgres://pixelrush@127.0.0.1:5432/pixelrush".to_owned(),
            password_file: None,
            ca_file: None,
            deadline: Duration::from_secs(5),
            pool: PoolConfig::default(),
        }
    }
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            max: 10,
            min_idle: 1,
            max_lifetime: Duration::from_secs(30 * 60),
            idle_timeout: Duration::from_secs(10 * 60),
            acquire: Duration::from_secs(2),
            leak_after: Duration::from_secs(30),
            automatic: None,
        }
    }
}

/// Shorter ones would do nothing but connect.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);

/// Shorter ones could not be met.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

impl PostgresConfig {
    /// Says what could never work, without connecting.
    ///
    /// # Errors
    /// The first setting at fault, with the remedy.
    pub fn check(&self) -> Result<(), InvalidPostgres> {
        Login::read(self)?;
        self.pool.check()
    }
}

impl PoolConfig {
    /// Says what could never work.
    ///
    /// # Errors
    /// The first setting at fault, with the remedy.
    pub fn check(&self) -> Result<(), InvalidPostgres> {
        between("pool.max", self.max, 1, CEILING)?;
        let most = self.automatic.map_or(self.max, |automatic| automatic.max);
        between("pool.min_idle", self.min_idle, 0, most)?;
        at_least("pool.max_lifetime", self.max_lifetime, SHORTEST_LIFE)?;
        at_least("pool.idle_timeout", self.idle_timeout, SHORTEST_LIFE)?;
        at_least("pool.acquire", self.acquire, SHORTEST_WAIT)?;
        at_least("pool.leak_after", self.leak_after, SHORTEST_LIFE)?;
        if let Some(automatic) = self.automatic {
            between("pool.automatic.max", automatic.max, 1, CEILING)?;
            between("pool.automatic.min", automatic.min, 1, automatic.max)?;
            between("pool.max", self.max, automatic.min, automatic.max)?;
        }
        Ok(())
    }
}

fn between(field: &'static str, value: u32, least: u32, most: u32) -> Result<(), InvalidPostgres> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let problem = format!("{value} is not between {least} and {most}");
    Err(InvalidPostgres { field, problem })
}

fn at_least(field: &'static str, value: Duration, least: Duration) -> Result<(), InvalidPostgres> {
    if value >= least {
        return Ok(());
    }
    let problem = format!("{value:?} is too short, it must be at least {least:?}");
    Err(InvalidPostgres { field, problem })
}

/// A login that has been read: what to connect to, and as whom. It has no `Debug`, so that no log
/// can show it.
pub(super) struct Login {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) config: tokio_postgres::Config,
    pub(super) tls: Option<MakeRustlsConnect>,
    /// What it was made of, to see whether that has changed.
    source: Source,
}

#[derive(PartialEq, Eq)]
struct Source {
    url: String,
    password: Option<Vec<u8>>,
    ca: Option<Vec<u8>>,
}

impl Login {
    /// Reads the settings and the files that they name.
    pub(super) fn read(config: &PostgresConfig) -> Result<Self, InvalidPostgres> {
        at_least("deadline", config.deadline, SHORTEST_WAIT)?;
        let mut parsed = parse(&config.url)?;
        let [Host::Tcp(host)] = parsed.get_hosts() else {
            return Err(url("it must name one host"));
        };
        let host = host.clone();
        let port = parsed.get_ports().first().copied().unwrap_or(5432);
        let password = read("password_file", config.password_file.as_deref())?;
        if let Some(password) = &password {
            let end = password.iter().rposition(|byte| !b"\r\n".contains(byte));
            parsed.password(&password[..end.map_or(0, |end| end + 1)]);
        }
        let ca = read("ca_file", config.ca_file.as_deref())?;
        let tls = ca.as_deref().map(trust).transpose()?;
        parsed.ssl_mode(match tls {
            Some(_) => SslMode::Require,
            None => SslMode::Disable,
        });
        if parsed.get_application_name().is_none() {
            parsed.application_name("pixelrush");
        }
        Ok(Self {
            host,
            port,
            config: parsed,
            tls,
            source: Source {
                url: config.url.clone(),
                password,
                ca,
            },
        })
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

fn url(problem: &str) -> InvalidPostgres {
    // Not even the host of what cannot be read is shown: it may be a password in the wrong place.
    InvalidPostgres {
        field: "url",
        problem: format!("{problem}, like postgres://user@host:5432/database"),
    }
}

fn parse(text: &str) -> Result<tokio_postgres::Config, InvalidPostgres> {
    if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
        return Err(url("it is not a URL of Postgres"));
    }
    let parsed = tokio_postgres::Config::from_str(text);
    let parsed = parsed.map_err(|_| url("it cannot be read"))?;
    if parsed.get_password().is_some() {
        return Err(url(
            "take the password out of it, and name a file with it as password_file",
        ));
    }
    if parsed.get_user().is_none() {
        return Err(url("it must name a user"));
    }
    Ok(parsed)
}

fn read(field: &'static str, file: Option<&Path>) -> Result<Option<Vec<u8>>, InvalidPostgres> {
    let read = file.map(|file| {
        fs::read(file).map_err(|error| InvalidPostgres {
            field,
            problem: format!("cannot read {}: {error}", file.display()),
        })
    });
    read.transpose()
}

fn trust(pem: &[u8]) -> Result<MakeRustlsConnect, InvalidPostgres> {
    let unusable = |problem: String| InvalidPostgres {
        field: "ca_file",
        problem,
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let added = certificate.map_err(|error| unusable(error.to_string()));
        let added = added.and_then(|one| roots.add(one).map_err(|e| unusable(e.to_string())));
        added?;
    }
    if roots.is_empty() {
        return Err(unusable("there is no certificate in it".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut PostgresConfig)) -> InvalidPostgres {
        let mut config = PostgresConfig::default();
        change(&mut config);
        config.check().expect_err("it is refused")
    }

    #[test]
    fn the_defaults_are_good() {
        PostgresConfig::default().check().expect("good");
    }

    #[test]
    fn what_is_wrong_is_named_by_its_field() {
        assert_eq!(refused(|c| c.pool.max = 0).field, "pool.max");
        assert_eq!(refused(|c| c.pool.max = CEILING + 1).field, "pool.max");
        assert_eq!(refused(|c| c.pool.min_idle = 11).field, "pool.min_idle");
        assert_eq!(refused(|c| c.deadline = Duration::ZERO).field, "deadline");
        let automatic = Automatic {
            min: 20,
            ..Automatic::default()
        };
        let refusal = refused(|c| c.pool.automatic = Some(automatic));
        assert_eq!(refusal.field, "pool.max");
        let refusal = refused(|c| c.password_file = Some("/no/such/file".into()));
        assert_eq!(refusal.field, "password_file");
        assert!(refusal.problem.contains("/no/such/file"), "{refusal}");
        let refusal = refused(|c| c.ca_file = Some("/dev/null".into()));
        assert_eq!(refusal.field, "ca_file");
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_repeated() {
        for text in [
            "postgres://u:secret@h/d",
            "postgres://u@h/d?password=secret",
            "secret",
        ] {
            let refusal = refused(|config| config.url = text.to_owned());
            assert_eq!(refusal.field, "url");
            assert!(!refusal.to_string().contains("secret"), "{refusal}");
        }
    }
}
