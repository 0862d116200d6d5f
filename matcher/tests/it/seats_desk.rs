//! Seats as a player's page sees them: what it says and hears, through a gateway.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pixelrush_matcher::Config;
use pixelrush_matcher::config::{Event, EventOptions};
use protocol::control::{
    ErrorCode, ErrorMessage, EventCounts, EventSeat, EventsListed, SeatState, ServerMessage,
};
use protocol::id::SeatNumber;
use rpc::pb::from_origin_item::Item as FromItem;

use crate::clients::Client;
use crate::gateway::Gateway;
use crate::world::World;

fn event(seats: u32, opens_at: SystemTime) -> Event {
    Event::new(EventOptions {
        title: "Opening night".to_owned(),
        opens_at,
        closes_at: UNIX_EPOCH + Duration::from_secs(4_000_000_000),
        seats,
        hold: Duration::from_secs(5),
    })
    .unwrap()
}

async fn world() -> World {
    World::with(1, |config: &mut Config| {
        let later = UNIX_EPOCH + Duration::from_secs(3_999_000_000);
        let events = [("small", event(1, UNIX_EPOCH)), ("later", event(9, later))];
        config.events = events
            .map(|(name, event)| (name.parse().unwrap(), event))
            .into();
    })
    .await
}

fn message(item: &FromItem) -> Option<ServerMessage> {
    match item {
        FromItem::Text(text) => ServerMessage::parse(&text.text).unwrap(),
        _ => None,
    }
}

async fn listed(client: &Client, gateway: &Gateway) -> EventsListed {
    let wanted = |item: &FromItem| match message(item)? {
        ServerMessage::EventsListed(listed) => Some(listed),
        _ => None,
    };
    gateway.next(client.session(), "event.list", wanted).await
}

async fn counts(client: &Client, gateway: &Gateway) -> EventCounts {
    let wanted = |item: &FromItem| match message(item)? {
        ServerMessage::EventCounts(counts) if counts.event == "small" => Some(counts),
        _ => None,
    };
    gateway.next(client.session(), "event.counts", wanted).await
}

/// The answer to a wish.
async fn answer(client: &Client, gateway: &Gateway) -> Result<EventSeat, ErrorMessage> {
    let wanted = |item: &FromItem| match message(item)? {
        ServerMessage::EventSeat(seat) => Some(Ok(seat)),
        ServerMessage::Error(error) => Some(Err(error)),
        _ => None,
    };
    gateway.next(client.session(), "event.seat", wanted).await
}

