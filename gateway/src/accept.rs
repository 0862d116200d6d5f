//! Accepts connections: limits by node and address, then HTTP, then perhaps a WebSocket. The
//! public and the private port run the same code.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use chassis::limit::{CountLimit, Permit};
use chassis::listen::{SocketOptions, tune};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use protocol::time::Timestamp;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tower::ServiceExt;

use crate::address::AddressBlock;
use crate::config::Limits;
use crate::conn::{self, ConnLimits, Ended};
use crate::echo::{self, Echo};
use crate::edge::Edge;
use crate::player::Player;
use crate::reply::{self, Body};
use crate::upgrade::Handshake;

/// Most bytes of an HTTP request's head.
const MAX_HEAD: usize = 16 * 1024;

/// Longest life of an HTTP connection that did not become a WebSocket: a client that reads an
/// answer byte by byte, or asks again and again, does not keep its place for ever.
const HTTP_LIFE: Duration = Duration::from_secs(60);

/// How long a connection that was accepted just before a drain has for its request: it is not to
/// find itself hung up on.
const LAST_REQUEST: Duration = Duration::from_millis(500);

/// How long the answer under way may take after that.
const HTTP_FAREWELL: Duration = Duration::from_secs(5);

/// Bytes that the kernel holds for a WebSocket beyond what is under way to the client. More would
/// be old snapshots: what waits is to wait in the outbox, where it coalesces.
const UNSENT: u32 = 16 * 1024;

/// Refusals that are being told at one moment; more are cut off without a word.
const MAX_REFUSALS: usize = 64;

/// Pause after a failed accept, which nearly always means that no file can be opened.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The client's address, for handlers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// What a port serves.
#[derive(Debug)]
pub(crate) struct Port {
    edge: Arc<Edge>,
    routes: Router,
    socket: WebSocketPath,
    addresses: CountLimit<AddressBlock>,
    /// The connections that are open now.
    open: TaskTracker,
    refusals: Arc<Semaphore>,
}

/// The WebSocket of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WebSocketPath {
    /// `/v1/ws`: players.
    Player,
    /// `/debug/echo`.
    Echo,
    /// There is none.
    None,
}

/// A connection's place under the limits, held until it ends.
struct Place {
    _address: Option<Permit<AddressBlock>>,
    _open: TaskTrackerToken,
    edge: Arc<Edge>,
}

/// Which limit a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Address,
    Node,
}

impl Port {
    pub(crate) fn new(edge: Arc<Edge>, routes: Router, socket: WebSocketPath) -> Arc<Self> {
        let addresses = CountLimit::new(u32::MAX);
        let refusals = Arc::new(Semaphore::new(MAX_REFUSALS));
        Arc::new(Self {
            edge,
            routes,
            socket,
            addresses,
            open: TaskTracker::new(),
            refusals,
        })
    }

