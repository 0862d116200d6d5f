//! Section 4.2: the opening handshake.

use crate::it::raw::{Frame, Raw, TEXT};
use crate::it::rig::Rig;
use crate::it::web::{self, ACCEPT, KEY, Response, handshake};

async fn try_with(rig: &Rig, changes: &[(&str, &str)]) -> Response {
    web::ask(rig.private, &handshake("/debug/echo", changes)).await
}

#[tokio::test]
async fn the_example_of_the_rfc_is_answered_as_the_rfc_says() {
    let rig = Rig::start().await;
    let response = try_with(&rig, &[]).await;
    assert_eq!(response.status, 101);
    assert_eq!(response.header("sec-websocket-accept"), Some(ACCEPT));
    assert_eq!(response.header("sec-websocket-protocol"), None);
    assert_eq!(response.header("sec-websocket-extensions"), None);
    for (name, token) in [("connection", "upgrade"), ("upgrade", "websocket")] {
        assert!(response.header(name).unwrap().eq_ignore_ascii_case(token));
    }
}

#[tokio::test]
async fn header_names_and_tokens_have_no_case_and_may_stand_in_lists() {
    let rig = Rig::start().await;
    let good: [&[(&str, &str)]; 4] = [
        &[
            ("Connection", "keep-alive, UPGRADE"),
            ("Upgrade", "WebSocket"),
        ],
        &[("Upgrade", "h2c, websocket")],
        &[(
            "Sec-WebSocket-Extensions",
            "permessage-deflate; client_max_window_bits",
        )],
        &[
            ("Connection", ""),
            ("cONNECTION", "Upgrade"),
            ("Sec-WebSocket-Key", ""),
            ("SEC-WEBSOCKET-KEY", KEY),
        ],
    ];
    for changes in good {
        assert_eq!(try_with(&rig, changes).await.status, 101, "{changes:?}");
    }
}

#[tokio::test]
async fn a_key_that_is_no_nonce_is_refused() {
    let rig = Rig::start().await;
    for key in [
        "",
        "short",
        "dGhlIHNhbXBsZSBub25jZSA=",
        "dGhlIHNhbXBsZSBub25j!Q==",
    ] {
        let response = try_with(&rig, &[("Sec-WebSocket-Key", key)]).await;
        assert_eq!(response.refusal(), (400, "bad_key".to_owned()), "{key}");
    }
    let twice = [("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Key", KEY)];
    assert_eq!(try_with(&rig, &twice).await.refusal().1, "bad_key");
}

#[tokio::test]
async fn another_version_is_told_which_one_is_spoken() {
    let rig = Rig::start().await;
    for version in ["", "8", "0", "14", "thirteen"] {
        let response = try_with(&rig, &[("Sec-WebSocket-Version", version)]).await;
        assert_eq!(
            response.refusal(),
            (426, "bad_version".to_owned()),
            "{version}"
        );
        assert_eq!(response.header("sec-websocket-version"), Some("13"));
    }
}

#[tokio::test]
async fn a_request_that_does_not_ask_for_a_websocket_is_told_to() {
    let rig = Rig::start().await;
    for missing in ["Connection", "Upgrade"] {
        let response = try_with(&rig, &[(missing, "")]).await;
        assert_eq!(
            response.refusal(),
            (426, "upgrade_required".to_owned()),
            "{missing}"
        );
        assert_eq!(response.header("upgrade"), Some("websocket"));
    }
    let old = handshake("/debug/echo", &[]).replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(web::ask(rig.private, &old).await.status, 426);
    assert_eq!(
        try_with(&rig, &[("Host", "")]).await.refusal().1,
        "bad_host"
    );
}

#[tokio::test]
async fn another_method_or_path_opens_nothing() {
    let rig = Rig::start().await;
    for method in ["POST", "PUT", "OPTIONS"] {
        let request = handshake("/debug/echo", &[]).replacen("GET", method, 1);
        let response = web::ask(rig.private, &request).await;
        assert_eq!(response.refusal(), (405, "method_not_allowed".to_owned()));
        assert_eq!(response.header("allow"), Some("GET"));
    }
    for (address, path) in [
        (rig.private, "/debug"),
        (rig.private, "/v1/ws"),
        (rig.public, "/debug/echo"),
    ] {
        let response = web::ask(address, &handshake(path, &[])).await;
        assert_eq!(response.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_handshake_with_a_body_is_refused() {
    let rig = Rig::start().await;
    for header in [("Content-Length", "7"), ("Transfer-Encoding", "chunked")] {
        let response = try_with(&rig, &[header]).await;
        assert_eq!(
            response.refusal(),
            (400, "bad_body".to_owned()),
            "{header:?}"
        );
    }
    assert_eq!(try_with(&rig, &[("Content-Length", "0")]).await.status, 101);
}

#[tokio::test]
async fn the_echo_is_off_unless_the_settings_switch_it_on() {
    let rig = Rig::with(|config| config.debug_echo = false).await;
    let response = web::ask(rig.private, &handshake("/debug/echo", &[])).await;
    assert_eq!(response.status, 404);
}

#[tokio::test]
async fn frames_that_come_together_with_the_request_are_not_lost() {
    let rig = Rig::start().await;
    let mut request = handshake("/debug/echo", &[]).into_bytes();
    request.extend(Frame::text("early").bytes());
    let half = Frame::text("and half of another").bytes();
    request.extend(&half[..9]);
    let mut raw = Raw::dial(rig.private).await;
    raw.send_bytes(&request).await;
    assert_eq!(raw.response().await.status, 101);
    raw.expect_message(TEXT, b"early").await;
    raw.send_bytes(&half[9..]).await;
    raw.expect_message(TEXT, b"and half of another").await;
}

#[tokio::test]
async fn a_fault_that_comes_together_with_the_request_is_found() {
    let rig = Rig::start().await;
    let mut request = handshake("/debug/echo", &[]).into_bytes();
    let unmasked = Frame {
        mask: None,
        ..Frame::text("naked")
    };
    request.extend(
        [Frame::text("early"), unmasked]
            .iter()
            .flat_map(Frame::bytes),
    );
    let mut raw = Raw::dial(rig.private).await;
    raw.send_bytes(&request).await;
    assert_eq!(raw.response().await.status, 101);
    raw.expect_message(TEXT, b"early").await;
    raw.expect_close(1002).await;
}

#[tokio::test]
async fn a_handshake_may_come_in_single_bytes() {
    let rig = Rig::start().await;
    let mut raw = Raw::dial(rig.private).await;
    raw.send_chopped(handshake("/debug/echo", &[]).as_bytes(), 1)
        .await;
    assert_eq!(raw.response().await.status, 101);
    raw.send(&Frame::text("here")).await;
    raw.expect_message(TEXT, b"here").await;
}
