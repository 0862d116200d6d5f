//! Several matchers on one store: any of them dies, freezes or is cut off, and nobody is left
//! behind or matched twice.

use std::time::Duration;

use protocol::control::ErrorCode;
use protocol::log::Attach;
use serde_json::Value;
use tokio::time::Instant;

use crate::clients::Client;
use crate::gateway::Gateway;
use crate::syncd::Manner;
use crate::world::World;

/// The player's gateway brings it to another matcher.
pub(crate) fn rehomed(client: &Client) -> Client {
    let mut client = client.clone();
    client.request.mode = Attach::Fresh;
    client.request.claim.login = false;
    client
}

pub(crate) async fn queue(gateway: &Gateway, client: &Client, mode: &str) {
    client.attach(gateway).await;
    client.join(gateway, mode).await;
}

pub(crate) async fn sleep(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn waited(state: &Value) -> u64 {
    state["queue"]["waiting_ms"].as_u64().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn players_of_two_matchers_meet_in_one_match() {
    let world = World::new().await;
    let other = world.another("matcher-2").await;
    let here = world.gateway("gateway-1").await;
    let there = other.gateway("gateway-1").await;
    let (ada, bea) = (Client::new(1), Client::new(2));
    queue(&here, &ada, "duel").await;
    queue(&there, &bea, "duel").await;
    let found = [
        ada.take(&here, "match.found").await,
        bea.take(&there, "match.found").await,
    ];
    assert_eq!(found[0]["match"], found[1]["match"]);
    assert_eq!(found[0]["room"], found[1]["room"]);
    assert_eq!(world.syncd().asked().len(), 1);

    let room = world.syncd().asked()[0].room;
    world.syncd().end_room(room, "finished").await;
    for (client, gateway) in [(&ada, &here), (&bea, &there)] {
        let ended = client.take(gateway, "match.ended").await;
        assert_eq!(ended["reason"], "finished");
        client.join(gateway, "duel").await;
    }
    ada.take(&here, "match.found").await;
    bea.take(&there, "match.found").await;
}

#[tokio::test(start_paused = true)]
async fn who_queued_at_a_matcher_that_died_keeps_the_place_at_another() {
    let mut world = World::new().await;
    let other = world.another("matcher-2").await;
    let here = world.gateway("gateway-1").await;
    let there = other.gateway("gateway-1").await;
    let ada = Client::new(1);
    queue(&here, &ada, "duel").await;
    sleep(20).await;
    world.kill().await;
    sleep(5).await;

    let ada = rehomed(&ada);
    let attached = ada.attach(&there).await;
    assert!(!attached.recovered);
    assert_eq!(attached.state["queue"]["mode"], "duel");
    assert!(waited(&attached.state) >= 25_000, "{attached:?}");
    // The place is kept for as long as the player is here.
    sleep(60).await;
    let bea = Client::new(2);
    queue(&there, &bea, "duel").await;
    ada.take(&there, "match.found").await;
    bea.take(&there, "match.found").await;
}

#[tokio::test(start_paused = true)]
async fn a_match_outlives_the_matcher_that_made_it() {
    let mut world = World::new().await;
    let other = world.another("matcher-2").await;
    let here = world.gateway("gateway-1").await;
    let there = other.gateway("gateway-1").await;
    let clients = [Client::new(1), Client::new(2)];
    for client in &clients {
        queue(&here, client, "duel").await;
    }
    let found = clients[0].take(&here, "match.found").await;
    world.kill().await;

    let clients = clients.map(|client| rehomed(&client));
    for client in &clients {
        let state = client.attach(&there).await.state;
        assert_eq!(state["match"]["room"], found["room"]);
        assert_eq!(state["match"]["match"], found["match"]);
        let ticket = state["match"]["ticket"].as_str().unwrap();
        let ticket: rpc::token::RoomTicket = world.signer.check(ticket).unwrap();
        assert_eq!(ticket.player, client.player());
        assert_eq!(ticket.node.as_str(), "syncd-1");
        client
            .say(&there, r#"{"t":"queue.join","mode":"duel"}"#)
            .await;
        let error = client.error(&there).await;
        assert_eq!(error.code, ErrorCode::AlreadyInMatch);
    }
    let room = world.syncd().asked()[0].room;
    world.syncd().end_room(room, "finished").await;
    for client in &clients {
        let ended = client.take(&there, "match.ended").await;
        assert_eq!(ended["reason"], "finished");
        client.join(&there, "duel").await;
    }
}

#[tokio::test(start_paused = true)]
async fn tickets_come_back_from_a_matcher_that_died_while_it_looked_for_a_room() {
    let mut world = World::new().await;
    let other = world.another("matcher-2").await;
    // The first matcher makes the match: the other one cannot reach the store yet.
    other.way.fail();
    world.syncd().behave(Manner::Hanging);
    let here = world.gateway("gateway-1").await;
    let there = other.gateway("gateway-1").await;
    let clients = [Client::new(1), Client::new(2)];
    for client in &clients {
        queue(&here, client, "duel").await;
    }
    world.syncd().asked_for(1).await;
    world.kill().await;
    world.syncd().behave(Manner::Obliging);
    other.way.open();

    let since = Instant::now();
    let clients = clients.map(|client| rehomed(&client));
    sleep(3).await;
    for client in &clients {
        let state = client.attach(&there).await.state;
        assert_eq!(state["queue"]["mode"], "duel", "claimed, and kept");
    }
    let found = [
        clients[0].take(&there, "match.found").await,
        clients[1].take(&there, "match.found").await,
    ];
    assert_eq!(found[0]["match"], found[1]["match"]);
    assert!(since.elapsed() < Duration::from_secs(15), "claims run out");
}

#[tokio::test(start_paused = true)]
async fn a_matcher_that_slept_over_its_claim_drops_its_match() {
    let world = World::new().await;
    let other = world.another("matcher-2").await;
    world.syncd().behave(Manner::Slow);
    let here = world.gateway("gateway-1").await;
    let there = other.gateway("gateway-1").await;
    let clients = [Client::new(1), Client::new(2)];
    other.way.fail();
    for client in &clients {
        queue(&here, client, "duel").await;
    }
    world.syncd().asked_for(1).await;
    world.way.cut_off(); // between claim and settle
    other.way.open();
    sleep(2).await;
    let before: Vec<Client> = clients.to_vec();
    let clients = clients.map(|client| rehomed(&client));
    for client in &clients {
        client.attach(&there).await;
    }
    let found = clients[0].take(&there, "match.found").await;
    clients[1].take(&there, "match.found").await;
    let asked = world.syncd().asked();
    assert_eq!(asked.len(), 2);
    let second = protocol::id::RoomId(asked[1].room).to_string();
    assert_eq!(found["room"], second);

    // It wakes up, with a room in its hands that nobody wants any more.
    world.way.open();
    sleep(10).await;
    let told = before[0].take(&here, "match.found").await;
    assert_eq!(told["room"], second, "not the match that was dropped");
    let state = clients[0].attach(&there).await.state;
    assert_eq!(state["match"]["room"], second);
    assert_eq!(world.syncd().asked().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_detach_that_was_a_move_does_not_cost_the_place() {
    let world = World::new().await;
    let other = world.another("matcher-2").await;
    let here = world.gateway("gateway-1").await;
    let there = other.gateway("gateway-1").await;
    let (ada, bot) = (Client::new(1), Client::bot(11));
    queue(&here, &ada, "duel").await;
    queue(&here, &bot, "race").await;
    for client in [&ada, &bot] {
        rehomed(client).attach(&there).await;
        client.detach(&here, false).await;
    }
    sleep(45).await;
    let state = ada.queue_state_now(&there).await;
    assert!(state.waiting_ms >= 45_000, "{state:?}");
    let state = bot.queue_state_now(&there).await;
    assert!(state.waiting_ms >= 45_000, "{state:?}");
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_nowhere_loses_the_place() {
    let mut world = World::new().await;
    let other = world.another("matcher-2").await;
    let here = world.gateway("gateway-1").await;
    let there = other.gateway("gateway-1").await;
    let ada = Client::new(1);
    queue(&here, &ada, "duel").await;
    world.kill().await;
    sleep(33).await;
    let bea = Client::new(2);
    queue(&there, &bea, "duel").await;
    sleep(1).await;
    assert_eq!(bea.queue_state_now(&there).await.size, 1);
    let state = rehomed(&ada).attach(&there).await.state;
    assert!(state["queue"].is_null(), "{state}");
}

#[tokio::test(start_paused = true)]
async fn a_party_gathers_across_matchers() {
    let mut world = World::new().await;
    let other = world.another("matcher-2").await;
    let here = world.gateway("gateway-1").await;
    let there = other.gateway("gateway-1").await;
    let party = [Client::new(1), Client::new(2), Client::new(3)];
    let join = r#"{"t":"queue.join","mode":"race","party":{"code":"abcd","size":3}}"#;
    for client in &party[..2] {
        client.attach(&here).await;
        client.say(&here, join).await;
        client.queue_state(&here).await;
    }
    world.kill().await;
    let ada = rehomed(&party[0]);
    ada.attach(&there).await;
    assert_eq!(ada.queue_state(&there).await.party, Some((2, 3)));
    let bea = rehomed(&party[1]);
    bea.attach(&there).await;
    party[2].attach(&there).await;
    party[2].say(&there, join).await;
    for client in [&ada, &bea, &party[2]] {
        let found = client.take(&there, "match.found").await;
        assert_eq!(found["players"], 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_who_leaves_elsewhere_makes_the_party_gather_again() {
    let world = World::new().await;
    let other = world.another("matcher-2").await;
    let here = world.gateway("gateway-1").await;
    let there = other.gateway("gateway-1").await;
    let (ada, bea) = (Client::new(1), Client::new(2));
    let join = r#"{"t":"queue.join","mode":"team","party":{"code":"abcd","size":2}}"#;
    for (client, gateway) in [(&ada, &here), (&bea, &there)] {
        client.attach(gateway).await;
        client.say(gateway, join).await;
        client.queue_state(gateway).await;
    }
    sleep(1).await;
    assert_eq!(ada.queue_state_now(&here).await.party, None, "complete");
    bea.say(&there, r#"{"t":"queue.leave"}"#).await;
    bea.take(&there, "queue.left").await;
    sleep(1).await;
    assert_eq!(ada.queue_state_now(&here).await.party, Some((1, 2)));
}

#[tokio::test(start_paused = true)]
async fn players_of_a_matcher_that_drains_go_on_at_another() {
    let world = World::new().await;
    let other = world.another("matcher-2").await;
    let here = world.gateway("gateway-1").await;
    let there = other.gateway("gateway-1").await;
    let ada = Client::new(1);
    queue(&there, &ada, "duel").await;
    sleep(5).await;
    other.drained().await;
    let ada = rehomed(&ada);
    let attached = ada.attach(&here).await;
    assert!(!attached.recovered && waited(&attached.state) >= 5_000);
    let bea = Client::new(2);
    queue(&here, &bea, "duel").await;
    ada.take(&here, "match.found").await;
}
