//! The server's half of the stream between a gateway and an origin (matcher, syncd).
//!
//! One stream for each gateway-node pair. The service implements [`Origin`]; this module accepts
//! streams, keeps them alive with beats, and parses what comes in. A stream whose queue is full
//! is reset: the gateway reconnects and re-attaches, and what is reliable is in the logs. So is
//! one whose gateway has come by a newer one since ([`live`]).

mod live;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use protocol::id::{Channel, Generation, NodeId};
use tokio::sync::mpsc;
use tokio::time::Interval;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::batch::Batch;
use crate::inbound::Inbound;
use crate::pb;
use crate::pb::origin_server::OriginServer;
use crate::pb::to_origin_item::Item as ToItem;
use live::{LiveStreams, Place, StreamOrder};

/// Batches that may wait for one gateway. Over it the stream is reset.
const OUTBOUND_QUEUE: usize = 512;

/// A beat is sent this often.
pub const BEAT: Duration = Duration::from_millis(250);

/// Longest that a handler may hold a stream up before the node counts as silent.
const BUSY: Duration = Duration::from_secs(2);

/// A gateway that says nothing for this long is taken for dead and its stream ended. Long,
/// because correctness does not hang on it: a later attach wins in any case.
pub const GATEWAY_SILENCE: Duration = Duration::from_secs(5);

/// What a service does with what gateways say.
pub trait Origin: Send + Sync + 'static {
    /// What handles one stream.
    type Stream: OriginStream;

    /// A gateway opened a stream.
    fn open(&self, gateway: GatewayStream) -> Self::Stream;
}

/// Handles one stream. Dropped when the stream ended.
pub trait OriginStream: Send + 'static {
    /// Takes one item. While it waits the stream is not read: that is the back-pressure. When the
    /// stream is reset it is dropped where it waits.
    fn handle(&mut self, inbound: Inbound) -> impl Future<Output = ()> + Send;
}

/// Names a stream within this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// Sends to one gateway.
#[derive(Debug, Clone)]
pub struct GatewayStream {
    id: StreamId,
    node: Arc<str>,
    outbound: mpsc::Sender<Result<pb::FromOrigin, Status>>,
    reset: CancellationToken,
}

impl GatewayStream {
    /// A stream to nowhere and what is sent on it, for tests of a service.
    pub fn detached(id: u64) -> (Self, mpsc::Receiver<Result<pb::FromOrigin, Status>>) {
        let (outbound, receiver) = mpsc::channel(OUTBOUND_QUEUE);
        let reset = CancellationToken::new();
        (
            Self {
                id: StreamId(id),
                node: "test".into(),
                outbound,
                reset,
            },
            receiver,
        )
    }

    /// The stream's id.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// The gateway's name, for logs.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Sends a batch, if there is anything in it. Never waits: a gateway that takes nothing has
    /// its stream reset.
    pub fn send(&self, batch: Batch) {
        if batch.is_empty() {
            return;
        }
        if self.outbound.try_send(Ok(batch.into_message())).is_err() {
            self.reset.cancel();
        }
    }
}

/// Who an origin says it is.
#[derive(Clone)]
pub struct OriginIdentity {
    /// Its name.
    pub node: NodeId,
    /// Its incarnation, as it is when a gateway comes: higher after each start, and after its
    /// rooms were taken over.
    pub generation: Arc<dyn Fn() -> Generation + Send + Sync>,
    /// The channel that it is the origin of.
    pub channel: Channel,
    /// Its build, for logs.
    pub build: &'static str,
}

/// The gRPC service over an [`Origin`]. `stop` ends all streams, for the end of a drain.
pub fn service<O: Origin>(
    identity: OriginIdentity,
    origin: Arc<O>,
    stop: CancellationToken,
) -> OriginServer<LinkService<O>> {
    let service = LinkService {
        identity,
        origin,
        stop,
        streams: AtomicU64::new(1),
        live: Arc::default(),
    };
    OriginServer::new(service)
        .max_decoding_message_size(crate::transport::MAX_RPC_MESSAGE)
        .max_encoding_message_size(crate::transport::MAX_RPC_MESSAGE)
}

/// Accepts streams. Made by [`service`].
pub struct LinkService<O> {
    identity: OriginIdentity,
    origin: Arc<O>,
    stop: CancellationToken,
    streams: AtomicU64,
    live: Arc<LiveStreams>,
}

#[tonic::async_trait]
impl<O: Origin> pb::origin_server::Origin for LinkService<O> {
    type LinkStream = Pin<Box<dyn Stream<Item = Result<pb::FromOrigin, Status>> + Send>>;

