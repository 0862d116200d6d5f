//! The WebSocket handshake of RFC 6455, section 4.2.

use http::header::{
    ALLOW, CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::reply::{self, Body};

/// The response to send instead of switching protocols.
type Refusal = Box<Response<Body>>;

/// A handshake that can be accepted.
#[derive(Debug)]
pub(crate) struct Handshake {
    accept: HeaderValue,
    protocol: Option<HeaderValue>,
}

impl Handshake {
    /// Checks a request. `subprotocol` is the one that this path speaks. A client that offers
    /// another version of it only is let in, to be told so by what answers its `hello`: a browser
    /// shows a page nothing of a handshake that is refused. One that offers others is refused.
    ///
    /// # Errors
    /// The response to send instead.
    pub(crate) fn check<B>(
        request: &Request<B>,
        subprotocol: Option<&'static str>,
    ) -> Result<Self, Refusal> {
        let headers = request.headers();
        check_request(request)?;
        check_version(headers)?;
        check_http(headers)?;
        let key = nonce(headers)?;
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
            headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        response
    }
}

fn check_request<B>(request: &Request<B>) -> Result<(), Refusal> {
    if request.method() != Method::GET {
        let text = "a WebSocket begins with GET";
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let get = HeaderValue::from_static("GET");
        return refuse(status, "method_not_allowed", text, Some((ALLOW, get)));
    }
    let headers = request.headers();
    if request.version() < Version::HTTP_11
        || !has_token(headers, &CONNECTION, "upgrade")
        || !has_token(headers, &UPGRADE, "websocket")
    {
        let text = "this address speaks WebSocket: connect to it with a WebSocket client";
        let status = StatusCode::UPGRADE_REQUIRED;
        let websocket = HeaderValue::from_static("websocket");
        return refuse(status, "upgrade_required", text, Some((UPGRADE, websocket)));
    }
    Ok(())
}

fn check_version(headers: &HeaderMap) -> Result<(), Refusal> {
    let version = headers.get(SEC_WEBSOCKET_VERSION);
    if version.is_some_and(|version| version == "13") {
        return Ok(());
    }
    let text = "Sec-WebSocket-Version must be 13";
    let ours = (SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    refuse(
        StatusCode::UPGRADE_REQUIRED,
        "bad_version",
        text,
        Some(ours),
    )
}

fn check_http(headers: &HeaderMap) -> Result<(), Refusal> {
    if !headers.contains_key(HOST) {
        let text = "a request needs a Host header";
        return refuse(StatusCode::BAD_REQUEST, "bad_host", text, None);
    }
    // The bytes of a body would be taken for frames, or the frames for it.
    let length = headers.get(CONTENT_LENGTH);
    if headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|length| length != "0") {
        let text = "a WebSocket handshake has no body";
        return refuse(StatusCode::BAD_REQUEST, "bad_body", text, None);
    }
    Ok(())
}

fn nonce(headers: &HeaderMap) -> Result<&HeaderValue, Refusal> {
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    match (keys.next(), keys.next()) {
        (Some(key), None) if is_nonce(key.as_bytes()) => Ok(key),
        _ => {
            let text = "Sec-WebSocket-Key must be there once, 16 bytes in base64";
            refuse(StatusCode::BAD_REQUEST, "bad_key", text, None)
        }
    }
}

fn choose(headers: &HeaderMap, ours: Option<&'static str>) -> Result<Option<HeaderValue>, Refusal> {
    let Some(ours) = ours else { return Ok(None) };
    if !headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
        return Ok(None);
    }
    // To the letter: a client fails a connection whose protocol it did not offer.
    let offered = || tokens(headers, &SEC_WEBSOCKET_PROTOCOL);
    let chosen = offered()
        .find(|offered| *offered == ours)
        .or_else(|| offered().find(|offered| is_version_of(offered, ours)));
    if let Some(chosen) = chosen {
        return Ok(HeaderValue::from_str(chosen).ok());
    }
    let text = format!("this server speaks the subprotocol {ours}; offer it, or none");
    refuse(StatusCode::BAD_REQUEST, "bad_protocol", &text, None)
}

/// Whether two subprotocols differ in their version alone.
fn is_version_of(offered: &str, ours: &str) -> bool {
    let name = |protocol: &str| {
        let (name, version) = protocol.rsplit_once(".v")?;
        let is_number = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| name.to_owned())
    };
    name(offered).is_some_and(|offered| name(ours) == Some(offered))
}

fn refuse<T>(
    status: StatusCode,
    code: &str,
    text: &str,
    header: Option<(HeaderName, HeaderValue)>,
) -> Result<T, Refusal> {
    let mut response = reply::error(status, code, text);
    response.headers_mut().extend(header);
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
