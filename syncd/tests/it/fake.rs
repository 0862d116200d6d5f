//! A syncd in this process, and the gateways, clients and store that it meets.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chassis::drain::Drain;
use chassis::readiness::Readiness;
use engine::leases::keeper::LeaseConfig;
use engine::{BoxFuture, Engine, EngineError, MatchResult, Recorded, Results};
use parking_lot::Mutex;
use protocol::attach::Claim;
use protocol::frame::{Frame, InputFrame, Steps};
use protocol::id::{
    Epoch, InputSeq, InstanceId, MatchId, Offset, PlayerId, Position, RoomId, SessionId, Tick,
};
use protocol::log::Attach;
use protocol::snapshot::{Schema, View, decode};
use rpc::inbound::AttachRequest;
use rpc::pb;
use rpc::pb::from_origin_item::Item;
use rpc::pb::origin_client::OriginClient;
use rpc::pb::rooms_client::RoomsClient;
use rpc::pb::to_origin_item::Item as ToItem;
use rpc::transport::{Endpoint, Incoming, Names, memory};
use serde_json::Value;
use syncd::games::Games;
use syncd::{Announce, Config, Failed, Parts};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

/// Longest that a test waits for anything, on the virtual clock.
const PATIENCE: Duration = Duration::from_secs(10);

/// Records results in memory, after failing a number of times.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) fail: AtomicUsize,
    /// The results of these matches get no answer.
    pub(crate) silent_for: Mutex<Vec<MatchId>>,
    pub(crate) recorded: Mutex<Vec<MatchResult>>,
}

impl Results for Store {
    fn record<'a>(
        &'a self,
        result: &'a MatchResult,
    ) -> BoxFuture<'a, Result<Recorded, EngineError>> {
        Box::pin(async move {
            if self.silent_for.lock().contains(&result.match_id) {
                return std::future::pending().await;
            }
            let failing = self
                .fail
                .try_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(1)
                });
            if failing.is_ok() {
                return Err(EngineError::Deadline {
                    operation: "record",
                });
            }
            self.recorded.lock().push(result.clone());
            Ok(Recorded::New)
        })
    }

    fn recent(
        &self,
        _player: PlayerId,
        _limit: usize,
    ) -> BoxFuture<'_, Result<Vec<MatchResult>, EngineError>> {
        Box::pin(async { Ok(self.recorded.lock().clone()) })
    }

    fn count(&self) -> BoxFuture<'_, Result<u64, EngineError>> {
        Box::pin(async { Ok(self.recorded.lock().len() as u64) })
    }
}

/// A running syncd.
pub(crate) struct Node {
    pub(crate) rooms: RoomsClient<Channel>,
    pub(crate) drain: Drain,
    pub(crate) store: Arc<Store>,
    pub(crate) serving: JoinHandle<Result<(), Failed>>,
    channel: Channel,
    gateways: AtomicUsize,
}

impl Node {
    pub(crate) async fn start(config: Config) -> Self {
        Self::start_with(config, Games::default()).await
    }

    pub(crate) async fn start_with(config: Config, games: Games) -> Self {
        let (connector, incoming) = memory();
        let (drain, store) = (Drain::new(), Arc::new(Store::default()));
        let mut engine = Engine::embedded(None).unwrap();
        engine.results = store.clone();
        let parts = Parts {
            config,
            engine,
            drain: drain.clone(),
            readiness: Readiness::new(),
            announce: None,
            names: Names::default(),
        };
        let syncd = syncd::build_with(parts, games);
        let serving = tokio::spawn(syncd.serve(Incoming::Memory(incoming)));
        let channel = Endpoint::Memory(connector).connect(PATIENCE).await.unwrap();
        Self::around(drain, store, serving, channel)
    }

    /// A node among others on one store.
    pub(crate) async fn start_shared(config: Config, engine: Engine, announce: Announce) -> Self {
        Self::start_shared_with(config, Games::default(), engine, announce).await
    }

    pub(crate) async fn start_shared_with(
        config: Config,
        games: Games,
        engine: Engine,
        announce: Announce,
    ) -> Self {
        let (connector, incoming) = memory();
        let ends = (Incoming::Memory(incoming), Endpoint::Memory(connector));
        Self::start_on(ends, config, games, engine, announce).await
    }

