//! Rooms and players that move between nodes, under connections that stay.

use std::time::{Duration, Instant};

use protocol::close::CloseCode;
use protocol::control::{ErrorCode, ErrorMessage};
use protocol::frame::{Frame as Binary, InputFrame, Steps};
use protocol::id::{Epoch, Generation, InputSeq, Offset, PlayerId, RoomId, Tick};
use protocol::log::Attach;
use rpc::inbound::Inbound;
use serde_json::{Value, json};

use crate::it::fleet::{Fleet, id, owner};
use crate::it::origin::FakeOrigin;
use crate::it::player::{Player, Said};
use crate::it::rig::ROOM;

/// From the change of a placement to the attach at the new node, on a machine that is busy: every
/// 100 ms the gateway asks.
const PROMPT: Duration = Duration::from_millis(600);

fn unknown() -> ErrorMessage {
    ErrorMessage::new(ErrorCode::RoomUnknown, "not here").re("room.join")
}

fn input() -> Binary {
    let mut steps = Steps::new(8);
    assert!(steps.push(3));
    Binary::Input(InputFrame {
        epoch: Epoch(1),
        offset: Offset(0),
        snapshot: Tick(0),
        first: InputSeq(1),
        steps,
    })
}

/// The mode in which the player's first attach comes, and whether it counts as a login.
async fn attach(origin: &FakeOrigin, of: PlayerId) -> (Attach, bool) {
    let pick = |seen: &Inbound| match seen {
        Inbound::Attach(request) if request.player == of => {
            Some((request.mode, request.claim.login))
        }
        _ => None,
    };
    origin.saw(pick).await
}

fn detached(player: &Player) -> impl Fn(&Inbound) -> Option<()> + use<> {
    let session = player.welcome["session"].clone();
    move |inbound| match inbound {
        Inbound::Detach { session: whose, .. } => (session == whose.to_string()).then_some(()),
        _ => None,
    }
}

/// The next control message is that the room's channel stands.
async fn hear_room(player: &mut Player) -> Value {
    match player.raw.listen().await {
        Said::Text(said) => {
            assert_eq!(
                (&said["t"], &said["ch"]),
                (&json!("channel"), &json!("room")),
                "{said}"
            );
            said
        }
        Said::Binary(frame) => panic!("{frame:?}"),
    }
}

