//! Rooms: found, refused, lost, ended.

use std::time::Duration;

use protocol::control::ErrorCode;
use serde_json::Value;

use crate::clients::Client;
use crate::gateway::Gateway;
use crate::syncd::Manner;
use crate::world::World;

async fn duel(gateway: &Gateway) -> [Client; 2] {
    let clients = [Client::new(1), Client::new(2)];
    for client in &clients {
        client.attach(gateway).await;
        client.join(gateway, "duel").await;
    }
    clients
}

async fn found(gateway: &Gateway, clients: &[Client]) -> Value {
    let mut found = Value::Null;
    for client in clients {
        found = client.take(gateway, "match.found").await;
    }
    found
}

#[tokio::test(start_paused = true)]
async fn a_room_that_ended_frees_its_players() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let clients = duel(&gateway).await;
    let found = found(&gateway, &clients).await;
    clients[0]
        .say(&gateway, r#"{"t":"queue.join","mode":"duel"}"#)
        .await;
    assert_eq!(
        clients[0].error(&gateway).await.code,
        ErrorCode::AlreadyInMatch
    );

    let room = world.syncd().asked()[0].room;
    world.syncd().end_room(room, "finished").await;
    for client in &clients {
        let ended = client.take(&gateway, "match.ended").await;
        assert_eq!(ended["reason"], "finished");
        assert_eq!(
            (&ended["room"], &ended["match"]),
            (&found["room"], &found["match"])
        );
        client.join(&gateway, "duel").await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_room_may_queue_again() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let clients = duel(&gateway).await;
    found(&gateway, &clients).await;
    clients[0].say(&gateway, r#"{"t":"room.leave"}"#).await;
    clients[0].join(&gateway, "race").await;
    let room = world.syncd().asked()[0].room;
    world.syncd().end_room(room, "finished").await;
    clients[1].take(&gateway, "match.ended").await;
    clients[0].say(&gateway, r#"{"t":"queue.leave"}"#).await;
    // Not the end of a match that was left.
    clients[0].take(&gateway, "queue.left").await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_refuses_is_passed_over() {
    let world = World::with(2, |_| ()).await;
    world.syncds[0].behave(Manner::Refusing);
    let gateway = world.gateway("gateway-1").await;
    let clients = duel(&gateway).await;
    let found = found(&gateway, &clients).await;
    let [refused, made] = [world.syncds[0].asked(), world.syncds[1].asked()];
    assert_eq!((refused.len(), made.len()), (1, 1));
    assert_ne!(
        refused[0].room, made[0].room,
        "no room has one name in two places"
    );
    assert_eq!(
        found["room"],
        protocol::id::RoomId(made[0].room).to_string()
    );
}

#[tokio::test(start_paused = true)]
async fn a_full_node_is_better_than_one_that_has_just_refused() {
    let world = World::with(2, |_| ()).await;
    world.syncds[0].behave(Manner::Refusing);
    world.syncds[1].fill(50);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let gateway = world.gateway("gateway-1").await;
    let clients = duel(&gateway).await;
    found(&gateway, &clients).await;
    let asked: Vec<usize> = world.syncds.iter().map(|one| one.asked().len()).collect();
    assert_eq!(asked, [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_room_whose_node_was_lost_while_making_it_is_not_given_out() {
    let world = World::new().await;
    world.syncd().behave(Manner::Slow);
    let gateway = world.gateway("gateway-1").await;
    let clients = duel(&gateway).await;
    world.syncd().asked_for(1).await;
    world.syncd().restart();
    world.syncd().watched().await;
    let found = found(&gateway, &clients).await;
    let asked = world.syncd().asked();
    assert!(asked.len() > 1);
    let last = protocol::id::RoomId(asked[asked.len() - 1].room);
    assert_eq!(found["room"], last.to_string());
}

#[tokio::test(start_paused = true)]
async fn a_match_is_held_in_a_region_that_is_near_to_all() {
    let world = World::in_regions(&["east", "west"]).await;
    let gateway = world.gateway("gateway-1").await;
    let clients = [Client::new(1), Client::new(2)];
    let latencies = [
        r#"{"east":10,"west":40,"moon":1}"#,
        r#"{"east":900,"west":50}"#,
    ];
    for (client, regions) in clients.iter().zip(latencies) {
        client.attach(&gateway).await;
        let join = format!(r#"{{"t":"queue.join","mode":"duel","regions":{regions}}}"#);
        client.say(&gateway, &join).await;
        client.queue_state(&gateway).await;
    }
    found(&gateway, &clients).await;
    let asked: Vec<usize> = world.syncds.iter().map(|one| one.asked().len()).collect();
    assert_eq!(asked, [0, 1]);

    let stray = Client::new(3);
    stray.attach(&gateway).await;
    let join = r#"{"t":"queue.join","mode":"duel","regions":{"moon":1}}"#;
    stray.say(&gateway, join).await;
    let error = stray.error(&gateway).await;
    assert_eq!(error.field.as_deref(), Some("regions"));
    assert!(error.message.contains("east, west"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_less_loaded_node_gets_the_room() {
    let world = World::with(2, |_| ()).await;
    let gateway = world.gateway("gateway-1").await;
    for pair in 0..4 {
        let clients = [Client::new(pair * 2 + 1), Client::new(pair * 2 + 2)];
        for client in &clients {
            client.attach(&gateway).await;
            client.join(&gateway, "duel").await;
        }
        found(&gateway, &clients).await;
    }
    let rooms: Vec<usize> = world
        .syncds
        .iter()
        .map(|syncd| syncd.asked().len())
        .collect();
    assert_eq!(rooms, [2, 2]);
}

async fn tickets_come_back(manner: Manner) {
    let world = World::new().await;
    world.syncd().behave(manner);
    let gateway = world.gateway("gateway-1").await;
    let clients = duel(&gateway).await;
    // Two rounds of three attempts each: the tickets went back in between.
    world.syncd().asked_for(6).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let state = clients[0].queue_state_now(&gateway).await;
    assert!(
        state.waiting_ms >= 20_000,
        "the age is the old one: {state:?}"
    );
    world.syncd().behave(Manner::Obliging);
    found(&gateway, &clients).await;
}

#[tokio::test(start_paused = true)]
async fn tickets_go_back_with_their_age_when_syncd_refuses() {
    tickets_come_back(Manner::Refusing).await;
}

#[tokio::test(start_paused = true)]
async fn tickets_go_back_with_their_age_when_syncd_hangs() {
    tickets_come_back(Manner::Hanging).await;
}

#[tokio::test(start_paused = true)]
async fn who_leaves_while_a_room_is_looked_for_is_not_put_back() {
    let world = World::new().await;
    world.syncd().behave(Manner::Hanging);
    let gateway = world.gateway("gateway-1").await;
    let clients = duel(&gateway).await;
    world.syncd().asked_for(1).await;
    clients[0].say(&gateway, r#"{"t":"queue.leave"}"#).await;
    clients[0].take(&gateway, "queue.left").await;
    // The ticket is still the match's.
    clients[0]
        .say(&gateway, r#"{"t":"queue.join","mode":"race"}"#)
        .await;
    let error = clients[0].error(&gateway).await;
    assert_eq!(error.code, ErrorCode::AlreadyInMatch);
    assert!(error.retry_after_ms.is_some());
    world.syncd().asked_for(3).await;
    world.syncd().behave(Manner::Obliging);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(clients[1].queue_state_now(&gateway).await.size, 1);
    assert_eq!(world.syncd().asked().len(), 3, "one alone makes no duel");
    let third = Client::new(3);
    third.attach(&gateway).await;
    third.join(&gateway, "duel").await;
    found(&gateway, &[clients[1].clone(), third]).await;
}

#[tokio::test(start_paused = true)]
async fn while_no_node_is_there_tickets_wait() {
    let world = World::new().await;
    world.syncd().die();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let gateway = world.gateway("gateway-1").await;
    let clients = duel(&gateway).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(world.syncd().asked().is_empty());
    world.syncd().restart();
    found(&gateway, &clients).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_restarts_has_lost_its_matches() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let clients = duel(&gateway).await;
    found(&gateway, &clients).await;
    world.syncd().restart();
    for client in &clients {
        assert_eq!(client.take(&gateway, "match.ended").await["reason"], "lost");
        client.join(&gateway, "duel").await;
    }
    found(&gateway, &clients).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_loses_no_match() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let clients = duel(&gateway).await;
    found(&gateway, &clients).await;
    for _ in 0..3 {
        world.syncd().cut();
        world.syncd().watched().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let room = world.syncd().asked()[0].room;
    world.syncd().end_room(room, "finished").await;
    let ended = clients[0].take(&gateway, "match.ended").await;
    assert_eq!(ended["reason"], "finished");
}

#[tokio::test(start_paused = true)]
async fn a_match_that_ended_while_nobody_watched_is_not_lost() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let clients = duel(&gateway).await;
    found(&gateway, &clients).await;
    world.syncd().cut();
    let room = world.syncd().asked()[0].room;
    world.syncd().end_room(room, "finished").await;
    for client in &clients {
        let ended = client.take(&gateway, "match.ended").await;
        assert_eq!(ended["reason"], "finished");
    }
}

#[tokio::test(start_paused = true)]
async fn a_mode_that_no_room_can_be_made_of_does_not_hold_up_the_others() {
    let world = World::with(2, |_| ()).await;
    for syncd in &world.syncds {
        syncd.behave(Manner::NoDuels);
    }
    let gateway = world.gateway("gateway-1").await;
    duel(&gateway).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let asked: usize = world.syncds.iter().map(|one| one.asked().len()).sum();
    assert!((2..=30).contains(&asked), "{asked} times, with pauses");

    let racers: Vec<Client> = (11..=18).map(Client::new).collect();
    for racer in &racers {
        racer.attach(&gateway).await;
        racer.join(&gateway, "race").await;
    }
    let since = tokio::time::Instant::now();
    found(&gateway, &racers).await;
    assert!(since.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_falls_silent_gets_no_rooms_until_it_wakes() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    world.syncd().freeze(true);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let clients = duel(&gateway).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(world.syncd().asked().is_empty());
    world.syncd().freeze(false);
    found(&gateway, &clients).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_never_comes_back_has_lost_its_matches() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let clients = duel(&gateway).await;
    found(&gateway, &clients).await;
    world.syncd().die();
    let died = tokio::time::Instant::now();
    let ended = clients[0].take(&gateway, "match.ended").await;
    assert_eq!(ended["reason"], "lost");
    assert!((29..35).contains(&died.elapsed().as_secs()));
}

#[tokio::test(start_paused = true)]
async fn a_draining_matcher_takes_no_more_players_and_ends() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let clients = duel(&gateway).await;
    // Nobody acknowledges: the drain waits for them, but not for ever.
    for client in &clients {
        client.event(&gateway).await;
    }
    world.drain.begin();
    let late = Client::new(3);
    late.attach(&gateway).await;
    late.say(&gateway, r#"{"t":"queue.join","mode":"duel"}"#)
        .await;
    assert_eq!(late.error(&gateway).await.code, ErrorCode::Unavailable);
    let ended = tokio::time::timeout(Duration::from_secs(10), world.running).await;
    assert!(ended.unwrap().unwrap().is_ok());
    assert_eq!(world.drain.finished(Duration::from_secs(5)).await, Ok(()));
}
