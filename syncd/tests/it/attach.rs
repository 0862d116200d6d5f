//! Who is attached, and what that gives.

use protocol::close::CloseCode;
use protocol::log::Attach;
use syncd::Config;
use syncd::games::race::CarState;

use crate::client::Client;
use crate::fake::{Gateway, Node, detach};

const ACCELERATE: u32 = 1;

async fn started(seats: u64) -> (Node, Gateway) {
    let node = Node::start(Config::default()).await;
    let settings = r#"{"countdown":"0s","join_wait":"0s"}"#;
    node.open(1, seats, settings).await.unwrap();
    let gateway = node.gateway().await;
    (node, gateway)
}

#[tokio::test(start_paused = true)]
async fn acknowledged_snapshots_become_baselines_and_bodies_shrink() {
    let (_node, mut gateway) = started(8).await;
    let mut clients: Vec<Client> = (1..=8).map(Client::new).collect();
    for client in &mut clients {
        assert!(!client.attach(&mut gateway, 1, Attach::Fresh).await);
    }
    for _ in 0..40 {
        for client in &mut clients {
            client.input(&gateway, ACCELERATE).await;
        }
        let mut got = 0;
        while got < 8 {
            let item = gateway.next().await;
            got += clients
                .iter_mut()
                .filter_map(|client| client.take(&item).then_some(()))
                .count();
        }
    }
    for client in &clients {
        let newest = clients.iter().map(|client| client.newest).min().unwrap();
        assert_eq!(client.views[&newest], clients[0].views[&newest]);
        assert!(client.processed > 60, "{}", client.processed);
        let (first, last) = (client.bodies[0], *client.bodies.last().unwrap());
        assert!(last < first, "{first} then {last} bytes");
        let car = CarState::of(client.view(), client.number as usize - 1).unwrap();
        assert!(car.speed > 5, "{car:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_acknowledges_nothing_gets_whole_snapshots() {
    let (_node, mut gateway) = started(1).await;
    let mut client = Client::new(1);
    client.attach(&mut gateway, 1, Attach::Fresh).await;
    for _ in 0..60 {
        client.snapshot(&mut gateway).await;
    }
    let whole = client.bodies[0];
    assert!(client.bodies.iter().all(|body| *body == whole));
}

#[tokio::test(start_paused = true)]
async fn another_gateway_resumes_the_events_and_the_first_ones_leftovers_do_nothing() {
    let (node, mut first) = started(2).await;
    let (mut second, mut aside) = (node.gateway().await, node.gateway().await);
    let mut client = Client::new(1);
    let mut other = Client::new(2);
    client.attach(&mut first, 1, Attach::Fresh).await;
    other.attach(&mut aside, 1, Attach::Fresh).await;
    let joined = r#"{"e":"seat.joined","seat":1"#;
    while !client.events.iter().any(|event| event.starts_with(joined)) {
        client.snapshot(&mut first).await;
    }

    // The other one leaves while this client is on no gateway.
    first.send(detach(1, 1, false)).await;
    while other.events.is_empty() {
        other.snapshot(&mut aside).await;
    }
    aside.send(detach(2, 1, true)).await;
    let resume = Attach::Resume(client.position);
    assert!(client.attach(&mut second, 1, resume).await);
    let left = r#"{"e":"seat.left","seat":1,"reason":"left"}"#;
    while client.events.last().unwrap() != left {
        client.snapshot(&mut second).await;
    }

    // A woken gateway still has input and a detach of this session.
    client.input(&first, ACCELERATE).await;
    first.send(detach(1, client.attempt, true)).await;
    for _ in 0..5 {
        client.snapshot(&mut second).await;
    }
    assert_eq!(client.processed, 0);
    client.input(&second, ACCELERATE).await;
    client.snapshot(&mut second).await;
    client.snapshot(&mut second).await;
    assert!(client.processed > 0);
}

fn superseded(attempt: u32) -> (u32, u32) {
    (attempt, u32::from(CloseCode::Superseded.code()))
}

#[tokio::test(start_paused = true)]
async fn a_session_that_moves_has_its_old_connection_superseded() {
    let (node, mut first) = started(1).await;
    let mut second = node.gateway().await;
    let mut client = Client::new(1);
    client.attach(&mut first, 1, Attach::Fresh).await;
    client.attach(&mut second, 1, Attach::Continue).await;
    let closed = first.closed().await;
    assert_eq!((closed.attempt, closed.code), superseded(1));
    // An attach that was on its way through the first gateway comes late.
    client.attempt = 0;
    let late = client.request(1, Attach::Continue);
    first.send(late.to_item().item.unwrap()).await;
    let closed = first.closed().await;
    assert_eq!((closed.attempt, closed.code), superseded(1));
}

#[tokio::test(start_paused = true)]
async fn a_later_connection_by_the_same_gateway_supersedes_the_earlier_one_only() {
    let (_node, mut gateway) = started(1).await;
    let mut client = Client::new(1);
    client.attach(&mut gateway, 1, Attach::Fresh).await;
    let later = client.request(1, Attach::Continue);
    gateway.send(later.to_item().item.unwrap()).await;
    let closed = gateway.closed().await;
    assert_eq!((closed.attempt, closed.code), superseded(1));
    assert_eq!(gateway.attached(1).await.attempt, 2);
    // The earlier one's attach was long on its way.
    client.attempt = 0;
    let late = client.request(1, Attach::Fresh);
    gateway.send(late.to_item().item.unwrap()).await;
    let closed = gateway.closed().await;
    assert_eq!((closed.attempt, closed.code), superseded(1));
    client.newest = 0;
    client.input(&gateway, ACCELERATE).await;
    while client.processed == 0 {
        client.snapshot(&mut gateway).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_its_gateway_brings_by_a_new_stream_is_not_closed() {
    let node = Node::start(Config::default()).await;
    node.open(1, 1, "").await.unwrap();
    let mut broken = node.link("gateway-1", 1).await;
    let mut client = Client::new(1);
    client.attach(&mut broken, 1, Attach::Fresh).await;
    let mut gateway = node.link("gateway-1", 2).await;
    client.attempt -= 1;
    assert!(client.attach(&mut gateway, 1, Attach::Continue).await);
    let closed = |item| matches!(item, rpc::pb::from_origin_item::Item::Closed(_));
    for _ in 0..10 {
        assert!(!closed(gateway.next().await));
    }
}

#[tokio::test(start_paused = true)]
async fn snapshots_of_an_earlier_attachment_are_no_baseline() {
    let (_node, mut gateway) = started(1).await;
    let mut client = Client::new(1);
    client.attach(&mut gateway, 1, Attach::Fresh).await;
    for _ in 0..5 {
        client.input(&gateway, ACCELERATE).await;
        client.snapshot(&mut gateway).await;
    }
    let (before, whole) = (client.newest, client.bodies[0]);
    assert!(*client.bodies.last().unwrap() < whole);
    assert!(client.attach(&mut gateway, 1, Attach::Continue).await);
    // An input that was under way still names a snapshot of before; then come the client's own.
    for named in [before, 0] {
        client.newest = named;
        client.input(&gateway, ACCELERATE).await;
        client.snapshot(&mut gateway).await;
        assert_eq!(*client.bodies.last().unwrap(), whole);
    }
    client.input(&gateway, ACCELERATE).await;
    client.snapshot(&mut gateway).await;
    client.snapshot(&mut gateway).await;
    assert!(*client.bodies.last().unwrap() < whole);
}

#[tokio::test(start_paused = true)]
async fn numbers_of_inputs_start_again_with_every_history() {
    let (_node, mut gateway) = started(1).await;
    let mut client = Client::new(1);
    for _ in 0..2 {
        assert!(!client.attach(&mut gateway, 1, Attach::Fresh).await);
        client.processed = u32::MAX;
        client.snapshot(&mut gateway).await;
        assert_eq!(client.processed, 0);
        client.input(&gateway, ACCELERATE).await;
        while client.processed < 3 {
            client.snapshot(&mut gateway).await;
        }
    }
    assert!(
        client
            .events
            .iter()
            .all(|event| !event.contains("inputs.lost"))
    );
}

#[tokio::test(start_paused = true)]
async fn the_last_login_of_a_player_has_the_seat() {
    let (_node, mut gateway) = started(1).await;
    let mut first = Client::new(1);
    first.attach(&mut gateway, 1, Attach::Fresh).await;
    let mut request = first.request(1, Attach::Fresh);
    request.claim.session = protocol::id::SessionId(70);
    request.claim.instance = protocol::id::InstanceId(70);
    request.claim.login = true;
    gateway.send(request.to_item().item.unwrap()).await;
    let closed = gateway.closed().await;
    let replaced = u32::from(CloseCode::Replaced.code());
    assert_eq!((closed.session, closed.code), (1, replaced));
    // The first one tries to come back by a resume.
    let back = first.request(1, Attach::Continue);
    gateway.send(back.to_item().item.unwrap()).await;
    let closed = gateway.closed().await;
    assert_eq!((closed.session, closed.code), (1, replaced));
}

#[tokio::test(start_paused = true)]
async fn a_login_that_reconnects_before_it_enters_the_room_has_the_seat() {
    let (_node, mut gateway) = started(1).await;
    let mut first = Client::new(1);
    first.attach(&mut gateway, 1, Attach::Fresh).await;
    // The page was loaded anew, and its first connection died before it had entered.
    let mut request = first.request(1, Attach::Fresh);
    request.claim.session = protocol::id::SessionId(70);
    request.claim.instance = protocol::id::InstanceId(70);
    request.claim.attempt = 2;
    request.claim.login = false;
    gateway.send(request.to_item().item.unwrap()).await;
    let closed = gateway.closed().await;
    let replaced = u32::from(CloseCode::Replaced.code());
    assert_eq!((closed.session, closed.code), (1, replaced));
    assert_eq!(gateway.attached(70).await.attempt, 2);
}

#[tokio::test(start_paused = true)]
async fn strangers_and_unknown_rooms_are_refused() {
    let (_node, mut gateway) = started(1).await;
    let mut client = Client::new(1);
    let unknown = client.request(99, Attach::Fresh);
    gateway.send(unknown.to_item().item.unwrap()).await;
    let error = gateway.refused().await;
    assert_eq!(
        (&error["code"], &error["re"]),
        (&"room_unknown".into(), &"room.join".into())
    );
    let stranger = Client::new(50).request(1, Attach::Fresh);
    gateway.send(stranger.to_item().item.unwrap()).await;
    assert_eq!(gateway.refused().await["code"], "not_in_room");
}

#[tokio::test(start_paused = true)]
async fn players_of_a_gateway_that_died_are_away_until_they_are_back() {
    let (node, mut dying) = started(2).await;
    let mut living = node.gateway().await;
    let mut lost = Client::new(1);
    let mut witness = Client::new(2);
    lost.attach(&mut dying, 1, Attach::Fresh).await;
    witness.attach(&mut living, 1, Attach::Fresh).await;
    drop(dying);
    let away = |client: &Client| CarState::of(client.view(), 0).unwrap().away;
    witness.snapshot(&mut living).await;
    while !away(&witness) {
        witness.snapshot(&mut living).await;
    }
    assert!(lost.attach(&mut living, 1, Attach::Continue).await);
    while away(&witness) {
        witness.snapshot(&mut living).await;
    }
    let text = witness.events.join("\n");
    assert!(
        text.contains("seat.left") && text.contains("seat.joined"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_that_enters_another_room_is_away_from_the_first() {
    let (node, mut gateway) = started(2).await;
    node.open(2, 1, "").await.unwrap();
    let mut mover = Client::new(1);
    let mut witness = Client::new(2);
    mover.attach(&mut gateway, 1, Attach::Fresh).await;
    witness.attach(&mut gateway, 1, Attach::Fresh).await;
    mover.attach(&mut gateway, 2, Attach::Fresh).await;
    witness.snapshot(&mut gateway).await;
    witness.snapshot(&mut gateway).await;
    assert!(CarState::of(witness.view(), 0).unwrap().away);
}
