//! Those who watch a race without a seat in it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use protocol::log::Attach;
use rpc::pb;
use rpc::pb::from_origin_item::Item;
use syncd::Config;
use syncd::games::race::{CarState, Pilot, Track};
use tokio::time::Instant;

use crate::client::Client;
use crate::fake::{Gateway, Node, create, detach};
use crate::survive::Pair;

const ROOM: u64 = 5;
const DELAY: Duration = Duration::from_secs(5);
const NO_WISH: Duration = Duration::ZERO;

/// A snapshot of every tick, so that who watches and who plays see the same ones.
fn config() -> Config {
    Config {
        snapshot_every: NonZeroU32::new(1).unwrap(),
        ..Config::default()
    }
}

/// Players who drive.
struct Field {
    players: Vec<(Client, Pilot)>,
    track: Track,
    /// When the first of them saw each tick.
    seen: BTreeMap<u32, Instant>,
}

impl Field {
    async fn attach(gateway: &mut Gateway, seats: u64) -> Self {
        let mut players = Vec::new();
        for number in 1..=seats {
            let mut client = Client::new(number);
            client.attach(gateway, ROOM, Attach::Fresh).await;
            players.push((client, Pilot::new(number)));
        }
        let track = players[0].0.state["setup"]["track"].clone();
        Self {
            players,
            track: serde_json::from_value(track).unwrap(),
            seen: BTreeMap::new(),
        }
    }

    async fn take(&mut self, gateway: &Gateway, item: &Item) {
        for (client, pilot) in &mut self.players {
            if client.take(item) {
                self.seen.entry(client.newest).or_insert_with(Instant::now);
                let seat = client.number as usize - 1;
                let car = CarState::of(client.view(), seat).unwrap();
                if client.newest.is_multiple_of(3) {
                    client.input(gateway, pilot.drive(&self.track, &car)).await;
                }
            }
        }
    }

    fn first(&self) -> &Client {
        &self.players[0].0
    }
}

/// What is told to everybody alike.
fn public(client: &Client) -> Vec<&String> {
    let events = client.events.iter();
    events
        .filter(|event| event.contains("race.") || event.contains("room.ended"))
        .collect()
}

/// The watcher saw what the player saw, if it saw it at all.
fn assert_same(watcher: &Client, player: &Client) {
    assert!(watcher.views.len() > 200, "{}", watcher.views.len());
    let mut compared = 0;
    for (tick, view) in &watcher.views {
        if let Some(played) = player.views.get(tick) {
            assert!(view == played, "tick {tick} differs");
            compared += 1;
        }
    }
    assert!(compared > 200, "{compared}");
}

