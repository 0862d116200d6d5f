//! Queues: from `queue.join` to `match.found`, and everything that can come between.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use protocol::close::CloseCode;
use protocol::control::ErrorCode;
use protocol::log::Attach;
use rpc::token::RoomTicket;
use tokio::time::Instant;

use crate::clients::Client;
use crate::gateway::Gateway;
use crate::world::{World, change_mode, mode};

async fn join_all(gateway: &Gateway, clients: &[Client], mode: &str) {
    for client in clients {
        client.attach(gateway).await;
        client.join(gateway, mode).await;
    }
}

#[tokio::test(start_paused = true)]
async fn eight_players_meet_in_one_race() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let clients: Vec<Client> = (1..=8).map(Client::new).collect();
    let started = Instant::now();
    join_all(&gateway, &clients, "race").await;

    let mut rooms = BTreeSet::new();
    for client in &clients {
        let found = client.take(&gateway, "match.found").await;
        assert_eq!(
            (&found["mode"], &found["players"]),
            (&"race".into(), &8.into())
        );
        let ticket: RoomTicket = world
            .signer
            .check(found["ticket"].as_str().unwrap())
            .unwrap();
        assert_eq!(ticket.player, client.player());
        assert_eq!(found["room"], ticket.room.to_string());
        rooms.insert(ticket.room);
    }
    assert_eq!(rooms.len(), 1);
    assert!(started.elapsed() < Duration::from_secs(1), "nobody waits");
    let asked = world.syncd().asked();
    assert_eq!(asked.len(), 1);
    assert_eq!((asked[0].game.as_str(), asked[0].seats.len()), ("race", 8));
    assert_eq!(asked[0].settings, "", "the game's defaults");
}

