//! Who meets whom by more than rating: versions, attributes, roles; through the wire.

use std::time::Duration;

use pixelrush_matcher::Config;
use pixelrush_matcher::config::{ModeOptions, PlayerRange};
use protocol::control::ErrorCode;
use serde_json::Value;

use crate::clients::Client;
use crate::gateway::Gateway;
use crate::world::{World, change_mode};

/// A `queue.join` of a duel with more fields.
fn join(mode: &str, more: &str) -> String {
    format!(r#"{{"t":"queue.join","mode":"{mode}"{more}}}"#)
}

/// Joins, and is younger than who came before.
async fn enter(client: &Client, gateway: &Gateway, text: &str) {
    tokio::time::sleep(Duration::from_millis(20)).await;
    client.attach(gateway).await;
    client.say(gateway, text).await;
    client.queue_state(gateway).await;
}

fn by_traits(config: &mut Config) {
    change_mode(config, "duel", |mode| {
        mode.by_version = true;
        mode.attributes = serde_json::from_str(r#"{"input":{"values":["mouse","pad"]}}"#).unwrap();
    });
}

async fn meet(gateway: &Gateway, clients: [&Client; 2]) -> bool {
    let found = [
        clients[0].take(gateway, "match.found").await,
        clients[1].take(gateway, "match.found").await,
    ];
    found[0]["match"] == found[1]["match"]
}

#[tokio::test(start_paused = true)]
async fn players_of_different_versions_or_attributes_never_meet() {
    let world = World::with(1, by_traits).await;
    let gateway = world.gateway("gateway-1").await;
    let wishes = [
        "",
        r#","version":"1.0""#,
        r#","version":"1.1""#,
        r#","version":"1.1","attributes":{"input":"pad"}"#,
        r#","version":"1.1","attributes":{"input":"mouse"}"#,
    ];
    let firsts: Vec<Client> = (1..=5).map(Client::new).collect();
    for (client, wish) in firsts.iter().zip(wishes) {
        enter(client, &gateway, &join("duel", wish)).await;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(world.syncd().asked().is_empty(), "all of them differ");
    let seconds: Vec<Client> = (11..=15).map(Client::new).collect();
    for ((first, second), wish) in firsts.iter().zip(&seconds).zip(wishes) {
        enter(second, &gateway, &join("duel", wish)).await;
        assert!(meet(&gateway, [first, second]).await, "{wish}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_mode_that_does_not_mind_versions_mixes_them() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let clients = [Client::new(1), Client::new(2)];
    enter(&clients[0], &gateway, &join("duel", r#","version":"1.0""#)).await;
    enter(&clients[1], &gateway, &join("duel", r#","version":"1.1""#)).await;
    assert!(meet(&gateway, [&clients[0], &clients[1]]).await);
}

#[tokio::test(start_paused = true)]
async fn joining_with_another_version_gives_up_the_place() {
    let world = World::with(1, by_traits).await;
    let gateway = world.gateway("gateway-1").await;
    let client = Client::new(1);
    enter(&client, &gateway, &join("duel", r#","version":"1.0""#)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    gateway.forget(client.session());
    client
        .say(&gateway, &join("duel", r#","version":"1.0""#))
        .await;
    assert!(client.queue_state(&gateway).await.waiting_ms >= 5_000);
    gateway.forget(client.session());
    client
        .say(&gateway, &join("duel", r#","version":"1.1""#))
        .await;
    assert!(client.queue_state(&gateway).await.waiting_ms < 5_000);
}

#[tokio::test(start_paused = true)]
async fn an_uncertain_rating_meets_others_sooner() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    // 100 points at first, and half of the deviation.
    let mut pair = [Client::new(1), Client::new(2).rated(1640)];
    for client in &mut pair {
        client.request.deviation = 80;
        client.attach(&gateway).await;
        client.join(&gateway, "duel").await;
    }
    assert!(meet(&gateway, [&pair[0], &pair[1]]).await);
    let sure = [Client::new(3), Client::new(4).rated(1640)];
    for client in &sure {
        client.attach(&gateway).await;
        client.join(&gateway, "duel").await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.syncd().asked().len(), 1, "not yet");
    assert!(meet(&gateway, [&sure[0], &sure[1]]).await);
}

fn raid(config: &mut Config) {
    change_mode(config, "team", |mode: &mut ModeOptions| {
        mode.players = PlayerRange { min: 4, max: 4 };
        mode.roles = serde_json::from_str(r#"{"healer":1,"tank":1}"#).unwrap();
        mode.bots = false;
    });
}

#[tokio::test(start_paused = true)]
async fn everyone_of_a_match_has_a_role_that_they_take() {
    let world = World::with(1, raid).await;
    let gateway = world.gateway("gateway-1").await;
    let wishes = [
        r#","roles":["tank"]"#,
        r#","roles":["tank","healer"]"#,
        r#","roles":["tank"]"#,
        r#","roles":["tank"]"#,
        "",
    ];
    let clients: Vec<Client> = (1..=5).map(Client::new).collect();
    for (client, wish) in clients.iter().zip(wishes) {
        enter(client, &gateway, &join("team", wish)).await;
    }
    let mut roles = Vec::new();
    // The fourth has to wait: there are places for two tanks, and the second can heal.
    for client in [&clients[0], &clients[1], &clients[2], &clients[4]] {
        let found = client.take(&gateway, "match.found").await;
        roles.push(found["role"].as_str().unwrap().to_owned());
    }
    assert_eq!(roles, ["tank", "healer", "tank", "healer"]);
    let seats = &world.syncd().asked()[0].seats;
    for team in [1, 2] {
        let mut of_team: Vec<_> = seats
            .iter()
            .filter(|seat| seat.team == team)
            .map(|seat| seat.role.as_str())
            .collect();
        of_team.sort_unstable();
        assert_eq!(of_team, ["healer", "tank"]);
    }

    // Another matcher tells it as well.
    let other = world.another("matcher-2").await;
    let there = other.gateway("gateway-1").await;
    let state = clients[1].attach(&there).await.state;
    assert_eq!(state["match"]["role"], Value::from("healer"));
}

#[tokio::test(start_paused = true)]
async fn what_a_mode_does_not_have_is_refused_with_what_it_has() {
    let world = World::with(1, |config| {
        by_traits(config);
        raid(config);
    })
    .await;
    let gateway = world.gateway("gateway-1").await;
    let client = Client::new(1);
    client.attach(&gateway).await;
    let cases = [
        (
            "duel",
            r#","version":"1 0""#,
            "version",
            "1 to 32 characters",
        ),
        (
            "duel",
            r#","attributes":{"chat":"on"}"#,
            "attributes",
            "input",
        ),
        (
            "duel",
            r#","attributes":{"input":"wheel"}"#,
            "attributes.input",
            "mouse, pad",
        ),
        (
            "race",
            r#","attributes":{"input":"pad"}"#,
            "attributes",
            "no attributes",
        ),
        (
            "team",
            r#","roles":["tank","boss"]"#,
            "roles",
            "healer, tank",
        ),
        ("team", r#","roles":["tank","tank"]"#, "roles", "twice"),
        ("duel", r#","roles":["tank"]"#, "roles", "no roles"),
    ];
    for (mode, more, field, says) in cases {
        client.say(&gateway, &join(mode, more)).await;
        let error = client.error(&gateway).await;
        assert_eq!(
            (error.code, error.field.as_deref()),
            (ErrorCode::BadField, Some(field)),
            "{more}"
        );
        assert!(error.message.contains(says), "{}", error.message);
        assert_eq!(error.re.as_deref(), Some("queue.join"));
    }
}
