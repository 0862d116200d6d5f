//! The task that keeps one node linked: connects, batches what connections here have to say,
//! hears silence, and re-attaches everybody after a break.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chassis::backoff::Backoff;
use chassis::readiness::Condition;
use chassis::telemetry::Chain;
use protocol::control::{ErrorCode, ErrorMessage, ServerMessage};
use protocol::id::{Channel, NodeId, SessionId};
use protocol::log::Attach;
use rpc::inbound::AttachRequest;
use rpc::origin::BEAT;
use rpc::pb;
use rpc::pb::origin_client::OriginClient;
use rpc::pb::to_origin_item::Item as ToItem;
use rpc::transport::{Endpoint, MAX_RPC_MESSAGE};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use super::{ToLink, demux};
use crate::outbox::Item;
use crate::registry::Registry;

/// Longest that connecting and the node's hello may take.
const CONNECT: Duration = Duration::from_secs(2);

/// A node that says nothing during so many of our own beats is taken for dead. Counted, not
/// measured: when it is this process that stood still, the node is not to blame.
const SILENT_BEATS: u32 = 4;

/// Longest that the transport may refuse a batch.
const SEND: Duration = Duration::from_secs(1);

/// Batches on their way into the transport.
const BATCHES: usize = 32;

/// Items in one batch.
const BATCH: usize = 1024;

/// A link that lasted this long was a good one.
const LASTING: Duration = Duration::from_secs(1);

/// Which node a link goes to.
#[derive(Debug, Clone)]
pub(crate) struct LinkTarget {
    pub(crate) node: NodeId,
    pub(crate) endpoint: Endpoint,
    pub(crate) channel: Channel,
}

/// Where links come from.
#[derive(Debug, Clone)]
pub(crate) struct LinkSource {
    pub(crate) gateway: NodeId,
    /// When this process started, in milliseconds: its streams count more than those of processes
    /// before it.
    pub(crate) incarnation: u64,
}

/// What connections here have to say.
#[derive(Debug)]
pub(crate) struct LinkQueue {
    pub(crate) items: mpsc::Receiver<ToLink>,
    /// Set when a detach did not fit.
    pub(crate) missed: Arc<AtomicBool>,
}

/// Keeps one node linked.
#[derive(Debug)]
pub(crate) struct LinkTask {
    target: LinkTarget,
    source: LinkSource,
    /// Streams that were opened, or tried to be.
    opened: u64,
    registry: Arc<Registry>,
    queue: LinkQueue,
    condition: Option<Condition>,
    attached: HashMap<SessionId, Attachment>,
    /// Metric labels need owned text; made once.
    label: String,
}

/// A session that is attached to the node, or wants to be.
#[derive(Debug)]
struct Attachment {
    request: AttachRequest,
    answered: bool,
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
            Self::Connect(_) | Self::Call(_) | Self::NoAnswer => "node_unreachable",
            Self::Silent | Self::Stuck => "node_silent",
            Self::Closed => "node_gone",
        }
    }
}

struct Open {
    outbound: mpsc::Sender<pb::ToOrigin>,
    inbound: Streaming<pb::FromOrigin>,
}

impl LinkTask {
    pub(crate) fn new(
        target: LinkTarget,
        source: LinkSource,
        registry: Arc<Registry>,
        queue: LinkQueue,
        condition: Option<Condition>,
    ) -> Self {
        let label = target.node.to_string();
        let attached = HashMap::new();
        Self {
            target,
            source,
            opened: 0,
            registry,
            queue,
            condition,
            attached,
            label,
        }
    }

