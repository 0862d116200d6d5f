//! What is wrong with a login, said so that whoever wrote the client can mend it.

use chassis::limit::Rate;
use pixelrush_gateway::Config;
use pixelrush_gateway::config::ApiKey;
use serde_json::json;

use crate::it::player::{Player, hello};
use crate::it::rig::Rig;
use crate::it::web::{self, Response, post};

const GUEST: &str = "/v1/login/guest";
const API: &str = "/v1/login/api";

async fn try_body(rig: &Rig, path: &str, body: &str) -> Response {
    web::ask(
        rig.public,
        &post(path, "Authorization: Bearer secret\r\n", body),
    )
    .await
}

fn with_key(config: &mut Config) {
    config.api_keys = vec![ApiKey {
        id: "studio".to_owned(),
        // SHA-256 of "secret"
        sha256: "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b".to_owned(),
    }];
}

#[tokio::test]
async fn a_body_that_is_no_login_is_told_so() {
    let rig = Rig::with(with_key).await;
    for path in [GUEST, API] {
        for body in [
            "",
            "nonsense",
            "[]",
            r#"["12345678", "Ada"]"#,
            "{",
            "7",
            "\u{feff}{}",
        ] {
            let response = try_body(&rig, path, body).await;
            assert_eq!(
                response.refusal(),
                (400, "bad_body".to_owned()),
                "{path} {body}"
            );
        }
    }
}

#[tokio::test]
async fn a_field_that_is_missing_or_wrong_is_named() {
    let rig = Rig::with(with_key).await;
    let long = "x".repeat(129);
    let cases = [
        (GUEST, json!({ "name": "Ada" }), "device"),
        (GUEST, json!({ "device": "12345678" }), "name"),
        (GUEST, json!({ "device": 5, "name": "Ada" }), "device"),
        (GUEST, json!({ "device": "12345678", "name": null }), "name"),
        (
            GUEST,
            json!({ "device": "1234567", "name": "Ada" }),
            "device",
        ),
        (GUEST, json!({ "device": long, "name": "Ada" }), "device"),
        (
            GUEST,
            json!({ "device": "12345678", "name": "   " }),
            "name",
        ),
        (
            GUEST,
            json!({ "device": "12345678", "name": "x".repeat(25) }),
            "name",
        ),
        (
            GUEST,
            json!({ "device": "12345678", "name": "A\nda" }),
            "name",
        ),
        (
            GUEST,
            json!({ "device": "12345678", "name": "A\u{0}da" }),
            "name",
        ),
        (
            GUEST,
            json!({ "device": "12345678", "name": "\u{202e}adA" }),
            "name",
        ),
        (API, json!({ "player": "", "name": "Ada" }), "player"),
        (API, json!({ "player": long, "name": "Ada" }), "player"),
        (
            API,
            json!({ "player": "1", "name": "Ada", "rating": -1 }),
            "rating",
        ),
        (
            API,
            json!({ "player": "1", "name": "Ada", "rating": "best" }),
            "rating",
        ),
        (
            API,
            json!({ "player": "1", "name": "Ada", "rating": 1e12 }),
            "rating",
        ),
    ];
    for (path, body, field) in cases {
        let response = try_body(&rig, path, &body.to_string()).await;
        assert_eq!(response.refusal(), (400, "bad_field".to_owned()), "{body}");
        assert_eq!(response.error()["field"], field, "{body}");
    }
}

#[tokio::test]
async fn a_huge_body_is_refused() {
    let rig = Rig::with(with_key).await;
    for path in [GUEST, API] {
        let body = json!({ "device": "12345678", "name": "x".repeat(5_000) }).to_string();
        let response = try_body(&rig, path, &body).await;
        assert_eq!(response.refusal(), (413, "body_too_large".to_owned()));
    }
}

#[tokio::test]
async fn an_error_does_not_give_a_long_text_back() {
    let rig = Rig::start().await;
    let body = json!({ "device": { "x".repeat(3_000): 1 }, "name": "Ada" }).to_string();
    let response = try_body(&rig, GUEST, &body).await;
    assert_eq!(response.status, 400);
    assert!(response.body.len() < 500, "{response:?}");
}

#[tokio::test]
async fn a_login_is_a_post() {
    let rig = Rig::start().await;
    let response = web::get(rig.public, GUEST).await;
    assert_eq!(response.status, 405);
    assert_eq!(response.header("allow"), Some("POST"));
    let response = web::get(rig.public, "/no/such/page").await;
    assert_eq!(response.refusal(), (404, "not_found".to_owned()));
    let response = web::get(rig.public, "/..%2f..%2fCargo.toml").await;
    assert_eq!(response.status, 404);
}

#[tokio::test]
async fn too_many_logins_are_told_when_to_come_back() {
    let rig = Rig::with(|config| config.loopback_limits.logins = Rate::per_second(3, 1)).await;
    for at in 0..3 {
        rig.login(&format!("Ada {at}")).await;
    }
    let body = json!({ "device": "12345678", "name": "Ada" }).to_string();
    let response = try_body(&rig, GUEST, &body).await;
    assert_eq!(response.refusal(), (429, "rate_limited".to_owned()));
    let wait = response.error()["retry_after_ms"].as_u64().unwrap();
    assert!((1..=1_000).contains(&wait), "{wait}");
    assert_eq!(response.header("retry-after"), Some("1"));
    let neighbour = crate::it::raw::Raw::dial_from("127.0.0.2", rig.public);
    let mut neighbour = neighbour.await;
    neighbour
        .send_bytes(post(GUEST, "", &body).as_bytes())
        .await;
    assert_eq!(neighbour.response().await.status, 200);
}

#[tokio::test]
async fn the_api_login_wants_a_known_key_and_few_tries() {
    let rig = Rig::with(|config| {
        with_key(config);
        config.loopback_limits.logins = Rate::per_second(3, 1);
    })
    .await;
    let body = json!({ "player": "42", "name": "Ada" }).to_string();
    let good = try_body(&rig, API, &body).await;
    assert_eq!(good.status, 200);
    for headers in [
        "",
        "Authorization: Bearer Secret\r\n",
        "Authorization: Basic secret\r\n",
    ] {
        let response = web::ask(rig.public, &post(API, headers, &body)).await;
        assert_eq!(response.refusal(), (401, "unauthorized".to_owned()));
    }
    let response = web::ask(rig.public, &post(API, "", &body)).await;
    assert_eq!(response.refusal().0, 429);
    // Those who know the key do not pay for those who do not.
    assert_eq!(try_body(&rig, API, &body).await.status, 200);
    let token = good.json()["token"].as_str().unwrap().to_owned();
    let mut player = Player::greet(rig.socket().await, &hello(&token)).await;
    player.expect_well(&rig).await;
}

#[tokio::test]
async fn the_same_device_is_the_same_player_and_nobody_else() {
    let rig = Rig::with(with_key).await;
    let player = async |path: &str, body: serde_json::Value| {
        let response = try_body(&rig, path, &body.to_string()).await;
        response.json()["player"].clone()
    };
    let ada = player(GUEST, json!({ "device": "12345678", "name": "Ada" })).await;
    let renamed = player(GUEST, json!({ "device": "12345678", "name": "Eve" })).await;
    let other = player(GUEST, json!({ "device": "12345679", "name": "Ada" })).await;
    let studio = player(API, json!({ "player": "12345678", "name": "Ada" })).await;
    assert_eq!(ada, renamed);
    assert_ne!(ada, other);
    assert_ne!(ada, studio);
}
