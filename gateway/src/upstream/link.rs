//! The task that keeps one node linked: connects, batches what connections here have to say, and
//! hears silence. After a break it connects again; who was attached goes to the router meanwhile,
//! and comes back if this node still is where their channel is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use chassis::backoff::Backoff;
use chassis::telemetry::Chain;
use engine::Incarnation;
use protocol::control::{ErrorCode, ErrorMessage, ServerMessage};
use protocol::id::{Channel, Generation, NodeId, RoomId, SessionId};
use rpc::origin::BEAT;
use rpc::pb;
use rpc::pb::to_origin_item::Item as ToItem;
use rpc::transport::Endpoint;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::binding::Binding;
use super::demux::{Attached, Delivered};
use super::doubt::{Doubt, Step};
use super::lobby::{Cause, Lobby, Newcomer};
use super::node::{LinkState, NodeLink, ToLink};
use super::router::Matchers;
use crate::outbox::Item;
use crate::registry::Registry;
use open::{Open, open};

mod open;

/// Longest that connecting and the node's hello may take.
const CONNECT: Duration = Duration::from_secs(2);

/// A node that says nothing during so many of our own beats is taken for dead. Counted, not
/// measured: when it is this process that stood still, the node is not to blame.
const SILENT_BEATS: u32 = 4;

/// Longest that the transport may refuse a batch.
const SEND: Duration = Duration::from_secs(1);

/// Items in one batch.
const BATCH: usize = 1024;

/// A link that lasted this long was a good one.
const LASTING: Duration = Duration::from_secs(1);

/// Which node a link goes to.
#[derive(Debug, Clone)]
pub(crate) struct LinkTarget {
    pub(crate) node: NodeId,
    pub(crate) endpoint: Endpoint,
    /// Of a node with a lease: another node, and an incarnation before this one, are not the one
    /// that is meant.
    pub(crate) generation: Option<Generation>,
}

/// Where links come from.
#[derive(Debug, Clone)]
pub(crate) struct LinkSource {
    /// The name of our streams. Streams of one name end each other.
    pub(crate) gateway: Arc<str>,
    /// When this process started, in milliseconds: its streams count more than those of processes
    /// before it.
    pub(crate) incarnation: u64,
    /// Streams that were opened, or tried to be, by all links: a node that is linked anew ends
    /// what it has of the link before.
    pub(crate) streams: Arc<AtomicU64>,
}

impl LinkSource {
    pub(crate) fn new(config: &crate::Config) -> Self {
        let incarnation = chassis::clock::unix_ms();
        // Two processes of this gateway are linked while the one hands over to the other.
        let gateway = match config.handover {
            Some(_) => format!("{}.{incarnation}", config.node).into(),
            None => config.node.as_str().into(),
        };
        Self {
            gateway,
            incarnation,
            streams: Arc::default(),
        }
    }
}

/// What a link's task works with.
#[derive(Debug)]
pub(crate) struct LinkParts {
    pub(crate) target: LinkTarget,
    pub(crate) source: LinkSource,
    pub(crate) handle: NodeLink,
    /// What is queued for the node.
    pub(crate) items: mpsc::Receiver<ToLink>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) lobby: Arc<Lobby>,
    /// Who is to have which player, for a link to a matcher.
    pub(crate) matchers: watch::Receiver<Arc<Matchers>>,
    /// Whether rooms can be elsewhere than their tickets say.
    pub(crate) rooms_move: bool,
    /// Whether they are, while the node has no lease.
    pub(super) doubt: Doubt,
}

