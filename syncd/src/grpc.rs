//! What syncd serves: the gateways' streams and the matchers' calls.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chassis::backoff::Backoff;
use engine::{Incarnation, Placement};
use protocol::id::{Generation, MatchId, NodeId, PlayerId, RoomId, SessionId};
use rpc::batch::Batch;
use rpc::inbound::{AttachRequest, Inbound};
use rpc::origin::{GatewayStream, Origin, OriginStream};
use rpc::pb;
use rpc::pb::room_news::News;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Response, Status};

use crate::game::{SeatSetup, Setup};
use crate::host::{Host, OpenError, WorkerIndex};
use crate::ownership::tenure::{NotOurs, Tenure};
use crate::room::{Room, RoomSetup, Rules, ticks};
use crate::spectators;
use crate::worker::{Link, Mail, room_unknown};

/// How often a watcher is told the load.
const LOAD_EVERY: Duration = Duration::from_secs(1);

/// How long a room that is offered may take to become ours before the giver is told so.
const ADOPT_WITHIN: Duration = Duration::from_millis(1_500);

/// News that wait for the transport of one watcher. Over it the host's queue of news fills.
const WATCH_QUEUE: usize = 16;

/// How long after it happens what happens in a room is shown to who watches, if the matcher does
/// not say.
const WATCH_DELAY: Duration = Duration::from_secs(5);

/// The shortest: a tape comes in pieces of a second, and a look at a race that is two seconds old
/// is no help in it.
const LEAST_WATCH_DELAY: Duration = Duration::from_secs(2);

/// Routes of a stream that are kept before those of rooms that are gone are swept out.
const SWEEP_AT: usize = 1_024;

/// Accepts gateways' streams.
pub(crate) struct Gateways {
    pub(crate) host: Arc<Host>,
}

impl Origin for Gateways {
    type Stream = GatewayHandler;

    fn open(&self, gateway: GatewayStream) -> GatewayHandler {
        let ended = CancellationToken::new();
        GatewayHandler {
            host: self.host.clone(),
            link: Link::new(gateway, ended.clone()),
            routes: HashMap::new(),
            sweep_at: SWEEP_AT,
            _ended: ended.drop_guard(),
        }
    }
}

/// Hands what comes by one stream to the workers of the rooms. Workers learn of its end by the
/// guard.
pub(crate) struct GatewayHandler {
    host: Arc<Host>,
    link: Link,
    /// Where the sessions of this stream are.
    routes: HashMap<SessionId, Route>,
    sweep_at: usize,
    _ended: DropGuard,
}

#[derive(Debug, Clone, Copy)]
struct Route {
    room: RoomId,
    to: To,
    attempt: u32,
}

/// Who hears of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Worker(WorkerIndex),
    /// It watches.
    Stage,
}

impl OriginStream for GatewayHandler {
    async fn handle(&mut self, inbound: Inbound) {
        let to = match &inbound {
            Inbound::Attach(request) => self.route(request).await,
            Inbound::Detach { session, .. }
            | Inbound::Ack { session, .. }
            | Inbound::Text { session, .. }
            | Inbound::Input { session, .. } => self.routes.get(session).map(|route| route.to),
        };
        if let Some(to) = to {
            self.post(to, inbound).await;
        }
    }
}

impl GatewayHandler {
    /// Notes where a session goes; refuses it if its room is not here.
    async fn route(&mut self, request: &AttachRequest) -> Option<To> {
        let (session, attempt) = (request.claim.session, request.claim.attempt);
        let place = request.room.and_then(|room| match request.watch {
            Some(_) => Some((room, To::Stage)),
            None => Some((room, To::Worker(self.host.worker_of(room)?))),
        });
        let Some((room, to)) = place else {
            let mut batch = Batch::new();
            batch.refused(session, attempt, &room_unknown());
            self.link.send(batch);
            return None;
        };
        self.sweep();
        // An attach that comes late, which the room refuses, does not lead its session away.
        let current = self.routes.get(&session);
        if current.is_some_and(|current| current.attempt > attempt) {
            return Some(to);
        }
        let route = Route { room, to, attempt };
        let before = self.routes.insert(session, route);
        // Within one worker, or the stage, the attach itself takes the session out of where it was.
        if let Some(before) = before.filter(|before| before.to != to) {
            let detach = Inbound::Detach {
                session,
                attempt: before.attempt,
                leave: false,
            };
            self.post(before.to, detach).await;
        }
        Some(to)
    }

    async fn post(&self, to: To, inbound: Inbound) {
        let link = self.link.clone();
        let worker = match to {
            To::Worker(worker) => worker,
            To::Stage => return self.post_to_stage(link, inbound),
        };
        let mail = Mail::Gateway { link, inbound };
        // A worker that is gone has no rooms, and this stream is about to be ended.
        let _ = self.host.mailbox(worker).send(mail).await;
    }

