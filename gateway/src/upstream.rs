//! The way to the origins: one link for each node, shared by all connections here.
//!
//! - `node`, `link`: one node's queue, and the task that keeps the node linked
//! - `doubt`: what has become of the rooms of a node that has no lease any more
//! - `demux`: from a node's stream to the outboxes of who is attached by it
//! - `binding`: where one channel of one connection is attached
//! - `router`: the task that gives a channel without a home a new one; `lobby` is where it waits
//!   for that, `routing` decides
//! - `links`, `discovery`: which links there are, by address or by lease
//! - `matchers`: which matcher has which player

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use engine::{Leases, NodeKind, Placements};
use protocol::id::{Channel, NodeId, PlayerId};
use rpc::transport::{Endpoint, Names};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel as Transport;

use crate::registry::Registry;
use binding::Binding;
use doubt::Whereabouts;
use links::{Linker, Links};
use lobby::{Cause, Lobby, Newcomer, Spell};
use router::{Matchers, Published, Router, Stores};

pub(crate) mod binding;
mod demux;
mod discovery;
mod doubt;
pub(crate) mod link;
mod links;
mod lobby;
mod matchers;
mod node;
mod router;
mod routing;

/// How a gateway finds the nodes behind it.
#[derive(Clone)]
pub enum Origins {
    /// At addresses that stay.
    Static {
        /// The matcher.
        matcher: (NodeId, Endpoint),
        /// The nodes that run rooms, by name.
        rooms: BTreeMap<NodeId, Endpoint>,
    },
    /// By what they and their rooms say in stores that all nodes share. Endpoints in leases are
    /// `http://host:port`.
    Leases {
        /// Which matchers and room nodes there are.
        leases: Arc<dyn Leases>,
        /// Which of the nodes has a room.
        placements: Arc<dyn Placements>,
        /// Finds the hosts in leases.
        names: Names,
    },
}

impl Origins {
    /// The origins that the settings name, over TCP, their hosts found by `names`.
    pub fn of(config: &crate::Config, names: &Names) -> Self {
        let named = |origin: &crate::config::OriginConfig| {
            (origin.name.clone(), names.endpoint(&origin.endpoint))
        };
        Self::Static {
            matcher: named(&config.matcher),
            rooms: config.rooms.iter().map(named).collect(),
        }
    }

    /// What finds the hosts that are not known yet.
    fn names(&self) -> Names {
        match self {
            Self::Static { .. } => Names::default(),
            Self::Leases { names, .. } => names.clone(),
        }
    }

    fn whereabouts(&self) -> Whereabouts {
        Whereabouts(match self {
            Self::Static { .. } => None,
            Self::Leases { placements, .. } => Some(placements.clone()),
        })
    }
}

impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static { matcher, rooms } => f
                .debug_struct("Static")
                .field("matcher", matcher)
                .field("rooms", rooms)
                .finish(),
            Self::Leases { .. } => f.write_str("Leases"),
        }
    }
}

/// Links to all origins.
#[derive(Debug)]
pub(crate) struct Upstream {
    published: Arc<Published>,
    matchers: watch::Receiver<Arc<Matchers>>,
    lobby: Arc<Lobby>,
    /// The nodes are those that are known now, and no others.
    is_static: bool,
}

impl Upstream {
    /// Starts what keeps the origins linked; it ends with `stop`, after the last connection.
    pub(crate) fn start(
        origins: &Origins,
        config: &crate::Config,
        registry: &Arc<Registry>,
        stop: &CancellationToken,
        readiness: &chassis::readiness::Readiness,
    ) -> Self {
        let lobby = Arc::<Lobby>::default();
        let mut linker = Linker {
            source: link::LinkSource::new(config),
            registry: registry.clone(),
            lobby: lobby.clone(),
            matchers: watch::Sender::default(),
            whereabouts: origins.whereabouts(),
            names: origins.names(),
            stop: stop.clone(),
            started: 0,
        };
        let followed = linker.matchers.subscribe();
        let (mut matchers, mut rooms) = (Links::new(Channel::Match), Links::new(Channel::Room));
        let stores = match origins {
            Origins::Static { matcher, rooms: at } => {
                matchers.add(&mut linker, &matcher.0, &matcher.1);
                for (node, endpoint) in at {
                    rooms.add(&mut linker, node, endpoint);
                }
                None
            }
            Origins::Leases {
                leases, placements, ..
            } => Some(Stores {
                matchers: leases.watch(NodeKind::Matcher),
                rooms: leases.watch(NodeKind::Syncd),
                placements: placements.clone(),
                _leases: leases.clone(),
            }),
        };
        let published = Arc::<Published>::default();
        let is_static = stores.is_none();
        let condition = readiness.condition("matcher");
        let links = (linker, matchers, rooms);
        let router = Router::new(stores, links, published.clone(), condition);
        router.publish_rooms();
        tokio::spawn(router.run(stop.clone()));
        Self {
            published,
            matchers: followed,
            lobby,
            is_static,
        }
    }

    /// Whether a room can be on a node of that name, or have begun there.
    pub(crate) fn may_have(&self, node: &NodeId) -> bool {
        !self.is_static || self.published.rooms.load().contains_key(node)
    }

    /// The way to call the matcher that a player belongs to, while that is linked.
    pub(crate) fn matcher_of(&self, player: PlayerId) -> Option<Transport> {
        self.matchers.borrow().owner(player)?.calls()
    }

    /// Attaches a channel where its home most likely is, or leaves it to the router to find out.
    pub(crate) fn attach(&self, binding: Arc<Binding>) {
        if binding.is_watch() {
            return self.find_home(binding);
        }
        let home = match binding.last_home() {
            Some(node) => self.published.rooms.load().get(&node).cloned(),
            None => self.matchers.borrow().owner(binding.player()).cloned(),
        };
        let home = home.filter(|link| link.is_up());
        if home.is_some_and(|link| binding.attach_at(&link, Spell::default()).is_ok()) {
            return;
        }
        self.find_home(binding);
    }

    fn find_home(&self, binding: Arc<Binding>) {
        self.lobby.enter(Newcomer {
            binding,
            spell: Spell::default(),
            cause: Cause::Asked,
        });
    }
}
