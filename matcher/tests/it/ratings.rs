//! Ratings: players are matched by what the database says, also after a match, and are told.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use engine::conformance::players::{Broken, result};
use engine::{Engine, MatchResult, Players};
use pixelrush_matcher::Config;
use pixelrush_matcher::config::{Event, EventOptions, Mode, ModeOptions};
use protocol::close::CloseCode;
use protocol::id::MatchId;
use rpc::pb;
use rpc::pb::from_origin_item::Item as FromItem;
use tonic::Code;

use crate::clients::Client;
use crate::gateway::Gateway;
use crate::world::{Plan, World};

async fn world(players: Option<Arc<dyn Players>>) -> World {
    let mut config = Config::default();
    let duel = config.modes.get_mut(&"duel".parse().unwrap()).unwrap();
    let mut options = ModeOptions::from(duel.clone());
    options.window.start = 5_000;
    options.window.cap = 5_000;
    *duel = Mode::new(options).unwrap();
    let gala = Event::new(EventOptions {
        title: "Gala".to_owned(),
        opens_at: UNIX_EPOCH,
        closes_at: UNIX_EPOCH + Duration::from_secs(4_000_000_000),
        seats: 1,
        hold: Duration::from_secs(5),
    });
    config.events.insert("gala".parse().unwrap(), gala.unwrap());
    World::start(Plan {
        config,
        regions: vec![None],
        players,
        ..Plan::default()
    })
    .await
}

async fn duel(gateway: &Gateway, clients: &[Client]) {
    for client in clients {
        client.join(gateway, "duel").await;
    }
    for client in clients {
        client.take(gateway, "match.found").await;
    }
}

/// What the players of the room that was asked for last were matched by.
fn matched_by(world: &World, clients: &[Client]) -> Vec<i32> {
    let asked = world.syncd().asked();
    let seats = &asked.last().expect("a room").seats;
    let of = |client: &Client| {
        let mut seats = seats.iter();
        seats.find(|seat| seat.player == client.player().0).unwrap()
    };
    clients.iter().map(|client| of(client).rating).collect()
}

