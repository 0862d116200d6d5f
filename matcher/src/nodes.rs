//! The syncd nodes: which of them can take a room, and what becomes of the rooms they have.
//!
//! The nodes are listed in the configuration, or come and go with their leases ([`source`]). One
//! task for each keeps a `Rooms.Watch` stream open. A node is usable from the first message of a
//! stream, the list of its open rooms, until the stream ends or falls silent.
//!
//! Each stream has a number, the *connection*. A room that was asked for on connection n is
//! missing from the list that opens connection n + 1 only if it is gone; so the list settles which
//! matches still run. What ended of late it names with the reason; what is neither is lost. Of the
//! list that opens n itself nothing follows for it.

mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chassis::backoff::Backoff;
use chassis::readiness::Condition;
use parking_lot::Mutex;
use protocol::id::{Generation, MatchId, NodeId, RoomId};
use rpc::pb;
use rpc::pb::room_news::News as PbNews;
use rpc::pb::rooms_client::RoomsClient;
use rpc::transport::{ConnectError, Endpoint, Names};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tonic::transport::Channel;

use crate::config::{Config, NodeConfig, PlacingConfig, Region};

pub use source::NodeSource;
pub(crate) use source::Watches;

/// Shortest and longest wait before a node is tried again.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// A syncd node, as the binary knows it.
#[derive(Debug, Clone)]
pub struct SyncdNode {
    /// Its name.
    pub name: NodeId,
    /// Where it is reached.
    pub endpoint: Endpoint,
    /// The region that it is in; `None`: any.
    pub region: Option<Region>,
}

impl SyncdNode {
    /// The node that the settings name, its host found by `names`.
    pub fn of(config: &NodeConfig, names: &Names) -> Self {
        Self {
            name: config.name.clone(),
            endpoint: names.endpoint(&config.endpoint),
            region: config.region.clone(),
        }
    }
}

/// What happens at the nodes.
#[derive(Debug)]
pub(crate) enum News {
    /// A node can be used, these rooms are open there, and these have ended of late.
    Open {
        node: NodeId,
        /// Of the process there, if it is known.
        generation: Option<Generation>,
        connection: u64,
        rooms: BTreeSet<RoomId>,
        ended: Vec<RoomEnded>,
    },
    /// A node cannot be used any more.
    Gone { node: NodeId },
    /// A room ended.
    Ended(RoomEnded),
}

/// A room that ended.
#[derive(Debug)]
pub(crate) struct RoomEnded {
    pub(crate) room: RoomId,
    pub(crate) match_id: MatchId,
    pub(crate) reason: String,
}

impl From<pb::RoomEnded> for RoomEnded {
    fn from(ended: pb::RoomEnded) -> Self {
        Self {
            room: RoomId(ended.room),
            match_id: MatchId(ended.r#match),
            reason: ended.reason,
        }
    }
}

/// All nodes. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Nodes {
    nodes: Arc<Mutex<BTreeMap<NodeId, Arc<Node>>>>,
    /// Of the last connection to any node: one that is later has a higher number, also if the
    /// node was not there for a while.
    connections: Arc<AtomicU64>,
    ready: Condition,
}

/// A node that a room may be asked of.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) node: NodeId,
    pub(crate) channel: Channel,
    pub(crate) connection: u64,
}

#[derive(Debug)]
struct Node {
    known: SyncdNode,
    generation: Option<Generation>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    channel: Option<Channel>,
    connection: u64,
    load: pb::NodeLoad,
    /// Rooms asked for since the node last told its load.
    asked: u32,
}

