//! A syncd node that makes rooms, or does not, as a test wants.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rpc::pb;
use rpc::pb::room_news::News;
use rpc::pb::rooms_server::{Rooms, RoomsServer};
use rpc::transport::{Endpoint, Incoming, MemoryConnector, memory};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Makes rooms.
    Obliging,
    /// Makes rooms, but says of duels that there can be none.
    NoDuels,
    /// Says no to rooms.
    Refusing,
    /// Makes rooms, and takes half a second to say so.
    Slow,
    /// Never answers.
    Hanging,
}

#[derive(Clone)]
pub(crate) struct Syncd {
    connector: MemoryConnector,
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    manner: Manner,
    /// Not even its port answers.
    down: bool,
    /// Says nothing on its streams.
    mute: bool,
    asked: Vec<pb::CreateRoom>,
    open: BTreeMap<u64, u64>,
    ended: Vec<pb::RoomEnded>,
    watchers: Vec<mpsc::Sender<Result<pb::RoomNews, Status>>>,
}

impl Syncd {
    pub(crate) fn start() -> Self {
        let (connector, incoming) = memory();
        let inner = Arc::new(Inner {
            state: Mutex::new(State {
                manner: Manner::Obliging,
                down: false,
                mute: false,
                asked: Vec::new(),
                open: BTreeMap::new(),
                ended: Vec::new(),
                watchers: Vec::new(),
            }),
            changed: Notify::new(),
        });
        let syncd = Self { connector, inner };
        let routes = tonic::service::Routes::new(RoomsServer::new(syncd.clone()));
        let server = Incoming::Memory(incoming).serve(routes, std::future::pending());
        tokio::spawn(server);
        tokio::spawn(syncd.clone().tell_load());
        syncd
    }

    /// The same node's port on the network as well: its address.
    pub(crate) async fn listen(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = tonic::service::Routes::new(RoomsServer::new(self.clone()));
        tokio::spawn(Incoming::Tcp(listener).serve(routes, std::future::pending()));
        format!("http://{address}")
    }

    /// A room of another node goes on here.
    pub(crate) fn take_over(&self, room: &pb::CreateRoom) {
        let mut state = self.inner.state.lock();
        state.open.insert(room.room, room.r#match);
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::Memory(self.connector.clone())
    }

    pub(crate) fn behave(&self, manner: Manner) {
        self.inner.state.lock().manner = manner;
    }

    /// So many rooms of other matches run here.
    pub(crate) fn fill(&self, rooms: u64) {
        let mut state = self.inner.state.lock();
        state.open.extend((1..=rooms).map(|room| (room, 0)));
    }

    /// Every room that was asked for.
    pub(crate) fn asked(&self) -> Vec<pb::CreateRoom> {
        self.inner.state.lock().asked.clone()
    }

    /// The process dies, and is not started again.
    pub(crate) fn die(&self) {
        let mut state = self.inner.state.lock();
        state.down = true;
        state.open.clear();
        state.ended.clear();
        state.watchers.clear();
    }

    /// The process dies and is back at once, without its rooms.
    pub(crate) fn restart(&self) {
        self.die();
        self.inner.state.lock().down = false;
    }

    /// The connection breaks and is made again; the rooms go on.
    pub(crate) fn cut(&self) {
        self.inner.state.lock().watchers.clear();
    }

    /// The process freezes, or wakes up.
    pub(crate) fn freeze(&self, frozen: bool) {
        let mut state = self.inner.state.lock();
        state.mute = frozen;
        state.manner = if frozen {
            Manner::Hanging
        } else {
            Manner::Obliging
        };
    }

    pub(crate) async fn end_room(&self, room: u64, reason: &str) {
        let watchers = self.inner.state.lock().watchers.clone();
        let ended = self.inner.state.lock().open.remove(&room);
        let ended = pb::RoomEnded {
            room,
            r#match: ended.unwrap(),
            reason: reason.to_owned(),
        };
        self.inner.state.lock().ended.push(ended.clone());
        for watcher in watchers {
            let _ = watcher.send(news(News::Ended(ended.clone()))).await;
        }
    }

    /// Waits until somebody watches.
    pub(crate) async fn watched(&self) {
        self.until(|state| !state.watchers.is_empty()).await;
    }

    /// Waits until `count` rooms have been asked for.
    pub(crate) async fn asked_for(&self, count: usize) {
        self.until(|state| state.asked.len() >= count).await;
    }

    async fn until(&self, wanted: impl Fn(&State) -> bool) {
        let wait = async {
            loop {
                let changed = self.inner.changed.notified();
                if wanted(&self.inner.state.lock()) {
                    return;
                }
                changed.await;
            }
        };
        timeout(Duration::from_secs(60), wait)
            .await
            .expect("the matcher turns to its syncd");
    }

    async fn tell_load(self) {
        let mut interval = tokio::time::interval(Duration::from_secs(1));
        loop {
            interval.tick().await;
            let mut state = self.inner.state.lock();
            if state.mute {
                continue;
            }
            let load = state.load();
            state
                .watchers
                .retain(|watcher| watcher.try_send(news(News::Load(load))).is_ok());
        }
    }
}

impl State {
    fn load(&self) -> pb::NodeLoad {
        pb::NodeLoad {
            rooms: u32::try_from(self.open.len()).unwrap(),
            players: 0,
            capacity: 100,
            ..pb::NodeLoad::default()
        }
    }
}

#[tonic::async_trait]
impl Rooms for Syncd {
    type WatchStream = ReceiverStream<Result<pb::RoomNews, Status>>;

