//! Leaderboards, and what is kept of a player: asked of a matcher, which has the database. The
//! gateway, which faces the internet, has no way to it.
//!
//! Who asks about oneself shows an access token, as `Authorization: Bearer …`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{ConnectInfo, Path, Query, State};
use http::header::AUTHORIZATION;
use http::{HeaderMap, Response, StatusCode};
use protocol::id::PlayerId;
use rpc::pb;
use rpc::pb::players_client::PlayersClient;
use rpc::token::{Access, TokenError};
use rpc::transport::MAX_RPC_MESSAGE;
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::accept::Peer;
use crate::edge::Edge;
use crate::login::parse;
use crate::reply::{self, Body};
use shown::{board, matches, own_match, rating_rows, seat_rows};

mod shown;

/// Longest that a matcher may take; it asks a database.
const PATIENCE: Duration = Duration::from_secs(3);

/// What clients are told to wait when nobody answers.
const RETRY_MS: u64 = 1_000;

/// Rows of a leaderboard, and matches of a history, unless asked for others, and at most.
const ROWS: (u32, u32) = (10, 100);

/// Neighbours on either side, likewise.
const SIDE: (u32, u32) = (2, 25);

/// Matches in one page of an export.
const EXPORTED: u32 = 500;

type Answer = Result<Response<Body>, Box<Response<Body>>>;

/// What a request may state.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {
    limit: Option<u32>,
    side: Option<u32>,
    from: String,
}

#[derive(Deserialize)]
struct Erase {
    /// The player's own id, which nobody sends by accident.
    player: PlayerId,
}

type Asked = Result<Query<Wanted>, QueryRejection>;

/// `GET /v1/leaderboard/{mode}`: the best of a mode.
pub(crate) async fn leaderboard(
    State(edge): State<Arc<Edge>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    Path(mode): Path<String>,
    asked: Asked,
) -> Response<Body> {
    either(async {
        admit(&edge, peer)?;
        let limit = bound(query(asked)?.limit, ROWS);
        let request = pb::AskLeaders { mode, limit };
        // All ask one matcher, which remembers the answer for a moment.
        let mut matcher = matcher(&edge, PlayerId(0))?;
        let rows = wait(matcher.leaders(request)).await?.rows;
        Ok(reply::json(
            StatusCode::OK,
            &json!({ "rows": board(&rows) }),
        ))
    })
    .await
}

/// `GET /v1/leaderboard/{mode}/me`: the player among neighbours.
pub(crate) async fn around(
    State(edge): State<Arc<Edge>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    Path(mode): Path<String>,
    headers: HeaderMap,
    asked: Asked,
) -> Response<Body> {
    either(async {
        let player = identify(&edge, peer, &headers)?;
        let side = bound(query(asked)?.side, SIDE);
        let request = pb::AskAround {
            mode,
            player: player.0,
            side,
        };
        let mut matcher = matcher(&edge, player)?;
        let rows = wait(matcher.around(request)).await?.rows;
        Ok(reply::json(
            StatusCode::OK,
            &json!({ "rows": board(&rows) }),
        ))
    })
    .await
}

/// `GET /v1/me`: the player's ratings.
pub(crate) async fn me(
    State(edge): State<Arc<Edge>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    headers: HeaderMap,
) -> Response<Body> {
    either(async {
        let player = identify(&edge, peer, &headers)?;
        let request = pb::AskProfile {
            player: player.0,
            with_seats: false,
        };
        let profile = wait(matcher(&edge, player)?.profile(request)).await?;
        let ratings = rating_rows(&profile.ratings);
        let body = json!({ "player": player, "ratings": ratings });
        Ok(reply::json(StatusCode::OK, &body))
    })
    .await
}

/// `GET /v1/me/matches`: what the player has played, newest first, in pages.
pub(crate) async fn history(
    State(edge): State<Arc<Edge>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    headers: HeaderMap,
    asked: Asked,
) -> Response<Body> {
    either(async {
        let player = identify(&edge, peer, &headers)?;
        let asked = query(asked)?;
        let request = pb::AskHistory {
            player: player.0,
            limit: bound(asked.limit, ROWS),
            from: asked.from,
        };
        let page = wait(matcher(&edge, player)?.history(request)).await?;
        let next = (!page.next.is_empty()).then_some(page.next);
        let body = json!({ "matches": matches(&page.matches), "next": next });
        Ok(reply::json(StatusCode::OK, &body))
    })
    .await
}

