//! What can be set about a matcher.
//!
//! `tick`, `state_every`, `grace`, `forget_after`, `placing`, `modes` and `events` take effect while
//! running, at the next tick; settings without any mode leave the modes as they were. `node`, `listen`,
//! `advertise`, `nodes`, `players` and `mailbox` wait for a restart: a service that runs keeps theirs.

mod event;
mod mode;
mod names;
mod rules;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use protocol::id::NodeId;
use serde::{Deserialize, Serialize};

pub use event::{Event, EventError, EventOptions, MAX_SEATS};
pub use mode::{
    LEAST_WATCH_DELAY, MAX_ATTRIBUTES, MAX_MATCH, MAX_ROLES, MAX_TEAMS, MAX_VALUES, MAX_WITH_ROLES,
    Mode, ModeError, ModeOptions,
};
pub use names::{
    Attribute, AttributeError, AttributeValue, AttributeValueError, EventName, EventNameError,
    ModeName, ModeNameError, Region, RegionNameError, Role, RoleError,
};
pub use rules::{
    ACCEPT_WITHIN, AcceptRule, AttributeRule, LONGEST_COOL_DOWN, PlayerRange, RatingWindow,
    RegionRule,
};

/// A matcher's settings.
///
/// Worst-case memory: `players` records of about 1 KiB, each with an event log of at most 16 KiB
/// that is empty for all but those who are out of reach.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Name of this matcher in the deployment.
    pub node: NodeId,
    /// Where gateways reach it.
    pub listen: SocketAddr,
    /// Where others reach it, `http://host:port`, if that is not `listen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertise: Option<String>,
    /// How often matches are formed.
    #[serde(with = "chassis::config::duration")]
    pub tick: Duration,
    /// How often a waiting client is told how the queue stands.
    #[serde(with = "chassis::config::duration")]
    pub state_every: Duration,
    /// A client that is out of reach keeps its place in the queue for this long. Bots have none.
    #[serde(with = "chassis::config::duration")]
    pub grace: Duration,
    /// A client that is out of reach for this long, and not in a match, is forgotten, with the
    /// events that it did not fetch. At least `grace`.
    #[serde(with = "chassis::config::duration")]
    pub forget_after: Duration,
    /// Most players that are known at once: connected, waiting, or in a match. Over it the
    /// connections of newcomers are closed as `unavailable` (4101), and come back later.
    pub players: usize,
    /// Items from gateways that may wait for the matcher. Over it the gateways' streams are not
    /// read until it has caught up.
    pub mailbox: usize,
    /// How a room is found for a match.
    pub placing: PlacingConfig,
    /// The syncd nodes.
    pub nodes: Vec<NodeConfig>,
    /// The modes, by name. A file that has any replaces all of the defaults.
    pub modes: BTreeMap<ModeName, Mode>,
    /// Events with a limited number of seats, by name. A name stands for its seats for good: what
    /// was confirmed under it stays so, so the next event gets another name.
    pub events: BTreeMap<EventName, Event>,
}

/// How a room is found for a match.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlacingConfig {
    /// How long a node may take to make a room.
    #[serde(with = "chassis::config::duration")]
    pub deadline: Duration,
    /// Nodes that are asked before the match's tickets go back to the queue. At least one is.
    pub attempts: u32,
    /// Wait before the second node is asked; it doubles from there, with jitter.
    #[serde(with = "chassis::config::duration")]
    pub backoff: Duration,
    /// How long the tickets of a match that looks for a room are kept for it, from one word of
    /// this matcher to the next: when it dies, they wait again after this long.
    #[serde(with = "chassis::config::duration")]
    pub claim_for: Duration,
    /// Matches that may be looking for a room at once. Over it tickets stay in the queue.
    pub at_once: usize,
    /// A node that says nothing for this long gets no rooms.
    #[serde(with = "chassis::config::duration")]
    pub silence: Duration,
    /// Matches on a node that is out of reach for this long count as lost.
    #[serde(with = "chassis::config::duration")]
    pub lost_after: Duration,
    /// How long a room ticket is good for: the longest match. A match that is older has ended,
    /// whatever became of its room.
    #[serde(with = "chassis::config::duration")]
    pub ticket_lifetime: Duration,
}

/// A syncd node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeConfig {
    /// Its name.
    pub name: NodeId,
    /// `http://host:port`.
    pub endpoint: String,
    /// The region that it is in, as clients name it when they measure. Absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: "matcher-1".parse().expect("a DNS label"),
            listen: SocketAddr::from(([127, 0, 0, 1], 7200)),
            advertise: None,
            tick: Duration::from_millis(250),
            state_every: Duration::from_secs(1),
            grace: Duration::from_secs(30),
            forget_after: Duration::from_secs(600),
            players: 200_000,
            mailbox: 4096,
            placing: PlacingConfig::default(),
            nodes: Vec::new(),
            modes: mode::defaults(),
            events: BTreeMap::new(),
        }
    }
}

impl Default for PlacingConfig {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(1),
            attempts: 3,
            backoff: Duration::from_millis(50),
            claim_for: Duration::from_secs(10),
            at_once: 256,
            silence: Duration::from_secs(3),
            lost_after: Duration::from_secs(30),
            ticket_lifetime: Duration::from_secs(2 * 3600),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_survive_being_written_and_read() {
        let text = serde_json::to_string(&Config::default()).unwrap();
        assert_eq!(
            serde_json::from_str::<Config>(&text).unwrap(),
            Config::default()
        );
    }

    #[test]
    fn the_default_modes_are_race_duel_and_team() {
        let config = Config::default();
        let names: Vec<_> = config.modes.keys().map(ModeName::as_str).collect();
        assert_eq!(names, ["duel", "race", "team"]);
    }
}
