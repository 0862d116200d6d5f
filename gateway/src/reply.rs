//! HTTP responses. An error is a JSON object that names what is wrong and what to do about it.

use axum::body::Body as AxumBody;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

/// The body of every response at the public port.
pub(crate) type Body = AxumBody;

pub(crate) fn empty() -> Body {
    Body::empty()
}

/// An error with a stable code and a text.
pub(crate) fn error(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    with_error(status, &json!({ "code": code, "message": message }))
}

/// The same, about one field of the request.
pub(crate) fn field_error(field: &str, message: &str) -> Response<Body> {
    let error = json!({ "code": "bad_field", "field": field, "message": message });
    with_error(StatusCode::BAD_REQUEST, &error)
}

/// The client is over a limit: when to come back.
pub(crate) fn rate_limited(retry_after_ms: u64, message: &str) -> Response<Body> {
    let status = StatusCode::TOO_MANY_REQUESTS;
    later(status, "rate_limited", retry_after_ms, message)
}

/// The node is: when to come back.
pub(crate) fn unavailable(retry_after_ms: u64, message: &str) -> Response<Body> {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    later(status, "unavailable", retry_after_ms, message)
}

fn later(status: StatusCode, code: &str, retry_after_ms: u64, message: &str) -> Response<Body> {
    let error = json!({ "code": code, "message": message, "retry_after_ms": retry_after_ms });
    let mut response = with_error(status, &error);
    let seconds = HeaderValue::from(retry_after_ms.div_ceil(1_000));
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

/// A JSON body. Answers are about one caller: nobody caches them.
pub(crate) fn json(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn with_error(status: StatusCode, error: &serde_json::Value) -> Response<Body> {
    json(status, &json!({ "error": error }))
}
