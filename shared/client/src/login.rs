//! Tokens over HTTP.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use protocol::id::PlayerId;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::address::Address;

/// Longest that a login may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Largest answer that is read.
const MAX_BODY: usize = 1024 * 1024;

/// Who one is logged in as.
#[derive(Debug, Clone, Deserialize)]
pub struct Login {
    /// The player.
    pub player: PlayerId,
    /// The name as others see it.
    pub name: String,
    /// The access token for the session.
    pub token: String,
    /// How long the token is good for, in milliseconds.
    pub expires_in_ms: u64,
}

/// Why an HTTP call failed.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No answer within the deadline.
    #[error("{0} gave no answer within {DEADLINE:?}")]
    Deadline(Address),
    /// No connection.
    #[error("cannot connect to {address}")]
    Connect {
        /// Where to.
        address: Address,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// HTTP failed.
    #[error("the call to {address} broke off")]
    Call {
        /// Where to.
        address: Address,
        /// Why.
        #[source]
        source: hyper::Error,
    },
    /// The answer is not what it should be.
    #[error("{address} answered {status}: {body}")]
    Refused {
        /// Where from.
        address: Address,
        /// The status.
        status: StatusCode,
        /// The body, at most 300 characters of it.
        body: String,
    },
}

/// Logs a guest in: the same `device` is the same player.
///
/// # Errors
/// [`HttpError`].
pub async fn guest(address: &Address, device: &str, name: &str) -> Result<Login, HttpError> {
    let body = json!({ "device": device, "name": name }).to_string();
    let (status, body) = call(address, Method::POST, "/v1/login/guest", body).await?;
    serde_json::from_slice(&body).map_err(|_| HttpError::Refused {
        address: address.clone(),
        status,
        body: String::from_utf8_lossy(&body).chars().take(300).collect(),
    })
}

/// One HTTP call on a connection of its own.
///
/// # Errors
/// [`HttpError`], but for no status.
pub async fn call(
    address: &Address,
    method: Method,
    path: &str,
    body: String,
) -> Result<(StatusCode, Bytes), HttpError> {
    timeout(DEADLINE, exchange(address, method, path, body))
        .await
        .map_err(|_| HttpError::Deadline(address.clone()))?
}

async fn exchange(
    address: &Address,
    method: Method,
    path: &str,
    body: String,
) -> Result<(StatusCode, Bytes), HttpError> {
    let failed = |source| HttpError::Call {
        address: address.clone(),
        source,
    };
    let stream = TcpStream::connect(address.authority())
        .await
        .map_err(|source| HttpError::Connect {
            address: address.clone(),
            source,
        })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, address.authority())
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .expect("a path of ours is a URI");
    let response = sender.send_request(request).await.map_err(failed)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
    Ok((status, body.map(|body| body.to_bytes()).unwrap_or_default()))
}
