//! Tickets that were lost everywhere, and come back by their receipts.

use std::time::Duration;

use protocol::control::{ErrorCode, QueueState};
use serde_json::Value;

use crate::clients::Client;
use crate::gateway::Gateway;
use crate::world::World;

fn join(mode: &str, receipt: &str) -> String {
    format!(r#"{{"t":"queue.join","mode":"{mode}","receipt":"{receipt}"}}"#)
}

/// Waits until the client has a receipt.
async fn receipt(client: &Client, gateway: &Gateway) -> String {
    loop {
        if let Some(receipt) = client.queue_state(gateway).await.receipt {
            return receipt;
        }
    }
}

async fn join_by(client: &Client, gateway: &Gateway, mode: &str, receipt: &str) -> QueueState {
    gateway.forget(client.session());
    client.say(gateway, &join(mode, receipt)).await;
    client.queue_state(gateway).await
}

#[tokio::test(start_paused = true)]
async fn a_ticket_that_nobody_knows_any_more_comes_back_with_its_age() {
    let mut world = World::new().await;
    let other = world.another("matcher-2").await;
    let here = world.gateway("gateway-1").await;
    let clients = [Client::new(1), Client::new(2)];
    clients[0].attach(&here).await;
    assert_eq!(
        clients[0].join(&here, "duel").await.receipt,
        None,
        "too early"
    );
    tokio::time::sleep(Duration::from_secs(20)).await;
    let receipt = receipt(&clients[0], &here).await;
    world.kill().await;
    world.store.clear();

    let there = other.gateway("gateway-1").await;
    clients[1].attach(&there).await;
    assert_eq!(clients[0].attach(&there).await.state["queue"], Value::Null);
    let state = join_by(&clients[0], &there, "duel", &receipt).await;
    assert!(state.waiting_ms >= 20_000, "{state:?}");
    // It is a ticket like any other.
    clients[1].join(&there, "duel").await;
    clients[0].take(&there, "match.found").await;
}

#[tokio::test(start_paused = true)]
async fn a_receipt_of_a_ticket_that_was_left_or_matched_brings_nothing_back() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let clients = [Client::new(1), Client::new(2)];
    clients[0].attach(&gateway).await;
    clients[0].join(&gateway, "duel").await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let first = receipt(&clients[0], &gateway).await;
    // While it waits, the ticket is the ticket.
    assert!(
        join_by(&clients[0], &gateway, "duel", &first)
            .await
            .waiting_ms
            >= 20_000
    );
    clients[0].say(&gateway, r#"{"t":"queue.leave"}"#).await;
    clients[0].take(&gateway, "queue.left").await;
    assert!(
        join_by(&clients[0], &gateway, "duel", &first)
            .await
            .waiting_ms
            < 1_000
    );

    tokio::time::sleep(Duration::from_secs(5)).await;
    let second = receipt(&clients[0], &gateway).await;
    clients[1].attach(&gateway).await;
    clients[1].join(&gateway, "duel").await;
    for client in &clients {
        client.take(&gateway, "match.found").await;
    }
    let room = world.syncd().asked()[0].room;
    world.syncd().end_room(room, "finished").await;
    clients[0].take(&gateway, "match.ended").await;
    assert!(
        join_by(&clients[0], &gateway, "duel", &second)
            .await
            .waiting_ms
            < 1_000
    );
}

#[tokio::test(start_paused = true)]
async fn a_receipt_that_is_none_is_named_and_the_player_queues_without() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let clients = [Client::new(1), Client::new(2)];
    clients[0].attach(&gateway).await;
    clients[0].join(&gateway, "duel").await;
    let good = receipt(&clients[0], &gateway).await;
    clients[1].attach(&gateway).await;
    for (receipt, code) in [
        (good.as_str(), ErrorCode::TokenInvalid),
        ("forged", ErrorCode::TokenInvalid),
    ] {
        gateway.forget(clients[1].session());
        clients[1].say(&gateway, &join("race", receipt)).await;
        let error = clients[1].error(&gateway).await;
        assert_eq!(
            (error.code, error.field.as_deref()),
            (code, Some("receipt"))
        );
        assert_eq!(error.re.as_deref(), Some("queue.join"));
        clients[1].queue_state(&gateway).await;
        clients[1].say(&gateway, r#"{"t":"queue.leave"}"#).await;
        clients[1].take(&gateway, "queue.left").await;
    }
    clients[0].say(&gateway, r#"{"t":"queue.leave"}"#).await;
    clients[0].take(&gateway, "queue.left").await;
    clients[0].say(&gateway, &join("race", &good)).await;
    let error = clients[0].error(&gateway).await;
    assert_eq!(
        (error.code, error.field.as_deref()),
        (ErrorCode::BadField, Some("receipt"))
    );
}
