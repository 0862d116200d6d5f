//! Private rooms: opened, entered by code, begun.

use std::time::Duration;

use protocol::control::{ErrorCode, PrivateState, ServerMessage};
use rpc::pb::from_origin_item::Item as FromItem;
use serde_json::Value;

use crate::clients::Client;
use crate::gateway::Gateway;
use crate::world::World;

async fn say(client: &Client, gateway: &Gateway, what: &str, more: &str) {
    let text = format!(r#"{{"t":"private.{what}"{more}}}"#);
    client.say(gateway, &text).await;
}

async fn state(client: &Client, gateway: &Gateway) -> PrivateState {
    let wanted = |item: &FromItem| match item {
        FromItem::Text(text) => match ServerMessage::parse(&text.text).unwrap()? {
            ServerMessage::PrivateState(state) => Some(state),
            _ => None,
        },
        _ => None,
    };
    gateway
        .next(client.session(), "private.state", wanted)
        .await
}

/// The next state that is as wanted.
async fn until(
    client: &Client,
    gateway: &Gateway,
    wanted: impl Fn(&PrivateState) -> bool,
) -> PrivateState {
    loop {
        let state = state(client, gateway).await;
        if wanted(&state) {
            return state;
        }
    }
}

fn players(state: &PrivateState) -> Vec<u64> {
    state.members.iter().map(|one| one.player.0).collect()
}

async fn open(client: &Client, gateway: &Gateway, mode: &str) -> String {
    client.attach(gateway).await;
    say(client, gateway, "open", &format!(r#","mode":"{mode}""#)).await;
    let state = state(client, gateway).await;
    assert_eq!(players(&state), [client.player().0]);
    state.code
}

async fn enter(client: &Client, gateway: &Gateway, code: &str) -> PrivateState {
    client.attach(gateway).await;
    say(client, gateway, "join", &format!(r#","code":"{code}""#)).await;
    state(client, gateway).await
}

#[tokio::test(start_paused = true)]
async fn friends_at_two_matchers_play_when_all_are_ready() {
    let world = World::new().await;
    let other = world.another("matcher-2").await;
    let here = world.gateway("gateway-1").await;
    let there = other.gateway("gateway-1").await;
    let clients = [Client::new(1), Client::new(2)];
    let code = open(&clients[0], &here, "duel").await;
    let seen = enter(&clients[1], &there, &code.to_lowercase()).await;
    assert_eq!((players(&seen), seen.most), (vec![1, 2], 2));
    until(&clients[0], &here, |state| players(state) == [1, 2]).await;

    say(&clients[0], &here, "start", "").await;
    let error = clients[0].error(&here).await;
    assert_eq!(
        (error.code, error.re.as_deref()),
        (ErrorCode::NotReady, Some("private.start"))
    );
    say(&clients[1], &there, "start", "").await;
    assert_eq!(clients[1].error(&there).await.code, ErrorCode::NotLeader);
    say(&clients[1], &there, "ready", r#","ready":true"#).await;
    until(&clients[0], &here, |state| state.members[1].ready).await;
    say(&clients[0], &here, "start", "").await;
    let found = [
        clients[0].take(&here, "match.found").await,
        clients[1].take(&there, "match.found").await,
    ];
    assert_eq!(found[0]["match"], found[1]["match"]);
    assert_eq!(world.syncd().asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_alone_plays_with_bots_if_the_mode_has_them() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let alone = Client::new(1);
    open(&alone, &gateway, "duel").await;
    say(&alone, &gateway, "start", "").await;
    assert_eq!(alone.error(&gateway).await.code, ErrorCode::NotReady);
    for bot in (11..=13).map(Client::bot) {
        bot.attach(&gateway).await;
        bot.join(&gateway, "race").await;
    }
    say(&alone, &gateway, "open", r#","mode":"race""#).await;
    until(&alone, &gateway, |state| state.mode == "race").await;
    say(&alone, &gateway, "start", "").await;
    assert_eq!(alone.take(&gateway, "match.found").await["players"], 4);
}

#[tokio::test(start_paused = true)]
async fn the_next_one_leads_and_may_send_others_away() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let clients = [Client::new(1), Client::new(2), Client::new(3)];
    let code = open(&clients[0], &gateway, "race").await;
    for client in &clients[1..] {
        enter(client, &gateway, &code).await;
    }
    say(&clients[0], &gateway, "leave", "").await;
    let left = clients[0].take(&gateway, "private.left").await;
    assert_eq!(left["reason"], "left");
    until(&clients[1], &gateway, |state| players(state) == [2, 3]).await;
    let third = format!(r#","player":"{}""#, clients[2].player());
    say(&clients[1], &gateway, "kick", &third).await;
    until(&clients[1], &gateway, |state| players(state) == [2]).await;
    let left = clients[2].take(&gateway, "private.left").await;
    assert_eq!(left["reason"], "sent_away");
    say(
        &clients[2],
        &gateway,
        "join",
        &format!(r#","code":"{code}""#),
    )
    .await;
    let error = clients[2].error(&gateway).await;
    assert_eq!(
        (error.code, error.field.as_deref()),
        (ErrorCode::PrivateUnknown, Some("code"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_room_outlives_its_matcher_and_a_store_that_forgets_it() {
    let mut world = World::new().await;
    let other = world.another("matcher-2").await;
    let here = world.gateway("gateway-1").await;
    let clients = [Client::new(1), Client::new(2)];
    let code = open(&clients[0], &here, "duel").await;
    enter(&clients[1], &here, &code).await;
    world.kill().await;

    let there = other.gateway("gateway-1").await;
    for client in &clients {
        let state = client.attach(&there).await.state;
        assert_eq!(state["private"]["code"], Value::from(code.clone()));
        assert_eq!(state["private"]["members"].as_array().unwrap().len(), 2);
    }
    world.store.clear();
    until(&clients[1], &there, |state| state.members.len() == 2).await;
    for client in &clients {
        say(client, &there, "ready", r#","ready":true"#).await;
    }
    let ready = until(&clients[0], &there, |state| {
        state.members.iter().all(|one| one.ready)
    })
    .await;
    let leader = clients
        .iter()
        .find(|one| one.player() == ready.members[0].player)
        .unwrap();
    say(leader, &there, "start", "").await;
    for client in &clients {
        client.take(&there, "match.found").await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_stays_away_loses_the_place_in_the_room() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let clients = [Client::new(1), Client::new(2)];
    let code = open(&clients[0], &gateway, "race").await;
    enter(&clients[1], &gateway, &code).await;
    clients[0].detach(&gateway, false).await;
    tokio::time::sleep(Duration::from_secs(40)).await;
    until(&clients[1], &gateway, |state| players(state) == [2]).await;
    // Queueing leaves it, too.
    clients[1].join(&gateway, "duel").await;
    assert_eq!(
        enter_error(&Client::new(3), &gateway, &code).await,
        ErrorCode::PrivateUnknown
    );
}

async fn enter_error(client: &Client, gateway: &Gateway, code: &str) -> ErrorCode {
    client.attach(gateway).await;
    say(client, gateway, "join", &format!(r#","code":"{code}""#)).await;
    client.error(gateway).await.code
}
