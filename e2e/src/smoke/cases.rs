//! The short cases.

use client::address::Address;
use client::login::{self, call};
use client::{Client, Options};
use http::{Method, StatusCode};
use protocol::control::{ClientMessage, ErrorCode, QueueJoin};
use protocol::id::Channel;
use protocol::session::{Ended, SessionEvent};

type Outcome = Result<(), String>;

pub(super) async fn page(target: &Address) -> Outcome {
    for path in ["/", "/sdk/index.js", "/healthz"] {
        let (status, body) = get(target, path).await?;
        if status != StatusCode::OK || body.is_empty() {
            return Err(format!("{path} answers {status} with {} bytes", body.len()));
        }
    }
    let (status, _) = get(target, "/no-such-page").await?;
    expect(status == StatusCode::NOT_FOUND, || {
        format!("/no-such-page answers {status}")
    })
}

pub(super) async fn login(target: &Address) -> Outcome {
    let first = guest(target, "smoke-device-1").await?;
    let again = guest(target, "smoke-device-1").await?;
    let other = guest(target, "smoke-device-2").await?;
    expect(first.player == again.player, || {
        "the same device is two players".to_owned()
    })?;
    expect(first.player != other.player, || {
        "two devices are one player".to_owned()
    })
}

pub(super) async fn bad_login(target: &Address) -> Outcome {
    for (body, field) in [
        (r#"{"device":"smoke-device-1"}"#, "name"),
        (r#"{"device":"short","name":"Smoke"}"#, "device"),
        (r#"{"device":"smoke-device-1","name":""}"#, "name"),
    ] {
        let (status, answer) = call(target, Method::POST, "/v1/login/guest", body.to_owned())
            .await
            .map_err(|error| error.to_string())?;
        let answer: serde_json::Value =
            serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
        let named = answer["error"]["field"] == field;
        expect(status == StatusCode::BAD_REQUEST && named, || {
            format!("{body} is answered by {status} {answer}")
        })?;
    }
    Ok(())
}

pub(super) async fn welcome(target: &Address) -> Outcome {
    let mut client = connect(target, "smoke-device-1").await?;
    let mut welcomed = false;
    while let Some(event) = client.next().await {
        match event {
            SessionEvent::Welcome(welcome) => welcomed = welcome.heartbeat_ms > 0,
            SessionEvent::Channel(attached) if attached.ch == Channel::Match => break,
            SessionEvent::Ended(why) => return Err(format!("ended: {why:?}")),
            _ => {}
        }
    }
    client.close().await;
    expect(welcomed, || {
        "no welcome before the match channel".to_owned()
    })
}

pub(super) async fn forged(target: &Address) -> Outcome {
    let login = guest(target, "smoke-device-1").await?;
    let mut forged = login.token.into_bytes();
    let last = forged.len() - 2;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).map_err(|error| error.to_string())?;
    let mut client = Client::connect(Options::new(vec![target.clone()], forged));
    while let Some(event) = client.next().await {
        match event {
            SessionEvent::Welcome(_) => return Err("a forged token was welcomed".to_owned()),
            SessionEvent::Ended(Ended::LoginNeeded(_)) => return Ok(()),
            SessionEvent::Ended(why) => return Err(format!("ended otherwise: {why:?}")),
            _ => {}
        }
    }
    Err("the session ended without a word".to_owned())
}

pub(super) async fn wrong_message(target: &Address) -> Outcome {
    let mut client = connect(target, "smoke-device-1").await?;
    while let Some(event) = client.next().await {
        match event {
            SessionEvent::Channel(_) => {
                let join = QueueJoin {
                    mode: "no-such-mode".to_owned(),
                    ..QueueJoin::default()
                };
                client.say(ClientMessage::QueueJoin(join)).await;
            }
            SessionEvent::Refused(error) => {
                client.close().await;
                let named = error.field.as_deref() == Some("mode");
                return expect(error.code == ErrorCode::ModeUnknown && named, || {
                    format!("refused by {error}")
                });
            }
            SessionEvent::Ended(why) => return Err(format!("ended: {why:?}")),
            _ => {}
        }
    }
    Err("the session ended without a word".to_owned())
}

pub(super) async fn second_login(target: &Address) -> Outcome {
    let mut first = connect(target, "smoke-device-3").await?;
    wait_for_match_channel(&mut first).await?;
    let mut second = connect(target, "smoke-device-3").await?;
    wait_for_match_channel(&mut second).await?;
    let replaced = protocol::close::CloseCode::Replaced.code();
    while let Some(event) = first.next().await {
        if let SessionEvent::Ended(why) = event {
            second.close().await;
            return expect(why == Ended::Closed(Some(replaced)), || {
                format!("ended: {why:?}")
            });
        }
    }
    Err("the first session ended without a word".to_owned())
}

async fn wait_for_match_channel(client: &mut Client) -> Outcome {
    while let Some(event) = client.next().await {
        match event {
            SessionEvent::Channel(_) => return Ok(()),
            SessionEvent::Ended(why) => return Err(format!("ended: {why:?}")),
            _ => {}
        }
    }
    Err("the session ended without a word".to_owned())
}

pub(super) async fn guest(target: &Address, device: &str) -> Result<login::Login, String> {
    login::guest(target, device, "Smoke")
        .await
        .map_err(|error| error.to_string())
}

async fn connect(target: &Address, device: &str) -> Result<Client, String> {
    let login = guest(target, device).await?;
    Ok(Client::connect(Options::new(
        vec![target.clone()],
        login.token,
    )))
}

async fn get(target: &Address, path: &str) -> Result<(StatusCode, bytes::Bytes), String> {
    call(target, Method::GET, path, String::new())
        .await
        .map_err(|error| error.to_string())
}

pub(super) fn expect(held: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if held { Ok(()) } else { Err(otherwise()) }
}