#[tokio::test(start_paused = true)]
async fn a_lone_player_races_against_bots_within_ten_seconds() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let bots: Vec<Client> = (11..=20).map(Client::bot).collect();
    join_all(&gateway, &bots, "race").await;
    let ada = Client::new(1).rated(2700);
    ada.attach(&gateway).await;
    let started = Instant::now();
    ada.join(&gateway, "race").await;

    let found = ada.take(&gateway, "match.found").await;
    assert_eq!(found["players"], 8);
    assert!(started.elapsed() < Duration::from_secs(5));
    let seats = &world.syncd().asked()[0].seats;
    assert_eq!(seats.iter().filter(|seat| seat.bot).count(), 7);
    for bot in bots {
        if seats.iter().any(|seat| seat.player == bot.player().0) {
            let bots = bot.take(&gateway, "match.found").await;
            assert_eq!(bots["room"], found["room"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_client_hears_every_second_how_the_queue_stands() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let clients = [Client::new(1), Client::new(2).rated(5000)];
    join_all(&gateway, &clients, "duel").await;
    let first = clients[0].queue_state(&gateway).await;
    let at = Instant::now();
    let second = clients[0].queue_state(&gateway).await;
    assert!(
        (900..=1600).contains(&at.elapsed().as_millis()),
        "{:?}",
        at.elapsed()
    );
    assert!(
        second.waiting_ms >= first.waiting_ms + 900,
        "{first:?} {second:?}"
    );
    assert_eq!((second.mode.as_str(), second.size), ("duel", 2));
    assert_eq!(second.estimate_ms, None, "nothing is known yet");
}

#[tokio::test(start_paused = true)]
async fn the_estimate_follows_recent_matches() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    // Out of each other's reach until the windows, 25 points a second, have met: 6 s.
    let clients = [Client::new(1), Client::new(2).rated(1750)];
    join_all(&gateway, &clients, "duel").await;
    clients[0].take(&gateway, "match.found").await;
    let late = Client::new(3);
    late.attach(&gateway).await;
    let estimate = late.join(&gateway, "duel").await.estimate_ms;
    assert!(
        estimate.is_some_and(|ms| (5_000..8_000).contains(&ms)),
        "{estimate:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn joining_again_keeps_the_place_and_another_mode_gives_it_up() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let ada = Client::new(1);
    ada.attach(&gateway).await;
    ada.join(&gateway, "duel").await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    gateway.forget(ada.session());
    let again = ada.join(&gateway, "duel").await;
    assert!(again.waiting_ms >= 10_000, "{again:?}");
    gateway.forget(ada.session());
    let other = ada.join(&gateway, "team").await;
    assert_eq!((other.mode.as_str(), other.waiting_ms), ("team", 0));
    // The old ticket is gone: nobody meets it.
    let other = Client::new(2);
    other.attach(&gateway).await;
    other.join(&gateway, "duel").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(other.queue_state_now(&gateway).await.size, 1);
}

#[tokio::test(start_paused = true)]
async fn a_resume_by_another_gateway_keeps_the_place_and_brings_unacknowledged_events() {
    let world = World::new().await;
    let first = world.gateway("gateway-1").await;
    let ada = Client::new(1);
    let attached = ada.attach(&first).await;
    ada.join(&first, "duel").await;
    drop(first); // killed: no detach

    tokio::time::sleep(Duration::from_secs(5)).await;
    let second = world.gateway("gateway-2").await;
    let ada = ada.reconnecting(Attach::Resume(attached.position));
    let resumed = ada.attach(&second).await;
    assert!(resumed.recovered);
    assert!(resumed.state["queue"]["waiting_ms"].as_u64().unwrap() >= 5_000);

    let bea = Client::new(2);
    bea.attach(&second).await;
    bea.join(&second, "duel").await;
    let (event, found) = ada.event(&second).await;
    assert_eq!(found["e"], "match.found");

    let third = world.gateway("gateway-3").await;
    let ada = ada.reconnecting(Attach::Resume(resumed.position));
    let resumed = ada.attach(&third).await;
    assert!(resumed.recovered);
    assert_eq!(resumed.state["match"]["room"], found["room"]);
    assert_eq!(
        ada.closed(&second).await,
        u32::from(CloseCode::Superseded.code())
    );
    let (again, body) = ada.event(&third).await;
    assert_eq!((again.offset, &body), (event.offset, &found));
    ada.acknowledge(&third, &again).await;

    let fourth = world.gateway("gateway-4").await;
    let position = protocol::id::Position {
        epoch: again.epoch,
        offset: again.offset,
    };
    let ada = ada.reconnecting(Attach::Resume(position));
    assert_eq!(ada.attach(&fourth).await.position, position);
    ada.say(&fourth, r#"{"t":"room.leave"}"#).await;
    ada.join(&fourth, "duel").await;
    ada.say(&fourth, r#"{"t":"queue.leave"}"#).await;
    let left = ada.take(&fourth, "queue.left").await;
    assert_eq!(
        left["reason"], "left",
        "the acknowledged event did not come again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_login_replaces_the_first_and_takes_its_place_over() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let ada = Client::new(1);
    ada.attach(&gateway).await;
    ada.join(&gateway, "duel").await;

    let elsewhere = ada.second_login();
    let attached = elsewhere.attach(&gateway).await;
    assert_eq!(attached.state["queue"]["mode"], "duel");
    assert_eq!(
        ada.closed(&gateway).await,
        u32::from(CloseCode::Replaced.code())
    );

    // Neither what it left behind nor a resume gets the player back.
    ada.say(&gateway, r#"{"t":"queue.leave"}"#).await;
    let back = ada.reconnecting(Attach::Continue);
    gateway.attach(&back.request).await;
    assert_eq!(
        back.closed(&gateway).await,
        u32::from(CloseCode::Replaced.code())
    );
    assert_eq!(elsewhere.queue_state(&gateway).await.mode, "duel");
}

#[tokio::test(start_paused = true)]
async fn a_woken_gateway_changes_nothing() {
    let world = World::new().await;
    let frozen = world.gateway("gateway-1").await;
    let live = world.gateway("gateway-2").await;
    let ada = Client::new(1);
    ada.attach(&frozen).await;
    let now = ada.reconnecting(Attach::Fresh);
    now.attach(&live).await;
    now.join(&live, "duel").await;

    ada.say(&frozen, r#"{"t":"queue.leave"}"#).await;
    ada.detach(&frozen, true).await;
    frozen.attach(&ada.request).await; // an attach that was late
    let codes = [ada.closed(&frozen).await, ada.closed(&frozen).await];
    assert_eq!(codes, [u32::from(CloseCode::Superseded.code()); 2]);
    assert_eq!(now.queue_state(&live).await.mode, "duel");
    assert_eq!(now.join(&live, "duel").await.mode, "duel");
}

#[tokio::test(start_paused = true)]
async fn a_detach_of_an_earlier_connection_is_ignored() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let ada = Client::new(1);
    let attached = ada.attach(&gateway).await;
    let again = ada.reconnecting(Attach::Resume(attached.position));
    again.attach(&gateway).await;
    again.join(&gateway, "duel").await;
    ada.detach(&gateway, true).await;
    again.queue_state(&gateway).await;
    again.queue_state(&gateway).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stays_away_loses_its_place_and_is_told() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let ada = Client::new(1);
    let attached = ada.attach(&gateway).await;
    ada.join(&gateway, "duel").await;
    ada.detach(&gateway, false).await;
    tokio::time::sleep(Duration::from_secs(40)).await;
    let back = ada.reconnecting(Attach::Resume(attached.position));
    let resumed = back.attach(&gateway).await;
    assert!(resumed.recovered && resumed.state["queue"].is_null());
    assert_eq!(back.take(&gateway, "queue.left").await["reason"], "away");
}

#[tokio::test(start_paused = true)]
async fn a_player_who_is_gone_for_good_is_forgotten() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let ada = Client::new(1);
    let attached = ada.attach(&gateway).await;
    ada.detach(&gateway, false).await;
    tokio::time::sleep(Duration::from_secs(31)).await;
    let back = ada.reconnecting(Attach::Resume(attached.position));
    assert!(!back.attach(&gateway).await.recovered);
}

#[tokio::test(start_paused = true)]
async fn a_matcher_that_restarted_tells_its_clients_that_their_history_is_gone() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    // The gateway's connection broke; the client never left. But this matcher knows nothing.
    let ada = Client::new(1).reconnecting(Attach::Continue);
    let attached = ada.attach(&gateway).await;
    assert!(!attached.recovered);
    assert!(attached.state["queue"].is_null() && attached.state["match"].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_bot_that_drops_vanishes_from_the_queue_at_once() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let away = world.gateway("gateway-2").await;
    let bots = [Client::bot(11), Client::bot(12)];
    join_all(&gateway, &bots[..1], "race").await;
    join_all(&away, &bots[1..], "race").await;
    bots[0].detach(&gateway, false).await;
    drop(away);
    let ada = Client::new(1);
    ada.attach(&gateway).await;
    ada.join(&gateway, "race").await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(world.syncd().asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_a_reason() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let ada = Client::new(1);
    ada.attach(&gateway).await;
    let started = Instant::now();
    ada.join(&gateway, "race").await;
    let left = ada.take(&gateway, "queue.left").await;
    assert_eq!(left["reason"], "timeout");
    assert!(left["message"].as_str().unwrap().contains("Try again"));
    assert!((120..123).contains(&started.elapsed().as_secs()));
    ada.join(&gateway, "race").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_message_is_named() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let ada = Client::new(1);
    ada.attach(&gateway).await;
    let many: Vec<_> = (0..33).map(|n| format!(r#""r{n}":1"#)).collect();
    let many = format!(
        r#"{{"t":"queue.join","mode":"race","regions":{{{}}}}}"#,
        many.join(",")
    );
    let cases = [
        ("{", ErrorCode::BadMessage, None),
        (r#"{"t":"queue.jion"}"#, ErrorCode::UnknownType, Some("t")),
        (r#"{"t":"queue.join"}"#, ErrorCode::BadField, Some("mode")),
        (
            r#"{"t":"queue.join","mode":"chess"}"#,
            ErrorCode::ModeUnknown,
            Some("mode"),
        ),
        (
            r#"{"t":"queue.join","mode":"A b"}"#,
            ErrorCode::ModeUnknown,
            Some("mode"),
        ),
        (
            r#"{"t":"queue.join","mode":"race","regions":{"No Such":3}}"#,
            ErrorCode::BadField,
            Some("regions"),
        ),
        (many.as_str(), ErrorCode::BadField, Some("regions")),
        (
            r#"{"t":"room.join","ticket":"x"}"#,
            ErrorCode::OutOfOrder,
            None,
        ),
    ];
    for (text, code, field) in cases {
        ada.say(&gateway, text).await;
        let error = ada.error(&gateway).await;
        assert_eq!(
            (error.code, error.field.as_deref()),
            (code, field),
            "{text}"
        );
    }
    ada.say(&gateway, r#"{"t":"queue.join","mode":"chess"}"#)
        .await;
    let error = ada.error(&gateway).await;
    assert_eq!(error.re.as_deref(), Some("queue.join"));
    assert!(error.message.contains("duel, race, team"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_full_matcher_closes_the_connections_of_newcomers() {
    let world = World::with(1, |config| config.players = 1).await;
    let gateway = world.gateway("gateway-1").await;
    let ada = Client::new(1);
    ada.attach(&gateway).await;
    let bea = Client::new(2);
    gateway.attach(&bea.request).await;
    assert_eq!(
        bea.closed(&gateway).await,
        u32::from(CloseCode::Unavailable.code())
    );
    let again = ada.reconnecting(Attach::Continue);
    assert!(
        again.attach(&gateway).await.recovered,
        "who is known may come"
    );
}

#[tokio::test(start_paused = true)]
async fn a_mode_that_is_taken_away_sends_its_queue_home() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let ada = Client::new(1);
    ada.attach(&gateway).await;
    ada.join(&gateway, "duel").await;
    world.config.send_modify(|config| {
        Arc::make_mut(config).modes.remove(&mode("duel"));
    });
    assert_eq!(
        ada.take(&gateway, "queue.left").await["reason"],
        "mode_gone"
    );
    ada.say(&gateway, r#"{"t":"queue.join","mode":"duel"}"#)
        .await;
    assert_eq!(ada.error(&gateway).await.code, ErrorCode::ModeUnknown);
}

#[tokio::test(start_paused = true)]
async fn settings_without_modes_leave_those_there_were() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let clients = [Client::new(1), Client::new(2)];
    join_all(&gateway, &clients[..1], "duel").await;
    world.config.send_modify(|config| {
        let config = Arc::make_mut(config);
        config.modes.clear();
        config.state_every = Duration::from_secs(7);
    });
    for _ in 0..2 {
        clients[0].queue_state_now(&gateway).await;
    }
    let since = tokio::time::Instant::now();
    clients[0].queue_state_now(&gateway).await;
    assert!(since.elapsed() >= Duration::from_secs(6), "the rest counts");
    join_all(&gateway, &clients[1..], "duel").await;
    clients[0].take(&gateway, "match.found").await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_mode_takes_effect_while_running() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let clients = [Client::new(1), Client::new(2).rated(5000)];
    join_all(&gateway, &clients, "duel").await;
    world.config.send_modify(|config| {
        change_mode(Arc::make_mut(config), "duel", |duel| {
            duel.window.start = 9_000;
            duel.window.cap = 9_000;
            duel.settings.insert("laps".to_owned(), 5.into());
        });
    });
    clients[0].take(&gateway, "match.found").await;
    assert_eq!(world.syncd().asked()[0].settings, r#"{"laps":5}"#);
}
