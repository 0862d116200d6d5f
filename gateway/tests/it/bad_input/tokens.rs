//! Tokens that are not what they should be. None of them touches a session.

use std::time::Duration;

use chassis::limit::Rate;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use protocol::control::ErrorCode;
use protocol::id::{InstanceId, PlayerId, SessionId};
use rpc::token::{MIN_KEY, Resume, RoomTicket, Signer};
use serde_json::{Value, json};

use crate::it::player::{Player, hello};
use crate::it::rig::{KEY, ROOM, Rig, access, signer};

const HOUR: Duration = Duration::from_secs(3600);

/// Says `hello` on a new connection and expects to be turned away.
async fn turned_away(rig: &Rig, hello: &Value, code: &str, close: u16) -> Value {
    let mut raw = rig.socket().await;
    raw.say(hello).await;
    let error = raw.expect_error(code).await;
    assert_eq!(error["re"], "hello");
    raw.expect_close(close).await;
    error
}

fn resume_token() -> String {
    let resume = Resume {
        identity: access().identity,
        session: SessionId(5),
        instance: InstanceId(0xaa),
    };
    signer().sign(resume, HOUR)
}

#[tokio::test]
async fn a_forged_or_damaged_token_is_refused() {
    let rig = Rig::start().await;
    let good = rig.login("Ada").await;
    let forged = Signer::new(&[8; MIN_KEY]).unwrap().sign(access(), HOUR);
    let (head, rest) = good.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    let unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJhdWQiOiJhY2Nlc3MifQ.".to_owned();
    let swapped = format!("{head}.eyJhdWQiOiJhY2Nlc3MifQ.{signature}");
    let huge = "a".repeat(15_000);
    for token in [
        forged,
        unsigned,
        swapped,
        huge,
        good[..good.len() - 1].to_owned(),
        String::new(),
    ] {
        let error = turned_away(&rig, &hello(&token), "token_invalid", 4201).await;
        assert_eq!(error["field"], "token");
    }
    assert!(rig.matcher.seen().is_empty(), "nobody was attached");
}

#[tokio::test]
async fn a_stale_token_is_told_to_log_in_again() {
    let rig = Rig::start().await;
    let claims = |audience: &str| {
        let mut claims = serde_json::to_value(access()).unwrap();
        claims["aud"] = json!(audience);
        claims["exp"] = json!(chassis::clock::unix_ms() / 1000 - 60);
        claims["session"] = json!(SessionId(5));
        claims["instance"] = json!(InstanceId(0xaa));
        let header = Header::new(Algorithm::HS256);
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&KEY)).unwrap()
    };
    let error = turned_away(&rig, &hello(&claims("access")), "token_expired", 4200).await;
    assert_eq!(error["field"], "token");
    let mut resume = hello("");
    resume["resume"] = json!(claims("resume"));
    let error = turned_away(&rig, &resume, "token_expired", 4200).await;
    assert_eq!(error["field"], "resume");
}

#[tokio::test]
async fn a_token_is_good_for_its_own_use_only() {
    let rig = Rig::start().await;
    let room = rig.ticket(PlayerId(1));
    for token in [resume_token(), room.clone()] {
        turned_away(&rig, &hello(&token), "token_invalid", 4201).await;
    }
    for token in [rig.login("Ada").await, room] {
        let mut message = hello("");
        message["resume"] = json!(token);
        let error = turned_away(&rig, &message, "token_invalid", 4201).await;
        assert_eq!(error["field"], "resume");
    }
}

#[tokio::test]
async fn a_hello_without_a_token_is_told_where_to_get_one() {
    let rig = Rig::start().await;
    let mut message = hello("");
    message.as_object_mut().unwrap().remove("token");
    let error = turned_away(&rig, &message, "token_invalid", 4201).await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("/v1/login/guest")
    );
}

#[tokio::test]
async fn a_resume_token_in_another_clients_hands_does_not_evict_the_player() {
    let rig = Rig::start().await;
    let mut player = Player::join(&rig, "Ada").await;
    let mut stolen = player.comeback(9);
    stolen["instance"] = json!("in_00000000000000bb");
    turned_away(&rig, &stolen, "token_invalid", 4201).await;
    player.expect_well(&rig).await;
}

#[tokio::test]
async fn bad_tokens_by_the_dozen_lock_nobody_out_of_a_session() {
    let rig = Rig::with(|config| config.loopback_limits.logins = Rate::per_second(3, 1)).await;
    let mut player = Player::join(&rig, "Ada").await;
    let mut told_to_wait = 0;
    for _ in 0..12 {
        let error = turned_away(&rig, &hello("guess"), "token_invalid", 4201).await;
        told_to_wait += usize::from(
            error["retry_after_ms"]
                .as_u64()
                .is_some_and(|wait| wait > 0),
        );
    }
    assert!(told_to_wait >= 8, "{told_to_wait}");
    player.expect_well(&rig).await;
    let comeback = player.comeback(2);
    let mut again = Player::greet(rig.socket().await, &comeback).await;
    again.expect_well(&rig).await;
}

#[tokio::test]
async fn a_room_ticket_is_good_for_its_player_only() {
    let rig = Rig::start().await;
    let mut player = Player::join(&rig, "Ada").await;
    let ticket = |node: &str| RoomTicket {
        player: player.id,
        room: ROOM,
        match_id: protocol::id::MatchId(1),
        node: node.parse().unwrap(),
    };
    let forger = Signer::new(&[8; MIN_KEY]).unwrap();
    let cases = [
        (
            rig.ticket(PlayerId(player.id.0 ^ 1)),
            ErrorCode::TokenInvalid,
        ),
        (
            forger.sign(ticket("syncd-1"), HOUR),
            ErrorCode::TokenInvalid,
        ),
        (resume_token(), ErrorCode::TokenInvalid),
        ("nonsense".to_owned(), ErrorCode::TokenInvalid),
        (
            signer().sign(ticket("syncd-9"), HOUR),
            ErrorCode::RoomUnknown,
        ),
    ];
    for (ticket, code) in cases {
        player
            .raw
            .say(&json!({ "t": "room.join", "ticket": ticket }))
            .await;
        let error = player.raw.expect_error(&code.to_string()).await;
        assert_eq!(
            (&error["re"], &error["field"]),
            (&json!("room.join"), &json!("ticket"))
        );
    }
    assert!(rig.room.seen().is_empty(), "nobody was attached to a room");
    player.enter_room(&rig).await;
}

#[tokio::test]
async fn a_hello_with_a_bad_room_ticket_is_welcomed_without_the_room() {
    let rig = Rig::start().await;
    let mut message = hello(&rig.login("Ada").await);
    message["room"] = json!(rig.ticket(PlayerId(1)));
    let mut raw = rig.socket().await;
    raw.say(&message).await;
    raw.hear("welcome").await;
    let error = raw.expect_error("token_invalid").await;
    assert_eq!(error["re"], "room.join");
    let attached = raw.hear("channel").await;
    assert_eq!(attached["ch"], "match");
}