    /// Links, and links again, until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let mut told = false;
        while !stop.is_cancelled() {
            let error = match self.connect().await {
                Ok(open) => {
                    let linked = Instant::now();
                    self.set_ready(None);
                    let error = self.drive(open, &stop).await;
                    self.set_ready(Some(error.reason()));
                    self.tell_lost(error.reason());
                    // A node that hangs up at once, again and again, is a failing one.
                    if linked.elapsed() >= LASTING {
                        backoff.reset();
                        told = false;
                    }
                    error
                }
                Err(error) => error,
            };
            if stop.is_cancelled() {
                return;
            }
            self.set_ready(Some(error.reason()));
            if !told {
                tracing::warn!(node = %self.target.node, error = %Chain(&error), "link down");
                told = true;
            }
            self.wait_unlinked(backoff.next(), &stop).await;
        }
    }

    async fn connect(&mut self) -> Result<Open, LinkError> {
        self.opened += 1;
        match timeout(CONNECT, self.try_connect()).await {
            Ok(opened) => opened,
            Err(_) => Err(LinkError::NoAnswer),
        }
    }

    async fn try_connect(&self) -> Result<Open, LinkError> {
        let connecting = self.target.endpoint.connect(CONNECT);
        let channel = connecting.await.map_err(LinkError::Connect)?;
        let mut client = OriginClient::new(channel)
            .max_decoding_message_size(MAX_RPC_MESSAGE)
            .max_encoding_message_size(MAX_RPC_MESSAGE);
        let (outbound, batches) = mpsc::channel(BATCHES);
        let hello = ToItem::Hello(pb::GatewayHello {
            node: self.source.gateway.to_string(),
            build: env!("CARGO_PKG_VERSION").to_owned(),
            incarnation: self.source.incarnation,
            link: self.opened,
        });
        let items = vec![pb::ToOriginItem { item: Some(hello) }];
        outbound
            .try_send(pb::ToOrigin { items })
            .expect("a new queue has room");
        let call = client.link(tokio_stream(batches));
        let response = call
            .await
            .map_err(|status| LinkError::Call(Box::new(status)))?;
        Ok(Open {
            outbound,
            inbound: response.into_inner(),
        })
    }

    async fn drive(&mut self, mut open: Open, stop: &CancellationToken) -> LinkError {
        if self.attach_all_again(&open).await.is_err() {
            return LinkError::Stuck;
        }
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut silent_beats = 0;
        let mut items = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                () = stop.cancelled() => return LinkError::Closed,
                message = open.inbound.message() => match message {
                    Ok(Some(message)) => {
                        silent_beats = 0;
                        self.deliver(message);
                    }
                    Ok(None) => return LinkError::Closed,
                    Err(status) => return LinkError::Call(Box::new(status)),
                },
                count = self.queue.items.recv_many(&mut items, BATCH) => {
                    if count == 0 {
                        return LinkError::Closed;
                    }
                    let batch = items.drain(..).map(|item| self.note(item)).collect();
                    if send(&open.outbound, batch).await.is_err() {
                        return LinkError::Stuck;
                    }
                }
                _ = beat.tick() => {
                    silent_beats += 1;
                    if silent_beats > SILENT_BEATS {
                        return LinkError::Silent;
                    }
                    let mut batch = self.missed_detaches();
                    batch.push(pb::ToOriginItem { item: Some(ToItem::Beat(pb::Beat {})) });
                    if send(&open.outbound, batch).await.is_err() {
                        return LinkError::Stuck;
                    }
                }
            }
        }
    }

    /// Detaches for those who left while the queue was full: the node would keep them for ever.
    fn missed_detaches(&mut self) -> Vec<pb::ToOriginItem> {
        if !self.queue.missed.swap(false, Ordering::Relaxed) {
            return Vec::new();
        }
        let registry = &self.registry;
        let gone = self.attached.extract_if(|session, attachment| {
            registry
                .find_attempt(*session, attachment.attempt())
                .is_none()
        });
        let detach = |(session, attachment): (SessionId, Attachment)| pb::Detach {
            session: session.0,
            attempt: attachment.attempt(),
            leave: false,
        };
        let item = |detach| pb::ToOriginItem {
            item: Some(ToItem::Detach(detach)),
        };
        gone.map(detach).map(item).collect()
    }

    /// Brings everybody back who was attached, or wanted to be, when the last link ended.
    async fn attach_all_again(&mut self, open: &Open) -> Result<(), ()> {
        // Those that are gone are gone here too, even if their detach found the queue full.
        let registry = &self.registry;
        self.attached.retain(|session, attachment| {
            let here = registry.find_attempt(*session, attachment.attempt());
            here.is_some()
        });
        let requests = self.attached.values().map(Attachment::again);
        let items: Vec<_> = requests.map(|request| request.to_item()).collect();
        for batch in items.chunks(BATCH) {
            send(&open.outbound, batch.to_vec()).await?;
        }
        Ok(())
    }

    /// Hands what the node says to the connections.
    fn deliver(&mut self, message: pb::FromOrigin) {
        for item in message.items.into_iter().filter_map(|item| item.item) {
            match demux::deliver(&self.registry, self.target.channel, item) {
                demux::Delivered::Done => {}
                demux::Delivered::Attached(whose) => {
                    if let Some(attachment) = self.attached.get_mut(&whose.session)
                        && whose.is(attachment.attempt())
                    {
                        attachment.answered = true;
                    }
                }
                demux::Delivered::Over(whose) => {
                    if let Entry::Occupied(entry) = self.attached.entry(whose.session)
                        && whose.is(entry.get().attempt())
                    {
                        entry.remove();
                    }
                }
            }
        }
    }

    /// Keeps account of who is attached, and gives the item for the wire.
    fn note(&mut self, item: ToLink) -> pb::ToOriginItem {
        match item {
            ToLink::Attach(request) => {
                let wire = request.to_item();
                let attachment = Attachment {
                    request: *request,
                    answered: false,
                };
                self.remember(attachment);
                wire
            }
            ToLink::Item(session, item) => {
                if let ToItem::Detach(detach) = &item {
                    self.forget(session, detach.attempt);
                }
                pb::ToOriginItem { item: Some(item) }
            }
        }
    }

    /// An earlier connection's attach can come into the queue after a later one's.
    fn remember(&mut self, attachment: Attachment) {
        match self.attached.entry(attachment.request.claim.session) {
            Entry::Occupied(later) if later.get().attempt() > attachment.attempt() => {}
            entry => drop(entry.insert_entry(attachment)),
        }
    }

    fn forget(&mut self, session: SessionId, attempt: u32) {
        let current = self.attached.get(&session);
        if current.is_some_and(|attachment| attachment.attempt() == attempt) {
            self.attached.remove(&session);
        }
    }

    /// Goes on taking items while there is no link, so that clients get an answer at once.
    async fn wait_unlinked(&mut self, pause: Duration, stop: &CancellationToken) {
        let until = Instant::now() + pause;
        loop {
            let item = tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(until) => return,
                item = self.queue.items.recv() => item,
            };
            match item {
                None => return,
                Some(ToLink::Item(session, ToItem::Text(text))) => self.refuse(session, &text.text),
                Some(item) => {
                    if let ToLink::Attach(request) = &item {
                        self.tell_one_lost(request.claim.session, "node_unreachable");
                    }
                    let _wire = self.note(item);
                }
            }
        }
    }

    fn refuse(&self, session: SessionId, text: &str) {
        let kind = protocol::control::ClientMessage::parse(text).map_or("", |m| m.kind());
        let error = ErrorMessage::new(
            ErrorCode::Unavailable,
            "the service behind this is out of reach for the moment; try again",
        )
        .re(kind)
        .retry_after_ms(1_000);
        if let Some(outbox) = self.registry.find(session) {
            outbox.reliable(Item::Text(ServerMessage::Error(error).to_text()));
        }
    }

    fn tell_lost(&self, reason: &'static str) {
        for session in self.attached.keys() {
            self.tell_one_lost(*session, reason);
        }
        metrics::counter!("gateway_link_losses_total", "node" => self.label.clone()).increment(1);
    }

    fn tell_one_lost(&self, session: SessionId, reason: &'static str) {
        let channel = self.target.channel;
        if let Some(outbox) = self.registry.find(session) {
            outbox.reliable(Item::Lost { channel, reason });
        }
    }

    fn set_ready(&self, reason: Option<&str>) {
        match (&self.condition, reason) {
            (None, _) => {}
            (Some(condition), None) => condition.ready(),
            (Some(condition), Some(reason)) => condition.unready(reason),
        }
    }
}

impl Attachment {
    /// Which connection of the session.
    fn attempt(&self) -> u32 {
        self.request.claim.attempt
    }

    /// The request to send on a new link: one that was answered goes on from what the client
    /// acknowledged, and is no login any more.
    fn again(&self) -> AttachRequest {
        let mut request = self.request.clone();
        if self.answered {
            request.mode = Attach::Continue;
            request.claim.login = false;
        }
        request
    }
}

async fn send(
    outbound: &mpsc::Sender<pb::ToOrigin>,
    items: Vec<pb::ToOriginItem>,
) -> Result<(), ()> {
    match timeout(SEND, outbound.send(pb::ToOrigin { items })).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(()),
    }
}

fn tokio_stream(
    mut batches: mpsc::Receiver<pb::ToOrigin>,
) -> impl futures_util::Stream<Item = pb::ToOrigin> + Send + 'static {
    futures_util::stream::poll_fn(move |cx| batches.poll_recv(cx))
}
