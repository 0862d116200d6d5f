use axum::body::{Body, to_bytes};
use axum::http::Method;
use tower::ServiceExt;

use super::*;
use crate::telemetry;

struct Server {
    readiness: Readiness,
    drain: Drain,
    router: Router,
}

fn server() -> Server {
    let (readiness, drain) = (Readiness::new(), Drain::new());
    let telemetry = telemetry::installed_or_quiet().expect("telemetry");
    let router = Admin::new(readiness.clone(), telemetry, drain.clone())
        .config(|| json!({ "key": "***" }))
        .routes(Router::new().route("/debug/own", get(async || "own")))
        .router();
    Server {
        readiness,
        drain,
        router,
    }
}

impl Server {
    async fn ask(&self, request: Request) -> (StatusCode, String) {
        let answered = self.router.clone().oneshot(request).await;
        let response = answered.expect("infallible");
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.expect("body");
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    async fn fetch(&self, path: &str) -> (StatusCode, String) {
        self.ask(request(Method::GET, path, "")).await
    }
}

fn request(method: Method, path: &str, body: &'static str) -> Request {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "127.0.0.1:9100")
        .body(Body::from(body))
        .expect("request")
}

#[tokio::test]
async fn readyz_is_503_until_every_condition_holds_and_again_while_draining() {
    let server = server();
    let matcher = server.readiness.condition("matcher");
    let (status, body) = server.fetch("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        body.contains("\"matcher\"") && body.contains("starting"),
        "{body}"
    );

    matcher.ready();
    assert_eq!(server.fetch("/readyz").await.0, StatusCode::OK);

    server.drain.begin();
    let (status, body) = server.fetch("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("draining"), "{body}");
    assert_eq!(
        server.fetch("/livez").await.0,
        StatusCode::OK,
        "still alive"
    );
}

#[tokio::test]
async fn metrics_config_and_the_services_own_routes_are_served() {
    let server = server();
    assert!(
        server
            .fetch("/metrics")
            .await
            .1
            .contains("process_start_time_seconds")
    );
    assert_eq!(server.fetch("/admin/config").await.1, "{\"key\":\"***\"}");
    assert_eq!(server.fetch("/debug/own").await.1, "own");
}

#[tokio::test]
async fn a_drain_can_be_asked_for() {
    let server = server();
    let (status, _) = server.ask(request(Method::POST, "/admin/drain", "")).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert!(server.drain.is_draining());
}

#[tokio::test]
async fn a_bad_log_level_is_refused_with_the_reason() {
    let server = server();
    let path = "/admin/log-level";
    let (status, body) = server.ask(request(Method::PUT, path, "chassis=loud")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body.contains("bad_level"), "{body}");
    let (status, _) = server.ask(request(Method::PUT, path, "warn\n")).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_page_of_another_origin_can_change_nothing() {
    let server = server();
    for origin in ["http://evil.example", "null"] {
        let mut foreign = request(Method::POST, "/admin/drain", "");
        let value = origin.parse().expect("header");
        foreign.headers_mut().insert(header::ORIGIN, value);
        assert_eq!(server.ask(foreign).await.0, StatusCode::FORBIDDEN);
    }
    assert!(!server.drain.is_draining());

    let mut own = request(Method::POST, "/admin/drain", "");
    let value = "http://127.0.0.1:9100".parse().expect("header");
    own.headers_mut().insert(header::ORIGIN, value);
    assert_eq!(server.ask(own).await.0, StatusCode::ACCEPTED);
}
