//! The keys that exist, read off the default configuration, to explain the ones that do not.

use serde::Serialize;
use serde_json::Value;

/// Every key of a configuration type, by dotted path.
///
/// The default is written as JSON rather than TOML because JSON shows an option that is off as
/// `null`, so that its name is known too.
pub(super) struct KnownKeys(Value);

impl KnownKeys {
    pub(super) fn of<T: Serialize>(default: &T) -> Self {
        Self(serde_json::to_value(default).unwrap_or_default())
    }

    /// Whether the default at `path` is text, or a unit written as text.
    pub(super) fn is_text(&self, path: &[String]) -> bool {
        self.at(path).is_some_and(Value::is_string)
    }

    /// Whether a top-level key of this name exists.
    pub(super) fn has_top_level(&self, name: &str) -> bool {
        self.0.get(name).is_some()
    }

    /// The key that was probably meant by `key`: the nearest name in the same section, else the
    /// same name in another section.
    pub(super) fn nearest(&self, key: &str) -> Option<String> {
        let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
        let path: Vec<String> = section
            .split('.')
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect();
        // One slip for every three letters is a misspelling; more is another word.
        let tolerance = name.chars().count() / 3;
        let siblings = self.at(&path).and_then(Value::as_object);
        let near = siblings
            .into_iter()
            .flat_map(|siblings| siblings.keys())
            .map(|sibling| (strsim::damerau_levenshtein(name, sibling), sibling))
            .filter(|(distance, _)| *distance <= tolerance.max(1))
            .min();
        match near {
            Some((_, sibling)) => Some(join(section, sibling)),
            None => find(&self.0, name, ""),
        }
    }

    fn at(&self, path: &[String]) -> Option<&Value> {
        path.iter()
            .try_fold(&self.0, |value, part| value.get(part.as_str()))
    }
}

/// `section.name`, or `name` at the top level.
pub(super) fn join(section: &str, name: &str) -> String {
    if section.is_empty() {
        name.to_owned()
    } else {
        format!("{section}.{name}")
    }
}

fn find(value: &Value, name: &str, path: &str) -> Option<String> {
    let keys = value.as_object()?;
    if keys.contains_key(name) {
        return Some(join(path, name));
    }
    keys.iter()
        .find_map(|(key, below)| find(below, name, &join(path, key)))
}