/// Keeps one node linked.
#[derive(Debug)]
pub(crate) struct LinkTask {
    parts: LinkParts,
    attached: Attached,
    /// The node's incarnation, once it has said so.
    generation: Generation,
    /// Metric labels need owned text; made once.
    label: String,
}

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("cannot connect")]
    Connect(#[source] rpc::transport::ConnectError),
    #[error("call failed")]
    Call(#[source] Box<tonic::Status>),
    #[error("no answer within {CONNECT:?}")]
    NoAnswer,
    #[error("the first item is no hello")]
    NoHello,
    #[error("another node answers: {0}")]
    Other(String),
    #[error("an older incarnation answers: {found}, not {wanted}")]
    Older {
        found: Generation,
        wanted: Generation,
    },
    #[error("silent for {SILENT_BEATS} beats")]
    Silent,
    #[error("closed by the node")]
    Closed,
    #[error("takes nothing for {SEND:?}")]
    Stuck,
}

impl LinkError {
    /// What clients are told.
    fn reason(&self) -> &'static str {
        match self {
            Self::Connect(_)
            | Self::Call(_)
            | Self::NoAnswer
            | Self::NoHello
            | Self::Other(_)
            | Self::Older { .. } => "node_unreachable",
            Self::Silent | Self::Stuck => "node_silent",
            Self::Closed => "node_gone",
        }
    }
}

impl LinkTask {
    pub(crate) fn new(parts: LinkParts) -> Self {
        let handle = &parts.handle;
        Self {
            attached: Attached::new(handle.id(), handle.channel(), parts.rooms_move),
            generation: Generation::default(),
            label: handle.node().to_string(),
            parts,
        }
    }

