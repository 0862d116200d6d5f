//! Login over HTTP: a token for `hello`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, State};
use hmac::{Hmac, KeyInit, Mac};
use http::header::AUTHORIZATION;
use http::{HeaderMap, Response, StatusCode};
use protocol::id::PlayerId;
use rpc::token::{Access, Identity};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::accept::Peer;
use crate::config::ApiKey;
use crate::edge::Edge;
use crate::reply::{self, Body};

/// What a player is rated at before anything is known.
const FIRST_RATING: i32 = 1500;

/// Ratings that an API login may state.
const RATINGS: std::ops::RangeInclusive<i32> = 0..=10_000;

/// Most characters of an error that quotes the client's own text.
const ECHOED: usize = 200;

#[derive(Deserialize)]
struct GuestLogin {
    device: String,
    name: String,
}

#[derive(Deserialize)]
struct ApiLogin {
    player: String,
    name: String,
    #[serde(default)]
    rating: Option<i32>,
}

/// `POST /v1/login/guest`: the same device is the same player.
pub(crate) async fn guest(
    State(edge): State<Arc<Edge>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    body: Result<Bytes, BytesRejection>,
) -> Response<Body> {
    if let Err(retry) = edge.count_login(peer) {
        return reply::rate_limited(retry.millis(), "too many logins from this address");
    }
    let login = match parse::<GuestLogin>(body) {
        Ok(login) => login,
        Err(response) => return *response,
    };
    if !(8..=128).contains(&login.device.chars().count()) {
        return reply::field_error("device", "a device id has 8 to 128 characters");
    }
    answer(&edge, "guest", &login.device, &login.name, FIRST_RATING)
}

/// `POST /v1/login/api`: a studio's backend logs a player of its own in.
pub(crate) async fn api(
    State(edge): State<Arc<Edge>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response<Body> {
    let config = edge.config.load_full();
    let Some(key) = known_key(&headers, &config.api_keys) else {
        if let Err(retry) = edge.count_login(peer) {
            return reply::rate_limited(retry.millis(), "too many failed logins from this address");
        }
        tracing::warn!(%peer, "login with an unknown API key");
        let text = "send a known API key as `Authorization: Bearer …`";
        return reply::error(StatusCode::UNAUTHORIZED, "unauthorized", text);
    };
    let login = match parse::<ApiLogin>(body) {
        Ok(login) => login,
        Err(response) => return *response,
    };
    if !(1..=128).contains(&login.player.chars().count()) {
        return reply::field_error("player", "a player id has 1 to 128 characters");
    }
    let rating = login.rating.unwrap_or(FIRST_RATING);
    if !RATINGS.contains(&rating) {
        return reply::field_error("rating", "a rating is from 0 to 10000");
    }
    tracing::debug!(key = key.id, "API login");
    answer(&edge, "api", &login.player, &login.name, rating)
}

fn answer(edge: &Edge, issuer: &str, external: &str, name: &str, rating: i32) -> Response<Body> {
    let name = match clean_name(name) {
        Ok(name) => name,
        Err(message) => return reply::field_error("name", message),
    };
    let player = edge.player_id(issuer, external);
    let lifetime = edge.config.load().tokens.access;
    let identity = Identity {
        player,
        name: name.clone(),
        bot: false,
        rating,
    };
    let token = edge.signer.sign(Access { identity }, lifetime);
    let expires_in_ms = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
    let body =
        json!({ "player": player, "name": name, "token": token, "expires_in_ms": expires_in_ms });
    reply::json(StatusCode::OK, &body)
}

/// A name as others will see it: 1 to 24 characters, no control characters, no outer spaces.
fn clean_name(name: &str) -> Result<String, &'static str> {
    let name = name.trim();
    if !(1..=24).contains(&name.chars().count()) {
        return Err("a name has 1 to 24 characters");
    }
    if name
        .chars()
        .any(|character| character.is_control() || is_invisible(character))
    {
        return Err("a name has no control or invisible characters");
    }
    Ok(name.to_owned())
}

/// Characters that reorder or hide text: names are shown to others.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

pub(crate) fn parse<T: DeserializeOwned>(
    body: Result<Bytes, BytesRejection>,
) -> Result<T, Box<Response<Body>>> {
    let bad = |status, code, text: &str| Err(Box::new(reply::error(status, code, text)));
    let body = match body {
        Ok(body) => body,
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let text = "the body is larger than it can be";
            return bad(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", text);
        }
        Err(_) => return bad(StatusCode::BAD_REQUEST, "bad_body", "the body broke off"),
    };
    // A struct would also be read from an array.
    if !body.trim_ascii_start().starts_with(b"{") {
        let text = "the body must be a JSON object";
        return bad(StatusCode::BAD_REQUEST, "bad_body", text);
    }
    let mut deserializer = serde_json::Deserializer::from_slice(&body);
    let parsed = serde_path_to_error::deserialize(&mut deserializer);
    parsed.map_err(|error| Box::new(unreadable(&error)))
}

/// Names the field at fault, if it is one, rather than the place in the text.
fn unreadable(error: &serde_path_to_error::Error<serde_json::Error>) -> Response<Body> {
    let (path, inner) = (error.path().to_string(), error.inner());
    let text: String = inner.to_string().chars().take(ECHOED).collect();
    let missing = text.strip_prefix("missing field `");
    let field = missing.and_then(|rest| rest.split('`').next());
    match field {
        Some(field) => reply::field_error(field, &text),
        None if inner.is_data() && path != "." => reply::field_error(&path, &text),
        None => reply::error(StatusCode::BAD_REQUEST, "bad_body", &text),
    }
}

/// Compares hashes, in constant time, against every key: neither content nor place of a match
/// shows in the time it takes.
fn known_key<'a>(headers: &HeaderMap, keys: &'a [ApiKey]) -> Option<&'a ApiKey> {
    let given = headers
        .get(AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")?;
    let digest = Sha256::digest(given.as_bytes());
    let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut found = None;
    for key in keys {
        let stored = key.sha256.to_ascii_lowercase();
        if bool::from(stored.as_bytes().ct_eq(hash.as_bytes())) {
            found = Some(key);
        }
    }
    found
}

impl Edge {
    /// The player that an issuer's id stands for: the same on every gateway that shares the
    /// signing key, without a table.
    fn player_id(&self, issuer: &str, external: &str) -> PlayerId {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.id_key).expect("any length is a key");
        mac.update(issuer.as_bytes());
        mac.update(&[0]);
        mac.update(external.as_bytes());
        let digest = mac.finalize().into_bytes();
        let mut id = [0; 8];
        id.copy_from_slice(&digest[..8]);
        PlayerId(u64::from_be_bytes(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mislead_are_refused() {
        assert_eq!(clean_name("  Ada "), Ok("Ada".to_owned()));
        assert!(clean_name("Ждун 🏎").is_ok());
        for bad in ["", "   ", "a\nb", "a\u{202e}b", &"x".repeat(25)] {
            assert!(clean_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn keys_are_found_by_hash() {
        let key = ApiKey {
            id: "studio".to_owned(),
            // SHA-256 of "secret"
            sha256: "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b".to_owned(),
        };
        let keys = [key];
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            known_key(&headers, &keys).is_some()
        };
        assert!(with("Bearer secret"));
        assert!(!with("Bearer Secret"));
        assert!(!with("secret"));
        assert!(known_key(&HeaderMap::new(), &keys).is_none());
    }
}
