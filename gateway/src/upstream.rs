//! The way to the origins: one link for each node, shared by all connections here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use protocol::frame::Ack;
use protocol::id::{Channel, NodeId, SessionId};
use rpc::inbound::AttachRequest;
use rpc::pb;
use rpc::pb::to_origin_item::Item as ToItem;
use rpc::transport::Endpoint;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::registry::Registry;

mod demux;
pub(crate) mod link;

/// Items that may wait for one node. Over it, attaches and texts are refused as unavailable and
/// inputs and acknowledgements are dropped: clients send both again.
const QUEUE: usize = 8 * 1024;

/// The origins that this gateway knows.
#[derive(Debug, Clone)]
pub struct Origins {
    /// The matcher.
    pub matcher: (NodeId, Endpoint),
    /// The nodes that run rooms, by name.
    pub rooms: BTreeMap<NodeId, Endpoint>,
}

impl Origins {
    /// The origins that the settings name, over TCP.
    pub fn of(config: &crate::Config) -> Self {
        let named = |origin: &crate::config::OriginConfig| {
            (origin.name.clone(), Endpoint::tcp(&origin.endpoint))
        };
        Self {
            matcher: named(&config.matcher),
            rooms: config.rooms.iter().map(named).collect(),
        }
    }
}

/// Links to all origins.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) matcher: NodeLink,
    rooms: BTreeMap<NodeId, NodeLink>,
}

/// Queues items for one node. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct NodeLink {
    node: Arc<NodeId>,
    queue: mpsc::Sender<ToLink>,
    /// A detach found the queue full: the link's task looks for whom it has lost.
    missed: Arc<AtomicBool>,
}

/// An item for a link's task.
#[derive(Debug)]
pub(crate) enum ToLink {
    Attach(Box<AttachRequest>),
    Item(SessionId, ToItem),
}

/// The node's queue is full.
#[derive(Debug, thiserror::Error)]
#[error("the queue to node {0} is full")]
pub(crate) struct QueueFull(NodeId);

impl Upstream {
    /// Starts a link to each origin; they end with `stop`, after the last connection.
    pub(crate) fn start(
        origins: &Origins,
        gateway: &NodeId,
        registry: &Arc<Registry>,
        stop: &CancellationToken,
        readiness: &chassis::readiness::Readiness,
    ) -> Self {
        let source = link::LinkSource {
            gateway: gateway.clone(),
            incarnation: chassis::clock::unix_ms(),
        };
        let start = |node: &NodeId, endpoint: &Endpoint, channel| {
            let (queue, items) = mpsc::channel(QUEUE);
            let missed = Arc::new(AtomicBool::new(false));
            let condition = (channel == Channel::Match).then(|| readiness.condition("matcher"));
            let task = link::LinkTask::new(
                link::LinkTarget {
                    node: node.clone(),
                    endpoint: endpoint.clone(),
                    channel,
                },
                source.clone(),
                registry.clone(),
                link::LinkQueue {
                    items,
                    missed: missed.clone(),
                },
                condition,
            );
            let span = tracing::info_span!("node_link", node = %node);
            tokio::spawn(task.run(stop.clone()).instrument(span));
            NodeLink {
                node: Arc::new(node.clone()),
                queue,
                missed,
            }
        };
        let (node, endpoint) = &origins.matcher;
        Self {
            matcher: start(node, endpoint, Channel::Match),
            rooms: origins
                .rooms
                .iter()
                .map(|(node, endpoint)| (node.clone(), start(node, endpoint, Channel::Room)))
                .collect(),
        }
    }

    /// The link to a node that runs rooms.
    pub(crate) fn room(&self, node: &NodeId) -> Option<&NodeLink> {
        self.rooms.get(node)
    }
}

impl NodeLink {
    pub(crate) fn attach(&self, request: AttachRequest) -> Result<(), QueueFull> {
        self.push(ToLink::Attach(Box::new(request)))
    }

    pub(crate) fn detach(&self, session: SessionId, attempt: u32, leave: bool) {
        let detach = pb::Detach {
            session: session.0,
            attempt,
            leave,
        };
        if self
            .push(ToLink::Item(session, ToItem::Detach(detach)))
            .is_err()
        {
            self.missed.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn text(&self, session: SessionId, text: String) -> Result<(), QueueFull> {
        let text = pb::ClientText {
            session: session.0,
            text,
        };
        self.push(ToLink::Item(session, ToItem::Text(text)))
    }

    pub(crate) fn ack(&self, session: SessionId, ack: Ack) {
        let ack = pb::Ack {
            session: session.0,
            epoch: ack.epoch.0,
            offset: ack.offset.0,
            resend: ack.resend,
        };
        // Acknowledgements are cumulative: the next one makes up for this.
        let _ = self.push(ToLink::Item(session, ToItem::Ack(ack)));
    }

    pub(crate) fn input(&self, session: SessionId, frame: Bytes) {
        let input = pb::ClientInput {
            session: session.0,
            frame,
        };
        // The client keeps inputs until they are durable, and sends them again.
        let _ = self.push(ToLink::Item(session, ToItem::Input(input)));
    }

    fn push(&self, item: ToLink) -> Result<(), QueueFull> {
        self.queue
            .try_send(item)
            .map_err(|_| QueueFull((*self.node).clone()))
    }
}