async fn ask(
    client: &Client,
    gateway: &Gateway,
    what: &str,
    event: &str,
) -> Result<EventSeat, ErrorMessage> {
    client
        .say(
            gateway,
            &format!(r#"{{"t":"event.{what}","event":"{event}"}}"#),
        )
        .await;
    answer(client, gateway).await
}

fn seat(state: SeatState, left_ms: Option<u64>) -> EventSeat {
    EventSeat {
        event: "small".to_owned(),
        state,
        seat: (state != SeatState::None).then_some(SeatNumber(1)),
        left_ms,
    }
}

#[tokio::test(start_paused = true)]
async fn a_player_reserves_and_confirms_and_others_are_told_how_it_stands() {
    let world = world().await;
    let gateway = world.gateway("gateway-1").await;
    let (one, other) = (Client::new(1), Client::new(2));
    one.attach(&gateway).await;
    other.attach(&gateway).await;

    let held = ask(&one, &gateway, "reserve", "small").await.unwrap();
    assert_eq!(held, seat(SeatState::Reserved, Some(5000)));
    other.say(&gateway, r#"{"t":"event.list"}"#).await;
    let list = listed(&other, &gateway).await;
    let names: Vec<&str> = list
        .events
        .iter()
        .map(|event| event.event.as_str())
        .collect();
    assert_eq!(names, ["later", "small"]);
    assert_eq!(list.events[1].free, Some(0));
    assert_eq!(
        answer(&other, &gateway).await.unwrap(),
        seat(SeatState::None, None)
    );

    let full = ask(&other, &gateway, "reserve", "small").await.unwrap_err();
    assert_eq!(
        (full.code, full.re.as_deref()),
        (ErrorCode::EventFull, Some("event.reserve"))
    );
    assert!(
        full.retry_after_ms.is_some_and(|after| after <= 5000),
        "{full:?}"
    );

    // Released, it is free for all to see; then it is sold.
    let released = ask(&one, &gateway, "release", "small").await.unwrap();
    assert_eq!(released, seat(SeatState::None, None));
    let freed = counts(&other, &gateway).await;
    assert_eq!((freed.free, freed.seats), (1, 1));
    assert!(freed.version > list.events[1].version.unwrap());
    ask(&one, &gateway, "reserve", "small").await.unwrap();
    let sold = ask(&one, &gateway, "confirm", "small").await.unwrap();
    assert_eq!(sold, seat(SeatState::Confirmed, None));
    assert_eq!(ask(&one, &gateway, "confirm", "small").await.unwrap(), sold);
    let full = ask(&other, &gateway, "reserve", "small").await.unwrap_err();
    assert_eq!(
        (full.code, full.retry_after_ms),
        (ErrorCode::EventFull, None)
    );
    let kept = ask(&one, &gateway, "release", "small").await.unwrap_err();
    assert_eq!(kept.code, ErrorCode::SeatConfirmed);
    let lapsed = ask(&other, &gateway, "confirm", "small").await.unwrap_err();
    assert_eq!(lapsed.code, ErrorCode::SeatLapsed);

    // After a reload the page knows the seat again.
    one.say(&gateway, r#"{"t":"event.list"}"#).await;
    listed(&one, &gateway).await;
    assert_eq!(answer(&one, &gateway).await.unwrap(), sold);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_not_open_or_not_there_is_refused_with_a_code() {
    let world = world().await;
    let gateway = world.gateway("gateway-1").await;
    let client = Client::new(1);
    client.attach(&gateway).await;
    let early = ask(&client, &gateway, "reserve", "later")
        .await
        .unwrap_err();
    assert_eq!(early.code, ErrorCode::EventNotOpen);
    assert!(early.retry_after_ms.is_some_and(|after| after > 1_000_000));
    for name in ["nowhere", "Not a name!"] {
        let unknown = ask(&client, &gateway, "reserve", name).await.unwrap_err();
        assert_eq!(unknown.code, ErrorCode::EventUnknown, "{name}");
        assert_eq!(unknown.field.as_deref(), Some("event"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_added_while_running_is_there_at_once() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let client = Client::new(1);
    client.attach(&gateway).await;
    let unknown = ask(&client, &gateway, "reserve", "small")
        .await
        .unwrap_err();
    assert_eq!(unknown.code, ErrorCode::EventUnknown);
    world.config.send_modify(|config| {
        let mut new = Config::clone(config);
        new.events
            .insert("small".parse().unwrap(), event(1, UNIX_EPOCH));
        *config = new.into();
    });
    let held = ask(&client, &gateway, "reserve", "small").await.unwrap();
    assert_eq!(held, seat(SeatState::Reserved, Some(5000)));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_saw_a_newer_count_elsewhere_is_told_no_older_one() {
    let world = world().await;
    let gateway = world.gateway("gateway-1").await;
    let client = Client::new(1);
    client.attach(&gateway).await;
    // The box office may not have read its book yet.
    let known = loop {
        client.say(&gateway, r#"{"t":"event.list"}"#).await;
        if let Some(version) = listed(&client, &gateway).await.events[1].version {
            break version;
        }
    };
    let have = known + 10_000_000;
    let text = format!(r#"{{"t":"event.list","have":{{"small":{have}}}}}"#);
    client.say(&gateway, &text).await;
    assert_eq!(listed(&client, &gateway).await.events[1].free, None);
    let newer = counts(&client, &gateway).await;
    assert!(newer.version >= have, "{newer:?}");
    // One that lies out of all reason is not believed, and does no harm.
    let text = format!(r#"{{"t":"event.list","have":{{"small":{}}}}}"#, u64::MAX);
    client.say(&gateway, &text).await;
    assert_eq!(listed(&client, &gateway).await.events[1].free, Some(1));
}
