//! Where the list of nodes comes from: it is fixed, or it is those whose leases run.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chassis::drain::Drain;
use engine::{Leases, NodeKind, NodeRecord};
use protocol::id::{Generation, NodeId};
use rpc::transport::Names;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{News, Nodes, SyncdNode};
use crate::config::{Config, Region};

/// Where rooms are made.
#[derive(Clone)]
pub enum NodeSource {
    /// On these nodes: `config.nodes`, or one in this process.
    Static(Vec<SyncdNode>),
    /// On the nodes that announce themselves.
    Leases {
        /// Where they do.
        leases: Arc<dyn Leases>,
        /// Finds the hosts in leases.
        names: Names,
    },
}

impl fmt::Debug for NodeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static(nodes) => f.debug_tuple("Static").field(nodes).finish(),
            Self::Leases { .. } => f.write_str("Leases"),
        }
    }
}

/// Keeps a watch on every node that there is.
pub(crate) struct Watches {
    pub(crate) nodes: Nodes,
    /// Name of this matcher.
    pub(crate) own: NodeId,
    pub(crate) config: watch::Receiver<Arc<Config>>,
    pub(crate) news: mpsc::Sender<News>,
    pub(crate) drain: Drain,
    /// Ends all of them.
    pub(crate) stop: CancellationToken,
}

/// A node that is watched, for as long as this lives.
struct Watched {
    endpoint: String,
    generation: Generation,
    _stop: DropGuard,
}

impl Watches {
    /// Watches the nodes of `source` until `stop`.
    pub(crate) fn start(self, source: NodeSource) {
        match source {
            NodeSource::Static(nodes) => {
                for node in nodes {
                    self.watch(node, None, self.stop.clone());
                }
            }
            NodeSource::Leases { leases, names } => {
                let (drain, stop) = (self.drain.clone(), self.stop.clone());
                drain.spawn("leases", async move {
                    stop.run_until_cancelled(self.follow(leases, names)).await;
                });
            }
        }
    }

    fn watch(&self, known: SyncdNode, generation: Option<Generation>, stop: CancellationToken) {
        let node = self.nodes.enter(known, generation);
        let watch = self.nodes.clone().watch(
            node,
            self.own.clone(),
            self.config.clone(),
            self.news.clone(),
        );
        self.drain.spawn("watch", async move {
            stop.run_until_cancelled(watch).await;
        });
    }

    async fn follow(self, leases: Arc<dyn Leases>, names: Names) {
        let mut records = leases.watch(NodeKind::Syncd);
        let mut watched: BTreeMap<NodeId, Watched> = BTreeMap::new();
        loop {
            let there = Arc::clone(&records.borrow_and_update());
            self.update(&mut watched, &there, &names).await;
            if records.changed().await.is_err() {
                return; // the store is gone, and so is everything
            }
        }
    }

    /// Brings the watches up to date with the leases.
    async fn update(
        &self,
        watched: &mut BTreeMap<NodeId, Watched>,
        there: &[NodeRecord],
        names: &Names,
    ) {
        let is_there = |name: &NodeId, watched: &Watched| {
            there.iter().any(|record| {
                record.node == *name
                    && record.generation == watched.generation
                    && record.endpoint == watched.endpoint
            })
        };
        let gone: Vec<NodeId> = watched
            .iter()
            .filter(|(name, watched)| !is_there(name, watched))
            .map(|(name, _)| name.clone())
            .collect();
        for node in gone {
            tracing::info!(%node, "a syncd node has left");
            watched.remove(&node);
            self.nodes.leave(&node);
            // An error means that the desk has ended.
            let _ = self.news.send(News::Gone { node }).await;
        }
        for record in there {
            if watched.contains_key(&record.node) {
                continue;
            }
            let stop = self.stop.child_token();
            self.watch(known(record, names), Some(record.generation), stop.clone());
            let entry = Watched {
                endpoint: record.endpoint.clone(),
                generation: record.generation,
                _stop: stop.drop_guard(),
            };
            watched.insert(record.node.clone(), entry);
        }
    }
}

fn known(record: &NodeRecord, names: &Names) -> SyncdNode {
    let region: Option<Region> = match record.region.as_str() {
        "" => None,
        name => name
            .parse()
            .inspect_err(|error| {
                tracing::error!(node = %record.node, %error, "its region cannot be read: any");
            })
            .ok(),
    };
    SyncdNode {
        name: record.node.clone(),
        endpoint: names.endpoint(&record.endpoint),
        region,
    }
}