    /// Links, and links again, until the link is `retired`.
    pub(crate) async fn run(mut self, retired: CancellationToken) {
        let linking = async {
            let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
            let mut told = false;
            loop {
                let error = match self.connect().await {
                    Ok(open) => {
                        let linked = Instant::now();
                        self.begin(&open);
                        let error = self.drive(open).await;
                        self.end(error.reason());
                        // A node that hangs up at once, again and again, is a failing one.
                        if linked.elapsed() >= LASTING {
                            backoff.reset();
                            told = false;
                        }
                        error
                    }
                    Err(error) => {
                        self.parts.handle.set_state(LinkState::Down(error.reason()));
                        error
                    }
                };
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(error = %Chain(&error), "link down");
                }
                self.wait_unlinked(tokio::time::sleep(backoff.next())).await;
            }
        };
        let _: Option<std::convert::Infallible> = retired.run_until_cancelled(linking).await;
        self.retire();
    }

    /// Connects, and goes on taking items meanwhile.
    async fn connect(&mut self) -> Result<Open, LinkError> {
        let opening = open(self.parts.target.clone(), self.parts.source.clone());
        self.wait_unlinked(Box::pin(opening)).await
    }

    fn begin(&mut self, open: &Open) {
        self.generation = open.generation;
        self.parts.handle.set_calls(Some(open.calls.clone()));
        self.parts.handle.set_state(LinkState::Up(open.generation));
        self.parts.lobby.wake();
        tracing::info!(generation = %open.generation, build = open.build, "linked");
    }

    /// The link is down: the router looks for other homes.
    fn end(&mut self, reason: &'static str) {
        if self.parts.handle.is_up() {
            let losses =
                metrics::counter!("gateway_link_losses_total", "node" => self.label.clone());
            losses.increment(1);
        }
        self.parts.handle.set_state(LinkState::Down(reason));
        self.parts.handle.set_calls(None);
        let bindings = self.attached.take();
        for binding in bindings.collect::<Vec<_>>() {
            self.send_away(binding, Cause::Lost(reason));
        }
        self.parts.lobby.wake();
    }

    /// The link ends for good. Whoever is too late finds the queue closed.
    fn retire(&mut self) {
        let reason = "node_gone";
        self.parts.items.close();
        self.end(reason);
        while let Ok(item) = self.parts.items.try_recv() {
            self.handle_unlinked(item, reason);
        }
    }

    async fn drive(&mut self, mut open: Open) -> LinkError {
        let rest = std::mem::take(&mut open.rest);
        self.deliver(rest);
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut silent_beats = 0;
        let mut items = Vec::with_capacity(BATCH);
        loop {
            let LinkParts {
                items: queue,
                matchers,
                handle,
                doubt,
                ..
            } = &mut self.parts;
            let batch = tokio::select! {
                message = open.inbound.message() => match message {
                    Ok(Some(message)) => {
                        silent_beats = 0;
                        self.deliver(message.items);
                        continue;
                    }
                    Ok(None) => return LinkError::Closed,
                    Err(status) => return LinkError::Call(Box::new(status)),
                },
                _ = queue.recv_many(&mut items, BATCH) => {
                    items.drain(..).filter_map(|item| self.note(item)).collect()
                }
                () = shared_out(handle.channel(), matchers) => self.strays(),
                step = doubt.step() => match step {
                    Step::Ask => {
                        let owner = self.incarnation();
                        self.parts.doubt.ask(owner, self.attached.rooms());
                        continue;
                    }
                    Step::Displaced(rooms) => self.displaced(&rooms),
                },
                _ = beat.tick() => {
                    silent_beats += 1;
                    if silent_beats > SILENT_BEATS {
                        return LinkError::Silent;
                    }
                    let mut batch = self.missed_detaches();
                    batch.push(pb::ToOriginItem { item: Some(ToItem::Beat(pb::Beat {})) });
                    batch
                }
            };
            if send(&open.outbound, batch).await.is_err() {
                return LinkError::Stuck;
            }
        }
    }

    /// Hands what the node says to the connections.
    fn deliver(&mut self, items: Vec<pb::FromOriginItem>) {
        for item in items.into_iter().filter_map(|item| item.item) {
            match self.attached.deliver(item) {
                Delivered::Done => {}
                Delivered::Moved(binding, to) => self.send_away(binding, Cause::Moved(to)),
                Delivered::Unknown(binding) => {
                    let by = self.incarnation();
                    self.send_away(binding, Cause::Unknown(by));
                }
            }
        }
    }

    fn incarnation(&self) -> Incarnation {
        Incarnation {
            node: self.parts.handle.node().clone(),
            generation: self.generation,
        }
    }

    /// The channel's home is not here: the router finds out where it is.
    fn send_away(&self, binding: Arc<Binding>, cause: Cause) {
        if let Some(spell) = binding.leave_link(self.parts.handle.id()) {
            self.parts.lobby.enter(Newcomer {
                binding,
                spell,
                cause,
            });
        }
    }

    /// Keeps account of who is attached, and gives the item for the wire.
    fn note(&mut self, item: ToLink) -> Option<pb::ToOriginItem> {
        let item = match item {
            ToLink::Attach(binding) if !binding.is_at(self.parts.handle.id()) => return None,
            ToLink::Attach(binding) if self.is_stray(&binding) => {
                self.send_away(binding, Cause::Rehomed);
                return None;
            }
            ToLink::Attach(binding) => {
                let wire = binding.request(self.parts.handle.id()).to_item();
                self.attached.insert(binding);
                return Some(wire);
            }
            ToLink::Item(session, item) => {
                if let ToItem::Detach(detach) = &item {
                    self.attached.remove(session, detach.attempt);
                }
                item
            }
        };
        Some(pb::ToOriginItem { item: Some(item) })
    }

    /// Whether another matcher is to have the player.
    fn is_stray(&self, binding: &Binding) -> bool {
        let is_ours = |link: &NodeLink| link.id() == self.parts.handle.id();
        binding.channel() == Channel::Match
            && self
                .parts
                .matchers
                .borrow()
                .owner(binding.player())
                .is_some_and(|owner| !is_ours(owner))
    }

    /// Sends those away whom another matcher is to have, and gives what their matcher hears of it.
    fn strays(&mut self) -> Vec<pb::ToOriginItem> {
        let (here, matchers) = (self.parts.handle.id(), self.parts.matchers.borrow().clone());
        let strays = self.attached.take_if(|binding| {
            let owner = matchers.owner(binding.player());
            owner.is_some_and(|owner| owner.id() != here)
        });
        let detaches = strays.iter().map(|binding| detach(binding)).collect();
        for binding in strays {
            self.send_away(binding, Cause::Rehomed);
        }
        detaches
    }

    /// Sends those to the owners of their rooms whose node does not know that it has lost them, and
    /// gives what it hears of it.
    fn displaced(&mut self, rooms: &BTreeMap<RoomId, Incarnation>) -> Vec<pb::ToOriginItem> {
        let owner = |binding: &Binding| rooms.get(&binding.room()?);
        let gone = self.attached.take_if(|binding| owner(binding).is_some());
        if !gone.is_empty() {
            tracing::warn!(
                sessions = gone.len(),
                "rooms of a node without a lease are others' by now; their players follow"
            );
        }
        let detaches = gone.iter().map(|binding| detach(binding)).collect();
        for binding in gone {
            let owner = owner(&binding).cloned();
            self.send_away(binding, Cause::Moved(owner));
        }
        detaches
    }

    /// Detaches for those who left while the queue was full: the node would keep them for ever.
    fn missed_detaches(&mut self) -> Vec<pb::ToOriginItem> {
        if !self.parts.handle.take_missed() {
            return Vec::new();
        }
        let here = self.parts.handle.id();
        let gone = self.attached.take_if(|binding| !binding.is_at(here));
        gone.iter().map(|binding| detach(binding)).collect()
    }

    /// Goes on taking items while there is no link, so that clients get an answer at once.
    async fn wait_unlinked<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = work.as_mut() => return done,
                Some(item) = self.parts.items.recv() => {
                    self.handle_unlinked(item, "node_unreachable");
                }
            }
        }
    }

    fn handle_unlinked(&self, item: ToLink, reason: &'static str) {
        match item {
            ToLink::Attach(binding) => self.send_away(binding, Cause::Lost(reason)),
            ToLink::Item(session, ToItem::Text(text)) => self.refuse(session, &text.text),
            // Inputs and acknowledgements come again, and the node forgets who is attached.
            ToLink::Item(..) => {}
        }
    }

    fn refuse(&self, session: SessionId, text: &str) {
        let kind = protocol::control::ClientMessage::parse(text).map_or("", |m| m.kind());
        if let Some(outbox) = self.parts.registry.find(session) {
            outbox.reliable(Item::Text(
                ServerMessage::Error(out_of_reach(kind)).to_text(),
            ));
        }
    }
}