    /// The same, where the others can reach it.
    pub(crate) async fn start_reachable(
        config: Config,
        engine: Engine,
        lease: LeaseConfig,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let ends = (Incoming::Tcp(listener), Endpoint::tcp(&endpoint));
        let announce = Announce { endpoint, lease };
        Self::start_on(ends, config, Games::default(), engine, announce).await
    }

    async fn start_on(
        (incoming, endpoint): (Incoming, Endpoint),
        config: Config,
        games: Games,
        mut engine: Engine,
        announce: Announce,
    ) -> Self {
        let (drain, store) = (Drain::new(), Arc::new(Store::default()));
        engine.results = store.clone();
        let parts = Parts {
            config,
            engine,
            drain: drain.clone(),
            readiness: Readiness::new(),
            announce: Some(announce),
            names: Names::default(),
        };
        let serving = tokio::spawn(syncd::build_with(parts, games).serve(incoming));
        let channel = endpoint.connect(PATIENCE).await.unwrap();
        Self::around(drain, store, serving, channel)
    }

    fn around(
        drain: Drain,
        store: Arc<Store>,
        serving: JoinHandle<Result<(), Failed>>,
        channel: Channel,
    ) -> Self {
        Self {
            rooms: RoomsClient::new(channel.clone()),
            drain,
            store,
            serving,
            channel,
            gateways: AtomicUsize::new(1),
        }
    }

