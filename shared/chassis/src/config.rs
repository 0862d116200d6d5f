//! Configuration: one TOML file, overridden by the environment, into the service's own types.
//!
//! The service's struct derives `Deserialize`, `Serialize` and `Default` with
//! `#[serde(default)]`, so that a file states only what differs. A key that no struct knows is
//! refused, with the nearest name that exists: a misspelt limit must not be a limit that is off.
//! (`#[serde(flatten)]` hides unknown keys from this check: do not use it in configuration.)
//!
//! `PIXELRUSH_<SECTION>__<KEY>=value` overrides one key; a double underscore separates levels.
//! The value is read as TOML (`20`, `true`, `["a", "b"]`), and as plain text where that fails or
//! where the key's default is text. Names without a double underscore count only when they name
//! a top-level key: Kubernetes injects `PIXELRUSH_SERVICE_HOST` and the like for a Service that
//! is called `pixelrush`.
//!
//! Text carries units: durations through [`duration`] (`"10s"`, `"250ms"`), sizes as
//! [`ByteSize`] (`"64KiB"`).

mod changes;
mod environment;
mod known;
mod size;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use changes::Changes;
pub use environment::environment;
/// Serde for `Duration` and `Option<Duration>` with units:
/// `#[serde(with = "chassis::config::duration")]`.
pub use humantime_serde as duration;
pub use size::{ByteSize, ParseByteSizeError};

use environment::Overrides;
use known::KnownKeys;

/// Why there is no configuration. Texts name the key and where it was set, and carry no value of
/// the file: it may be a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration file {}", file.display())]
    Read {
        /// The file that was asked for.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{}:{line}:{column}: {message}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// A key has a value of the wrong type or out of range.
    #[error("{key} (set by {origin}): {message}")]
    Invalid {
        /// Dotted path of the key.
        key: String,
        /// The file or the environment variable that set it.
        origin: String,
        /// What was expected.
        message: String,
    },
    /// Keys that no setting has.
    #[error("unknown configuration: {}", list(.0))]
    Unknown(Vec<UnknownKey>),
    /// An environment variable reaches below a key that is not a section.
    #[error("{variable} sets a key below `{section}`, which is not a section")]
    NotASection {
        /// The variable.
        variable: String,
        /// Dotted path of what is in the way.
        section: String,
    },
}

/// A key that no setting has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKey {
    /// Dotted path as it was written.
    pub key: String,
    /// The file or the environment variable that set it.
    pub origin: String,
    /// Dotted path of the nearest key that exists, if one is near.
    pub nearest: Option<String>,
}

fn list(keys: &[UnknownKey]) -> String {
    let texts = keys.iter().map(|unknown| {
        let hint = match &unknown.nearest {
            Some(nearest) => format!(", did you mean {nearest}?"),
            None => String::new(),
        };
        format!("{} (set by {}{hint})", unknown.key, unknown.origin)
    });
    texts.collect::<Vec<_>>().join("; ")
}

/// Loads `T` from `file`, if one is given, and `environment` (usually [`environment()`]).
///
/// # Errors
/// See [`ConfigError`]. Every unknown key is reported, not just the first.
pub fn load<T>(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<T, ConfigError>
where
    T: DeserializeOwned + Serialize + Default,
{
    let known = KnownKeys::of(&T::default());
    let mut table = match file {
        Some(file) => read(file)?,
        None => toml::Table::new(),
    };
    let overrides = Overrides::read(environment, &known);
    overrides.apply(&mut table)?;

    let origin = |key: &str| match (overrides.variable_of(key), file) {
        (Some(variable), _) => variable.to_owned(),
        (None, Some(file)) => file.display().to_string(),
        (None, None) => "the environment".to_owned(),
    };
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let parsed = T::deserialize(serde_ignored::Deserializer::new(
        serde_path_to_error::Deserializer::new(toml::Value::Table(table), &mut track),
        &mut |path: serde_ignored::Path<'_>| {
            let key = dotted(&path);
            unknown.push(UnknownKey {
                origin: origin(&key),
                nearest: known.nearest(&key),
                key,
            });
        },
    ));
    let config = parsed.map_err(|error| {
        let key = track.path().to_string();
        ConfigError::Invalid {
            origin: origin(&key),
            message: error.message().trim_end().to_owned(),
            key,
        }
    })?;
    if unknown.is_empty() {
        Ok(config)
    } else {
        Err(ConfigError::Unknown(unknown))
    }
}

/// Dotted paths of the settings that differ, in alphabetical order, so that a reload can say
/// which of them wait for a restart. Lists are compared as a whole. A type that cannot be written
/// as JSON has no paths to name.
pub fn changes<T: Serialize>(old: &T, new: &T) -> Vec<String> {
    let mut paths = Vec::new();
    let [old, new] = [old, new].map(|config| serde_json::to_value(config).unwrap_or_default());
    differences(&old, &new, "", &mut paths);
    paths
}

fn differences(old: &Value, new: &Value, path: &str, found: &mut Vec<String>) {
    let (Value::Object(old_keys), Value::Object(new_keys)) = (old, new) else {
        if old != new {
            found.push(path.to_owned());
        }
        return;
    };
    let mut keys: Vec<&String> = old_keys.keys().chain(new_keys.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let below = known::join(path, key);
        let [old, new] = [old_keys, new_keys].map(|keys| keys.get(key).unwrap_or(&Value::Null));
        differences(old, new, &below, found);
    }
}

fn read(file: &Path) -> Result<toml::Table, ConfigError> {
    let text = fs::read_to_string(file).map_err(|source| ConfigError::Read {
        file: file.to_owned(),
        source,
    })?;
    text.parse::<toml::Table>().map_err(|error| {
        // The parser's own text quotes the line, which may hold a secret: name its place instead.
        let before = error.span().and_then(|span| text.get(..span.start));
        let before = before.unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        ConfigError::Syntax {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: error.message().to_owned(),
        }
    })
}

fn dotted(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => known::join(&dotted(parent), &index.to_string()),
        Path::Map { parent, key } => known::join(&dotted(parent), key),
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => dotted(parent),
    }
}

#[cfg(test)]
mod tests;
