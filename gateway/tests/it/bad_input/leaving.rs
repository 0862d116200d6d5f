//! A gateway that goes away, with clients of every kind.

use std::time::Duration;

use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::it::player::{Player, hello};
use crate::it::raw::{DEADLINE, Raw};
use crate::it::rig::Rig;
use crate::it::web;

async fn brief(deadline: Duration) -> Rig {
    Rig::with(|config| {
        config.drain.spread = Duration::from_millis(300);
        config.drain.deadline = deadline;
        config.loopback_limits.handshake = Duration::from_millis(500);
    })
    .await
}

#[tokio::test]
async fn clients_are_told_to_go_and_then_closed_and_then_it_is_over() {
    let rig = brief(Duration::from_secs(30)).await;
    let mut players = Vec::new();
    for at in 0..20 {
        players.push(Player::join(&rig, &format!("Ada {at}")).await);
    }
    rig.drain.begin();
    for mut player in players {
        let goaway = player.raw.hear("goaway").await;
        assert_eq!(goaway["reason"], "drain");
        assert!(
            goaway["within_ms"]
                .as_u64()
                .is_some_and(|within| within > 0)
        );
        assert_eq!(player.raw.expect_close(4100).await, "draining");
    }
    let served = timeout(DEADLINE, rig.serving).await;
    served.expect("before the deadline").unwrap();
}

#[tokio::test]
async fn nobody_new_is_let_in_while_probes_are_still_answered() {
    let rig = brief(Duration::from_secs(30)).await;
    let token = rig.login("Ada").await;
    let mut waiting = rig.socket().await;
    let mut held = Player::join(&rig, "Bob").await;
    rig.drain.begin();
    held.raw.hear("goaway").await;
    assert!(refused(&rig).await, "the public port is closed");
    assert_eq!(web::get(rig.private, "/livez").await.body, "ok\n");
    waiting.say(&hello(&token)).await;
    assert_eq!(waiting.expect_close(4100).await, "draining");
}

/// Whether nobody answers at the public port.
async fn refused(rig: &Rig) -> bool {
    match TcpStream::connect(rig.public).await {
        Err(_) => true,
        // Completed by the kernel just before, and reset with the listener.
        Ok(_) => {
            let mut raw = Raw::dial(rig.public).await;
            raw.push(b"GET / HTTP/1.1\r\n\r\n").await;
            raw.drain().await == 0
        }
    }
}

#[tokio::test]
async fn clients_that_do_not_go_are_left_behind_at_the_deadline() {
    let rig = brief(Duration::from_millis(800)).await;
    let mut raw = Raw::dial_narrow(rig.public).await;
    raw.upgrade("/v1/ws").await;
    let deaf = Player::greet(raw, &hello(&rig.login("Ada").await)).await;
    for at in 0..50 {
        rig.matcher.emit(
            deaf.id,
            json!({ "e": "n", "at": at, "pad": "x".repeat(4_000) }).to_string(),
        );
    }
    let _mute = Raw::dial(rig.public).await;
    let _undecided = rig.socket().await;
    rig.drain.begin();
    let served = timeout(DEADLINE, rig.serving).await;
    served.expect("the deadline holds").unwrap();
}
