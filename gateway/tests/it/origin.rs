//! An origin that does what a test says: attaches by the rules, emits, falls silent, vanishes.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chassis::clock;
use parking_lot::Mutex;
use protocol::attach::{Claim, Holder, Verdict};
use protocol::close::CloseCode;
use protocol::control::ErrorMessage;
use protocol::frame::SnapshotHead;
use protocol::id::{
    Channel, Epoch, Generation, NodeId, Offset, PlayerId, Position, RoomId, SessionId, Tick,
};
use protocol::log::{Attached, EventLog, LogLimits};
use protocol::time::Timestamp;
use rpc::batch::Batch;
use rpc::inbound::{AttachRequest, Inbound};
use rpc::origin::{GatewayStream, Origin, OriginIdentity, OriginStream, service};
use rpc::pb::players_server::PlayersServer;
use rpc::transport::{Endpoint, Incoming, memory};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::directory::Directory;
use super::raw::DEADLINE;

/// What an origin tells a client at attach.
const STATE: &str = r#"{"fake":true}"#;

/// Enough for every test that fills an outbox.
const LIMITS: LogLimits = LogLimits {
    events: 100_000,
    bytes: 64 * 1024 * 1024,
};

/// A fake matcher or room node. Clones are the same one.
#[derive(Clone)]
pub(crate) struct FakeOrigin {
    state: Arc<Mutex<State>>,
    /// Counts what changed, for those who wait.
    version: Arc<watch::Sender<u64>>,
    frozen: Arc<watch::Sender<bool>>,
    channel: Channel,
    stop: CancellationToken,
    /// What it says about players.
    pub(crate) directory: Directory,
}

#[derive(Default)]
struct State {
    seen: Vec<Inbound>,
    players: BTreeMap<PlayerId, Seat>,
    refusal: Option<ErrorMessage>,
    epochs: u32,
    /// What items are said to be of.
    room: Option<RoomId>,
    /// Attaches that came while they were held, if they are.
    held: Option<Vec<(GatewayStream, AttachRequest)>>,
}

struct Seat {
    holder: Holder,
    gateway: GatewayStream,
    log: EventLog,
}

/// One stream from a gateway.
pub(crate) struct FakeStream {
    origin: FakeOrigin,
    gateway: GatewayStream,
}

impl FakeOrigin {
    /// Starts an origin and gives where it can be reached.
    pub(crate) fn start(name: &str, channel: Channel) -> (Self, Endpoint) {
        let (connector, incoming) = memory();
        let origin = Self::serve(name, channel, Generation(1), Incoming::Memory(incoming));
        (origin, Endpoint::Memory(connector))
    }

