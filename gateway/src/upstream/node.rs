//! One node as connections here hold it: a queue into the task that keeps it linked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::frame::Ack;
use protocol::id::{Channel, Generation, NodeId, SessionId};
use rpc::pb;
use rpc::pb::to_origin_item::Item as ToItem;
use tokio::sync::mpsc;
use tonic::transport::Channel as Transport;

use super::binding::Binding;
use crate::outbox::LinkId;

/// Items that may wait for one node. Over it, attaches are tried again, texts are refused as
/// unavailable, and inputs and acknowledgements are dropped: clients send both again.
const QUEUE: usize = 8 * 1024;

/// Queues items for one node. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct NodeLink(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    id: LinkId,
    node: NodeId,
    channel: Channel,
    queue: mpsc::Sender<ToLink>,
    /// A detach found the queue full: the link's task looks for whom it has lost.
    missed: AtomicBool,
    state: Mutex<LinkState>,
    /// For single calls, while it is up.
    calls: Mutex<Option<Transport>>,
}

/// How a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// Not linked, and what clients are told of it.
    Down(&'static str),
    /// Linked to this incarnation of the node.
    Up(Generation),
}

/// An item for a link's task.
#[derive(Debug)]
pub(crate) enum ToLink {
    Attach(Arc<Binding>),
    Item(SessionId, ToItem),
}

/// The node's queue takes nothing: it is full, or the link has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueFull;

impl NodeLink {
    /// A link that is down, and what is queued for it.
    pub(crate) fn new(
        id: LinkId,
        node: NodeId,
        channel: Channel,
    ) -> (Self, mpsc::Receiver<ToLink>) {
        let (queue, items) = mpsc::channel(QUEUE);
        let shared = Shared {
            id,
            node,
            channel,
            queue,
            missed: AtomicBool::new(false),
            state: Mutex::new(LinkState::Down("starting")),
            calls: Mutex::default(),
        };
        (Self(Arc::new(shared)), items)
    }

    pub(crate) fn id(&self) -> LinkId {
        self.0.id
    }

    pub(crate) fn node(&self) -> &NodeId {
        &self.0.node
    }

    pub(crate) fn channel(&self) -> Channel {
        self.0.channel
    }

    pub(crate) fn state(&self) -> LinkState {
        *self.0.state.lock()
    }

    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state(), LinkState::Up(_))
    }

    /// The way for single calls beside the stream, while there is one.
    pub(crate) fn calls(&self) -> Option<Transport> {
        self.0.calls.lock().clone()
    }

    /// For the link's task.
    pub(crate) fn set_calls(&self, calls: Option<Transport>) {
        *self.0.calls.lock() = calls;
    }

    /// For the link's task.
    pub(crate) fn set_state(&self, state: LinkState) {
        *self.0.state.lock() = state;
    }

    /// Whether a detach was lost since the last time that this was asked.
    pub(crate) fn take_missed(&self) -> bool {
        self.0.missed.swap(false, Ordering::Relaxed)
    }

    pub(super) fn attach(&self, binding: Arc<Binding>) -> Result<(), QueueFull> {
        self.push(ToLink::Attach(binding))
    }

    pub(super) fn detach(&self, session: SessionId, attempt: u32, leave: bool) {
        let detach = pb::Detach {
            session: session.0,
            attempt,
            leave,
        };
        if self
            .push(ToLink::Item(session, ToItem::Detach(detach)))
            .is_err()
        {
            self.0.missed.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn text(&self, session: SessionId, text: String) -> Result<(), QueueFull> {
        let text = pb::ClientText {
            session: session.0,
            text,
        };
        self.push(ToLink::Item(session, ToItem::Text(text)))
    }

    pub(super) fn ack(&self, session: SessionId, ack: Ack) {
        let ack = pb::Ack {
            session: session.0,
            epoch: ack.epoch.0,
            offset: ack.offset.0,
            resend: ack.resend,
        };
        // Acknowledgements are cumulative: the next one makes up for this.
        let _ = self.push(ToLink::Item(session, ToItem::Ack(ack)));
    }

    pub(super) fn input(&self, session: SessionId, frame: Bytes) {
        let input = pb::ClientInput {
            session: session.0,
            frame,
        };
        // The client keeps inputs until they are durable, and sends them again.
        let _ = self.push(ToLink::Item(session, ToItem::Input(input)));
    }

    fn push(&self, item: ToLink) -> Result<(), QueueFull> {
        self.0.queue.try_send(item).map_err(|_| QueueFull)
    }
}
