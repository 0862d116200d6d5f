//! The private server: for probes, scrapers and operators, on a port that is not reachable from
//! outside.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /livez` | 200 while the process can answer at all |
//! | `GET /readyz` | the conditions as JSON; 503 while one of them fails, or while draining |
//! | `GET /metrics` | Prometheus' text format |
//! | `GET /admin/config` | the configuration as JSON, secrets blanked by the service |
//! | `PUT /admin/log-level` | changes the level to the body's text |
//! | `POST /admin/drain` | begins the drain |
//!
//! A request that changes something and comes from a web page of another origin is refused: a
//! page in an operator's browser must not drain a node on his laptop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::drain::Drain;
use crate::readiness::{ConditionState, Readiness};
use crate::telemetry::Telemetry;

/// Largest body that an admin request may have, unless a service's own route says otherwise.
const MAX_BODY: usize = 64 * 1024;

/// Where the private server listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct AdminConfig {
    /// The private address; none switches the server off. Never a public one: nothing here asks
    /// who is calling.
    pub listen: Option<SocketAddr>,
}

/// The private server before it serves.
pub struct Admin {
    handles: Handles,
    routes: Router,
}

#[derive(Clone)]
struct Handles {
    readiness: Readiness,
    telemetry: Telemetry,
    drain: Drain,
    config: Arc<dyn Fn() -> Value + Send + Sync>,
}

impl Admin {
    /// A server over these handles.
    pub fn new(readiness: Readiness, telemetry: Telemetry, drain: Drain) -> Self {
        let handles = Handles {
            readiness,
            telemetry,
            drain,
            config: Arc::new(|| Value::Null),
        };
        Self {
            handles,
            routes: Router::new(),
        }
    }

    /// What `GET /admin/config` shows. The closure blanks secrets: what it returns is sent.
    #[must_use]
    pub fn config(mut self, config: impl Fn() -> Value + Send + Sync + 'static) -> Self {
        self.handles.config = Arc::new(config);
        self
    }

    /// Adds a service's own routes.
    ///
    /// # Panics
    /// If one of them is already there.
    #[must_use]
    pub fn routes(mut self, routes: Router) -> Self {
        self.routes = self.routes.merge(routes);
        self
    }

    /// The server as a router, for tests and for mounting elsewhere.
    pub fn router(self) -> Router {
        Router::new()
            .route("/livez", get(async || "ok\n"))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .route("/admin/config", get(config))
            .route("/admin/log-level", put(log_level))
            .route("/admin/drain", post(drain))
            .with_state(self.handles)
            .merge(self.routes)
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .layer(middleware::from_fn(same_origin))
    }

    /// Serves until the future is dropped. It has to answer while the service drains, so it does
    /// not end with the drain: drop it last.
    ///
    /// # Errors
    /// The listener is broken.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        axum::serve(listener, self.router()).await
    }
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    conditions: Vec<ConditionState>,
}

async fn readyz(State(handles): State<Handles>) -> Response {
    let mut conditions = handles.readiness.conditions();
    if handles.drain.is_draining() {
        conditions.push(ConditionState {
            name: "drain".to_owned(),
            ready: false,
            reason: Some("draining".to_owned()),
        });
    }
    let ready = conditions.iter().all(|condition| condition.ready);
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(Ready { ready, conditions })).into_response()
}

async fn metrics(State(handles): State<Handles>) -> Response {
    let render = tokio::task::spawn_blocking(move || handles.telemetry.render());
    match render.await {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "rendering the metrics failed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn config(State(handles): State<Handles>) -> Json<Value> {
    Json((handles.config)())
}

async fn log_level(State(handles): State<Handles>, level: String) -> Response {
    let level = level.trim();
    match handles.telemetry.set_level(level) {
        Ok(()) => {
            tracing::info!(filter = level, "log level changed");
            Json(json!({ "level": level })).into_response()
        }
        Err(error) => refusal(StatusCode::BAD_REQUEST, "bad_level", &error.to_string()),
    }
}

async fn drain(State(handles): State<Handles>) -> Response {
    tracing::info!("drain asked for by an admin request");
    handles.drain.begin();
    let held = handles.drain.held();
    (StatusCode::ACCEPTED, Json(json!({ "held": held }))).into_response()
}

async fn same_origin(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = headers.get(header::HOST).map(|host| host.as_bytes());
    let foreign = headers.get(header::ORIGIN).is_some_and(|origin| {
        let origin = origin.as_bytes();
        let authority = [&b"http://"[..], b"https://"]
            .iter()
            .find_map(|scheme| origin.strip_prefix(*scheme));
        authority.is_none() || authority != host
    });
    if foreign && !request.method().is_safe() {
        let message = "this request came from a page of another origin";
        return refusal(StatusCode::FORBIDDEN, "foreign_origin", message);
    }
    next.run(request).await
}

fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({ "error": { "code": code, "message": message } });
    (status, Json(body)).into_response()
}

#[cfg(test)]
mod tests;
