//! The store is away, or has lost what was written to it: players keep what they have, and it gets
//! back what it had.

use std::time::Duration;

use protocol::control::ErrorCode;
use tokio::time::Instant;

use crate::clients::Client;
use crate::failover::{queue, rehomed, sleep};
use crate::syncd::Manner;
use crate::world::World;

#[tokio::test(start_paused = true)]
async fn a_store_that_came_back_empty_gets_its_tickets_and_matches_back() {
    let world = World::new().await;
    let other = world.another("matcher-2").await;
    let here = world.gateway("gateway-1").await;
    let there = other.gateway("gateway-1").await;
    let playing = [Client::new(1), Client::new(2)];
    for client in &playing {
        queue(&here, client, "duel").await;
    }
    for client in &playing {
        client.take(&here, "match.found").await;
    }
    let ada = Client::new(3);
    queue(&here, &ada, "duel").await;
    let lone = Client::new(4);
    lone.attach(&there).await;
    let join = r#"{"t":"queue.join","mode":"team","party":{"code":"abcd","size":2}}"#;
    lone.say(&there, join).await;
    lone.queue_state(&there).await;
    sleep(20).await;
    world.store.clear();
    sleep(5).await;

    let state = ada.queue_state_now(&here).await;
    assert!(state.waiting_ms >= 25_000, "{state:?}");
    assert_eq!((state.size, state.party), (1, None));
    let state = lone.queue_state_now(&there).await;
    assert!(state.waiting_ms >= 25_000, "{state:?}");
    assert_eq!(state.party, Some((1, 2)));
    for client in &playing {
        let state = rehomed(client).attach(&there).await.state;
        assert!(state["match"].is_object(), "{state}");
    }
    let bea = Client::new(5);
    queue(&there, &bea, "duel").await;
    ada.take(&here, "match.found").await;
    bea.take(&there, "match.found").await;
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_everyone_keeps_what_they_have() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let ada = Client::new(1);
    queue(&gateway, &ada, "duel").await;
    for away in ["fail", "hang"] {
        match away {
            "fail" => world.way.fail(),
            _ => world.way.cut_off(),
        }
        sleep(10).await;
        let late = Client::new(2);
        gateway.attach(&late.request).await; // nobody can say where it stands
        let since = Instant::now();
        late.say(&gateway, r#"{"t":"queue.join","mode":"duel"}"#)
            .await;
        let error = late.error(&gateway).await;
        assert_eq!(error.code, ErrorCode::Unavailable);
        assert!(error.retry_after_ms.is_some());
        assert!(since.elapsed() < Duration::from_secs(1), "the desk goes on");
        let state = ada.queue_state_now(&gateway).await;
        assert!(state.waiting_ms >= 10_000, "{state:?}");
        late.detach(&gateway, false).await;
        world.way.open();
        sleep(4).await;
    }
    let bea = Client::new(3);
    queue(&gateway, &bea, "duel").await;
    ada.take(&gateway, "match.found").await;
}

#[tokio::test(start_paused = true)]
async fn who_came_while_the_store_was_away_is_let_in_when_it_is_back() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    world.way.cut_off();
    let ada = Client::new(1);
    gateway.attach(&ada.request).await;
    sleep(10).await;
    world.way.open();
    let since = Instant::now();
    let attached = gateway.next(ada.session(), "attached", |item| {
        matches!(item, rpc::pb::from_origin_item::Item::Attached(_)).then_some(())
    });
    attached.await;
    assert!(since.elapsed() < Duration::from_secs(3));
    ada.join(&gateway, "duel").await;
}