    /// Never waits: players come by the same stream. An acknowledgement that is lost comes again;
    /// of a watcher who is gone, and whose word for it is lost, the show or the stream ends.
    fn post_to_stage(&self, link: Link, inbound: Inbound) {
        let stream = link.id();
        let mail = match inbound {
            Inbound::Attach(request) => spectators::Mail::Watch {
                link: link.clone(),
                request: Box::new(request),
            },
            Inbound::Detach {
                session, attempt, ..
            } => spectators::Mail::Leave {
                stream,
                session,
                attempt,
            },
            Inbound::Ack { session, ack } => spectators::Mail::Ack {
                stream,
                session,
                ack,
            },
            // Who watches has nothing to say.
            Inbound::Text { .. } | Inbound::Input { .. } => return,
        };
        if let Err(refused) = self.host.stage.try_send(mail)
            && let spectators::Mail::Watch { request, .. } = refused.into_inner()
        {
            spectators::turn_away(&link, &request);
        }
    }

    /// Forgets routes to rooms that are gone: gateways say nothing when a room ends.
    fn sweep(&mut self) {
        if self.routes.len() < self.sweep_at {
            return;
        }
        let host = &self.host;
        self.routes
            .retain(|_, route| route.to == To::Stage || host.worker_of(route.room).is_some());
        self.sweep_at = SWEEP_AT.max(2 * self.routes.len());
    }
}

/// Serves the matchers' calls. `stop` ends watches.
pub(crate) struct RoomsService {
    pub(crate) host: Arc<Host>,
    pub(crate) stop: CancellationToken,
}

#[tonic::async_trait]
impl pb::rooms_server::Rooms for RoomsService {
    type WatchStream = ReceiverStream<Result<pb::RoomNews, Status>>;

    async fn create(
        &self,
        request: Request<pb::CreateRoom>,
    ) -> Result<Response<pb::RoomCreated>, Status> {
        let request = request.into_inner();
        let game = request.game.clone();
        let setup = setup(request, self.host.rules().clone())?;
        self.host.open(&game, setup).await?;
        Ok(Response::new(pb::RoomCreated {
            node: self.host.node.to_string(),
            generation: self.host.generation().0,
        }))
    }