    async fn create(
        &self,
        request: Request<pb::CreateRoom>,
    ) -> Result<Response<pb::RoomCreated>, Status> {
        let request = request.into_inner();
        let manner = {
            let mut state = self.inner.state.lock();
            state.asked.push(request.clone());
            let obliging = match state.manner {
                Manner::Obliging | Manner::Slow => true,
                Manner::NoDuels => request.mode != "duel",
                Manner::Refusing | Manner::Hanging => false,
            };
            if obliging && !state.down {
                state.open.insert(request.room, request.r#match);
            }
            state.manner
        };
        self.inner.changed.notify_waiters();
        match manner {
            Manner::NoDuels if request.mode == "duel" => {
                Err(Status::invalid_argument("laps: must not be 0"))
            }
            Manner::Obliging | Manner::NoDuels => Ok(Response::new(pb::RoomCreated::default())),
            Manner::Slow => {
                tokio::time::sleep(Duration::from_millis(500)).await;
                Ok(Response::new(pb::RoomCreated::default()))
            }
            Manner::Refusing => Err(Status::resource_exhausted("full")),
            Manner::Hanging => std::future::pending().await,
        }
    }

    async fn watch(
        &self,
        _: Request<pb::WatchRooms>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let frozen = self.inner.state.lock().mute;
        if frozen {
            std::future::pending::<()>().await;
        }
        let (sender, receiver) = mpsc::channel(64);
        let mut state = self.inner.state.lock();
        if state.down {
            return Err(Status::unavailable("down"));
        }
        let open = pb::OpenRooms {
            rooms: state.open.keys().copied().collect(),
            load: Some(state.load()),
            ended: state.ended.clone(),
        };
        sender.try_send(news(News::Open(open))).unwrap();
        state.watchers.push(sender);
        drop(state);
        self.inner.changed.notify_waiters();
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn adopt(&self, _: Request<pb::AdoptRoom>) -> Result<Response<pb::RoomAdopted>, Status> {
        Err(Status::unimplemented("no matcher asks for it"))
    }
}

fn news(news: News) -> Result<pb::RoomNews, Status> {
    Ok(pb::RoomNews { news: Some(news) })
}