    /// Starts an incarnation of an origin and gives its address, as a lease has it.
    pub(crate) async fn listen(
        name: &str,
        channel: Channel,
        generation: Generation,
    ) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let origin = Self::serve(name, channel, generation, Incoming::Tcp(listener));
        (origin, address)
    }

    /// Runs an incarnation of an origin.
    pub(crate) fn serve(
        name: &str,
        channel: Channel,
        generation: Generation,
        incoming: Incoming,
    ) -> Self {
        let origin = Self {
            state: Arc::default(),
            version: Arc::new(watch::Sender::new(0)),
            frozen: Arc::new(watch::Sender::new(false)),
            channel,
            stop: CancellationToken::new(),
            directory: Directory::default(),
        };
        let identity = OriginIdentity {
            node: name.parse().unwrap(),
            generation: Arc::new(move || generation),
            channel,
            build: "test",
        };
        let service = service(identity, Arc::new(origin.clone()), origin.stop.clone());
        let players = PlayersServer::new(origin.directory.clone());
        let routes = tonic::service::Routes::new(service).add_service(players);
        let stopped = origin.stop.clone().cancelled_owned();
        tokio::spawn(incoming.serve(routes, stopped));
        origin
    }

    /// Waits until something that arrived gives an answer.
    pub(crate) async fn saw<T>(&self, pick: impl Fn(&Inbound) -> Option<T>) -> T {
        self.until("the origin to see it", |state| {
            state.seen.iter().find_map(&pick)
        })
        .await
    }

    /// What has arrived so far.
    pub(crate) fn seen(&self) -> Vec<Inbound> {
        self.state.lock().seen.clone()
    }

    /// Waits until `player` is attached by the connection `attempt`.
    pub(crate) async fn attached(&self, player: PlayerId, attempt: u32) -> SessionId {
        self.until("the player to be attached", |state| {
            let seat = state.players.get(&player)?;
            (seat.claim().attempt == attempt).then_some(seat.claim().session)
        })
        .await
    }

    /// Appends a reliable event for `player` and sends what is due.
    pub(crate) fn emit(&self, player: PlayerId, payload: impl Into<Bytes>) {
        let mut state = self.state.lock();
        let room = state.room;
        let seat = state.players.get_mut(&player).expect("attached");
        seat.log.append(payload.into()).expect("room in the log");
        seat.send_due(room);
    }

    /// Appends a reliable event that is not sent before the player attaches again.
    pub(crate) fn record(&self, player: PlayerId, payload: impl Into<Bytes>) {
        let mut state = self.state.lock();
        let seat = state.players.get_mut(&player).expect("attached");
        seat.log.append(payload.into()).expect("room in the log");
    }

    /// From here on, says which room items are of.
    pub(crate) fn speak_of(&self, room: RoomId) {
        self.state.lock().room = Some(room);
    }

    /// Sends again what `player` has not acknowledged.
    pub(crate) fn resend(&self, player: PlayerId) {
        let mut state = self.state.lock();
        let room = state.room;
        let seat = state.players.get_mut(&player).expect("attached");
        seat.log.handle_timeout(Timestamp(u64::MAX));
        seat.send_due(room);
    }

    /// Sends a snapshot that is nothing but its tick and `body`.
    pub(crate) fn snapshot(&self, player: PlayerId, tick: u32, body: impl Into<Bytes>) {
        let head = SnapshotHead {
            tick: Tick(tick),
            ..SnapshotHead::default()
        };
        let body = body.into();
        self.say(player, |batch, session| {
            batch.fanout(body, [(session, head)])
        });
    }

    /// Sends a control message.
    pub(crate) fn text(&self, player: PlayerId, text: &str) {
        self.say(player, |batch, session| {
            batch.text(session, text.to_owned())
        });
    }

    /// Ends the player's channel; the connection stays.
    pub(crate) fn close_channel(&self, player: PlayerId, reason: &str) {
        self.say(player, |batch, session| {
            batch.close_channel(session, 0, reason)
        });
    }

    /// Says of the session's connection `attempt` that it is to be closed.
    pub(crate) fn close_connection(&self, player: PlayerId, attempt: u32, code: CloseCode) {
        self.say(player, |batch, session| {
            batch.close_connection(session, attempt, code)
        });
    }

    /// Answers an attach of the session's connection `attempt`, wherever the log stands.
    pub(crate) fn answer(&self, player: PlayerId, attempt: u32) {
        let position = Position {
            epoch: Epoch(77),
            offset: Offset(0),
        };
        let attached = Attached {
            position,
            recovered: false,
        };
        self.say(player, |batch, session| {
            batch.attached(session, attempt, attached, STATE.to_owned())
        });
    }

    /// Says that the room is at `to` now, to the connection that is attached.
    pub(crate) fn moved(&self, player: PlayerId, room: RoomId, to: Option<(&NodeId, Generation)>) {
        let attempt = self.state.lock().players[&player].claim().attempt;
        self.say(player, |batch, session| {
            batch.moved(session, attempt, room, to)
        });
    }

    /// Goes on from where `other` is: its players and what they have not acknowledged are here.
    pub(crate) fn take_over(&self, other: &Self) {
        let mut taken = std::mem::take(&mut other.state.lock().players);
        // The other one may still speak to those it had, as one that was frozen would.
        let left: BTreeMap<_, _> = taken.iter().map(|(id, seat)| (*id, seat.echo())).collect();
        other.state.lock().players = left;
        self.state.lock().players.append(&mut taken);
    }

    /// Leaves attaches unanswered, until [`Self::answer_held`].
    pub(crate) fn hold_attaches(&self) {
        self.state.lock().held = Some(Vec::new());
    }

    /// Attaches those who were held.
    pub(crate) fn answer_held(&self) {
        let held = self.state.lock().held.take().expect("attaches are held");
        for (gateway, request) in held {
            self.attach(&gateway, request);
        }
    }

    /// Refuses the next attach.
    pub(crate) fn refuse_next(&self, error: ErrorMessage) {
        self.state.lock().refusal = Some(error);
    }

    /// Falls silent at the next thing that arrives: no answer, no beat, until [`Self::thaw`].
    pub(crate) fn freeze(&self) {
        self.frozen.send_replace(true);
    }

    /// Goes on.
    pub(crate) fn thaw(&self) {
        self.frozen.send_replace(false);
    }

    /// Ends all streams and accepts no more.
    pub(crate) fn vanish(&self) {
        self.stop.cancel();
    }

    fn say(&self, player: PlayerId, speak: impl FnOnce(&mut Batch, SessionId)) {
        let state = self.state.lock();
        let seat = state.players.get(&player).expect("attached");
        let mut batch = state.batch();
        speak(&mut batch, seat.claim().session);
        seat.gateway.send(batch);
    }

    async fn until<T>(&self, what: &str, pick: impl Fn(&State) -> Option<T>) -> T {
        let mut version = self.version.subscribe();
        let waited = tokio::time::timeout(DEADLINE, async {
            loop {
                version.mark_unchanged();
                if let Some(found) = pick(&self.state.lock()) {
                    return found;
                }
                version.changed().await.expect("self keeps the sender");
            }
        });
        match waited.await {
            Ok(found) => found,
            Err(_) => panic!("waited for {what}; seen: {:?}", self.seen()),
        }
    }

    fn attach(&self, gateway: &GatewayStream, request: AttachRequest) {
        let mut state = self.state.lock();
        if let Some(held) = &mut state.held {
            return held.push((gateway.clone(), request));
        }
        let (session, attempt) = (request.claim.session, request.claim.attempt);
        let mut batch = state.batch();
        if let Some(error) = state.refusal.take() {
            batch.refused(session, attempt, &error);
            return gateway.send(batch);
        }
        let known = state.players.get(&request.player);
        let verdict = known.map_or(Verdict::Accept, |seat| seat.holder.judge(&request.claim));
        let code = match verdict {
            Verdict::Accept => None,
            Verdict::Stale => Some(CloseCode::Superseded),
            Verdict::Replaced => Some(CloseCode::Replaced),
        };
        if let Some(code) = code {
            batch.close_connection(session, attempt, code);
            return gateway.send(batch);
        }
        state.epochs += 1;
        let (room, epoch) = (state.room, Epoch(state.epochs));
        let fresh = || Seat {
            holder: Holder::default(),
            gateway: gateway.clone(),
            log: EventLog::new(self.channel, epoch, LIMITS),
        };
        let seat = state.players.entry(request.player).or_insert_with(fresh);
        let former = seat.holder.accept(request.claim);
        let is_other = |former: &Claim| (former.session, former.attempt) != (session, attempt);
        if let Some(former) = former.filter(is_other) {
            let code = match former.session == session {
                true => CloseCode::Superseded,
                false => CloseCode::Replaced,
            };
            let mut farewell = Batch::new();
            farewell.close_connection(former.session, former.attempt, code);
            seat.gateway.send(farewell);
        }
        seat.gateway = gateway.clone();
        let attached = seat.log.attach(request.mode, Epoch(epoch.0 + 1_000));
        batch.attached(session, attempt, attached, STATE.to_owned());
        gateway.send(batch);
        seat.send_due(room);
    }
}