/// What a client hears that says something to a node without a link.
pub(crate) fn out_of_reach(re: &str) -> ErrorMessage {
    let text = "the service behind this is out of reach for the moment; try again";
    ErrorMessage::new(ErrorCode::Unavailable, text)
        .re(re)
        .retry_after_ms(1_000)
}

/// Waits until players are shared out anew over the matchers; for ever at a node of rooms.
async fn shared_out(channel: Channel, matchers: &mut watch::Receiver<Arc<Matchers>>) {
    if channel == Channel::Room || matchers.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn detach(binding: &Binding) -> pb::ToOriginItem {
    let detach = pb::Detach {
        session: binding.session().0,
        attempt: binding.attempt(),
        leave: false,
    };
    pb::ToOriginItem {
        item: Some(ToItem::Detach(detach)),
    }
}

/// Sends items, in batches of a size that any node takes.
async fn send(
    outbound: &mpsc::Sender<pb::ToOrigin>,
    mut items: Vec<pb::ToOriginItem>,
) -> Result<(), ()> {
    while !items.is_empty() {
        let rest = items.split_off(items.len().min(BATCH));
        match timeout(SEND, outbound.send(pb::ToOrigin { items })).await {
            Ok(Ok(())) => items = rest,
            _ => return Err(()),
        }
    }
    Ok(())
}
