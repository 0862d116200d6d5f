//! Connections that do not become sessions, and too many of them.

use std::time::Duration;

use tokio::time::timeout;

use crate::it::player::Player;
use crate::it::raw::{DEADLINE, Raw};
use crate::it::rig::Rig;
use crate::it::web::{self, handshake, post};

async fn hasty() -> Rig {
    Rig::with(|config| config.loopback_limits.handshake = Duration::from_millis(700)).await
}

#[tokio::test]
async fn a_thousand_connects_that_never_speak_are_let_go_and_stop_nobody() {
    let rig = hasty().await;
    let mut mute = Vec::new();
    for _ in 0..1_000 {
        mute.push(Raw::dial(rig.public).await);
    }
    Player::join(&rig, "Ada").await.expect_well(&rig).await;
    for raw in &mut mute {
        raw.drain().await;
    }
}

#[tokio::test]
async fn hundreds_of_sockets_that_never_say_hello_are_closed_and_stop_nobody() {
    let rig = hasty().await;
    let mut mute = Vec::new();
    for _ in 0..300 {
        mute.push(rig.socket().await);
    }
    Player::join(&rig, "Ada").await.expect_well(&rig).await;
    for raw in &mut mute {
        assert_eq!(raw.expect_close(4002).await, "hello_timeout");
    }
}

/// Sends a byte now and then, until the server has had enough. Gives what it said.
async fn trickle(raw: &mut Raw, bytes: &[u8]) -> String {
    for byte in bytes.iter().cycle() {
        let ended = timeout(Duration::from_millis(20), raw.stream.readable()).await;
        if ended.is_ok() || !raw.push(&[*byte]).await {
            break;
        }
    }
    let mut said = vec![0; 1024];
    let len = raw.stream.try_read(&mut said).unwrap_or(0);
    String::from_utf8_lossy(&said[..len]).into_owned()
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_has_a_deadline_as_a_whole() {
    let rig = hasty().await;
    let mut raw = Raw::dial(rig.public).await;
    raw.send_bytes(b"GET /v1/ws HTTP/1.1\r\n").await;
    let trickled = timeout(DEADLINE, trickle(&mut raw, b"X-Slow: 1\r\n"));
    trickled.await.expect("the server ends it");
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_has_a_deadline_as_a_whole() {
    let rig = hasty().await;
    let mut raw = Raw::dial(rig.public).await;
    let request = post("/v1/login/guest", "", &" ".repeat(4_000));
    raw.send_bytes(request.trim_end().as_bytes()).await;
    raw.send_bytes(b"\r\n\r\n").await;
    let said = timeout(DEADLINE, trickle(&mut raw, b" "))
        .await
        .expect("the server ends it");
    assert!(said.starts_with("HTTP/1.1 408"), "{said}");
    assert!(said.contains("\"timeout\""), "{said}");
}

#[tokio::test]
async fn a_head_of_any_size_is_refused() {
    let rig = Rig::start().await;
    let long = "x".repeat(20_000);
    let many: String = (0..200).map(|at| format!("X-{at}: 1\r\n")).collect();
    for request in [
        handshake("/v1/ws", &[("X-Long", &long)]),
        handshake(&format!("/{long}"), &[]),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"),
    ] {
        let mut raw = Raw::dial(rig.public).await;
        let _ = raw.push(request.as_bytes()).await;
        let status = raw.response().await.status;
        assert!([414, 431].contains(&status), "{status}");
    }
    Player::join(&rig, "Ada").await.expect_well(&rig).await;
}

#[tokio::test]
async fn an_address_with_too_many_connections_is_told_so_and_its_neighbour_is_not() {
    let rig = Rig::with(|config| config.loopback_limits.connections_per_address = 5).await;
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(rig.socket().await);
    }
    let response = web::ask(rig.public, &handshake("/v1/ws", &[])).await;
    assert_eq!(response.refusal(), (429, "rate_limited".to_owned()));
    assert!(response.error()["retry_after_ms"].as_u64().unwrap() > 0);
    assert_eq!(response.header("retry-after"), Some("1"));
    let mut neighbour = Raw::dial_from("127.0.0.2", rig.public).await;
    neighbour.upgrade("/v1/ws").await;
    drop(held.pop());
    let freed = timeout(DEADLINE, async {
        while web::ask(rig.public, &handshake("/v1/ws", &[])).await.status != 101 {}
    });
    freed.await.expect("the place is free again");
}

#[tokio::test]
async fn a_full_node_sends_clients_elsewhere() {
    let rig = Rig::with(|config| config.loopback_limits.connections = 3).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(rig.socket().await);
    }
    let response = web::ask(rig.public, &handshake("/v1/ws", &[])).await;
    assert_eq!(response.refusal(), (503, "unavailable".to_owned()));
    assert!(response.header("retry-after").is_some());
    // Probes come in by the other door.
    assert_eq!(web::get(rig.private, "/livez").await.status, 200);
}
