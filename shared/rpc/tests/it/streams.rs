//! Which of a gateway's streams is heard.

use tonic::Code;

use crate::origin::{Heard, Rig};

#[tokio::test(start_paused = true)]
async fn a_newer_stream_is_heard_only_after_the_older_one_is_gone_with_all_that_it_held() {
    for newer in [(1, 2), (2, 1)] {
        let mut rig = Rig::start();
        let mut old = rig.open("gateway-1", (1, 1)).await.unwrap();
        rig.hold(true);
        old.say("held up").await;
        old.say("behind it").await;
        assert_eq!(rig.heard().await, Heard::Begun("held up".to_owned()));
        let new = rig.open("gateway-1", newer).await.unwrap();
        rig.hold(false);
        new.say("new").await;
        old.ended().await;
        let heard = [rig.heard().await, rig.heard().await, rig.heard().await];
        let new = "new".to_owned();
        let expected = [
            Heard::Dropped("gateway-1".to_owned()),
            Heard::Begun(new.clone()),
            Heard::Done(new),
        ];
        assert_eq!(heard, expected, "{newer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_older_stream_is_refused_while_a_newer_one_lives() {
    let mut rig = Rig::start();
    let mut live = rig.open("gateway-1", (5, 3)).await.unwrap();
    for older in [(5, 2), (4, 9)] {
        let refused = rig.open("gateway-1", older).await.err().unwrap();
        assert_eq!(refused.code(), Code::AlreadyExists);
    }
    live.beats().await;
    drop(live);
    assert_eq!(rig.heard().await, Heard::Dropped("gateway-1".to_owned()));
    // A process whose clock was set back is not shut out for ever.
    let later = rig.open("gateway-1", (4, 10)).await.unwrap();
    later.say("heard").await;
    assert_eq!(rig.heard().await, Heard::Begun("heard".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn streams_of_different_gateways_have_nothing_to_do_with_each_other() {
    let rig = Rig::start();
    let mut one = rig.open("gateway-1", (5, 3)).await.unwrap();
    let mut other = rig.open("gateway-2", (1, 1)).await.unwrap();
    one.beats().await;
    other.beats().await;
}

#[tokio::test(start_paused = true)]
async fn of_a_gateway_that_does_not_number_its_streams_the_one_that_came_last_is_heard() {
    let rig = Rig::start();
    let mut first = rig.open("gateway-1", (7, 1)).await.unwrap();
    let mut second = rig.open("gateway-1", (0, 0)).await.unwrap();
    first.ended().await;
    let mut third = rig.open("gateway-1", (0, 0)).await.unwrap();
    second.ended().await;
    third.beats().await;
}
