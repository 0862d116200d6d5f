//! Identifiers. Each is a newtype, so that a room cannot be passed where a match is meant.
//!
//! As text an id is a prefix and 16 hexadecimal digits (`rm_00f1…`): JavaScript has no 64-bit
//! integers, and an operator who greps a log sees what kind of thing an id names. In binary
//! formats, which nobody greps, it is its number.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `{prefix}_` and 16 hexadecimal digits")]
pub struct ParseIdError {
    prefix: &'static str,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{:016x}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_hex(text, concat!($prefix, "_"))
                    .map(Self)
                    .ok_or(ParseIdError { prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match serializer.is_human_readable() {
                    true => serializer.collect_str(self),
                    false => serializer.serialize_u64(self.0),
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if !deserializer.is_human_readable() {
                    return u64::deserialize(deserializer).map(Self);
                }
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// A player: the same across sessions and devices.
    PlayerId = "pl";
    /// One login of a player. It outlives sockets: a resume keeps it.
    SessionId = "se";
    /// One wish to play, in a queue.
    TicketId = "tk";
    /// What the matcher formed out of tickets.
    MatchId = "mt";
    /// Where a match is played.
    RoomId = "rm";
    /// One running client: a page load, a process. Chosen by the client; it lets an origin tell
    /// a late attach of the same client from a second login.
    InstanceId = "in";
}

fn parse_hex(text: &str, prefix: &str) -> Option<u64> {
    let digits = text.strip_prefix(prefix)?;
    let well_formed = digits.len() == 16
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if well_formed {
        u64::from_str_radix(digits, 16).ok()
    } else {
        None
    }
}

/// A node of the deployment, by the short name that its configuration gives it
/// (1 to 63 characters of `a-z`, `0-9`, `-`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Box<str>);

/// Why a text cannot name a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a node name has 1 to 63 characters of a-z, 0-9 and '-'")]
pub struct NodeNameError;

impl NodeId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for NodeId {
    type Err = NodeNameError;

    fn from_str(text: &str) -> Result<Self, NodeNameError> {
        let well_formed = (1..=63).contains(&text.len())
            && text
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if well_formed {
            Ok(Self(text.into()))
        } else {
            Err(NodeNameError)
        }
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident($inner:ty);)*) => {$(
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default,
            serde::Serialize, serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    )*};
}

counters! {
    /// Names one history of a channel. Drawn at random when the history begins; never 0.
    Epoch(u32);
    /// A place in a channel's history. The first event has offset 1; 0 means "nothing yet".
    Offset(u32);
    /// An owner's term (of a room, a journal, a lease). A higher one fences off the lower.
    Generation(u64);
    /// A step of a room's simulation. The first step is 1; 0 means "before the first".
    Tick(u32);
    /// Number of one input step of one player in one room. The first is 1; 0 means "none yet".
    InputSeq(u32);
    /// Number of a seat of an event, from 1.
    SeatNumber(u32);
}

/// A log of events from an origin to one player.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// From the matcher: queue and match.
    Match,
    /// From the room that the player is in.
    Room,
}

impl Channel {
    /// How many channels there are.
    pub const COUNT: usize = 2;
    /// Every channel, in wire order.
    pub const ALL: [Self; Self::COUNT] = [Self::Match, Self::Room];

    /// The channel's number on the wire.
    pub fn index(self) -> usize {
        match self {
            Self::Match => 0,
            Self::Room => 1,
        }
    }
}

/// What a client has of a channel: the last event that took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// The history that `offset` counts in.
    pub epoch: Epoch,
    /// The last event that took effect.
    pub offset: Offset,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_what_they_print() {
        let room = RoomId(0x00f1_0000_dead_beef);
        assert_eq!(room.to_string(), "rm_00f10000deadbeef");
        assert_eq!(room.to_string().parse(), Ok(room));
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let text = PlayerId(7).to_string();
        assert!(text.parse::<RoomId>().is_err());
        assert!("rm_+0f10000deadbee".parse::<RoomId>().is_err());
        assert!("rm_00F10000DEADBEEF".parse::<RoomId>().is_err());
    }

    #[test]
    fn node_names_are_dns_labels() {
        assert!("syncd-1".parse::<NodeId>().is_ok());
        for bad in ["", "Syncd", "a b", &"x".repeat(64)] {
            assert!(bad.parse::<NodeId>().is_err(), "{bad:?}");
        }
    }
}
