//! Matches that ask their players first.

use std::time::Duration;

use pixelrush_matcher::Config;
use pixelrush_matcher::config::AcceptRule;
use protocol::control::ErrorCode;
use serde_json::Value;

use crate::clients::Client;
use crate::gateway::Gateway;
use crate::world::{World, change_mode};

fn with_question(config: &mut Config) {
    change_mode(config, "duel", |mode| {
        mode.accept = Some(AcceptRule::default())
    });
}

async fn queue(gateway: &Gateway, clients: &[Client]) {
    for client in clients {
        client.attach(gateway).await;
        client.join(gateway, "duel").await;
    }
}

fn answer(what: &str, proposed: &Value) -> String {
    format!(r#"{{"t":"match.{what}","match":{}}}"#, proposed["match"])
}

#[tokio::test(start_paused = true)]
async fn a_match_begins_once_everyone_has_accepted() {
    let world = World::with(1, with_question).await;
    let other = world.another("matcher-2").await;
    let here = world.gateway("gateway-1").await;
    let there = other.gateway("gateway-1").await;
    let clients = [Client::new(1), Client::new(2)];
    queue(&there, &clients[..1]).await;
    queue(&here, &clients[1..]).await;
    let first = clients[0].take(&there, "match.proposed").await;
    let second = clients[1].take(&here, "match.proposed").await;
    assert_eq!(first["match"], second["match"]);
    assert!(first["within_ms"].as_u64().unwrap() <= 10_000);
    clients[1].say(&here, &answer("accept", &second)).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(world.syncd().asked().is_empty(), "one has not accepted");
    clients[0].say(&there, &answer("accept", &first)).await;
    let found = [
        clients[0].take(&there, "match.found").await,
        clients[1].take(&here, "match.found").await,
    ];
    assert_eq!(found[0]["match"], first["match"]);
    assert_eq!(found[1]["match"], first["match"]);
    assert_eq!(world.syncd().asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_declines_is_out_for_a_while_and_the_other_keeps_the_age() {
    let world = World::with(1, with_question).await;
    let gateway = world.gateway("gateway-1").await;
    let clients = [Client::new(1), Client::new(2), Client::new(3)];
    queue(&gateway, &clients[..1]).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    queue(&gateway, &clients[1..2]).await;
    let proposed = clients[0].take(&gateway, "match.proposed").await;
    clients[0].say(&gateway, &answer("accept", &proposed)).await;
    clients[1].take(&gateway, "match.proposed").await;
    clients[1]
        .say(&gateway, &answer("decline", &proposed))
        .await;
    assert_eq!(
        clients[1].take(&gateway, "queue.left").await["reason"],
        "declined"
    );
    clients[1]
        .say(&gateway, r#"{"t":"queue.join","mode":"race"}"#)
        .await;
    let error = clients[1].error(&gateway).await;
    assert_eq!(error.code, ErrorCode::CoolingDown);
    assert!(
        error
            .retry_after_ms
            .is_some_and(|wait| (14_000..=15_000).contains(&wait))
    );

    let off = clients[0].take(&gateway, "match.off").await;
    assert_eq!(off["match"], proposed["match"]);
    assert!(clients[0].queue_state_now(&gateway).await.waiting_ms >= 20_000);
    queue(&gateway, &clients[2..]).await;
    let again = clients[0].take(&gateway, "match.proposed").await;
    assert_ne!(again["match"], proposed["match"]);
    clients[2].take(&gateway, "match.proposed").await;
    for client in [&clients[0], &clients[2]] {
        client.say(&gateway, &answer("accept", &again)).await;
    }
    clients[0].take(&gateway, "match.found").await;

    tokio::time::sleep(Duration::from_secs(15)).await;
    clients[1].join(&gateway, "race").await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_leaves_the_queue() {
    let world = World::with(1, with_question).await;
    let gateway = world.gateway("gateway-1").await;
    let clients = [Client::new(1), Client::new(2)];
    queue(&gateway, &clients).await;
    let proposed = clients[0].take(&gateway, "match.proposed").await;
    clients[0].say(&gateway, &answer("accept", &proposed)).await;
    clients[1].take(&gateway, "match.proposed").await;
    assert_eq!(
        clients[1].take(&gateway, "queue.left").await["reason"],
        "unanswered"
    );
    clients[0].take(&gateway, "match.off").await;
    clients[0].queue_state_now(&gateway).await;
    clients[1].say(&gateway, &answer("accept", &proposed)).await;
    let error = clients[1].error(&gateway).await;
    assert_eq!(
        (error.code, error.re.as_deref()),
        (ErrorCode::MatchUnknown, Some("match.accept"))
    );
    assert!(world.syncd().asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_matcher_that_dies_with_a_question_takes_nobody_s_place() {
    let mut world = World::with(1, with_question).await;
    let other = world.another("matcher-2").await;
    let here = world.gateway("gateway-1").await;
    let clients = [Client::new(1), Client::new(2)];
    queue(&here, &clients).await;
    let proposed = clients[0].take(&here, "match.proposed").await;
    clients[0].say(&here, &answer("accept", &proposed)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.kill().await;

    let there = other.gateway("gateway-1").await;
    let asked = clients[0].attach(&there).await.state;
    assert_eq!(asked["queue"]["proposed"]["match"], proposed["match"]);
    assert_eq!(asked["queue"]["proposed"]["accepted"], true);
    let asked = clients[1].attach(&there).await.state;
    assert_eq!(asked["queue"]["proposed"]["accepted"], false);
    // The claim runs out, and the other matcher forms the match anew.
    for client in &clients {
        client.take(&there, "match.off").await;
    }
    for client in &clients {
        let again = client.take(&there, "match.proposed").await;
        assert_ne!(again["match"], proposed["match"]);
        client.say(&there, &answer("accept", &again)).await;
    }
    clients[0].take(&there, "match.found").await;
    clients[1].take(&there, "match.found").await;
}

#[tokio::test(start_paused = true)]
async fn bots_are_not_asked() {
    let world = World::with(1, |config| {
        change_mode(config, "race", |mode| {
            mode.accept = Some(AcceptRule::default())
        });
    })
    .await;
    let gateway = world.gateway("gateway-1").await;
    let person = Client::new(1);
    person.attach(&gateway).await;
    person.join(&gateway, "race").await;
    for bot in (11..=17).map(Client::bot) {
        bot.attach(&gateway).await;
        bot.join(&gateway, "race").await;
    }
    let proposed = person.take(&gateway, "match.proposed").await;
    person.say(&gateway, &answer("accept", &proposed)).await;
    assert_eq!(person.take(&gateway, "match.found").await["players"], 8);
}