#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error("cannot be reached")]
    Connect(#[source] ConnectError),
    #[error("refused to be watched")]
    Refused(#[source] tonic::Status),
    #[error("said nothing in time")]
    Silent,
    #[error("ended the watch")]
    Ended,
    #[error("did not begin with the list of its rooms")]
    NoList,
}

impl Nodes {
    /// No nodes. `ready` holds while at least one is there that takes rooms.
    pub(crate) fn new(ready: Condition) -> Self {
        let nodes = Self {
            nodes: Arc::default(),
            connections: Arc::default(),
            ready,
        };
        nodes.update_readiness();
        nodes
    }

    fn all(&self) -> Vec<Arc<Node>> {
        self.nodes.lock().values().cloned().collect()
    }

    /// Whether any node takes rooms now.
    pub(crate) fn any_usable(&self) -> bool {
        self.all()
            .iter()
            .any(|node| node.state.lock().fullness().is_some())
    }

    /// The regions that a match can be held in; empty if some node is in no region in particular,
    /// because then every region will do.
    pub(crate) fn regions(&self) -> BTreeSet<Region> {
        let regions: Option<BTreeSet<Region>> = self
            .all()
            .iter()
            .map(|node| node.known.region.clone())
            .collect();
        regions.unwrap_or_default()
    }

    /// The least loaded node that takes a room for `region` and is not among `tried`.
    pub(crate) fn choose(&self, region: Option<&Region>, tried: &[NodeId]) -> Option<Chosen> {
        let suits = |node: &Arc<Node>| {
            let near = match (region, &node.known.region) {
                (Some(wanted), Some(there)) => wanted == there,
                _ => true,
            };
            near && !tried.contains(&node.known.name)
        };
        let (_, node) = self
            .all()
            .into_iter()
            .filter(suits)
            .filter_map(|node| {
                let fullness = node.state.lock().fullness()?;
                Some((fullness, node))
            })
            .min_by(|(a, left), (b, right)| (a, &left.known.name).cmp(&(b, &right.known.name)))?;
        let mut state = node.state.lock();
        state.asked += 1;
        Some(Chosen {
            node: node.known.name.clone(),
            channel: state.channel.clone()?,
            connection: state.connection,
        })
    }

    /// Whether `chosen` is still on the connection that it was chosen on.
    pub(crate) fn is_current(&self, chosen: &Chosen) -> bool {
        let node = self.nodes.lock().get(&chosen.node).cloned();
        node.is_some_and(|node| {
            let state = node.state.lock();
            state.channel.is_some() && state.connection == chosen.connection
        })
    }

    /// A node is there: the one to [`watch`](Self::watch) in place of any other of its name.
    fn enter(&self, known: SyncdNode, generation: Option<Generation>) -> Arc<Node> {
        let node = Arc::new(Node {
            known,
            generation,
            state: Mutex::default(),
        });
        let name = node.known.name.clone();
        self.nodes.lock().insert(name, Arc::clone(&node));
        node
    }

    /// A node is not there any more.
    fn leave(&self, name: &NodeId) {
        self.nodes.lock().remove(name);
        self.update_readiness();
    }

    /// Watches a node for ever. Dropping the future ends it. News wait for their reader, and
    /// meanwhile the node's stream is not read.
    async fn watch(
        self,
        node: Arc<Node>,
        own: NodeId,
        config: watch::Receiver<Arc<Config>>,
        news: mpsc::Sender<News>,
    ) {
        let mut backoff = Backoff::new(RECONNECT.0, RECONNECT.1);
        loop {
            let placing = config.borrow().placing.clone();
            let Err(error) = self.follow(&node, &own, &placing, &news).await;
            let was_usable = node.state.lock().channel.take().is_some();
            self.update_readiness();
            if was_usable {
                tracing::warn!(
                    node = %node.known.name,
                    error = %chassis::telemetry::Chain(&error),
                    "a syncd node is out of reach"
                );
                let gone = News::Gone {
                    node: node.known.name.clone(),
                };
                if news.send(gone).await.is_err() {
                    return;
                }
                backoff.reset();
            } else {
                tracing::debug!(
                    node = %node.known.name,
                    error = %chassis::telemetry::Chain(&error),
                    "a syncd node is still out of reach"
                );
            }
            tokio::time::sleep(backoff.next()).await;
        }
    }

    async fn follow(
        &self,
        node: &Node,
        own: &NodeId,
        placing: &PlacingConfig,
        news: &mpsc::Sender<News>,
    ) -> Result<std::convert::Infallible, WatchError> {
        let channel = node
            .known
            .endpoint
            .connect(placing.deadline)
            .await
            .map_err(WatchError::Connect)?;
        let request = pb::WatchRooms {
            node: own.to_string(),
        };
        let mut client = RoomsClient::new(channel.clone());
        let mut stream = timeout(placing.silence, client.watch(request))
            .await
            .map_err(|_| WatchError::Silent)?
            .map_err(WatchError::Refused)?
            .into_inner();
        let mut opened = false;
        loop {
            let message = timeout(placing.silence, stream.message())
                .await
                .map_err(|_| WatchError::Silent)?
                .map_err(WatchError::Refused)?
                .ok_or(WatchError::Ended)?;
            let told = match message.news {
                Some(PbNews::Open(open)) => {
                    opened = true;
                    Some(self.open(node, &channel, open))
                }
                _ if !opened => return Err(WatchError::NoList),
                Some(PbNews::Ended(ended)) => Some(News::Ended(ended.into())),
                Some(PbNews::Load(load)) => {
                    node.state.lock().set_load(load);
                    self.update_readiness();
                    None
                }
                None => None, // of a later release
            };
            if let Some(told) = told {
                news.send(told).await.map_err(|_| WatchError::Ended)?;
            }
        }
    }

    fn open(&self, node: &Node, channel: &Channel, open: pb::OpenRooms) -> News {
        let connection = {
            let mut state = node.state.lock();
            state.connection = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
            state.channel = Some(channel.clone());
            state.set_load(open.load.unwrap_or_default());
            state.connection
        };
        self.update_readiness();
        tracing::info!(node = %node.known.name, rooms = open.rooms.len(), "watching a syncd node");
        News::Open {
            node: node.known.name.clone(),
            generation: node.generation,
            connection,
            rooms: open.rooms.into_iter().map(RoomId).collect(),
            ended: open.ended.into_iter().map(RoomEnded::from).collect(),
        }
    }

    fn update_readiness(&self) {
        if self.any_usable() {
            self.ready.ready();
        } else {
            self.ready.unready("no syncd node takes rooms");
        }
    }
}

impl State {
    fn set_load(&mut self, load: pb::NodeLoad) {
        self.load = load;
        self.asked = 0;
    }

    /// How full the node is, in millionths, by rooms or by what they cost it, whichever is more;
    /// `None` if it takes no room.
    fn fullness(&self) -> Option<u64> {
        let rooms = u64::from(self.load.rooms) + u64::from(self.asked);
        let capacity = u64::from(self.load.capacity);
        let takes = !self.load.draining && !self.load.overloaded && rooms < capacity;
        let usable = self.channel.is_some() && takes;
        usable.then(|| (rooms * 1_000_000 / capacity).max(u64::from(self.load.busy) * 1_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_node_that_is_less_busy_is_less_full_and_an_overloaded_one_takes_nothing() {
        let channel = tonic::transport::Endpoint::from_static("http://node.test:1").connect_lazy();
        let fullness = |rooms, busy, overloaded| {
            let state = State {
                channel: Some(channel.clone()),
                load: pb::NodeLoad {
                    rooms,
                    capacity: 100,
                    busy,
                    overloaded,
                    ..pb::NodeLoad::default()
                },
                ..State::default()
            };
            state.fullness()
        };
        assert_eq!(fullness(50, 300, false), Some(500_000));
        assert!(fullness(10, 600, false) > fullness(50, 300, false));
        assert_eq!(fullness(10, 800, true), None);
        assert_eq!(fullness(100, 0, false), None);
    }
}