/// What the room's end says, and nobody else says it.
fn result_of(world: &World, clients: [&Client; 2]) -> MatchResult {
    let asked = world.syncd().asked();
    let room = asked.last().expect("a room");
    let players = clients.map(|client| client.player().0);
    MatchResult {
        match_id: MatchId(room.r#match),
        ..result(0, "duel", 5_000, &players)
    }
}

async fn rating(players: &dyn Players, client: &Client) -> i32 {
    let ratings = players.ratings(&[client.player()]).await.expect("read");
    let of_duels = ratings.iter().find(|rating| rating.mode == "duel");
    of_duels.expect("rated").rating.points()
}

#[tokio::test(start_paused = true)]
async fn players_are_matched_by_their_rating_in_the_mode_and_by_the_new_one_after_a_match() {
    let engine = Engine::embedded(None).expect("an engine");
    let players = engine.players.clone().expect("players");
    let clients = [Client::new(1), Client::new(2)];
    let ids = [clients[0].player().0, clients[1].player().0];
    let other = result(1, "race", 1_000, &[ids[1], ids[0]]);
    engine.results.record(&other).await.expect("recorded");
    let earlier = result(2, "duel", 1_000, &ids);
    engine.results.record(&earlier).await.expect("recorded");

    let world = world(Some(players.clone())).await;
    let gateway = world.gateway("gateway-1").await;
    for client in &clients {
        client.attach(&gateway).await;
    }
    duel(&gateway, &clients).await;
    let before = rating(&*players, &clients[0]).await;
    assert!(before > 1_600, "the winner's: {before}");
    assert_eq!(matched_by(&world, &clients)[0], before);

    let result = result_of(&world, [&clients[0], &clients[1]]);
    engine.results.record(&result).await.expect("recorded");
    let room = world.syncd().asked().last().expect("a room").room;
    world.syncd().end_room(room, "finished").await;
    for client in &clients {
        client.take(&gateway, "match.ended").await;
    }
    let told = clients[0].take(&gateway, "rating").await;
    clients[1].take(&gateway, "rating").await;
    let after = rating(&*players, &clients[0]).await;
    assert_eq!(told["match"], result.match_id.to_string());
    assert_eq!((&told["mode"], &told["games"]), (&"duel".into(), &2.into()));
    assert_eq!(told["before"], before);
    assert_eq!(told["after"], after);
    assert!(after > before);

    duel(&gateway, &clients).await;
    assert_eq!(matched_by(&world, &clients)[0], after);
}

#[tokio::test(start_paused = true)]
async fn a_match_without_a_result_changes_nothing_and_tells_nothing() {
    let engine = Engine::embedded(None).expect("an engine");
    let world = world(engine.players).await;
    let gateway = world.gateway("gateway-1").await;
    let clients = [Client::new(1), Client::new(2)];
    for client in &clients {
        client.attach(&gateway).await;
    }
    duel(&gateway, &clients).await;
    let room = world.syncd().asked()[0].room;
    world.syncd().end_room(room, "abandoned").await;
    for client in &clients {
        client.take(&gateway, "match.ended").await;
    }
    // The next event is the next match.
    duel(&gateway, &clients).await;
    assert_eq!(matched_by(&world, &clients), [1_500, 1_500]);
}

#[tokio::test(start_paused = true)]
async fn without_the_database_players_are_matched_by_what_their_login_says() {
    let broken = Arc::new(Broken::default());
    let world = world(Some(broken.clone())).await;
    let gateway = world.gateway("gateway-1").await;
    let clients = [Client::new(1), Client::new(2)];
    for client in &clients {
        client.attach(&gateway).await;
    }
    duel(&gateway, &clients).await;
    assert_eq!(matched_by(&world, &clients), [1_500, 1_500]);
    assert!(broken.calls() >= 1);
}

#[tokio::test(start_paused = true)]
async fn who_queues_while_the_database_hangs_waits_for_a_second_and_may_leave_meanwhile() {
    let world = world(Some(Arc::new(Broken::hanging()))).await;
    let gateway = world.gateway("gateway-1").await;
    let clients = [Client::new(1), Client::new(2), Client::new(3)];
    for client in &clients {
        client.attach(&gateway).await;
        client
            .say(&gateway, r#"{"t":"queue.join","mode":"duel"}"#)
            .await;
    }
    clients[0].say(&gateway, r#"{"t":"queue.leave"}"#).await;
    let began = tokio::time::Instant::now();
    for client in &clients[1..] {
        client.take(&gateway, "match.found").await;
    }
    assert!(began.elapsed() < Duration::from_secs(2), "not for long");
    let seats = &world.syncd().asked()[0].seats;
    assert!(
        seats
            .iter()
            .all(|seat| seat.player != clients[0].player().0)
    );
    assert_eq!(matched_by(&world, &clients[1..]), [1_500, 1_500]);
}

#[tokio::test(start_paused = true)]
async fn gateways_are_told_leaders_histories_and_profiles() {
    let engine = Engine::embedded(None).expect("an engine");
    for number in 1..=3 {
        let result = result(number, "race", 1_000 + number, &[7, 8, 9]);
        engine.results.record(&result).await.expect("recorded");
    }
    let world = world(engine.players).await;
    let mut directory = world.directory().await;
    let mode = "race".to_owned();
    let asked = pb::AskLeaders {
        mode: mode.clone(),
        limit: 2,
    };
    let leaders = directory
        .leaders(asked)
        .await
        .expect("leaders")
        .into_inner();
    let places: Vec<(u64, u64)> = leaders
        .rows
        .iter()
        .map(|row| (row.place, row.rating.as_ref().expect("a rating").player))
        .collect();
    assert_eq!(places, [(1, 7), (2, 8)]);
    let asked = pb::AskAround {
        mode,
        player: 9,
        side: 1,
    };
    let around = directory.around(asked).await.expect("around").into_inner();
    assert_eq!(
        around.rows.iter().map(|row| row.place).collect::<Vec<_>>(),
        [2, 3]
    );

    let asked = pb::AskHistory {
        player: 7,
        from: String::new(),
        limit: 2,
    };
    let first = directory
        .history(asked.clone())
        .await
        .expect("a page")
        .into_inner();
    assert_eq!(first.matches.len(), 2);
    let asked = pb::AskHistory {
        from: first.next,
        ..asked
    };
    let second = directory.history(asked).await.expect("a page").into_inner();
    assert_eq!((second.matches.len(), second.next.as_str()), (1, ""));
    assert!(second.matches[0].change.is_some());

    let asked = pb::AskProfile {
        player: 7,
        with_seats: false,
    };
    let profile = directory
        .profile(asked)
        .await
        .expect("a profile")
        .into_inner();
    assert!(profile.is_known && profile.name == "player 7");
    assert_eq!((profile.ratings[0].games, profile.ratings[0].wins), (3, 3));

    let unknown = pb::AskLeaders {
        mode: "chess".to_owned(),
        limit: 2,
    };
    let refused = directory.leaders(unknown).await.expect_err("no such mode");
    assert_eq!(refused.code(), Code::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_profile_has_the_seats_that_are_confirmed() {
    let engine = Engine::embedded(None).expect("an engine");
    let world = world(engine.players).await;
    let gateway = world.gateway("gateway-1").await;
    let client = Client::new(1);
    client.attach(&gateway).await;
    for (what, state) in [("reserve", "reserved"), ("confirm", "confirmed")] {
        let text = format!(r#"{{"t":"event.{what}","event":"gala"}}"#);
        client.say(&gateway, &text).await;
        let told = |item: &FromItem| match item {
            FromItem::Text(text) => text.text.contains(&format!("\"{state}\"")).then_some(()),
            _ => None,
        };
        gateway.next(client.session(), state, told).await;
    }
    let mut directory = world.directory().await;
    let mut seats = async |with_seats| {
        let asked = pb::AskProfile {
            player: client.player().0,
            with_seats,
        };
        let profile = directory.profile(asked).await.expect("a profile");
        profile.into_inner().seats
    };
    assert_eq!(seats(false).await, []);
    let gala = pb::SeatRow {
        event: "gala".to_owned(),
        seat: 1,
    };
    assert_eq!(seats(true).await, [gala]);
}

#[tokio::test(start_paused = true)]
async fn a_player_who_is_forgotten_is_sent_to_log_in_anew() {
    let engine = Engine::embedded(None).expect("an engine");
    let client = Client::new(1);
    let result = result(1, "duel", 1_000, &[client.player().0, 99]);
    engine.results.record(&result).await.expect("recorded");
    let world = world(engine.players.clone()).await;
    let gateway = world.gateway("gateway-1").await;
    client.attach(&gateway).await;
    let mut directory = world.directory().await;
    let board = pb::AskLeaders {
        mode: "duel".to_owned(),
        limit: 10,
    };
    let leaders = directory.leaders(board.clone()).await.expect("leaders");
    assert_eq!(leaders.into_inner().rows.len(), 2);
    let asked = pb::ForgetPlayer {
        player: client.player().0,
    };
    directory.forget(asked).await.expect("forgotten");
    let code = client.closed(&gateway).await;
    assert_eq!(code, u32::from(CloseCode::TokenInvalid.code()));
    let asked = pb::AskProfile {
        player: client.player().0,
        with_seats: true,
    };
    let profile = directory
        .profile(asked)
        .await
        .expect("a profile")
        .into_inner();
    assert!(!profile.is_known);
    // Though it was read a moment ago.
    let leaders = directory.leaders(board).await.expect("leaders");
    assert_eq!(leaders.into_inner().rows.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_kept_gateways_are_told_so_and_of_a_failing_database_too() {
    for (players, code) in [
        (None, Code::FailedPrecondition),
        (
            Some(Arc::new(Broken::default()) as Arc<dyn Players>),
            Code::Unavailable,
        ),
    ] {
        let world = world(players).await;
        let mut directory = world.directory().await;
        let refused = directory
            .profile(pb::AskProfile {
                player: 1,
                with_seats: false,
            })
            .await;
        assert_eq!(refused.expect_err("nothing to tell").code(), code);
    }
}
