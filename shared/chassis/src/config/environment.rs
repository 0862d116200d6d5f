//! Overrides out of environment variables.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::ConfigError;
use super::known::KnownKeys;

const PREFIX: &str = "PIXELRUSH_";
const LEVEL: &str = "__";

/// The variables of this process that may be overrides. Unlike `std::env::vars` it does not
/// panic over a variable that is not UTF-8: that is never one of ours.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        let ours = name.starts_with(PREFIX);
        ours.then_some(name).zip(value.into_string().ok())
    })
}

/// What the environment sets, by path.
pub(super) struct Overrides(BTreeMap<Vec<String>, Override>);

struct Override {
    variable: String,
    value: toml::Value,
}

impl Overrides {
    pub(super) fn read(
        environment: impl Iterator<Item = (String, String)>,
        known: &KnownKeys,
    ) -> Self {
        let overrides = environment.filter_map(|(variable, text)| {
            let name = variable.strip_prefix(PREFIX)?.to_ascii_lowercase();
            let path: Vec<String> = name.split(LEVEL).map(str::to_owned).collect();
            if path.len() == 1 && !known.has_top_level(&name) {
                return None;
            }
            let value = read_value(text, known.is_text(&path));
            Some((path, Override { variable, value }))
        });
        Self(overrides.collect())
    }

    /// Lays the overrides over `table`.
    pub(super) fn apply(&self, table: &mut toml::Table) -> Result<(), ConfigError> {
        for (path, Override { variable, value }) in &self.0 {
            let Some((name, sections)) = path.split_last() else {
                continue;
            };
            let mut section = &mut *table;
            for (depth, part) in sections.iter().enumerate() {
                let below = section
                    .entry(part.as_str())
                    .or_insert_with(|| toml::Value::Table(toml::Table::new()));
                section = below
                    .as_table_mut()
                    .ok_or_else(|| ConfigError::NotASection {
                        variable: variable.clone(),
                        section: path[..=depth].join("."),
                    })?;
            }
            section.insert(name.clone(), value.clone());
        }
        Ok(())
    }

    /// The variable that set `key` or something that it is part of.
    pub(super) fn variable_of(&self, key: &str) -> Option<&str> {
        let parts: Vec<String> = key.split('.').map(str::to_owned).collect();
        (1..=parts.len())
            .rev()
            .find_map(|depth| self.0.get(&parts[..depth]))
            .map(|found| found.variable.as_str())
    }
}

fn read_value(text: String, default_is_text: bool) -> toml::Value {
    match toml::Value::from_str(&text) {
        // `PIXELRUSH_NODE__NAME=7` is a name.
        Ok(value) if value.is_str() || !default_is_text => value,
        _ => toml::Value::String(text),
    }
}
