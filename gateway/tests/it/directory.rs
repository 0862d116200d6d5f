//! What a fake matcher answers about players, and a gateway in front of it.

use std::sync::Arc;
use std::time::Duration;

use chassis::limit::Rate;
use parking_lot::Mutex;
use protocol::id::PlayerId;
use rpc::pb;
use rpc::pb::players_server::Players;
use serde_json::json;
use tonic::{Code, Request, Response, Status};

use super::rig::{KEY, Rig, access, signer};
use super::web::{self, ask, get, post};

/// Answers as a test says, and notes what it is asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Directory(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    asked: Vec<String>,
    fails: Option<Code>,
}

impl Directory {
    fn note(&self, what: impl std::fmt::Debug) -> Result<(), Status> {
        let mut state = self.0.lock();
        state.asked.push(format!("{what:?}"));
        match state.fails {
            Some(code) => Err(Status::new(code, "as the test says")),
            None => Ok(()),
        }
    }

    fn fail(&self, code: Code) {
        self.0.lock().fails = Some(code);
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().asked)
    }
}

fn rating() -> pb::RatingRow {
    pb::RatingRow {
        player: 1,
        mode: "race".to_owned(),
        rating: 1_700,
        deviation: 100,
        score: 1_400,
        games: 9,
        wins: 3,
    }
}

fn board() -> Response<pb::Leaderboard> {
    let row = pb::LeaderRow {
        place: 4,
        name: "Eve".to_owned(),
        rating: Some(rating()),
    };
    Response::new(pb::Leaderboard { rows: vec![row] })
}

#[tonic::async_trait]
impl Players for Directory {
    async fn leaders(
        &self,
        request: Request<pb::AskLeaders>,
    ) -> Result<Response<pb::Leaderboard>, Status> {
        self.note(request.into_inner())?;
        Ok(board())
    }

    async fn around(
        &self,
        request: Request<pb::AskAround>,
    ) -> Result<Response<pb::Leaderboard>, Status> {
        self.note(request.into_inner())?;
        Ok(board())
    }

    async fn profile(
        &self,
        request: Request<pb::AskProfile>,
    ) -> Result<Response<pb::PlayerProfile>, Status> {
        self.note(request.into_inner())?;
        Ok(Response::new(pb::PlayerProfile {
            is_known: true,
            name: "Eve".to_owned(),
            first_seen_ms: 1,
            last_seen_ms: 2,
            ratings: vec![rating()],
            seats: vec![pb::SeatRow {
                event: "gala".to_owned(),
                seat: 3,
            }],
        }))
    }

    async fn history(
        &self,
        request: Request<pb::AskHistory>,
    ) -> Result<Response<pb::PlayedMatches>, Status> {
        self.note(request.into_inner())?;
        let played = pb::PlayedMatch {
            r#match: 5,
            room: 6,
            mode: "race".to_owned(),
            finished_at_ms: 7,
            name: "Eve".to_owned(),
            place: 2,
            seats: 8,
            ticks: None,
            change: None,
        };
        Ok(Response::new(pb::PlayedMatches {
            matches: vec![played],
            next: "7.mt_0000000000000005".to_owned(),
        }))
    }

    async fn forget(
        &self,
        request: Request<pb::ForgetPlayer>,
    ) -> Result<Response<pb::PlayerForgotten>, Status> {
        self.note(request.into_inner())?;
        Ok(Response::new(pb::PlayerForgotten {}))
    }
}

/// Shows a token of player 1, whom [`access`] names.
fn bearer(lifetime: Duration) -> String {
    format!(
        "Authorization: Bearer {}\r\n",
        signer().sign(access(), lifetime)
    )
}

async fn own(rig: &Rig, path: &str) -> web::Response {
    let token = bearer(Duration::from_secs(60));
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{token}\r\n");
    ask(rig.public, &request).await
}

