//! The game page and the client library, served out of the binary.

use axum::extract::Path;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::reply::{self, Body};

/// Scripts and styles come from here and nowhere else; sockets may go to any gateway.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(RustEmbed)]
#[folder = "../web/"]
#[exclude = "tests/*"]
#[exclude = "*.md"]
#[exclude = "*.json"]
#[exclude = "node_modules/*"]
struct Assets;

/// `/`
pub(crate) async fn index(headers: HeaderMap) -> Response<Body> {
    serve("index.html", &headers)
}

/// Anything else that the page needs.
pub(crate) async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response<Body> {
    serve(&path, &headers)
}

fn serve(path: &str, request: &HeaderMap) -> Response<Body> {
    let Some(file) = Assets::get(path) else {
        let text = "there is no such page; the game is at /";
        return reply::error(StatusCode::NOT_FOUND, "not_found", text);
    };
    let tag = entity_tag(&file);
    let unchanged = request.get(IF_NONE_MATCH).is_some_and(|known| known == tag);
    let mut response = Response::new(if unchanged {
        reply::empty()
    } else {
        Body::from(file.data.into_owned())
    });
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
    headers.insert(ETAG, tag);
    // Asked again each time, and answered by 304: a new release is seen at once.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(
        "x-content-type-options",
        HeaderValue::from_static("nosniff"),
    );
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    response
}

fn entity_tag(file: &EmbeddedFile) -> HeaderValue {
    let hash = file.metadata.sha256_hash();
    let digits: String = hash[..12]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    HeaderValue::try_from(format!("\"{digits}\"")).expect("hexadecimal is a header value")
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}
