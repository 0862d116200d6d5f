//! A syncd in this process, and the gateways, clients and store that it meets.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chassis::drain::Drain;
use chassis::readiness::Readiness;
use engine::leases::keeper::LeaseConfig;
use engine::{BoxFuture, Engine, EngineError, MatchResult, Recorded, Results};
use parking_lot::Mutex;
use protocol::id::{MatchId, PlayerId};
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
        role: String::new(),
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
