//! Accepts connections: limits by node and address, then HTTP, then perhaps a WebSocket. The
//! public and the private port run the same code.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use chassis::drain::DrainGuard;
use chassis::limit::{CountLimit, Permit};
use chassis::listen::{SocketOptions, tune};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use protocol::time::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt;

use crate::address::AddressBlock;
use crate::conn::{self, ConnLimits, Ended};
use crate::echo::{self, Echo};
use crate::edge::Edge;
use crate::player::Player;
use crate::reply::{self, Body};
use crate::upgrade::Handshake;

/// Most bytes of an HTTP request's head.
const MAX_HEAD: usize = 16 * 1024;

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
    _guard: Option<DrainGuard>,
    edge: Arc<Edge>,
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
            refusals,
        })
    }

    /// Accepts until the drain begins; the private port until it is dropped.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        let options = SocketOptions::default();
        let drain = self.edge.drain.clone();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = drain.started(), if self.socket == WebSocketPath::Player => return,
            };
            match accepted {
                Ok((stream, address)) => {
                    // A peer that is gone already shows itself at the first read.
                    let _ = tune(&stream, &options);
                    self.clone().admit(stream, address.ip().to_canonical());
                }
                Err(error) => {
                    tracing::error!(%error, "cannot accept connections");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(self: Arc<Self>, stream: TcpStream, peer: IpAddr) {
        let limits = self.edge.limits(peer);
        let block = AddressBlock::of(peer);
        let public = self.socket == WebSocketPath::Player;
        let over_address = self.addresses.held(&block) as usize >= limits.connections_per_address;
        let over_node = self.edge.drain.held() > limits.connections;
        if public && (over_address || over_node) {
            self.edge.meters.turned_away.increment(1);
            return self.refuse(stream, over_node);
        }
        self.edge.meters.connections.increment(1);
        let place = Arc::new(Place {
            _address: self.addresses.acquire(block),
            // A scraper that keeps its connection open must not hold a drain up.
            _guard: public.then(|| self.edge.drain.guard()),
            edge: self.edge.clone(),
        });
        tokio::spawn(self.http(stream, peer, place));
    }

    async fn http(self: Arc<Self>, stream: TcpStream, peer: IpAddr, place: Arc<Place>) {
        let handshake = self.edge.limits(peer).handshake;
        let drain = self.edge.drain.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            let (port, place) = (self.clone(), place.clone());
            async move {
                if port.is_websocket(&request) {
                    return Ok::<_, Infallible>(port.upgrade(request, peer, place));
                }
                request.extensions_mut().insert(ConnectInfo(Peer(peer)));
                let answer = port.routes.clone().oneshot(request.map(Body::new));
                Ok(answer.await.unwrap_or_else(|never| match never {}))
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
            _ = connection.as_mut() => {}
            () = drain.started() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
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
        let subprotocol = (self.socket == WebSocketPath::Player).then_some(protocol::SUBPROTOCOL);
        let handshake = match Handshake::check(&request, subprotocol) {
            Ok(handshake) => handshake,
            Err(response) => return response,
        };
        let upgraded = hyper::upgrade::on(request);
        tokio::spawn(async move {
            let Ok(upgraded) = upgraded.await else { return };
            let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
                return;
            };
            // A fresh task: nothing of the HTTP connection stays alive with an idle socket.
            let (stream, early) = (parts.io.into_inner(), parts.read_buf.to_vec());
            match self.socket {
                WebSocketPath::Echo => drop(tokio::spawn(run_echo(stream, early, place))),
                _ => drop(tokio::spawn(run_player(
                    self.edge.clone(),
                    stream,
                    early,
                    peer,
                    place,
                ))),
            }
        });
        handshake.response()
    }

    /// Says why, over HTTP, and closes.
    fn refuse(&self, stream: TcpStream, over_node: bool) {
        let Ok(turn) = self.refusals.clone().try_acquire_owned() else {
            return;
        };
        tokio::spawn(async move {
            let service = service_fn(async |_request: Request<Incoming>| {
                let text = if over_node {
                    "this node has as many connections as it may; try another one"
                } else {
                    "too many connections from this address; close some"
                };
                let mut response = reply::rate_limited(1_000, text);
                let close = http::HeaderValue::from_static("close");
                response
                    .headers_mut()
                    .insert(http::header::CONNECTION, close);
                Ok::<_, Infallible>(response)
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            let _ = tokio::time::timeout(Duration::from_secs(2), connection).await;
            drop(turn);
        });
    }
}

async fn run_player(
    edge: Arc<Edge>,
    stream: TcpStream,
    early: Vec<u8>,
    peer: IpAddr,
    place: Arc<Place>,
) {
    let limits = edge.limits(peer);
    let bounds = ConnLimits {
        message_size: limits.message_size.0,
        write_stall: limits.write_stall,
    };
    let mut player = Player::new(edge.clone(), peer, Timestamp(chassis::clock::now()));
    let ws = conn::open(stream, early, bounds).await;
    let ended = conn::run(ws, &mut player, bounds).await;
    edge.meters.ended(ended);
    if let Ended::ByUs(code) = ended {
        tracing::debug!(%peer, code = code.reason(), "closed a connection");
    }
    drop(place);
}

async fn run_echo(stream: TcpStream, early: Vec<u8>, place: Arc<Place>) {
    let bounds = ConnLimits {
        message_size: echo::MESSAGE_SIZE,
        write_stall: Duration::from_secs(10),
    };
    let ws = conn::open(stream, early, bounds).await;
    let ended = conn::run(ws, &mut Echo::default(), bounds).await;
    place.edge.meters.ended(ended);
}

impl Drop for Place {
    fn drop(&mut self) {
        self.edge.meters.connections.decrement(1);
    }
}
