//! The gateway: the edge of PixelRush. It keeps nothing that matters: it can be killed at any
//! moment, and its clients go on through another one.
//!
//! One message from a client goes [`accept`](self) → `conn` (drives the socket) → `player` (what
//! it means) → `upstream` (batched to the node it is for); one for a client comes `upstream` →
//! `outbox` → `player` → `conn`, and leaves with one flush together with all else that is owed.
//!
//! - `accept`, `upgrade`, `address`: connections and their limits
//! - `login`, `players`, `page`, `reply`: HTTP
//! - `conn`: one WebSocket connection; `player` and `echo` are what runs on it
//! - `registry`, `outbox`: from node links to connections
//! - `upstream`: links to matcher and rooms
//! - `drain`: going away

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use chassis::drain::Drain;
use chassis::readiness::Readiness;
use rpc::token::Signer;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

pub use config::Config;
pub use upstream::Origins;

use accept::{Port, WebSocketPath};
use edge::Edge;
use registry::Registry;
use upstream::Upstream;

mod accept;
mod address;
pub mod config;
mod conn;
mod drain;
mod echo;
mod edge;
mod login;
mod meters;
mod outbox;
mod page;
mod player;
mod players;
mod registry;
mod reply;
mod upgrade;
mod upstream;

/// Largest body of an HTTP request.
const MAX_BODY: usize = 4 * 1024;

/// What a gateway is built from.
#[derive(Debug)]
pub struct Parts {
    /// Its settings.
    pub config: Config,
    /// Where the origins are.
    pub origins: Origins,
    /// Signs and checks tokens.
    pub signer: Signer,
    /// Key of the ids that logins are given; the same on all gateways.
    pub id_key: Box<[u8]>,
    /// Begins and ends its going away.
    pub drain: Drain,
    /// Where it says whether it is ready.
    pub readiness: Readiness,
}

/// A gateway, ready to serve.
#[derive(Debug)]
pub struct Gateway {
    edge: Arc<Edge>,
    stop: CancellationToken,
}

impl Gateway {
    /// Builds a gateway and starts its links to the origins. Needs a tokio runtime.
    pub fn start(parts: Parts) -> Self {
        let Parts {
            config,
            origins,
            signer,
            id_key,
            drain,
            readiness,
        } = parts;
        let registry = Registry::new();
        let stop = CancellationToken::new();
        let upstream = Upstream::start(&origins, &config, &registry, &stop, &readiness);
        let edge = Edge::new(config, (signer, id_key), registry, upstream, drain);
        Self { edge, stop }
    }

    /// Serves the public port until the gateway has drained: page, login, WebSocket.
    pub async fn serve(&self, listener: TcpListener) {
        let routes = Router::new()
            .route("/", get(page::index))
            .route("/{*path}", get(page::asset))
            .route("/healthz", get(async || "ok\n"))
            .route("/v1/login/guest", post(login::guest))
            .route("/v1/login/api", post(login::api))
            .route("/v1/leaderboard/{mode}", get(players::leaderboard))
            .route("/v1/leaderboard/{mode}/me", get(players::around))
            .route("/v1/me", get(players::me))
            .route("/v1/me/matches", get(players::history))
            .route("/v1/me/export", get(players::export))
            .route("/v1/me/erase", post(players::erase))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(self.edge.clone());
        let port = Port::new(self.edge.clone(), routes, WebSocketPath::Player);
        port.clone().serve(listener).await;
        let deadline = Instant::now() + self.edge.config.load().drain.deadline;
        let _ = timeout_at(deadline, drain::dismiss(self.edge.clone())).await;
        if let Err(connections) = port.emptied(deadline).await {
            tracing::warn!(connections, "drain deadline passed");
        }
        self.stop.cancel();
    }

    /// Serves the private port: `routes`, and `/debug/echo` if the settings switch it on.
    pub fn private(
        &self,
        listener: TcpListener,
        routes: Router,
    ) -> impl Future<Output = ()> + use<> {
        let echo = self.edge.config.load().debug_echo;
        let socket = if echo {
            WebSocketPath::Echo
        } else {
            WebSocketPath::None
        };
        Port::new(self.edge.clone(), routes, socket).serve(listener)
    }

    /// Takes new settings over, as far as they can change while running: limits and API keys.
    pub fn reload(&self, config: &Config) {
        self.edge.reload(config);
    }
}