#[tokio::test]
async fn a_room_is_followed_to_the_node_that_took_it_over() {
    let fleet = Fleet::start().await;
    let second = fleet.add("syncd-2", 1).await;
    let mut player = fleet.racer("Ada").await;
    let first = &fleet.rig.room;
    first.emit(player.id, r#"{"e":"before"}"#);
    player.raw.hear_event().await;

    first.vanish();
    let lost = player.raw.hear("channel.lost").await;
    assert_eq!(lost["ch"], "room");
    second.take_over(first);
    second.record(player.id, r#"{"e":"meanwhile"}"#);
    fleet.place(ROOM, ("syncd-2", 1), 2).await;
    let placed = Instant::now();
    let attached = attach(&second, player.id).await;
    assert!(placed.elapsed() < PROMPT, "{:?}", placed.elapsed());
    assert_eq!(attached, (Attach::Continue, false));

    assert_eq!(hear_room(&mut player).await["recovered"], true);
    assert_eq!(player.raw.hear_event().await.payload, r#"{"e":"before"}"#);
    let event = player.raw.hear_event().await;
    assert_eq!(event.payload, r#"{"e":"meanwhile"}"#);
    // What the client has to say goes to the new node, up to the end.
    player.raw.acknowledge(&event).await;
    player.raw.say_binary(&input()).await;
    player
        .raw
        .say(&json!({ "t": "room.say", "data": "hi" }))
        .await;
    second
        .saw(|seen| matches!(seen, Inbound::Ack { .. }).then_some(()))
        .await;
    second
        .saw(|seen| matches!(seen, Inbound::Input { .. }).then_some(()))
        .await;
    second
        .saw(|seen| matches!(seen, Inbound::Text { .. }).then_some(()))
        .await;
    player.expect_well(&fleet.rig).await;
    let gone = detached(&player);
    drop(player);
    second.saw(gone).await;
}

#[tokio::test]
async fn a_room_that_moved_is_followed_at_once_and_the_client_need_not_know() {
    let fleet = Fleet::start().await;
    let second = fleet.add("syncd-2", 1).await;
    let mut player = fleet.racer("Ada").await;
    let third = fleet.add("syncd-3", 1).await;
    fleet.linked("syncd-2").await;
    second.take_over(&fleet.rig.room);
    // The placement still says otherwise.
    let to = (&id("syncd-2"), Generation(1));
    fleet.rig.room.moved(player.id, ROOM, Some(to));
    assert_eq!(hear_room(&mut player).await["recovered"], true);
    player.raw.say_binary(&input()).await;
    second
        .saw(|seen| matches!(seen, Inbound::Input { .. }).then_some(()))
        .await;
    // And where nothing is said of where to, the placement says it.
    third.take_over(&second);
    fleet.place(ROOM, ("syncd-3", 1), 2).await;
    second.moved(player.id, ROOM, None);
    player.raw.hear("channel").await;
    third.emit(player.id, r#"{"e":"here"}"#);
    assert_eq!(player.raw.hear_event().await.payload, r#"{"e":"here"}"#);
}

#[tokio::test]
async fn what_the_old_node_goes_on_to_say_is_not_passed_on() {
    let fleet = Fleet::start().await;
    let second = fleet.add("syncd-2", 1).await;
    let mut player = fleet.racer("Ada").await;
    fleet.linked("syncd-2").await;
    let first = &fleet.rig.room;
    second.take_over(first);
    let to = (&id("syncd-2"), Generation(1));
    first.moved(player.id, ROOM, Some(to));
    let ada = player.id;
    let say_all = || {
        first.snapshot(ada, 5, "old");
        first.emit(ada, r#"{"e":"old"}"#);
        first.text(ada, r#"{"t":"error","code":"internal","message":"of old"}"#);
        first.answer(ada, 1);
        first.close_channel(ada, "finished");
        first.close_connection(ada, 1, CloseCode::Replaced);
    };
    say_all();
    hear_room(&mut player).await;
    say_all();
    second.snapshot(player.id, 1, "new");
    let Said::Binary(Binary::Snapshot(shown)) = player.raw.listen().await else {
        panic!("no snapshot");
    };
    assert_eq!(shown.head.tick.0, 1);
    player.expect_well(&fleet.rig).await;
}

#[tokio::test]
async fn what_is_said_of_the_room_before_is_not_passed_on() {
    const NEXT: RoomId = RoomId(0xdef);
    let fleet = Fleet::start().await;
    let mut player = fleet.racer("Ada").await;
    let node = &fleet.rig.room;
    node.hold_attaches();
    let ticket = fleet.rig.ticket_to(player.id, NEXT, "syncd-1");
    player
        .raw
        .say(&json!({ "t": "room.join", "ticket": ticket }))
        .await;
    node.saw(detached(&player)).await;
    let ada = player.id;
    let of_the_room_before = || {
        node.speak_of(ROOM);
        node.answer(ada, 1);
        node.emit(ada, r#"{"e":"old"}"#);
        node.snapshot(ada, 7, "old");
        node.close_channel(ada, "finished");
        node.speak_of(NEXT);
    };
    of_the_room_before();
    node.answer_held();
    hear_room(&mut player).await;
    of_the_room_before();
    node.snapshot(player.id, 1, "new");
    let heard = loop {
        match player.raw.listen().await {
            Said::Binary(Binary::Snapshot(shown)) => break shown,
            // The log of the fake is one for all rooms.
            Said::Binary(_) => {}
            Said::Text(said) => panic!("{said}"),
        }
    };
    assert_eq!(heard.head.tick.0, 1);
}

#[tokio::test]
async fn a_ticket_of_a_room_that_has_moved_is_good() {
    let fleet = Fleet::start().await;
    let second = fleet.add("syncd-2", 1).await;
    fleet.linked("syncd-2").await;
    fleet.place(ROOM, ("syncd-2", 1), 2).await;
    fleet.rig.room.refuse_next(unknown());
    let mut player = Player::join(&fleet.rig, "Ada").await;
    player.enter_room(&fleet.rig).await;
    assert_eq!(attach(&second, player.id).await.0, Attach::Fresh);
    // The node of another one may be gone altogether.
    fleet.rig.room.vanish();
    fleet.withdraw("syncd-1", 1).await;
    let mut other = Player::join(&fleet.rig, "Bob").await;
    other.enter_room(&fleet.rig).await;
    second.attached(other.id, 1).await;
}

#[tokio::test]
async fn a_node_that_does_not_have_its_room_yet_is_asked_again() {
    let fleet = Fleet::start().await;
    fleet.rig.room.refuse_next(unknown());
    let mut player = Player::join(&fleet.rig, "Ada").await;
    player.enter_room(&fleet.rig).await;
    fleet.rig.room.emit(player.id, r#"{"e":"here"}"#);
    assert_eq!(player.raw.hear_event().await.payload, r#"{"e":"here"}"#);
}

#[tokio::test]
async fn a_room_that_is_over_is_told_so() {
    let fleet = Fleet::start().await;
    let mut player = fleet.racer("Ada").await;
    fleet.end(ROOM).await;
    fleet.rig.room.vanish();
    player.raw.hear("channel.lost").await;
    let error = player.raw.expect_error("room_unknown").await;
    assert_eq!(error["re"], "room.join");
    player
        .raw
        .say(&json!({ "t": "room.say", "data": "hi" }))
        .await;
    player.raw.expect_error("not_in_room").await;
}

#[tokio::test]
async fn a_room_that_is_not_placed_just_after_a_failover_is_not_over() {
    let fleet = Fleet::start().await;
    let player = fleet.racer("Ada").await;
    let second = fleet.add("syncd-2", 1).await;
    fleet.set_settled(false);
    fleet.end(ROOM).await;
    fleet.rig.room.vanish();
    fleet.linked("syncd-2").await; // by then it has been looked up in vain
    fleet.place(ROOM, ("syncd-2", 1), 2).await;
    second.attached(player.id, 1).await;
}

#[tokio::test]
async fn a_newcomer_to_a_room_out_of_reach_is_answered_in_time() {
    let fleet = Fleet::start().await;
    let mut player = Player::join(&fleet.rig, "Ada").await;
    fleet.place(ROOM, ("syncd-9", 1), 2).await;
    fleet.rig.room.vanish();
    let ticket = fleet.rig.ticket(player.id);
    player
        .raw
        .say(&json!({ "t": "room.join", "ticket": ticket }))
        .await;
    player.raw.hear("channel.lost").await;
    let error = player.raw.expect_error("unavailable").await;
    assert_eq!(error["re"], "room.join");
    assert!(
        error["retry_after_ms"]
            .as_u64()
            .is_some_and(|wait| wait > 0)
    );
}

#[tokio::test]
async fn a_new_incarnation_takes_the_place_of_the_link() {
    let fleet = Fleet::start().await;
    let mut player = fleet.racer("Ada").await;
    let again = fleet.add("syncd-1", 2).await;
    player.raw.hear("channel.lost").await;
    again.take_over(&fleet.rig.room);
    fleet.place(ROOM, ("syncd-1", 2), 2).await;
    assert_eq!(hear_room(&mut player).await["recovered"], true);
    assert_eq!(attach(&again, player.id).await, (Attach::Continue, false));
}

#[tokio::test]
async fn a_link_that_is_up_outlasts_its_lease() {
    let fleet = Fleet::start().await;
    let mut player = fleet.racer("Ada").await;
    fleet.withdraw("syncd-1", 1).await;
    fleet.withdraw("matcher-1", 1).await;
    // Whoever comes now has been through the router since.
    fleet.add("syncd-2", 1).await;
    let mut other = fleet.racer("Bob").await;
    for player in [&mut player, &mut other] {
        fleet.rig.room.emit(player.id, r#"{"e":"here"}"#);
        assert_eq!(player.raw.hear_event().await.payload, r#"{"e":"here"}"#);
        player.expect_well(&fleet.rig).await;
    }
    assert!(fleet.rig.readiness.is_ready());
}

#[tokio::test]
async fn a_room_of_a_node_that_is_cut_off_from_the_store_is_followed_to_its_next_owner() {
    let fleet = Fleet::start().await;
    let second = fleet.add("syncd-2", 1).await;
    fleet.linked("syncd-2").await;
    let mut player = fleet.racer("Ada").await;
    let first = &fleet.rig.room;
    // It knows nothing of it: its link stays, and it says nothing.
    fleet.withdraw("syncd-1", 1).await;
    second.take_over(first);
    fleet.place(ROOM, ("syncd-2", 1), 2).await;
    assert_eq!(attach(&second, player.id).await, (Attach::Continue, false));
    first.saw(detached(&player)).await;
    assert_eq!(hear_room(&mut player).await["recovered"], true);
    first.emit(player.id, r#"{"e":"old"}"#);
    second.emit(player.id, r#"{"e":"here"}"#);
    assert_eq!(player.raw.hear_event().await.payload, r#"{"e":"here"}"#);
    player.expect_well(&fleet.rig).await;
    // A client that comes back with its old ticket is sent on as well.
    let mut other = fleet.racer("Bob").await;
    second.attached(other.id, 1).await;
    other.expect_well(&fleet.rig).await;
}

#[tokio::test]
async fn who_has_a_room_is_not_asked_while_its_node_has_its_lease() {
    let fleet = Fleet::start().await;
    let second = fleet.add("syncd-2", 1).await;
    fleet.linked("syncd-2").await;
    let mut player = fleet.racer("Ada").await;
    // Another node's lease ends, and a room that nobody here is in moves.
    fleet.withdraw("syncd-2", 1).await;
    fleet.place(RoomId(0xeee), ("syncd-2", 1), 1).await;
    fleet.place(ROOM, ("syncd-2", 1), 2).await;
    let mut third = fleet.racer("Cy").await;
    for player in [&mut player, &mut third] {
        fleet.rig.room.emit(player.id, r#"{"e":"here"}"#);
        assert_eq!(player.raw.hear_event().await.payload, r#"{"e":"here"}"#);
    }
    drop(second);
}

const MATCHERS: [&str; 2] = ["matcher-1", "matcher-2"];

/// Players of either matcher.
async fn players(fleet: &Fleet) -> Vec<Player> {
    let mut players = Vec::new();
    for number in 0..12 {
        players.push(Player::join(&fleet.rig, &format!("player {number}")).await);
    }
    let of_first = players
        .iter()
        .filter(|player| owner(player.id, &MATCHERS) == MATCHERS[0]);
    assert!((1..12).contains(&of_first.count()));
    players
}

#[tokio::test]
async fn a_matcher_that_comes_gets_its_share_of_the_players_and_no_others() {
    let fleet = Fleet::start().await;
    let mut players = players(&fleet).await;
    let first = &fleet.rig.matcher;
    let second = fleet.add("matcher-2", 1).await;
    for player in &mut players {
        if owner(player.id, &MATCHERS) == MATCHERS[0] {
            continue;
        }
        assert_eq!(player.raw.hear("channel.lost").await["ch"], "match");
        let channel = player.raw.hear("channel").await;
        assert_eq!(
            (&channel["ch"], &channel["recovered"]),
            (&json!("match"), &json!(false))
        );
        assert_eq!(attach(&second, player.id).await, (Attach::Fresh, false));
        first.saw(detached(player)).await;
        second.emit(player.id, r#"{"e":"here"}"#);
        assert_eq!(player.raw.hear_event().await.payload, r#"{"e":"here"}"#);
    }
    for player in &mut players {
        if owner(player.id, &MATCHERS) == MATCHERS[0] {
            first.emit(player.id, r#"{"e":"stays"}"#);
            let Said::Binary(Binary::Event(event)) = player.raw.listen().await else {
                panic!("something was said of a channel that stays");
            };
            assert_eq!(event.payload, r#"{"e":"stays"}"#);
        }
    }
}

#[tokio::test]
async fn players_of_a_matcher_that_dies_go_to_another_one() {
    let fleet = Fleet::start().await;
    let second = fleet.add("matcher-2", 1).await;
    let mut players = players(&fleet).await;
    for player in &players {
        if owner(player.id, &MATCHERS) == MATCHERS[1] {
            second.attached(player.id, 1).await;
        }
    }
    fleet.rig.matcher.vanish();
    for player in &mut players {
        if owner(player.id, &MATCHERS) == MATCHERS[0] {
            assert_eq!(player.raw.hear("channel.lost").await["ch"], "match");
            assert_eq!(player.raw.hear("channel").await["recovered"], false);
        }
        second.emit(player.id, r#"{"e":"here"}"#);
        assert_eq!(player.raw.hear_event().await.payload, r#"{"e":"here"}"#);
    }
    assert!(fleet.rig.readiness.is_ready(), "one matcher is enough");
    // When it is back, as a new incarnation, it has its players back.
    let again = fleet.add("matcher-1", 2).await;
    for player in &mut players {
        if owner(player.id, &MATCHERS) == MATCHERS[0] {
            player.raw.hear("channel").await;
            again.attached(player.id, 1).await;
        }
    }
}
