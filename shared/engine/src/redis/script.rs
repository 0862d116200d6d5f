//! What is run: a script, or a plain command, on keys of one hash slot.

use std::sync::Arc;

use redis::{Cmd, ToRedisArgs, cmd};

/// A Lua script: sent to a server once, and called by its hash from then on.
///
/// Clones are the same script.
#[derive(Debug, Clone)]
pub struct Script(Arc<Loaded>);

#[derive(Debug)]
struct Loaded {
    source: &'static str,
    hash: String,
}

impl Script {
    /// A script, from `include_str!("name.lua")`. Running it again must do no harm.
    pub fn new(source: &'static str) -> Self {
        let hash = redis::Script::new(source).get_hash().to_owned();
        Self(Arc::new(Loaded { source, hash }))
    }

    /// A call of it on `keys`, of which there is at least one and which all have one hash tag.
    pub fn on<K: AsRef<str>>(&self, keys: &[K]) -> Call {
        let mut command = cmd("EVALSHA");
        command.arg(&self.0.hash).arg(keys.len());
        for key in keys {
            command.arg(key.as_ref());
        }
        let first = keys.first().map_or("", |key| key.as_ref());
        Call {
            script: Some(self.clone()),
            command,
            slot: slot(first),
        }
    }

    /// The command that makes a server know it.
    pub(super) fn load(&self) -> Cmd {
        let mut load = cmd("SCRIPT");
        load.arg("LOAD").arg(self.0.source);
        load
    }
}

/// One thing to run.
#[derive(Debug, Clone)]
pub struct Call {
    pub(super) script: Option<Script>,
    pub(super) command: Cmd,
    pub(super) slot: u16,
}

impl Call {
    /// A plain command on `key`.
    pub fn command(name: &str, key: &str) -> Self {
        let mut command = cmd(name);
        command.arg(key);
        Self {
            script: None,
            command,
            slot: slot(key),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl ToRedisArgs) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments where their number is not known beforehand.
    pub fn push(&mut self, argument: impl ToRedisArgs) {
        self.command.arg(argument);
    }
}

/// How many hash slots a Cluster has.
pub(super) const SLOTS: u16 = 16_384;

/// The hash slot of a key, which says where it is in a Cluster: CRC-16/XMODEM of what is between
/// the first `{` and the next `}`, or of the whole key without such (Redis Cluster specification).
pub(super) fn slot(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| {
        let (tag, _) = rest.split_once('}')?;
        (!tag.is_empty()).then_some(tag)
    });
    let crc = tag.unwrap_or(key).bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            (crc << 1) ^ ((crc >> 15) * 0x1021)
        })
    });
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot("123456789"), 0x31C3);
        assert_eq!(slot("foo"), 12_182);
        assert_eq!(slot("pr:{foo}:bar"), slot("foo"));
        assert_eq!(slot("{}foo"), slot("{}foo"), "an empty tag is none");
        assert_ne!(slot("{}foo"), slot("foo"));
    }
}