/// `GET /v1/me/export`: everything that is kept of the player; more matches than fit by `next`.
pub(crate) async fn export(
    State(edge): State<Arc<Edge>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    headers: HeaderMap,
    asked: Asked,
) -> Response<Body> {
    either(async {
        let player = identify(&edge, peer, &headers)?;
        let request = pb::AskHistory {
            player: player.0,
            limit: EXPORTED,
            from: query(asked)?.from,
        };
        let mut matcher = matcher(&edge, player)?;
        let asked = pb::AskProfile {
            player: player.0,
            with_seats: true,
        };
        let profile = wait(matcher.profile(asked)).await?;
        let page = wait(matcher.history(request)).await?;
        let next = (!page.next.is_empty()).then_some(page.next);
        let own: Vec<_> = page.matches.iter().map(own_match).collect();
        let known = profile.is_known.then(|| {
            json!({
                "name": profile.name,
                "first_seen_ms": profile.first_seen_ms,
                "last_seen_ms": profile.last_seen_ms,
            })
        });
        let body = json!({
            "player": player,
            "profile": known,
            "ratings": rating_rows(&profile.ratings),
            "seats": seat_rows(&profile.seats),
            "matches": own,
            "next": next,
        });
        Ok(reply::json(StatusCode::OK, &body))
    })
    .await
}

/// `POST /v1/me/erase`: the player is forgotten. The body names the player once more.
pub(crate) async fn erase(
    State(edge): State<Arc<Edge>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response<Body> {
    either(async {
        let player = identify(&edge, peer, &headers)?;
        if parse::<Erase>(body)?.player != player {
            let text = "this is not your id; repeat the one that the login gave, to confirm";
            return Err(Box::new(reply::field_error("player", text)));
        }
        let request = pb::ForgetPlayer { player: player.0 };
        wait(matcher(&edge, player)?.forget(request)).await?;
        tracing::info!(%player, "a player had everything erased");
        Ok(reply::json(StatusCode::OK, &json!({ "erased": player })))
    })
    .await
}

async fn either(answer: impl Future<Output = Answer>) -> Response<Body> {
    answer.await.unwrap_or_else(|refused| *refused)
}

fn admit(edge: &Edge, peer: std::net::IpAddr) -> Result<(), Box<Response<Body>>> {
    edge.count_request(peer).map_err(|retry| {
        let text = "too many requests from this address";
        Box::new(reply::rate_limited(retry.millis(), text))
    })
}

/// Who asks, by a token that is checked before anybody is asked anything. One that is no good
/// counts as a login that failed.
fn identify(
    edge: &Edge,
    peer: std::net::IpAddr,
    headers: &HeaderMap,
) -> Result<PlayerId, Box<Response<Body>>> {
    admit(edge, peer)?;
    let bearer = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = bearer.and_then(|value| value.strip_prefix("Bearer "));
    let error = match token.map(|token| edge.signer.check::<Access>(token)) {
        Some(Ok(access)) => return Ok(access.identity.player),
        Some(Err(TokenError::Expired)) => ("token_expired", "the token has expired: log in again"),
        _ => (
            "token_invalid",
            "send the token that a login gave as `Authorization: Bearer …`",
        ),
    };
    Err(Box::new(match edge.count_login(peer) {
        Ok(()) => reply::error(StatusCode::UNAUTHORIZED, error.0, error.1),
        Err(retry) => {
            reply::rate_limited(retry.millis(), "too many failed logins from this address")
        }
    }))
}

/// The matcher that has the player.
fn matcher(edge: &Edge, player: PlayerId) -> Result<PlayersClient<Channel>, Box<Response<Body>>> {
    let channel = edge.upstream.matcher_of(player).ok_or_else(|| {
        let text = "no matcher is in reach";
        Box::new(reply::unavailable(RETRY_MS, text))
    })?;
    Ok(PlayersClient::new(channel).max_decoding_message_size(MAX_RPC_MESSAGE))
}

async fn wait<T>(
    answer: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Box<Response<Body>>> {
    let status = match timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => return Ok(answer.into_inner()),
        Ok(Err(status)) => status,
        Err(_) => Status::deadline_exceeded("no answer"),
    };
    Err(Box::new(match status.code() {
        Code::NotFound => {
            let text = "there is no such mode";
            reply::error(StatusCode::NOT_FOUND, "unknown_mode", text)
        }
        Code::InvalidArgument => reply::field_error("from", status.message()),
        Code::FailedPrecondition | Code::Unimplemented => {
            let text = "ratings and histories are not kept here";
            reply::error(StatusCode::NOT_IMPLEMENTED, "not_kept", text)
        }
        _ => reply::unavailable(RETRY_MS, "the database does not answer"),
    }))
}

fn query(asked: Asked) -> Result<Wanted, Box<Response<Body>>> {
    let bad = |rejection: QueryRejection| {
        let text = format!("the query cannot be read: {}", rejection.body_text());
        Box::new(reply::error(StatusCode::BAD_REQUEST, "bad_query", &text))
    };
    asked.map(|Query(wanted)| wanted).map_err(bad)
}

fn bound(asked: Option<u32>, (usual, most): (u32, u32)) -> u32 {
    asked.unwrap_or(usual).clamp(1, most)
}
