//! The WebSocket handshake of RFC 6455, section 4.2.

use http::header::{
    ALLOW, CONNECTION, HOST, HeaderMap, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::reply::{self, Body};

/// A handshake that can be accepted.
#[derive(Debug)]
pub(crate) struct Handshake {
    accept: HeaderValue,
    protocol: Option<&'static str>,
}

impl Handshake {
    /// Checks a request. `subprotocol` is the one that this path speaks; a client that offers
    /// others only is refused.
    ///
    /// # Errors
    /// The response to send instead.
    pub(crate) fn check<B>(
        request: &Request<B>,
        subprotocol: Option<&'static str>,
    ) -> Result<Self, Box<Response<Body>>> {
        let headers = request.headers();
        if request.method() != Method::GET {
            let text = "a WebSocket begins with GET";
            let status = StatusCode::METHOD_NOT_ALLOWED;
            let mut response = reply::error(status, "method_not_allowed", text);
            let get = HeaderValue::from_static("GET");
            response.headers_mut().insert(ALLOW, get);
            return Err(Box::new(response));
        }
        if request.version() < Version::HTTP_11
            || !has_token(headers, &CONNECTION, "upgrade")
            || !has_token(headers, &UPGRADE, "websocket")
        {
            let text = "this address speaks WebSocket: connect to it with a WebSocket client";
            let mut response = reply::error(StatusCode::UPGRADE_REQUIRED, "upgrade_required", text);
            response
                .headers_mut()
                .insert(UPGRADE, HeaderValue::from_static("websocket"));
            return Err(Box::new(response));
        }
        if headers
            .get(SEC_WEBSOCKET_VERSION)
            .is_none_or(|version| version != "13")
        {
            let text = "Sec-WebSocket-Version must be 13";
            let mut response = reply::error(StatusCode::UPGRADE_REQUIRED, "bad_version", text);
            response
                .headers_mut()
                .insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            return Err(Box::new(response));
        }
        if !headers.contains_key(HOST) {
            let text = "a request needs a Host header";
            return Err(Box::new(reply::error(
                StatusCode::BAD_REQUEST,
                "bad_host",
                text,
            )));
        }
        let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
        let key = match (keys.next(), keys.next()) {
            (Some(key), None) if is_nonce(key.as_bytes()) => key,
            _ => {
                let text = "Sec-WebSocket-Key must be there once, 16 bytes in base64";
                return Err(Box::new(reply::error(
                    StatusCode::BAD_REQUEST,
                    "bad_key",
                    text,
                )));
            }
        };
        let protocol = choose(headers, subprotocol)?;
        let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()))
            .expect("base64 is a header value");
        Ok(Self { accept, protocol })
    }

    /// The response that switches protocols.
    pub(crate) fn response(self) -> Response<Body> {
        let mut response = Response::new(reply::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept);
        if let Some(protocol) = self.protocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        }
        response
    }
}

fn choose(
    headers: &HeaderMap,
    ours: Option<&'static str>,
) -> Result<Option<&'static str>, Box<Response<Body>>> {
    let Some(ours) = ours else { return Ok(None) };
    if !headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
        return Ok(None);
    }
    // To the letter: a client fails a connection whose protocol it did not offer.
    if tokens(headers, &SEC_WEBSOCKET_PROTOCOL).any(|offered| offered == ours) {
        return Ok(Some(ours));
    }
    let text = format!("this server speaks the subprotocol {ours}; offer it, or none");
    let response = reply::error(StatusCode::BAD_REQUEST, "bad_protocol", &text);
    Err(Box::new(response))
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|part| part.eq_ignore_ascii_case(token))
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// Whether a key looks like 16 bytes in base64: 22 characters and two of padding.
fn is_nonce(key: &[u8]) -> bool {
    key.len() == 24
        && key.ends_with(b"==")
        && key[..22]
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(byte))
}
