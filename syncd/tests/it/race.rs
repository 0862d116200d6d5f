//! A whole race over the service.

use std::sync::atomic::Ordering;

use protocol::log::Attach;
use rpc::pb::from_origin_item::Item;
use rpc::pb::room_news::News;
use syncd::Config;
use syncd::games::race::{CarState, Pilot, Track};

use crate::client::Client;
use crate::fake::{Node, match_id};

#[tokio::test(start_paused = true)]
async fn eight_players_race_and_the_result_is_recorded_once_though_the_store_fails_at_first() {
    let node = Node::start(Config::default()).await;
    node.store.fail.store(3, Ordering::Relaxed);
    node.open(1, 8, r#"{"laps":1}"#).await.unwrap();
    let mut watch = node.watch().await;
    let mut gateway = node.gateway().await;
    let mut players: Vec<(Client, Pilot)> = (1..=8)
        .map(|number| (Client::new(number), Pilot::new(number)))
        .collect();
    for (client, _) in &mut players {
        client.attach(&mut gateway, 1, Attach::Fresh).await;
    }
    let state = &players[0].0.state;
    let track: Track = serde_json::from_value(state["setup"]["track"].clone()).unwrap();
    let mut closed = 0;
    while closed < 8 {
        let item = gateway.next().await;
        if let Item::Closed(channel) = &item {
            assert_eq!((channel.code, channel.reason.as_str()), (0, "finished"));
            closed += 1;
        }
        for (client, pilot) in &mut players {
            if client.take(&item) {
                let seat = client.number as usize - 1;
                let car = CarState::of(client.view(), seat).unwrap();
                client.input(&gateway, pilot.drive(&track, &car)).await;
            }
        }
    }
    for (client, _) in &players {
        let count = |kind: &str| {
            let kind = format!(r#"{{"e":"{kind}""#);
            client
                .events
                .iter()
                .filter(|event| event.starts_with(&kind))
                .count()
        };
        let counts = ["race.start", "race.lap", "race.finish", "room.ended"].map(count);
        assert_eq!(counts, [1, 8, 8, 1], "{:?}", client.events);
    }
    let ended = loop {
        let message = watch.message().await.unwrap().unwrap();
        if let Some(News::Ended(ended)) = message.news {
            break ended;
        }
    };
    assert_eq!((ended.room, ended.reason.as_str()), (1, "finished"));
    let recorded = node.store.recorded.lock().clone();
    assert_eq!(recorded.len(), 1);
    assert_eq!(recorded[0].match_id, match_id(1));
    let places: Vec<u32> = recorded[0]
        .standings
        .iter()
        .map(|standing| standing.place)
        .collect();
    assert_eq!(places, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(recorded[0].standings[0].ticks.is_some());

    // The room is gone.
    let late = Client::new(1).request(1, Attach::Fresh);
    gateway.send(late.to_item().item.unwrap()).await;
    assert_eq!(gateway.refused().await["code"], "room_unknown");
}
