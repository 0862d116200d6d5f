//! Several connections of one session by one gateway: what is said names the one that it is about.

use protocol::close::CloseCode;
use protocol::log::Attach;
use rpc::pb::from_origin_item::Item as FromItem;

use crate::clients::Client;
use crate::world::World;

fn superseded(attempt: u32) -> (u32, u32) {
    (attempt, u32::from(CloseCode::Superseded.code()))
}

#[tokio::test(start_paused = true)]
async fn a_later_connection_by_the_same_gateway_supersedes_the_earlier_one_only() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let first = Client::new(1);
    let attached = first.attach(&gateway).await;
    let second = first.reconnecting(Attach::Resume(attached.position));
    gateway.attach(&second.request).await;
    assert_eq!(second.closed_connection(&gateway).await, superseded(1));
    second.join(&gateway, "duel").await;

    gateway.attach(&first.request).await; // it was long on its way
    assert_eq!(second.closed_connection(&gateway).await, superseded(1));
    // The later one is still the one that counts.
    assert_eq!(second.queue_state_now(&gateway).await.mode, "duel");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_its_gateway_brings_by_a_new_stream_is_not_closed() {
    let world = World::new().await;
    let broken = world.gateway("gateway-1").await;
    let mut ada = Client::new(1);
    ada.attach(&broken).await;
    ada.join(&broken, "duel").await;

    let gateway = world.gateway("gateway-1").await;
    ada.request.mode = Attach::Continue;
    ada.request.claim.login = false;
    assert!(ada.attach(&gateway).await.recovered);
    let stays = |item: &FromItem| {
        assert!(!matches!(item, FromItem::Closed(_)), "{item:?}");
        matches!(item, FromItem::Text(_)).then_some(())
    };
    for _ in 0..3 {
        gateway.next(ada.session(), "queue state", stays).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_close_of_a_newcomer_whom_there_is_no_place_for_names_the_connection() {
    let world = World::with(1, |config| config.players = 1).await;
    let gateway = world.gateway("gateway-1").await;
    Client::new(1).attach(&gateway).await;
    let mut bea = Client::new(2);
    bea.request.claim.attempt = 7;
    gateway.attach(&bea.request).await;
    let unavailable = u32::from(CloseCode::Unavailable.code());
    assert_eq!(bea.closed_connection(&gateway).await, (7, unavailable));
}

#[tokio::test(start_paused = true)]
async fn a_login_whose_first_connection_never_came_through_is_no_loser() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let before = Client::new(1);
    before.attach(&gateway).await;
    // The page was loaded anew; the connection that logged in died on its way.
    let page = before.second_login().reconnecting(Attach::Fresh);
    page.attach(&gateway).await;
    let replaced = u32::from(CloseCode::Replaced.code());
    assert_eq!(before.closed(&gateway).await, replaced);
    let back = before.reconnecting(Attach::Continue);
    gateway.attach(&back.request).await;
    assert_eq!(back.closed_connection(&gateway).await, (2, replaced));
}