    /// Opens a room, as soon as the node has its lease and its journal.
    pub(crate) async fn open_when_ready(&self, room: u64, seats: u64, settings: &str) {
        let began = Instant::now();
        while let Err(status) = self.open(room, seats, settings).await {
            assert!(began.elapsed() < PATIENCE, "{status}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Opens room `room` for players 1 to `seats`.
    pub(crate) async fn open(
        &self,
        room: u64,
        seats: u64,
        settings: &str,
    ) -> Result<pb::RoomCreated, tonic::Status> {
        let mut rooms = self.rooms.clone();
        let created = rooms.create(create(room, seats, settings)).await?;
        Ok(created.into_inner())
    }

    /// The stream of a gateway of its own.
    pub(crate) async fn gateway(&self) -> Gateway {
        let number = self.gateways.fetch_add(1, Ordering::Relaxed);
        self.link(&format!("gateway-{number}"), 1).await
    }

    /// The `link`-th stream of the gateway `name`.
    pub(crate) async fn link(&self, name: &str, link: u64) -> Gateway {
        Gateway::link(self.channel.clone(), name, link).await
    }

    pub(crate) async fn watch(&self) -> Streaming<pb::RoomNews> {
        let node = "test".to_owned();
        let watch = self.rooms.clone().watch(pb::WatchRooms { node }).await;
        watch.unwrap().into_inner()
    }
}

pub(crate) fn create(room: u64, seats: u64, settings: &str) -> pb::CreateRoom {
    let seat = |player| pb::Seat {
        player,
        name: format!("P{player}"),
        bot: false,
        team: 0,
        rating: 1500,
    };
    pb::CreateRoom {
        room,
        r#match: room + 1000,
        mode: "race".to_owned(),
        game: "race".to_owned(),
        seed: 7,
        seats: (1..=seats).map(seat).collect(),
        settings: settings.to_owned(),
        watching: None,
    }
}

/// A gateway's end of a stream.
pub(crate) struct Gateway {
    to: mpsc::Sender<pb::ToOrigin>,
    from: Streaming<pb::FromOrigin>,
    waiting: VecDeque<Item>,
}

impl Gateway {
    async fn link(channel: Channel, name: &str, link: u64) -> Self {
        let (to, outgoing) = mpsc::channel(256);
        let hello = ToItem::Hello(pb::GatewayHello {
            node: name.to_owned(),
            build: "test".to_owned(),
            incarnation: 1,
            link,
        });
        let mut gateway = {
            to.send(message(hello)).await.unwrap();
            let mut client = OriginClient::new(channel);
            let from = client.link(ReceiverStream::new(outgoing)).await.unwrap();
            Self {
                to,
                from: from.into_inner(),
                waiting: VecDeque::new(),
            }
        };
        let Item::Hello(hello) = gateway.next().await else {
            panic!("the first item is hello");
        };
        assert!(hello.node.starts_with("syncd-"), "{}", hello.node);
        gateway
    }

    pub(crate) async fn send(&self, item: ToItem) {
        self.to.send(message(item)).await.unwrap();
    }

    /// The next item but beats; a gateway that listens is not silent.
    pub(crate) async fn next(&mut self) -> Item {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(item) = self.waiting.pop_front() {
                match item {
                    Item::Beat(_) => self.send(ToItem::Beat(pb::Beat {})).await,
                    item => return item,
                }
                continue;
            }
            let message = tokio::time::timeout_at(deadline, self.from.message()).await;
            let message = message
                .expect("something but beats in time")
                .unwrap()
                .expect("a stream");
            self.waiting
                .extend(message.items.into_iter().filter_map(|item| item.item));
        }
    }

    /// The next item that `wanted` takes; others are dropped.
    pub(crate) async fn find<T>(&mut self, wanted: impl Fn(Item) -> Option<T>) -> T {
        let search = async {
            loop {
                if let Some(found) = wanted(self.next().await) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, search)
            .await
            .expect("it comes in time")
    }

    pub(crate) async fn attached(&mut self, session: u64) -> pb::Attached {
        self.find(|item| match item {
            Item::Attached(attached) if attached.session == session => Some(attached),
            _ => None,
        })
        .await
    }

    /// The error that the attach of a first connection is refused with.
    pub(crate) async fn refused(&mut self) -> Value {
        self.find(|item| match item {
            Item::Refused(refused) => {
                assert_eq!(refused.attempt, 1);
                Some(serde_json::from_str(&refused.error).unwrap())
            }
            _ => None,
        })
        .await
    }

    pub(crate) async fn closed(&mut self) -> pb::Closed {
        self.find(|item| match item {
            Item::Closed(closed) => Some(closed),
            _ => None,
        })
        .await
    }
}

fn message(item: ToItem) -> pb::ToOrigin {
    pb::ToOrigin {
        items: vec![pb::ToOriginItem { item: Some(item) }],
    }
}

/// A client behind a gateway. Player, session and instance have the same number.
pub(crate) struct Client {
    pub(crate) number: u64,
    pub(crate) attempt: u32,
    pub(crate) login: bool,
    pub(crate) position: Position,
    pub(crate) schema: Option<Schema>,
    pub(crate) state: Value,
    pub(crate) views: BTreeMap<u32, View>,
    pub(crate) newest: u32,
    /// Body lengths, in order.
    pub(crate) bodies: Vec<usize>,
    pub(crate) processed: u32,
    pub(crate) durable: u32,
    /// Payloads of events that took effect.
    pub(crate) events: Vec<String>,
    next: u32,
}

impl Client {
    pub(crate) fn new(number: u64) -> Self {
        Self {
            number,
            attempt: 0,
            login: true,
            position: Position {
                epoch: Epoch(0),
                offset: Offset(0),
            },
            schema: None,
            state: Value::Null,
            views: BTreeMap::new(),
            newest: 0,
            bodies: Vec::new(),
            processed: 0,
            durable: 0,
            events: Vec::new(),
            next: 1,
        }
    }

    pub(crate) fn request(&mut self, room: u64, mode: Attach) -> AttachRequest {
        self.attempt += 1;
        AttachRequest {
            claim: Claim {
                session: SessionId(self.number),
                instance: InstanceId(self.number),
                attempt: self.attempt,
                login: std::mem::take(&mut self.login),
            },
            player: PlayerId(self.number),
            name: format!("P{}", self.number),
            bot: false,
            rating: 1500,
            mode,
            room: Some(RoomId(room)),
            watch: None,
        }
    }

    /// Asks to watch a room.
    pub(crate) async fn ask_to_watch(&mut self, gateway: &Gateway, room: u64, delay: Duration) {
        let mut request = self.request(room, Attach::Fresh);
        request.watch = Some(delay);
        gateway.send(request.to_item().item.unwrap()).await;
    }

    /// The same, and waits for the answer.
    pub(crate) async fn watch(&mut self, gateway: &mut Gateway, room: u64, delay: Duration) {
        self.ask_to_watch(gateway, room, delay).await;
        let attached = gateway.attached(self.number).await;
        assert!(!attached.recovered, "a watcher goes on from nothing");
        assert_eq!((attached.attempt, attached.room), (self.attempt, room));
        self.take_attached(&attached);
    }

    /// Attaches, and waits for the answer.
    pub(crate) async fn attach(&mut self, gateway: &mut Gateway, room: u64, mode: Attach) -> bool {
        let request = self.request(room, mode);
        gateway.send(request.to_item().item.unwrap()).await;
        let attached = gateway.attached(self.number).await;
        assert_eq!(attached.attempt, self.attempt);
        self.take_attached(&attached);
        attached.recovered
    }

    pub(crate) fn take_attached(&mut self, attached: &pb::Attached) {
        if !attached.recovered {
            self.position = Position {
                epoch: Epoch(attached.epoch),
                offset: Offset(attached.offset),
            };
            self.next = 1;
        }
        self.newest = 0;
        self.state = serde_json::from_str(&attached.state).unwrap();
        let schema = serde_json::from_value(self.state["schema"].clone());
        self.schema = Some(schema.unwrap());
    }

    /// Sends three steps of input.
    pub(crate) async fn input(&mut self, gateway: &Gateway, bits: u32) {
        let mut steps = Steps::new(8);
        (0..3).for_each(|_| assert!(steps.push(bits)));
        let input = InputFrame {
            epoch: self.position.epoch,
            offset: self.position.offset,
            snapshot: Tick(self.newest),
            first: InputSeq(self.next),
            steps,
        };
        self.next += 3;
        let frame = Frame::Input(input).encode();
        let session = self.number;
        gateway
            .send(ToItem::Input(pb::ClientInput {
                session,
                frame: frame.into(),
            }))
            .await;
    }

    /// Acknowledges the events that it has.
    pub(crate) async fn acknowledge(&self, gateway: &Gateway) {
        let ack = pb::Ack {
            session: self.number,
            epoch: self.position.epoch.0,
            offset: self.position.offset.0,
            resend: false,
        };
        gateway.send(ToItem::Ack(ack)).await;
    }

    /// Takes what is for this client; `true` for a snapshot.
    pub(crate) fn take(&mut self, item: &Item) -> bool {
        match item {
            Item::Event(event) if event.session == self.number => {
                let Ok(Frame::Event(event)) = Frame::decode(&event.frame) else {
                    panic!("an event frame");
                };
                assert_eq!(event.epoch, self.position.epoch);
                if event.offset.0 == self.position.offset.0 + 1 {
                    self.position.offset = event.offset;
                    let text = String::from_utf8(event.payload.to_vec());
                    self.events.push(text.unwrap());
                }
                false
            }
            Item::Fanout(fanout) => {
                let own = |target: &&pb::Target| target.session == self.number;
                let Some(target) = fanout.targets.iter().find(own) else {
                    return false;
                };
                let frame = [&target.head[..], &fanout.body[..]].concat();
                let Ok(Frame::Snapshot(snapshot)) = Frame::decode(&Bytes::from(frame)) else {
                    panic!("a snapshot frame");
                };
                let baseline = snapshot.head.baseline().map(|tick| &self.views[&tick.0]);
                let schema = self.schema.as_ref().expect("attached first");
                let view = decode(schema, baseline, &snapshot.body).unwrap();
                self.newest = snapshot.head.tick.0;
                self.processed = snapshot.head.processed.0;
                self.durable = self.processed - snapshot.head.durable_lag;
                self.bodies.push(snapshot.body.len());
                self.views.insert(self.newest, view);
                true
            }
            _ => false,
        }
    }

    /// Takes items until the next snapshot.
    pub(crate) async fn snapshot(&mut self, gateway: &mut Gateway) {
        while !self.take(&gateway.next().await) {}
    }

    pub(crate) fn view(&self) -> &View {
        &self.views[&self.newest]
    }
}

pub(crate) fn detach(session: u64, attempt: u32, leave: bool) -> ToItem {
    ToItem::Detach(pb::Detach {
        session,
        attempt,
        leave,
    })
}

pub(crate) fn match_id(room: u64) -> MatchId {
    MatchId(room + 1000)
}
