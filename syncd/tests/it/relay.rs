//! Messages between members of a room.

use protocol::log::Attach;
use rpc::pb;
use rpc::pb::from_origin_item::Item;
use rpc::pb::to_origin_item::Item as ToItem;
use serde_json::{Value, json};
use syncd::Config;

use crate::client::Client;
use crate::fake::{Gateway, Node, create, detach};

/// A relay room whose members are all attached, by one gateway each.
struct Table {
    node: Node,
    members: Vec<(Client, Gateway)>,
}

impl Table {
    async fn of(seats: u64) -> Self {
        let node = Node::start(Config::default()).await;
        let mut relay = create(1, seats, r#"{"minutes":5}"#);
        relay.game = "relay".to_owned();
        node.rooms.clone().create(relay).await.unwrap();
        let mut members = Vec::new();
        for number in 1..=seats {
            let (mut client, mut gateway) = (Client::new(number), node.gateway().await);
            client.attach(&mut gateway, 1, Attach::Fresh).await;
            members.push((client, gateway));
        }
        Self { node, members }
    }

    async fn say(&self, seat: usize, message: Value) {
        let (client, gateway) = &self.members[seat];
        say(client, gateway, message).await;
    }

    async fn wait_for(&mut self, seat: usize, event: &str) {
        let (client, gateway) = &mut self.members[seat];
        while !client.events.iter().any(|known| known == event) {
            client.snapshot(gateway).await;
        }
    }

    async fn error(&mut self, seat: usize) -> Value {
        let (client, gateway) = &mut self.members[seat];
        error(client, gateway).await
    }
}

async fn say(client: &Client, gateway: &Gateway, mut message: Value) {
    message["t"] = "room.say".into();
    let text = pb::ClientText {
        session: client.number,
        text: message.to_string(),
    };
    gateway.send(ToItem::Text(text)).await;
}

/// The next control message, which has to be an error about a message.
async fn error(client: &Client, gateway: &mut Gateway) -> Value {
    let text = gateway.find(|item| match item {
        Item::Text(text) if text.session == client.number => Some(text.text),
        _ => None,
    });
    let error: Value = serde_json::from_str(&text.await).unwrap();
    assert_eq!(
        (&error["t"], &error["re"]),
        (&json!("error"), &json!("room.say"))
    );
    error
}

fn said(from: u16, data: &str) -> String {
    format!(r#"{{"e":"relay.said","from":{from},"data":{data}}}"#)
}

fn host(seat: u16) -> String {
    format!(r#"{{"e":"relay.host","seat":{seat}}}"#)
}

#[tokio::test(start_paused = true)]
async fn a_message_goes_to_everyone_or_to_one() {
    let mut table = Table::of(3).await;
    table.say(0, json!({ "data": "for two", "to": 2 })).await;
    table.say(0, json!({ "data": { "all": [1, 2] } })).await;
    let (one, all) = (said(0, r#""for two""#), said(0, r#"{"all":[1,2]}"#));
    for seat in 0..3 {
        table.wait_for(seat, &all).await;
        let told: Vec<&String> = table.members[seat]
            .0
            .events
            .iter()
            .filter(|event| event.contains("relay.said"))
            .collect();
        match seat {
            2 => assert_eq!(told, [&one, &all]),
            _ => assert_eq!(told, [&all]),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_who_was_away_gets_what_was_said_meanwhile() {
    let mut table = Table::of(2).await;
    let (away, gateway) = &mut table.members[1];
    away.snapshot(gateway).await;
    gateway.send(detach(2, 1, false)).await;
    let position = away.position;
    let left = r#"{"e":"seat.left","seat":1,"reason":"lost"}"#;
    table.wait_for(0, left).await;
    table.say(0, json!({ "data": "come back", "to": 1 })).await;
    table.say(0, json!({ "data": 0, "to": 0 })).await;
    table.wait_for(0, &said(0, "0")).await;
    let (away, gateway) = &mut table.members[1];
    let resume = Attach::Resume(position);
    assert!(away.attach(gateway, 1, resume).await);
    table.wait_for(1, &said(0, r#""come back""#)).await;
}

#[tokio::test(start_paused = true)]
async fn the_host_migrates_when_it_is_away_and_does_not_come_back_by_itself() {
    let mut table = Table::of(3).await;
    for seat in 0..3 {
        let (client, gateway) = &mut table.members[seat];
        client.snapshot(gateway).await;
        assert_eq!(client.view().globals()[0], 0);
    }
    table.members[0].1.send(detach(1, 1, false)).await;
    table.wait_for(2, &host(1)).await;
    let (first, gateway) = &mut table.members[0];
    first.attach(gateway, 1, Attach::Fresh).await;
    assert_eq!(first.state["setup"]["host"], 1);
    first.snapshot(gateway).await;
    assert_eq!(first.view().globals()[0], 1);
    assert_eq!(first.view().entity(0), Some(&[1][..]));
    table.members[1].1.send(detach(2, 1, true)).await;
    table.wait_for(2, &host(0)).await;
}

#[tokio::test(start_paused = true)]
async fn who_says_too_much_is_told_when_to_go_on() {
    let mut table = Table::of(2).await;
    for number in 0..11 {
        table.say(0, json!({ "data": number })).await;
    }
    let error = table.error(0).await;
    assert_eq!(error["code"], "rate_limited");
    let retry = error["retry_after_ms"].as_u64().unwrap();
    assert!((1..=1000).contains(&retry), "{retry}");
    // Of the other one nothing is held against.
    table.say(1, json!({ "data": "mine" })).await;
    table.wait_for(1, &said(1, r#""mine""#)).await;
    let (witness, gateway) = &mut table.members[1];
    let free = witness.newest + (retry * 60).div_ceil(1000) as u32;
    while witness.newest < free {
        witness.snapshot(gateway).await;
    }
    table.say(0, json!({ "data": "again" })).await;
    table.wait_for(1, &said(0, r#""again""#)).await;
    let (witness, _) = &table.members[1];
    assert!(witness.events.contains(&said(0, "9")));
    assert!(!witness.events.contains(&said(0, "10")));
}

#[tokio::test(start_paused = true)]
async fn a_message_for_nobody_is_refused_with_the_field() {
    let mut table = Table::of(2).await;
    table.say(0, json!({ "data": 1, "to": 2 })).await;
    let error = table.error(0).await;
    assert_eq!(
        (&error["code"], &error["field"]),
        (&json!("bad_field"), &json!("to"))
    );
    table.members[1].1.send(detach(2, 1, true)).await;
    let left = r#"{"e":"seat.left","seat":1,"reason":"left"}"#;
    table.wait_for(0, left).await;
    table.say(0, json!({ "data": 1, "to": 1 })).await;
    let error = table.error(0).await;
    assert_eq!(
        (&error["code"], &error["field"]),
        (&json!("not_in_room"), &json!("to"))
    );
}

#[tokio::test(start_paused = true)]
async fn the_room_ends_when_everyone_has_left_and_its_result_has_the_members() {
    let table = Table::of(2).await;
    let mut watch = table.node.watch().await;
    for (client, gateway) in &table.members {
        gateway.send(detach(client.number, 1, true)).await;
    }
    let ended = loop {
        let news = watch.message().await.unwrap().unwrap().news;
        if let Some(pb::room_news::News::Ended(ended)) = news {
            break ended;
        }
    };
    assert_eq!((ended.room, ended.reason.as_str()), (1, "finished"));
    let recorded = table.node.store.recorded.lock();
    let players: Vec<u64> = recorded[0]
        .standings
        .iter()
        .map(|standing| standing.player.0)
        .collect();
    assert_eq!(players, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_race_takes_no_messages() {
    let node = Node::start(Config::default()).await;
    node.open(1, 1, "").await.unwrap();
    let (mut racer, mut gateway) = (Client::new(1), node.gateway().await);
    racer.attach(&mut gateway, 1, Attach::Fresh).await;
    say(&racer, &gateway, json!({ "data": "hello" })).await;
    let error = error(&racer, &mut gateway).await;
    assert_eq!(error["code"], "bad_message");
    racer.snapshot(&mut gateway).await;
}
