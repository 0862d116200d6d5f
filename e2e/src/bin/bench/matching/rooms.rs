//! A syncd node whose rooms are empty: it tells when a match was claimed, and ends its room a moment
//! later.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::redis::RedisConfig;
use engine::{Engine, Load, NodeKind, NodeRecord};
use protocol::id::Generation;
use rpc::pb;
use rpc::pb::room_news::News;
use rpc::pb::rooms_server::RoomsServer;
use rpc::transport::Incoming;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::population::Population;
use crate::{BenchError, system};

/// How long a room lasts.
const LASTS: Duration = Duration::from_secs(1);

type Watcher = mpsc::Sender<Result<pb::RoomNews, Status>>;

pub(super) struct Rooms {
    population: Arc<Population>,
    open: Mutex<VecDeque<(Instant, pb::RoomEnded)>>,
    watcher: watch::Sender<Option<Watcher>>,
}

struct Service(Arc<Rooms>);

impl Rooms {
    pub(super) async fn start(
        redis: &str,
        population: Arc<Population>,
    ) -> Result<Arc<Self>, BenchError> {
        let rooms = Arc::new(Self {
            population,
            open: Mutex::default(),
            watcher: watch::Sender::new(None),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.map_err(system("listen"))?;
        let address = listener.local_addr().map_err(system("listen"))?;
        let service = RoomsServer::new(Service(Arc::clone(&rooms)));
        let routes = tonic::service::Routes::new(service);
        tokio::spawn(Incoming::Tcp(listener).serve(routes, std::future::pending()));
        tokio::spawn(Arc::clone(&rooms).end_rooms());
        let config = RedisConfig {
            urls: vec![redis.to_owned()],
            ..RedisConfig::default()
        };
        let engine = Engine::redis(&config).await;
        let engine = engine.map_err(|error| BenchError::Failed {
            what: "reach Redis",
            reason: error.to_string(),
        })?;
        tokio::spawn(announce(engine, format!("http://{address}")));
        Ok(rooms)
    }

    /// Waits until a matcher watches.
    pub(super) async fn watched(&self) {
        let mut watcher = self.watcher.subscribe();
        // The sender is in this very struct.
        let _ = watcher.wait_for(Option::is_some).await;
    }

    async fn end_rooms(self: Arc<Self>) {
        let mut ticks = interval(Duration::from_millis(20));
        let mut last_load = Instant::now();
        loop {
            let now = ticks.tick().await;
            let Some(watcher) = self.watcher.borrow().clone() else {
                continue;
            };
            if last_load.elapsed() >= Duration::from_millis(500) {
                last_load = now;
                let _ = watcher.send(news(News::Load(load()))).await;
            }
            while let Some(ended) = self.next_end(now) {
                let _ = watcher.send(news(News::Ended(ended))).await;
            }
        }
    }

    fn next_end(&self, now: Instant) -> Option<pb::RoomEnded> {
        let mut open = self.open.lock().expect("nobody panics with it");
        open.pop_front_if(|(at, _)| *at <= now)
            .map(|(_, ended)| ended)
    }
}

async fn announce(engine: Engine, endpoint: String) {
    let record = NodeRecord {
        node: "syncd-1".parse().expect("a good name"),
        kind: NodeKind::Syncd,
        generation: Generation(1),
        endpoint,
        load: Load {
            rooms: 0,
            sessions: 0,
            capacity: 1_000_000,
            draining: false,
            busy: 0,
            overloaded: false,
        },
        build: "bench".to_owned(),
        simulation: String::new(),
        region: String::new(),
    };
    let mut ticks = interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        // If one fails, the next is in time.
        let _ = engine.leases.renew(&record, Duration::from_secs(10)).await;
    }
}

#[tonic::async_trait]
impl pb::rooms_server::Rooms for Service {
    type WatchStream = ReceiverStream<Result<pb::RoomNews, Status>>;

    async fn create(
        &self,
        request: Request<pb::CreateRoom>,
    ) -> Result<Response<pb::RoomCreated>, Status> {
        let request = request.into_inner();
        let players: Vec<u64> = request.seats.iter().map(|seat| seat.player).collect();
        self.0.population.is_claimed(&players);
        let ended = pb::RoomEnded {
            room: request.room,
            r#match: request.r#match,
            reason: "finished".to_owned(),
        };
        let mut open = self.0.open.lock().expect("nobody panics with it");
        open.push_back((Instant::now() + LASTS, ended));
        Ok(Response::new(pb::RoomCreated::default()))
    }

    async fn watch(
        &self,
        _: Request<pb::WatchRooms>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (sender, receiver) = mpsc::channel(4096);
        let open = pb::OpenRooms {
            load: Some(load()),
            ..pb::OpenRooms::default()
        };
        // The channel is new and has room for it.
        let _ = sender.try_send(news(News::Open(open)));
        self.0.watcher.send_replace(Some(sender));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn adopt(&self, _: Request<pb::AdoptRoom>) -> Result<Response<pb::RoomAdopted>, Status> {
        Err(Status::unimplemented("these rooms stay where they are"))
    }
}

fn load() -> pb::NodeLoad {
    pb::NodeLoad {
        capacity: 1_000_000,
        ..pb::NodeLoad::default()
    }
}

fn news(news: News) -> Result<pb::RoomNews, Status> {
    Ok(pb::RoomNews { news: Some(news) })
}