#[tokio::test(start_paused = true)]
async fn a_join_whose_answer_was_lost_leaves_no_ticket_behind() {
    let world = World::new().await;
    let other = world.another("matcher-2").await;
    let here = world.gateway("gateway-1").await;
    let there = other.gateway("gateway-1").await;
    let ada = Client::new(1);
    ada.attach(&here).await;
    world.way.lose_answers();
    ada.say(&here, r#"{"t":"queue.join","mode":"duel"}"#).await;
    assert_eq!(ada.error(&here).await.code, ErrorCode::Unavailable);
    world.way.open();
    sleep(5).await;
    let bea = Client::new(2);
    queue(&there, &bea, "duel").await;
    sleep(1).await;
    assert_eq!(bea.queue_state_now(&there).await.size, 1);
    ada.join(&here, "duel").await;
    ada.take(&here, "match.found").await;
}

#[tokio::test(start_paused = true)]
async fn a_leave_while_the_store_was_away_counts_when_it_is_back() {
    let world = World::new().await;
    let other = world.another("matcher-2").await;
    let here = world.gateway("gateway-1").await;
    let there = other.gateway("gateway-1").await;
    let clients = [Client::new(1), Client::new(2)];
    for client in &clients {
        queue(&here, client, "duel").await;
    }
    for client in &clients {
        client.take(&here, "match.found").await;
    }
    let third = Client::new(3);
    queue(&here, &third, "duel").await;
    world.way.fail();
    third.say(&here, r#"{"t":"queue.leave"}"#).await;
    third.take(&here, "queue.left").await;
    clients[0].say(&here, r#"{"t":"room.leave"}"#).await;
    sleep(3).await;
    world.way.open();
    sleep(5).await;
    for client in [&third, &clients[0]] {
        let state = rehomed(client).attach(&there).await.state;
        assert!(
            state["queue"].is_null() && state["match"].is_null(),
            "{state}"
        );
    }
    let state = rehomed(&clients[1]).attach(&there).await.state;
    assert!(state["match"].is_object());
}

#[tokio::test(start_paused = true)]
async fn a_settled_match_whose_answer_was_lost_stands() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    world.syncd().behave(Manner::Slow);
    let clients = [Client::new(1), Client::new(2)];
    for client in &clients {
        queue(&gateway, client, "duel").await;
    }
    world.syncd().asked_for(1).await;
    world.way.lose_answers();
    sleep(3).await;
    world.way.open();
    let found = clients[0].take(&gateway, "match.found").await;
    assert_eq!(
        clients[1].take(&gateway, "match.found").await["room"],
        found["room"]
    );
    assert_eq!(world.syncd().asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_forgot_the_end_of_a_match_is_told_again() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let clients = [Client::new(1), Client::new(2)];
    for client in &clients {
        queue(&gateway, client, "duel").await;
    }
    for client in &clients {
        client.take(&gateway, "match.found").await;
    }
    // What a fail-over leaves: the writes before it are there, the last ones are not.
    let before = world.store.snapshot();
    clients[0].say(&gateway, r#"{"t":"room.leave"}"#).await;
    sleep(1).await;
    world.store.go_back_to(before);
    clients[0].join(&gateway, "race").await;
    clients[0].say(&gateway, r#"{"t":"queue.leave"}"#).await;
    clients[0].take(&gateway, "queue.left").await;

    let before = world.store.snapshot();
    let room = world.syncd().asked()[0].room;
    world.syncd().end_room(room, "finished").await;
    clients[1].take(&gateway, "match.ended").await;
    world.store.go_back_to(before);
    for client in &clients {
        client.join(&gateway, "duel").await;
    }
    for client in &clients {
        let found = client.take(&gateway, "match.found").await;
        assert_ne!(found["room"], protocol::id::RoomId(room).to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_forgot_a_match_is_told_again_and_matches_nobody_twice() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    world.syncd().behave(Manner::Slow);
    let clients = [Client::new(1), Client::new(2)];
    for client in &clients {
        queue(&gateway, client, "duel").await;
    }
    world.syncd().asked_for(1).await;
    let before = world.store.snapshot(); // claimed
    for client in &clients {
        client.take(&gateway, "match.found").await;
    }
    world.store.go_back_to(before);
    sleep(30).await;
    assert_eq!(
        world.syncd().asked().len(),
        1,
        "the claim did not come back"
    );
    let room = world.syncd().asked()[0].room;
    world.syncd().end_room(room, "finished").await;
    for client in &clients {
        client.take(&gateway, "match.ended").await;
        client.join(&gateway, "duel").await;
    }
}