    async fn link(
        &self,
        request: Request<Streaming<pb::ToOrigin>>,
    ) -> Result<Response<Self::LinkStream>, Status> {
        let mut inbound = request.into_inner();
        let (hello, rest) = tokio::time::timeout(GATEWAY_SILENCE, first_message(&mut inbound))
            .await
            .map_err(|_| Status::deadline_exceeded("no hello in time"))??;
        let (outbound, receiver) = mpsc::channel(OUTBOUND_QUEUE);
        let gateway = GatewayStream {
            id: StreamId(self.streams.fetch_add(1, Ordering::Relaxed)),
            node: hello.node.as_str().into(),
            outbound,
            reset: self.stop.child_token(),
        };
        let place = self.take_place(&gateway, &hello).await?;
        tracing::info!(gateway = %gateway.node, build = hello.build, "gateway linked");
        gateway.send(hello_batch(&self.identity));
        let handler = self.origin.open(gateway.clone());
        // Whoever holds a clone of the sender must not keep an ended stream open.
        let ended = gateway.reset.clone().cancelled_owned();
        let pump = Pump {
            channel: self.identity.channel,
            gateway,
            inbound,
            handler,
            _place: place,
        };
        tokio::spawn(pump.run(rest));
        Ok(Response::new(Box::pin(
            ReceiverStream::new(receiver).take_until(ended),
        )))
    }
}

impl<O> LinkService<O> {
    /// Makes a stream the one that its gateway is heard by. Nothing that came by an older one is
    /// handled after this.
    async fn take_place(
        &self,
        gateway: &GatewayStream,
        hello: &pb::GatewayHello,
    ) -> Result<Place, Status> {
        let order = StreamOrder::of(hello);
        let entered = LiveStreams::enter(&self.live, gateway, order);
        let (place, older) = entered.map_err(|newer| {
            tracing::warn!(gateway = %gateway.node, ?order, ?newer, "an older stream refused");
            Status::already_exists("a newer stream of a gateway of this name is here")
        })?;
        if let Some(older) = older {
            older.reset().await;
        }
        if gateway.reset.is_cancelled() {
            return Err(Status::aborted("a newer stream of this gateway has come"));
        }
        Ok(place)
    }
}

async fn first_message(
    inbound: &mut Streaming<pb::ToOrigin>,
) -> Result<(pb::GatewayHello, Vec<pb::ToOriginItem>), Status> {
    let message = inbound
        .message()
        .await?
        .ok_or_else(|| Status::cancelled("no hello"))?;
    let mut items = message.items.into_iter();
    match items.next().and_then(|item| item.item) {
        Some(ToItem::Hello(hello)) => Ok((hello, items.collect())),
        _ => Err(Status::invalid_argument(
            "the first item of a link must be hello",
        )),
    }
}

fn hello_batch(identity: &OriginIdentity) -> Batch {
    let mut batch = Batch::new();
    batch.push(pb::from_origin_item::Item::Hello(pb::OriginHello {
        node: identity.node.to_string(),
        generation: (identity.generation)().0,
        build: identity.build.to_owned(),
    }));
    batch
}

struct Pump<S> {
    channel: Channel,
    gateway: GatewayStream,
    inbound: Streaming<pb::ToOrigin>,
    handler: S,
    /// Given up last, when nothing more can reach the handler.
    _place: Place,
}

impl<S: OriginStream> Pump<S> {
    async fn run(mut self, first: Vec<pb::ToOriginItem>) {
        let reset = self.gateway.reset.clone();
        // The reset also ends what waits for the handler: a newer stream waits for that.
        let why = reset.run_until_cancelled(self.pump(first)).await;
        reset.cancel();
        let why = why.unwrap_or("reset");
        tracing::info!(gateway = %self.gateway.node, why, "gateway link ended");
    }

    async fn pump(&mut self, first: Vec<pb::ToOriginItem>) -> &'static str {
        self.handle(first).await;
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut heard = tokio::time::Instant::now();
        loop {
            tokio::select! {
                message = self.inbound.message() => match message {
                    Ok(Some(message)) => {
                        heard = tokio::time::Instant::now();
                        let gateway = self.gateway.clone();
                        // A handler that waits must not make this node look dead.
                        beating(&gateway, &mut beat, self.handle(message.items)).await;
                    }
                    Ok(None) => return "closed",
                    Err(_) => return "broken",
                },
                _ = beat.tick() => {
                    if heard.elapsed() > GATEWAY_SILENCE {
                        return "silent";
                    }
                    send_beat(&self.gateway);
                }
            }
        }
    }

    async fn handle(&mut self, items: Vec<pb::ToOriginItem>) {
        for item in items.into_iter().filter_map(|item| item.item) {
            match Inbound::parse(item, self.channel) {
                Ok(Some(inbound)) => self.handler.handle(inbound).await,
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(gateway = %self.gateway.node, %error, "item of a gateway refused");
                }
            }
        }
    }
}

/// Runs `work` to its end, and beats meanwhile: a busy node is not a dead one. A node that is
/// busy for longer than [`BUSY`] goes silent, and its gateways look elsewhere.
async fn beating(gateway: &GatewayStream, beat: &mut Interval, work: impl Future<Output = ()>) {
    let mut work = std::pin::pin!(work);
    let began = tokio::time::Instant::now();
    loop {
        tokio::select! {
            biased;
            () = work.as_mut() => return,
            _ = beat.tick() => if began.elapsed() < BUSY { send_beat(gateway) },
        }
    }
}

fn send_beat(gateway: &GatewayStream) {
    let mut batch = Batch::new();
    batch.push(pb::from_origin_item::Item::Beat(pb::Beat {}));
    gateway.send(batch);
}
