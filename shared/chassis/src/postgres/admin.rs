//! The pool at the private port.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /admin/postgres` | [`Status`](super::Status) as JSON |
//! | `PUT /admin/postgres` | changes what the body names, `{"max": 20}`; until settings are reloaded |

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::automatic::Automatic;
use super::config::PoolConfig;
use super::pool::Pool;

/// The routes of one pool.
pub fn routes(pool: Pool) -> Router {
    Router::new()
        .route("/admin/postgres", get(show).put(change))
        .with_state(pool)
}

async fn show(State(pool): State<Pool>) -> Response {
    Json(pool.status()).into_response()
}

async fn change(State(pool): State<Pool>, body: String) -> Response {
    let changed = changed(pool.status().pool, &body);
    let outcome = changed.and_then(|limits| pool.limit(limits).map_err(|error| error.to_string()));
    match outcome {
        Ok(()) => {
            tracing::info!("the pool was changed by an admin request");
            Json(pool.status()).into_response()
        }
        Err(problem) => {
            let answer = json!({ "error": "bad_pool", "message": problem });
            (StatusCode::BAD_REQUEST, Json(answer)).into_response()
        }
    }
}

/// `limits` with what `body` names.
fn changed(limits: PoolConfig, body: &str) -> Result<PoolConfig, String> {
    let changes: Map<String, Value> = serde_json::from_str(body)
        .map_err(|error| format!("the body is not an object like {{\"max\": 20}}: {error}"))?;
    let known = PoolConfig {
        automatic: Some(Automatic::default()),
        ..PoolConfig::default()
    };
    let known = serde_json::to_value(known).unwrap_or_default();
    let mut all = serde_json::to_value(limits).unwrap_or_default();
    for (key, value) in changes {
        if known.get(&key).is_none() {
            let names: Vec<_> = known.as_object().into_iter().flat_map(Map::keys).collect();
            return Err(format!(
                "{key} is no setting of the pool: they are {names:?}"
            ));
        }
        all[&key] = value;
    }
    let mut track = serde_path_to_error::Track::new();
    PoolConfig::deserialize(serde_path_to_error::Deserializer::new(all, &mut track))
        .map_err(|error| format!("{}: {error}", track.path()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_named_changes_and_nothing_else() {
        let before = PoolConfig::default();
        let after = changed(before, r#"{"max": 3, "acquire": "1s"}"#);
        let wanted = PoolConfig {
            max: 3,
            acquire: Duration::from_secs(1),
            ..before
        };
        assert_eq!(after, Ok(wanted));
        let on = changed(before, r#"{"automatic": {"max": 30}}"#).expect("good");
        let off = changed(on, r#"{"automatic": null}"#);
        assert_eq!(off, Ok(before));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, name) in [
            (r#"{"maximum": 3}"#, "maximum"),
            (r#"{"max": "many"}"#, "max"),
            (r#"{"acquire": 3}"#, "acquire"),
            ("3", "object"),
        ] {
            let refused = changed(PoolConfig::default(), body).expect_err("refused");
            assert!(refused.contains(name), "{refused}");
        }
    }
}
