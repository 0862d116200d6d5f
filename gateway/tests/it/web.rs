//! Plain HTTP, by hand.

use std::net::SocketAddr;

use serde_json::Value;

use super::raw::Raw;

/// The example of RFC 6455, section 1.3, and what the server has to make of it.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What the server answered.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// The request that opens a WebSocket. A header in `changes` takes the place of the usual one;
/// an empty value leaves it out.
pub(crate) fn handshake(path: &str, changes: &[(&str, &str)]) -> String {
    let usual = [
        ("Host", "localhost"),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", KEY),
    ];
    let is_changed = |name: &str| changes.iter().any(|(changed, _)| *changed == name);
    let kept = usual.iter().filter(|(name, _)| !is_changed(name));
    let added = changes.iter().filter(|(_, value)| !value.is_empty());
    let lines: String = kept
        .chain(added)
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    format!("GET {path} HTTP/1.1\r\n{lines}\r\n")
}

/// A POST with a body.
pub(crate) fn post(path: &str, headers: &str, body: &str) -> String {
    let len = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len}\r\n{headers}\r\n{body}"
    )
}

/// Sends one request on a connection of its own.
pub(crate) async fn ask(address: SocketAddr, request: &str) -> Response {
    let mut raw = Raw::dial(address).await;
    raw.send_bytes(request.as_bytes()).await;
    raw.response().await
}

/// `GET path`.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Response {
    ask(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    )
    .await
}

impl Response {
    /// A response at the start of `bytes` and its length, if it is all there.
    pub(crate) fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let head_len = bytes.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(bytes[..head_len].to_vec()).expect("a head in UTF-8");
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().expect("a status");
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        let mut response = Self {
            status,
            headers,
            body: String::new(),
        };
        let len: usize = match response.header("content-length") {
            Some(len) => len.parse().expect("a length"),
            None => 0,
        };
        let body = bytes.get(head_len..head_len + len)?;
        response.body = String::from_utf8_lossy(body).into_owned();
        Some((response, head_len + len))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(header, _)| header == name)?;
        Some(&found.1)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?} is no JSON"))
    }

    /// The error in the body. Each has a code and says something to people.
    pub(crate) fn error(&self) -> Value {
        let error = self.json()["error"].clone();
        assert!(error["code"].is_string(), "{self:?}");
        assert!(
            error["message"].as_str().is_some_and(|text| text.len() > 8),
            "{self:?}"
        );
        error
    }

    /// The status, and the error's code.
    pub(crate) fn refusal(&self) -> (u16, String) {
        (
            self.status,
            self.error()["code"].as_str().unwrap().to_owned(),
        )
    }
}