#[tokio::test]
async fn a_leaderboard_is_for_everybody_and_bounded() {
    let rig = Rig::start().await;
    let answer = get(rig.public, "/v1/leaderboard/race?limit=5000").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let row = json!({
        "place": 4, "name": "Eve", "player": "pl_0000000000000001", "rating": 1_700,
        "deviation": 100, "score": 1_400, "games": 9, "wins": 3,
    });
    assert_eq!(answer.json(), json!({ "rows": [row] }));
    let asked = rig.matcher.directory.asked();
    assert_eq!(asked, [r#"AskLeaders { mode: "race", limit: 100 }"#]);
    let bad = get(rig.public, "/v1/leaderboard/race?limit=many").await;
    assert_eq!(bad.refusal(), (400, "bad_query".to_owned()));
}

#[tokio::test]
async fn who_asks_about_oneself_is_who_the_token_says() {
    let rig = Rig::start().await;
    let me = own(&rig, "/v1/me").await;
    assert_eq!(me.json()["player"], "pl_0000000000000001");
    assert_eq!(me.json()["ratings"][0]["mode"], "race");
    let page = own(&rig, "/v1/me/matches?limit=3&from=9.mt_0000000000000009").await;
    assert_eq!(page.json()["next"], "7.mt_0000000000000005");
    assert_eq!(page.json()["matches"][0]["match"], "mt_0000000000000005");
    assert_eq!(page.json()["matches"][0]["ticks"], json!(null));
    let export = own(&rig, "/v1/me/export").await.json();
    assert_eq!(export["profile"]["name"], "Eve");
    assert_eq!(export["matches"][0]["name"], "Eve");
    assert_eq!(export["seats"], json!([{ "event": "gala", "seat": 3 }]));
    assert_eq!(own(&rig, "/v1/leaderboard/race/me").await.status, 200);
    let asked = rig.matcher.directory.asked();
    assert!(
        asked.iter().all(|asked| asked.contains("player: 1")),
        "{asked:?}"
    );
    assert!(
        asked[1].contains(r#"from: "9.mt_0000000000000009", limit: 3"#),
        "{asked:?}"
    );
}

#[tokio::test]
async fn without_a_good_token_nobody_is_asked() {
    let rig = Rig::start().await;
    for path in [
        "/v1/me",
        "/v1/me/matches",
        "/v1/me/export",
        "/v1/leaderboard/race/me",
    ] {
        let refused = get(rig.public, path).await;
        assert_eq!(
            refused.refusal(),
            (401, "token_invalid".to_owned()),
            "{path}"
        );
    }
    let forged = rpc::token::Signer::new(&KEY.map(|byte| byte + 1)).unwrap();
    let forged = forged.sign(access(), Duration::from_secs(60));
    let header = format!("Authorization: Bearer {forged}\r\n");
    let erase = post(
        "/v1/me/erase",
        &header,
        r#"{"player":"pl_0000000000000001"}"#,
    );
    let refused = ask(rig.public, &erase).await;
    assert_eq!(refused.refusal(), (401, "token_invalid".to_owned()));
    assert!(rig.matcher.directory.asked().is_empty());
}

#[tokio::test]
async fn erasing_wants_the_players_own_id() {
    let rig = Rig::start().await;
    let token = bearer(Duration::from_secs(60));
    let erase = async |body: &str| ask(rig.public, &post("/v1/me/erase", &token, body)).await;
    let other = erase(r#"{"player":"pl_0000000000000002"}"#).await;
    assert_eq!(other.refusal(), (400, "bad_field".to_owned()));
    assert_eq!(erase("{}").await.error()["field"], "player");
    assert!(rig.matcher.directory.asked().is_empty());
    let done = erase(r#"{"player":"pl_0000000000000001"}"#).await;
    let player = PlayerId(1);
    assert_eq!(done.json(), json!({ "erased": player }));
    assert_eq!(
        rig.matcher.directory.asked(),
        ["ForgetPlayer { player: 1 }"]
    );
}

#[tokio::test]
async fn what_a_matcher_cannot_answer_is_said_honestly() {
    let rig = Rig::start().await;
    for (code, status, name) in [
        (Code::FailedPrecondition, 501, "not_kept"),
        (Code::Unimplemented, 501, "not_kept"),
        (Code::NotFound, 404, "unknown_mode"),
        (Code::Unavailable, 503, "unavailable"),
    ] {
        rig.matcher.directory.fail(code);
        let refused = get(rig.public, "/v1/leaderboard/race").await;
        assert_eq!(refused.refusal(), (status, name.to_owned()));
        assert_eq!(refused.error()["retry_after_ms"].is_u64(), status == 503);
    }
}

#[tokio::test]
async fn too_many_requests_are_told_when_to_come_back() {
    let rig = Rig::with(|config| config.loopback_limits.requests = Rate::per_second(2, 1)).await;
    for _ in 0..2 {
        assert_eq!(get(rig.public, "/v1/leaderboard/race").await.status, 200);
    }
    let refused = get(rig.public, "/v1/leaderboard/race").await;
    assert_eq!(refused.refusal(), (429, "rate_limited".to_owned()));
    assert!(
        refused.error()["retry_after_ms"]
            .as_u64()
            .is_some_and(|ms| ms > 0)
    );
}