impl State {
    fn batch(&self) -> Batch {
        batch_of(self.room)
    }
}

impl Seat {
    fn claim(&self) -> &Claim {
        self.holder.current().expect("a seat begins with an attach")
    }

    /// The place as it was, with nothing in its log.
    fn echo(&self) -> Self {
        Self {
            holder: self.holder.clone(),
            gateway: self.gateway.clone(),
            log: EventLog::new(Channel::Room, Epoch(1), LIMITS),
        }
    }

    fn send_due(&mut self, room: Option<RoomId>) {
        let session = self.claim().session;
        let mut batch = batch_of(room);
        while let Some(event) = self.log.poll_transmit(now()) {
            batch.event(session, &event);
        }
        self.gateway.send(batch);
    }
}

impl Origin for FakeOrigin {
    type Stream = FakeStream;

    fn open(&self, gateway: GatewayStream) -> FakeStream {
        let origin = self.clone();
        FakeStream { origin, gateway }
    }
}

impl OriginStream for FakeStream {
    async fn handle(&mut self, inbound: Inbound) {
        let mut frozen = self.origin.frozen.subscribe();
        frozen.wait_for(|frozen| !frozen).await.expect("a sender");
        if let Inbound::Attach(request) = &inbound {
            self.origin.attach(&self.gateway, request.clone());
        }
        if let Inbound::Ack { session, ack } = &inbound {
            let mut state = self.origin.state.lock();
            let mut seats = state.players.values_mut();
            if let Some(seat) = seats.find(|seat| seat.claim().session == *session) {
                seat.log.handle_ack(now(), *ack);
            }
        }
        self.origin.state.lock().seen.push(inbound);
        self.origin.version.send_modify(|version| *version += 1);
    }
}

fn batch_of(room: Option<RoomId>) -> Batch {
    let mut batch = Batch::new();
    if let Some(room) = room {
        batch.speak_of(room);
    }
    batch
}

fn now() -> Timestamp {
    Timestamp(clock::now())
}
