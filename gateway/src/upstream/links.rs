//! The links that there are: made from static addresses once, or kept in line with leases.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::NodeRecord;
use protocol::id::{Channel, Generation, NodeId};
use rpc::transport::{Endpoint, Names};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::discovery::{Known, Step, reconcile};
use super::doubt::{Doubt, Whereabouts};
use super::link::{LinkParts, LinkSource, LinkTarget, LinkTask};
use super::lobby::Lobby;
use super::node::{LinkState, NodeLink};
use super::router::Matchers;
use crate::outbox::LinkId;
use crate::registry::Registry;

/// Starts links.
#[derive(Debug)]
pub(super) struct Linker {
    pub(super) source: LinkSource,
    pub(super) registry: Arc<Registry>,
    pub(super) lobby: Arc<Lobby>,
    pub(super) matchers: watch::Sender<Arc<Matchers>>,
    /// Where rooms are, if they can be elsewhere than their tickets say.
    pub(super) whereabouts: Whereabouts,
    /// Finds the hosts in leases.
    pub(super) names: Names,
    /// Ends all links.
    pub(super) stop: CancellationToken,
    pub(super) started: u64,
}

/// The links to the nodes of one kind.
#[derive(Debug)]
pub(super) struct Links {
    channel: Channel,
    nodes: BTreeMap<NodeId, Linked>,
}

#[derive(Debug)]
struct Linked {
    link: NodeLink,
    generation: Generation,
    /// Of a node with a lease.
    endpoint: String,
    draining: bool,
    /// It is up, and its node has no lease.
    is_doubted: watch::Sender<bool>,
    retire: CancellationToken,
}

/// A link that has just begun.
struct Started {
    link: NodeLink,
    is_doubted: watch::Sender<bool>,
    retire: CancellationToken,
}

impl Linker {
    fn start(&mut self, target: LinkTarget, channel: Channel) -> Started {
        self.started += 1;
        let id = LinkId(self.started);
        let (handle, items) = NodeLink::new(id, target.node.clone(), channel);
        let span = tracing::info_span!("node_link", node = %target.node);
        let is_doubted = watch::Sender::new(false);
        let task = LinkTask::new(LinkParts {
            target,
            source: self.source.clone(),
            handle: handle.clone(),
            items,
            registry: self.registry.clone(),
            lobby: self.lobby.clone(),
            matchers: self.matchers.subscribe(),
            rooms_move: self.whereabouts.0.is_some(),
            doubt: Doubt::new(self.whereabouts.clone(), is_doubted.subscribe()),
        });
        let retire = self.stop.child_token();
        tokio::spawn(task.run(retire.clone()).instrument(span));
        Started {
            link: handle,
            is_doubted,
            retire,
        }
    }
}

impl Links {
    pub(super) fn new(channel: Channel) -> Self {
        let nodes = BTreeMap::new();
        Self { channel, nodes }
    }

    /// Links a node at an address that stays.
    pub(super) fn add(&mut self, linker: &mut Linker, node: &NodeId, endpoint: &Endpoint) {
        let target = LinkTarget {
            node: node.clone(),
            endpoint: endpoint.clone(),
            generation: None,
        };
        let started = linker.start(target, self.channel);
        let linked = Linked {
            link: started.link,
            generation: Generation::default(),
            endpoint: String::new(),
            draining: false,
            is_doubted: started.is_doubted,
            retire: started.retire,
        };
        self.nodes.insert(node.clone(), linked);
    }

    /// Brings the links in line with the leases. Gives whether there is another set of links.
    pub(super) fn follow(&mut self, linker: &mut Linker, leases: &[NodeRecord]) -> bool {
        let known = self.nodes.iter().map(|(node, linked)| {
            let known = Known {
                generation: linked.generation,
                endpoint: linked.endpoint.clone(),
                state: linked.link.state(),
            };
            (node.clone(), known)
        });
        let steps = reconcile(&known.collect(), leases);
        let changed = !steps.is_empty();
        for step in steps {
            match step {
                Step::Start(lease) => self.link(linker, lease),
                Step::Retire(node) => {
                    if let Some(linked) = self.nodes.remove(&node) {
                        tracing::info!(%node, "node is gone: no lease, no link");
                        linked.retire.cancel();
                    }
                }
            }
        }
        for lease in leases {
            if let Some(linked) = self.nodes.get_mut(&lease.node) {
                linked.draining = lease.load.draining;
            }
        }
        self.doubt(leases);
        changed
    }

    /// A link is doubted while it is up to an incarnation without a lease.
    fn doubt(&self, leases: &[NodeRecord]) {
        for (node, linked) in &self.nodes {
            let is_meant = |generation, lease: &NodeRecord| {
                lease.node == *node && lease.generation == generation
            };
            let is_doubted = match linked.link.state() {
                LinkState::Up(to) => !leases.iter().any(|lease| is_meant(to, lease)),
                LinkState::Down(_) => false,
            };
            let changed = linked
                .is_doubted
                .send_if_modified(|was| std::mem::replace(was, is_doubted) != is_doubted);
            if changed && is_doubted {
                tracing::info!(%node, "the node's lease has ended, its link is up");
            }
        }
    }

    fn link(&mut self, linker: &mut Linker, lease: NodeRecord) {
        let generation = lease.generation;
        tracing::info!(
            node = %lease.node, %generation, endpoint = lease.endpoint, "node found by its lease"
        );
        let target = LinkTarget {
            node: lease.node.clone(),
            endpoint: linker.names.endpoint(&lease.endpoint),
            generation: Some(generation),
        };
        let started = linker.start(target, self.channel);
        let linked = Linked {
            link: started.link,
            generation,
            endpoint: lease.endpoint,
            draining: lease.load.draining,
            is_doubted: started.is_doubted,
            retire: started.retire,
        };
        if let Some(before) = self.nodes.insert(lease.node, linked) {
            before.retire.cancel();
        }
    }

    /// All links, by name of the node.
    pub(super) fn all(&self) -> BTreeMap<NodeId, NodeLink> {
        let links = self.nodes.iter();
        links
            .map(|(node, linked)| (node.clone(), linked.link.clone()))
            .collect()
    }

    /// The links that are up, by name, with the incarnations that they go to.
    pub(super) fn up(&self) -> impl Iterator<Item = (&NodeId, &NodeLink, Generation)> {
        self.nodes
            .iter()
            .filter_map(|(node, linked)| match linked.link.state() {
                LinkState::Up(generation) => Some((node, &linked.link, generation)),
                LinkState::Down(_) => None,
            })
    }

    /// Whether the node said that it is going away.
    pub(super) fn is_draining(&self, node: &NodeId) -> bool {
        self.nodes.get(node).is_some_and(|linked| linked.draining)
    }

    /// Why no node is linked.
    pub(super) fn trouble(&self) -> &'static str {
        let states = self.nodes.values().map(|linked| linked.link.state());
        let reason = |state| match state {
            LinkState::Down(reason) => Some(reason),
            LinkState::Up(_) => None,
        };
        states.filter_map(reason).next().unwrap_or("none is known")
    }
}