#[tokio::test(start_paused = true)]
async fn who_watches_sees_the_race_as_it_was_a_while_ago_to_its_result() {
    let node = Node::start(config()).await;
    node.open(ROOM, 2, r#"{"laps":1,"countdown":"1s"}"#)
        .await
        .unwrap();
    let mut gateway = node.gateway().await;
    let mut field = Field::attach(&mut gateway, 2).await;
    let mut watchers = [Client::new(50), Client::new(51)];
    for watcher in &watchers {
        // Not awaited: until there is something of the race it goes on alone.
        let mut asking = Client::new(watcher.number);
        asking.ask_to_watch(&gateway, ROOM, NO_WISH).await;
    }
    let mut closed = 0;
    while closed < 2 {
        let item = gateway.next().await;
        field.take(&gateway, &item).await;
        match &item {
            Item::Attached(attached) if attached.session >= 50 => {
                let watcher = &mut watchers[attached.session as usize - 50];
                watcher.take_attached(attached);
                assert_eq!(watcher.state["watch"]["delay_ms"], 5_000);
                assert!(watcher.state.get("seat").is_none());
            }
            Item::Fanout(fanout) if fanout.targets[0].session >= 50 => {
                assert_eq!(fanout.targets.len(), 2, "one body for all who watch");
            }
            Item::Closed(channel) if channel.session >= 50 => {
                assert_eq!((channel.code, channel.reason.as_str()), (0, "finished"));
                closed += 1;
            }
            _ => {}
        }
        for watcher in &mut watchers {
            let told = watcher.events.len();
            if watcher.take(&item)
                && let Some(seen) = field.seen.get(&watcher.newest)
            {
                let late = seen.elapsed();
                assert!(late >= DELAY, "tick {} after {late:?}", watcher.newest);
                assert!(late < DELAY + Duration::from_secs(2), "{late:?}");
            }
            if watcher.events.len() > told {
                watcher.acknowledge(&gateway).await;
            }
        }
    }
    for watcher in &watchers {
        assert_same(watcher, field.first());
        assert_eq!(public(watcher), public(field.first()));
        assert_eq!(
            watcher.views.last_key_value().unwrap().0,
            &field.last_before_the_end(),
        );
    }

    // It is over, and played from the start for who comes now.
    let mut late = Client::new(60);
    late.watch(&mut gateway, ROOM, NO_WISH).await;
    assert!(late.state["watch"]["delay_ms"].is_null());
    assert!(late.state["tick"].as_u64().unwrap() < 10);
    let began = Instant::now();
    loop {
        let item = gateway.next().await;
        late.take(&item);
        if matches!(&item, Item::Closed(closed) if closed.session == 60) {
            break;
        }
        if late.events.iter().any(|event| event.contains("room.ended")) {
            late.acknowledge(&gateway).await;
        }
    }
    let ticks = late.newest;
    assert_same(&late, field.first());
    let took = began.elapsed().as_millis() as u32;
    assert!(
        took.abs_diff(ticks * 1000 / 60) < 1_000,
        "{took} for {ticks}"
    );
}

impl Field {
    /// The tick with which the game was over.
    fn last_before_the_end(&self) -> u32 {
        let phase = |view: &protocol::snapshot::View| view.globals()[0];
        let views = self.first().views.iter();
        let over = views
            .filter(|(_, view)| phase(view) == 2)
            .map(|(tick, _)| *tick);
        over.min().unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_cannot_be_is_refused_by_its_reason() {
    let node = Node::start(Config {
        watchers: 1,
        ..config()
    })
    .await;
    let mut gateway = node.gateway().await;
    Client::new(50).ask_to_watch(&gateway, 99, NO_WISH).await;
    let refused = gateway.refused().await;
    assert_eq!(refused["code"], "room_unknown");
    assert_eq!(refused["re"], "room.watch");

    let mut rooms = node.rooms.clone();
    let mut private = create(ROOM, 2, "");
    private.watching = Some(pb::Watching {
        forbidden: true,
        delay_ms: 0,
    });
    rooms.create(private).await.unwrap();
    Client::new(51).ask_to_watch(&gateway, ROOM, NO_WISH).await;
    assert_eq!(gateway.refused().await["code"], "watch_forbidden");
    let mut watcher = Client::new(52);

    let mut open = create(ROOM + 1, 2, "");
    open.watching = Some(pb::Watching {
        forbidden: false,
        delay_ms: 1,
    });
    rooms.create(open).await.unwrap();
    watcher.watch(&mut gateway, ROOM + 1, NO_WISH).await;
    assert_eq!(
        watcher.state["watch"]["delay_ms"], 2_000,
        "the least there is"
    );
    let mut second = Client::new(53);
    second.ask_to_watch(&gateway, ROOM + 1, NO_WISH).await;
    let refused = gateway.refused().await;
    assert_eq!(refused["code"], "watch_full");
    assert_eq!(refused["retry_after_ms"], 5_000);

    gateway.send(detach(52, watcher.attempt, true)).await;
    second
        .watch(&mut gateway, ROOM + 1, Duration::from_millis(7_300))
        .await;
    assert_eq!(second.state["watch"]["delay_ms"], 8_000, "in whole seconds");
}

#[tokio::test(start_paused = true)]
async fn who_watches_goes_on_watching_when_the_rooms_node_is_gone() {
    let pair = Pair::start_with(config()).await;
    let [(first, cable), (second, _)] = &pair.nodes;
    first
        .open_when_ready(ROOM, 2, r#"{"countdown":"1s"}"#)
        .await;
    let mut gateway = first.gateway().await;
    let mut field = Field::attach(&mut gateway, 2).await;
    let mut screen = second.gateway().await;
    let (mut here, mut there) = (Client::new(50), Client::new(51));
    while field.first().newest < 120 {
        let item = gateway.next().await;
        field.take(&gateway, &item).await;
    }
    here.watch(&mut gateway, ROOM, NO_WISH).await;
    there.watch(&mut screen, ROOM, NO_WISH).await;
    while field.first().newest < 500 {
        tokio::select! {
            item = gateway.next() => {
                field.take(&gateway, &item).await;
                here.take(&item);
            }
            item = screen.next() => {
                there.take(&item);
            }
        }
    }
    assert!(
        here.newest > 0 && there.newest > 0,
        "both are shown the race"
    );
    cable.cut();
    pair.until_placed_on("syncd-2", ROOM).await;

    // What was not written down yet is undone: until then snapshots are hints.
    for (client, _) in &mut field.players {
        let certain = client.newest - 4;
        client.views.retain(|tick, _| *tick <= certain);
    }
    // Its players come to the other node, and so does who watched by the first.
    for (client, _) in &mut field.players {
        assert!(client.attach(&mut screen, ROOM, Attach::Continue).await);
    }
    here.watch(&mut screen, ROOM, NO_WISH).await;
    while there.newest < 900 {
        let item = screen.next().await;
        field.take(&screen, &item).await;
        let before = there.newest;
        there.take(&item);
        here.take(&item);
        assert!(there.newest >= before, "it never goes back");
    }
    assert!(here.newest + 6 >= there.newest, "one show for both");
    assert_same(&there, field.first());
    assert_same(&here, field.first());
    let player = field.first();
    let after = there
        .views
        .range(700..)
        .filter(|(tick, _)| player.views.contains_key(tick));
    assert!(after.count() > 50, "what was played at the other node");
}