    /// Accepts until the drain begins; the private port until it is dropped.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        // The connections inherit them. Where the kernel does not know one, we do without.
        let _ = tune(&listener, &SocketOptions::default());
        let drain = self.edge.drain.clone();
        let mut failing = false;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = drain.started(), if self.is_public() => return,
            };
            match accepted {
                Ok((stream, address)) => {
                    failing = false;
                    self.clone().admit(stream, address.ip().to_canonical());
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::error!(%error, "cannot accept connections");
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Waits until the last connection is gone. Only this port's own are waited for: in one
    /// process with other services, those wait for this gateway to be done.
    ///
    /// # Errors
    /// How many were left at the deadline.
    pub(crate) async fn emptied(&self, deadline: Instant) -> Result<(), usize> {
        self.open.close();
        let waited = timeout_at(deadline, self.open.wait()).await;
        waited.map_err(|_| self.open.len())
    }

    fn is_public(&self) -> bool {
        self.socket == WebSocketPath::Player
    }

    fn admit(self: Arc<Self>, stream: TcpStream, peer: IpAddr) {
        if let Some(over) = self.over_limit(peer) {
            self.edge.meters.turned_away.increment(1);
            return self.refuse(stream, over);
        }
        self.edge.meters.connections.increment(1);
        let place = Arc::new(Place {
            _address: self.addresses.acquire(AddressBlock::of(peer)),
            _open: self.open.token(),
            edge: self.edge.clone(),
        });
        tokio::spawn(self.http(stream, peer, place));
    }

    fn over_limit(&self, peer: IpAddr) -> Option<Over> {
        if !self.is_public() {
            return None;
        }
        let limits = self.edge.limits(peer);
        let held = self.addresses.held(&AddressBlock::of(peer));
        if self.open.len() >= limits.connections {
            Some(Over::Node)
        } else if held as usize >= limits.connections_per_address {
            Some(Over::Address)
        } else {
            None
        }
    }

    async fn http(self: Arc<Self>, stream: TcpStream, peer: IpAddr, place: Arc<Place>) {
        let handshake = self.edge.limits(peer).handshake;
        let (drain, public) = (self.edge.drain.clone(), self.is_public());
        let service = service_fn(move |request: Request<Incoming>| {
            let (port, place) = (self.clone(), place.clone());
            async move {
                if port.is_websocket(&request) {
                    return Ok::<_, Infallible>(port.upgrade(request, peer, place));
                }
                Ok(port.answer(request, peer, handshake).await)
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(handshake)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        // Whatever ends an HTTP connection early is the client's affair.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = sleep(HTTP_LIFE) => {}
            // Probes and scrapers are answered to the end.
            () = async { drain.started().await; sleep(LAST_REQUEST).await }, if public => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = timeout(HTTP_FAREWELL, connection).await;
    }

    /// Answers an HTTP request. A client that is slow with its body gets as much time for it as
    /// for the head.
    async fn answer(
        &self,
        mut request: Request<Incoming>,
        peer: IpAddr,
        patience: Duration,
    ) -> Response<Body> {
        request.extensions_mut().insert(ConnectInfo(Peer(peer)));
        let answer = self.routes.clone().oneshot(request.map(Body::new));
        if !self.is_public() {
            return answer.await.unwrap_or_else(|never| match never {});
        }
        match timeout(patience, answer).await {
            Ok(answer) => answer.unwrap_or_else(|never| match never {}),
            Err(_) => {
                let text = "the request did not come to its end in time";
                reply::error(StatusCode::REQUEST_TIMEOUT, "timeout", text)
            }
        }
    }

    fn is_websocket(&self, request: &Request<Incoming>) -> bool {
        match self.socket {
            WebSocketPath::Player => request.uri().path() == "/v1/ws",
            WebSocketPath::Echo => request.uri().path() == "/debug/echo",
            WebSocketPath::None => false,
        }
    }

    fn upgrade(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: IpAddr,
        place: Arc<Place>,
    ) -> Response<Body> {
        let subprotocol = self.is_public().then_some(protocol::SUBPROTOCOL);
        let handshake = match Handshake::check(&request, subprotocol) {
            Ok(handshake) => handshake,
            Err(response) => return *response,
        };
        let upgraded = hyper::upgrade::on(request);
        tokio::spawn(async move {
            let Ok(upgraded) = upgraded.await else { return };
            let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
                return;
            };
            // A fresh task: nothing of the HTTP connection stays alive with an idle socket.
            let (stream, early) = (parts.io.into_inner(), parts.read_buf.to_vec());
            // Where the kernel does not know the option, more waits in it.
            let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
            let limits = self.edge.limits(peer);
            match self.socket {
                WebSocketPath::Echo => drop(tokio::spawn(run_echo(stream, early, limits, place))),
                _ => drop(tokio::spawn(run_player(stream, early, limits, peer, place))),
            }
        });
        handshake.response()
    }

    /// Says why, over HTTP, and closes.
    fn refuse(&self, stream: TcpStream, over: Over) {
        let Ok(turn) = self.refusals.clone().try_acquire_owned() else {
            return;
        };
        tokio::spawn(async move {
            let service = service_fn(async |_request: Request<Incoming>| {
                let mut response = match over {
                    Over::Node => {
                        let text = "this node has as many connections as it may; try another one";
                        reply::unavailable(1_000, text)
                    }
                    Over::Address => {
                        let text = "too many connections from this address; close some";
                        reply::rate_limited(1_000, text)
                    }
                };
                let close = http::HeaderValue::from_static("close");
                response
                    .headers_mut()
                    .insert(http::header::CONNECTION, close);
                Ok::<_, Infallible>(response)
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            let _ = timeout(Duration::from_secs(2), connection).await;
            drop(turn);
        });
    }
}

async fn run_player(
    stream: TcpStream,
    early: Vec<u8>,
    limits: Limits,
    peer: IpAddr,
    place: Arc<Place>,
) {
    let bounds = ConnLimits {
        message_size: limits.message_size.0,
        write_stall: limits.write_stall,
    };
    let now = Timestamp(chassis::clock::now());
    let mut player = Player::new(place.edge.clone(), peer, limits, now);
    let mut ws = conn::open(stream, early, bounds);
    let ended = conn::run(&mut ws, &mut player, bounds).await;
    // The session is over now, however long the client takes to read so.
    drop(player);
    place.edge.meters.ended(ended);
    if let Ended::ByUs(code) = ended {
        tracing::debug!(%peer, code = code.reason(), "closed a connection");
    }
    // Rare and large: kept out of the future that every idle connection holds.
    Box::pin(conn::say_goodbye(ws, ended)).await;
}

async fn run_echo(stream: TcpStream, early: Vec<u8>, limits: Limits, place: Arc<Place>) {
    let bounds = ConnLimits {
        message_size: echo::MESSAGE_SIZE,
        write_stall: limits.write_stall,
    };
    let mut ws = conn::open(stream, early, bounds);
    let ended = conn::run(&mut ws, &mut Echo::default(), bounds).await;
    place.edge.meters.ended(ended);
    Box::pin(conn::say_goodbye(ws, ended)).await;
}

impl Drop for Place {
    fn drop(&mut self) {
        self.edge.meters.connections.decrement(1);
    }
}
