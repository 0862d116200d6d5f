//! How a fleet is set up: how many nodes, which Redis, which leases, what is played.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use engine::NodeKind;

use super::NodeRef;

/// The event of a fleet that has one. It is open.
pub const EVENT: &str = "gala";

/// How leases are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// As PixelRush comes: renewed every 3 s for 5 s.
    Default,
    /// Renewed every 300 ms for 1 s: a dead node is noticed soon, and a node that is stopped for
    /// a moment loses its rooms.
    Fast,
}

/// How a fleet is set up.
#[derive(Debug, Clone)]
pub struct FleetOptions {
    /// How many gateways.
    pub gateways: usize,
    /// How many matchers.
    pub matchers: usize,
    /// How many syncds.
    pub syncds: usize,
    /// The section `[engine.redis]`, without its head.
    pub redis: String,
    /// The section `[engine.postgres]`, without its head; none: results are in Redis.
    pub postgres: Option<String>,
    /// Seats of the event [`EVENT`], if there is one.
    pub seats: Option<u32>,
    /// How leases are kept.
    pub lease: Lease,
    /// Players of a race.
    pub race: usize,
    /// Laps of a race.
    pub laps: u32,
    /// Settings by environment, for all nodes.
    pub environment: Vec<(String, String)>,
}

impl Lease {
    /// How long a node that has died counts as there.
    pub fn ttl(self) -> Duration {
        match self {
            Self::Default => Duration::from_secs(5),
            Self::Fast => Duration::from_secs(1),
        }
    }

    fn config(self) -> &'static str {
        match self {
            Self::Default => "",
            Self::Fast => "[engine.lease]\nrenew = \"300ms\"\nttl = \"1s\"\nretry = \"100ms\"\n",
        }
    }
}

impl FleetOptions {
    /// Two gateways, two matchers, three syncds with fast leases, and races of eight people over
    /// one lap.
    pub fn new(redis: String) -> Self {
        Self {
            gateways: 2,
            matchers: 2,
            syncds: 3,
            redis,
            postgres: None,
            seats: None,
            lease: Lease::Fast,
            race: 8,
            laps: 1,
            environment: Vec::new(),
        }
    }

    /// The names of all nodes: gateways, matchers, syncds.
    pub fn names(&self) -> impl Iterator<Item = NodeRef> + use<> {
        let gateways = (0..self.gateways).map(NodeRef::gateway);
        let matchers = (0..self.matchers).map(NodeRef::matcher);
        let syncds = (0..self.syncds).map(NodeRef::syncd);
        gateways.chain(matchers).chain(syncds)
    }

    pub(super) fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The configuration file of one node.
    pub(super) fn config(
        &self,
        node: NodeRef,
        listen: Option<SocketAddr>,
        folder: &Path,
    ) -> String {
        let key = folder.join("signing.key");
        let listen = listen.map_or("127.0.0.1:0".to_owned(), |listen| listen.to_string());
        let mut text = format!(
            "[secrets]\nsigning_key_file = {key:?}\n\
             [admin]\nlisten = \"127.0.0.1:0\"\n\
             [engine.redis]\n{redis}\n{lease}\
             [{service}]\nnode = \"{node}\"\nlisten = \"{listen}\"\n",
            redis = self.redis,
            lease = self.lease.config(),
            service = node.service(),
        );
        if let Some(postgres) = &self.postgres {
            let _ = writeln!(text, "[engine.postgres]\n{postgres}");
        }
        if node.kind == NodeKind::Matcher {
            let _ = write!(
                text,
                "[matcher.modes.race]\ngame = \"race\"\n\
                 players = {{ min = {race}, max = {race} }}\nbots = false\n\
                 settings = {{ laps = {laps}, countdown = \"1s\" }}\n",
                race = self.race,
                laps = self.laps,
            );
            if let Some(seats) = self.seats {
                let _ = write!(
                    text,
                    "[matcher.events.{EVENT}]\ntitle = \"Gala\"\nseats = {seats}\n\
                     opens_at = \"2020-01-01T00:00:00Z\"\ncloses_at = \"2090-01-01T00:00:00Z\"\n"
                );
            }
        }
        text
    }
}