    async fn watch(
        &self,
        request: Request<pb::WatchRooms>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (open, news) = self.host.watch();
        let (sender, receiver) = mpsc::channel(WATCH_QUEUE);
        let watch = Watch {
            host: self.host.clone(),
            news,
            sender,
        };
        tracing::info!(node = request.into_inner().node, "a matcher watches");
        let stop = self.stop.clone();
        self.host.drain.spawn("watch", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = watch.run(open) => {}
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn adopt(
        &self,
        request: Request<pb::AdoptRoom>,
    ) -> Result<Response<pb::RoomAdopted>, Status> {
        let request = request.into_inner();
        let Some(tenure) = self.host.tenure().cloned() else {
            let text = "rooms do not move without a shared store";
            return Err(Status::failed_precondition(text));
        };
        let adoption = Adoption::parse(request, &self.host, &tenure)?;
        let room = adoption.room.id();
        let (host, owner) = (self.host.clone(), tenure.journal());
        // Not with this call: once the room is claimed it has to be hosted.
        let (answer, adopted) = oneshot::channel();
        self.host.drain.spawn("adopt", async move {
            // Whoever asked may have given up.
            let _ = answer.send(adoption.run(host, tenure).await);
        });
        match tokio::time::timeout(ADOPT_WITHIN, adopted).await {
            Ok(Ok(Ok(generation))) => Ok(Response::new(pb::RoomAdopted {
                node: owner.who().node.to_string(),
                node_generation: owner.who().generation.0,
                generation: generation.0,
            })),
            Ok(Ok(Err(error))) => {
                let error = chassis::telemetry::Chain(&error).to_string();
                tracing::warn!(%room, %error, "a room that was offered is not taken");
                Err(Status::aborted(error))
            }
            Ok(Err(_)) | Err(_) => Err(Status::deadline_exceeded("the store is too slow")),
        }
    }
}

/// A room that another node offers.
struct Adoption {
    room: Room,
    from: Placement,
}

impl Adoption {
    fn parse(request: pb::AdoptRoom, host: &Host, tenure: &Tenure) -> Result<Self, Status> {
        if host.drain.is_draining() {
            return Err(OpenError::Draining.into());
        }
        if let Some(busy) = host.is_exhausted() {
            return Err(OpenError::Overloaded(busy).into());
        }
        if request.simulation != tenure.simulation {
            return Err(Status::failed_precondition(format!(
                "this node steps {}, not {}",
                tenure.simulation, request.simulation
            )));
        }
        let node = request.from_node.parse::<NodeId>();
        let node = node.map_err(|error| Status::invalid_argument(format!("from_node: {error}")))?;
        let room = Room::restore(host.games(), &request.checkpoint).map_err(|error| {
            Status::invalid_argument(format!("checkpoint: {}", chassis::telemetry::Chain(&error)))
        })?;
        if room.id().0 != request.room {
            return Err(Status::invalid_argument("checkpoint: of another room"));
        }
        let owner = Incarnation {
            node,
            generation: Generation(request.from_node_generation),
        };
        let generation = Generation(request.generation);
        let from = Placement { owner, generation };
        Ok(Self { room, from })
    }

    /// Makes the room ours; gives the term in which it is.
    async fn run(self, host: Arc<Host>, tenure: Arc<Tenure>) -> Result<Generation, NotOurs> {
        let id = self.room.id();
        let journal = tenure.journal();
        // Until it is hosted, or somebody else's. Whoever offers it takes it back if it can.
        let _moving = journal.moves().begin(id).ok_or(NotOurs::Moves)?;
        if let Some(generation) = host.generation_of(id) {
            return Ok(generation);
        }
        let state = self.room.checkpoint();
        tenure.prepare(&journal, id, state.clone()).await?;
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
        let mut was_asked = false;
        loop {
            // A room that is claimed for a journal that others have sealed is lost if the store
            // has lost its checkpoint: nobody would look for it there.
            match tenure.secure(&journal, id, &state).await {
                Ok(()) => was_asked = true,
                Err(error) if was_asked && !journal.is_sealed() => {
                    tracing::debug!(room = %id, %error, "a room that was offered is not claimed yet");
                    tokio::time::sleep(backoff.next()).await;
                    continue;
                }
                Err(error) => {
                    journal.forget(id);
                    return Err(error.into());
                }
            }
            match tenure.claim(&journal, id, &self.from).await {
                Ok(placement) => {
                    let generation = placement.generation;
                    host.adopt(self.room, placement).await;
                    return Ok(generation);
                }
                Err(NotOurs::Taken) => {
                    journal.forget(id);
                    return Err(NotOurs::Taken);
                }
                // It may be ours: nobody else would host it then.
                Err(error) if journal.is_sealed() => return Err(error),
                Err(_) => tokio::time::sleep(backoff.next()).await,
            }
        }
    }
}

/// One matcher's stream of news.
struct Watch {
    host: Arc<Host>,
    news: broadcast::Receiver<pb::RoomEnded>,
    sender: mpsc::Sender<Result<pb::RoomNews, Status>>,
}

impl Watch {
    async fn run(mut self, open: pb::OpenRooms) {
        if !self.tell(News::Open(open)).await {
            return;
        }
        let mut load = tokio::time::interval(LOAD_EVERY);
        load.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let drain = self.host.drain.clone();
        let mut told_draining = false;
        loop {
            let news = tokio::select! {
                ended = self.news.recv() => match ended {
                    Ok(ended) => News::Ended(ended),
                    Err(broadcast::error::RecvError::Closed) => return,
                    Err(broadcast::error::RecvError::Lagged(_)) => {
                        let behind = Status::aborted("too far behind; watch anew");
                        let _ = self.sender.send(Err(behind)).await;
                        return;
                    }
                },
                _ = load.tick() => News::Load(self.host.load()),
                // At once, so that nobody places a room here that would be refused.
                () = drain.started(), if !told_draining => {
                    told_draining = true;
                    News::Load(self.host.load())
                }
            };
            if !self.tell(news).await {
                return;
            }
        }
    }

    async fn tell(&self, news: News) -> bool {
        let news = pb::RoomNews { news: Some(news) };
        self.sender.send(Ok(news)).await.is_ok()
    }
}

fn setup(request: pb::CreateRoom, rules: Rules) -> Result<RoomSetup, Status> {
    if request.room == 0 || request.r#match == 0 {
        return Err(Status::invalid_argument("room and match must not be 0"));
    }
    let seat = |seat: pb::Seat| SeatSetup {
        player: PlayerId(seat.player),
        name: seat.name,
        bot: seat.bot,
        team: seat.team,
        rating: seat.rating,
    };
    Ok(RoomSetup {
        room: RoomId(request.room),
        match_id: MatchId(request.r#match),
        mode: request.mode,
        watch_delay: match request.watching {
            None => Some(ticks(WATCH_DELAY)),
            Some(watching) if watching.forbidden => None,
            Some(watching) => {
                let asked = Duration::from_millis(u64::from(watching.delay_ms));
                Some(ticks(asked.max(LEAST_WATCH_DELAY)))
            }
        },
        game: Setup {
            seed: request.seed,
            seats: request.seats.into_iter().map(seat).collect(),
            settings: request.settings,
        },
        rules,
    })
}

impl From<OpenError> for Status {
    fn from(error: OpenError) -> Self {
        let text = chassis::telemetry::Chain(&error).to_string();
        match error {
            OpenError::Draining | OpenError::Busy | OpenError::NotOurs(_) => {
                Self::unavailable(text)
            }
            OpenError::Full(_) | OpenError::Overloaded(_) => Self::resource_exhausted(text),
            OpenError::Failed(_) => Self::internal(text),
            OpenError::Ended(_) => Self::failed_precondition(text),
            OpenError::UnknownGame { .. } | OpenError::Setup(_) => Self::invalid_argument(text),
        }
    }
}
