//! Tickets: wishes to play.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use protocol::id::{PlayerId, TicketId};
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::{Attribute, AttributeValue, ModeName, Region, Role};

/// One wish to play, of one player or of a party, in one mode's queue. It never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Its name.
    pub id: TicketId,
    /// The queue that it is in.
    pub mode: ModeName,
    /// Who plays: at least one. A party stays together, and in one team.
    pub members: Vec<Member>,
    /// The code that they gathered by, of a party.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party: Option<PartyCode>,
    /// The private room that it is of. Such a ticket is claimed from the start and never waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private: Option<PartyCode>,
    /// Worst round trip of the members to each region, in milliseconds. Empty: any region will do.
    #[serde(default)]
    pub regions: BTreeMap<Region, u32>,
    /// The build of the game that they play, if the mode keeps builds apart. Tickets of different
    /// ones never meet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// What else they meet by: tickets with different ones never do.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: Attributes,
    /// When the wait began, on the clock that all matchers of the queue share.
    #[serde(with = "micros")]
    pub enqueued_at: Timestamp,
}

/// A player on a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub player: PlayerId,
    /// The name that others see.
    pub name: String,
    /// The rating to match by.
    pub rating: i32,
    /// How uncertain the rating is, in its points: one standard deviation. 0: taken as it is.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub deviation: u32,
    /// On a ticket, the roles that the player takes, the dearest first; empty: any. In a match, the
    /// one that the player has, if its mode has roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
    /// Whether it is a bot of ours.
    pub bot: bool,
}

/// Values of attributes, by name.
pub type Attributes = BTreeMap<Attribute, AttributeValue>;

/// A build of a game, as its clients name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(Box<str>);

/// Why a text names no build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a version has 1 to 32 characters of a-z, A-Z, 0-9, '.', '_', '+' and '-'")]
pub struct VersionError;

impl Version {
    /// The version as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
        let well_formed = (1..=32).contains(&text.len()) && text.bytes().all(is_good);
        match well_formed {
            true => Ok(Self(text.into())),
            false => Err(VersionError),
        }
    }
}

impl TryFrom<String> for Version {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.0.into()
    }
}

/// What the members of a party agree on. It is a secret of theirs: not for logs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartyCode(Box<str>);

impl PartyCode {
    /// A code, of whatever length.
    pub fn new(code: &str) -> Self {
        Self(code.into())
    }

    /// The code as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PartyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PartyCode(..)")
    }
}

/// The order of tickets in a queue: the one that waits longest first.
pub type Age = (Timestamp, TicketId);

impl Ticket {
    /// Its place in the order of age.
    pub fn age(&self) -> Age {
        (self.enqueued_at, self.id)
    }

    /// How long it has waited.
    pub fn waited(&self, now: Timestamp) -> Duration {
        now.since(self.enqueued_at)
    }

    /// Players on it.
    pub fn size(&self) -> u8 {
        u8::try_from(self.members.len()).unwrap_or(u8::MAX)
    }

    /// The rating that it is matched by: for a party the mean of its members, rounded down.
    pub fn rating(&self) -> i32 {
        let count = i64::try_from(self.members.len().max(1)).unwrap_or(i64::MAX);
        let mean = self.rating_sum().div_euclid(count);
        i32::try_from(mean).expect("a mean lies between its parts")
    }

    /// How uncertain its rating is: of a party, the standard deviation of the mean.
    pub fn deviation(&self) -> u32 {
        let squares = self
            .members
            .iter()
            .map(|member| u64::from(member.deviation).pow(2));
        let sum = squares.fold(0, u64::saturating_add);
        let count = u64::try_from(self.members.len().max(1)).unwrap_or(u64::MAX);
        u32::try_from(sum.isqrt() / count).unwrap_or(u32::MAX)
    }

    /// The members' ratings together: what it weighs in a team.
    pub fn rating_sum(&self) -> i64 {
        self.members
            .iter()
            .map(|member| i64::from(member.rating))
            .sum()
    }

    /// Whether only bots are on it. Such a ticket fills matches and never makes one.
    pub fn is_bot(&self) -> bool {
        self.members.iter().all(|member| member.bot)
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A moment as microseconds, for what is written to a store.
pub(crate) mod micros {
    use protocol::time::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(at.0)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        u64::deserialize(from).map(Timestamp)
    }
}
