use super::*;
use crate::control::{ChannelAttached, ErrorCode, ErrorMessage, RoomWatch, ServerMessage, Welcome};
use crate::frame::SnapshotHead;
use crate::id::{Epoch, Offset, PlayerId, SessionId};

pub(super) fn at(millis: u64) -> Timestamp {
    Timestamp(millis * 1000)
}

fn session(addresses: usize) -> Session {
    Session::new(
        SessionConfig {
            addresses,
            ..SessionConfig::default()
        },
        "token".to_owned(),
        1,
    )
}

pub(super) fn outputs(session: &mut Session, now: Timestamp) -> Vec<Output> {
    std::iter::from_fn(|| session.poll_output(now)).collect()
}

pub(super) fn hello(outputs: &[Output]) -> Hello {
    let text = outputs.iter().find_map(|output| match output {
        Output::Text(text) => Some(text),
        _ => None,
    });
    match ClientMessage::parse(text.expect("a text message")) {
        Ok(ClientMessage::Hello(hello)) => hello,
        other => panic!("{other:?}"),
    }
}

pub(super) fn welcome() -> String {
    ServerMessage::Welcome(Welcome {
        v: 1,
        session: SessionId(1),
        player: PlayerId(2),
        name: "Ada".to_owned(),
        resume: "resume".to_owned(),
        resumed: false,
        node: "g1".to_owned(),
        heartbeat_ms: 25_000,
        active_heartbeat_ms: 400,
        deadline_ms: 60_000,
        server_time_ms: 0,
    })
    .to_text()
}

fn room_channel(recovered: bool) -> String {
    ServerMessage::Channel(ChannelAttached {
        ch: Channel::Room,
        epoch: Epoch(9),
        offset: Offset(0),
        recovered,
        state: None,
    })
    .to_text()
}

pub(super) fn live(addresses: usize) -> Session {
    let mut session = session(addresses);
    session.handle_timeout(at(0));
    outputs(&mut session, at(0));
    session.handle_connected(at(1));
    assert_eq!(
        hello(&outputs(&mut session, at(1))).token.as_deref(),
        Some("token")
    );
    session.handle_text(at(2), &welcome());
    session
}

pub(super) fn in_room() -> Session {
    let mut session = live(2);
    session.join_room("room ticket".to_owned());
    session.handle_text(at(3), &room_channel(false));
    outputs(&mut session, at(3));
    session
}

#[test]
fn silence_in_a_room_leads_to_the_other_address_in_about_a_second() {
    let mut session = in_room();
    let first = session.address;
    let silent_at = session.poll_timeout_after(at(3));
    assert!(silent_at <= at(1_100), "{silent_at:?}");
    session.push_input(5);
    let connect = outputs(&mut session, silent_at);
    assert!(
        connect.contains(&Output::Connect { address: 1 - first }),
        "{connect:?}"
    );
    session.handle_connected(silent_at);
    let hello = hello(&outputs(&mut session, silent_at));
    assert_eq!(hello.resume.as_deref(), Some("resume"));
    assert_eq!(hello.room.as_deref(), Some("room ticket"));
    assert_eq!((hello.token, hello.attempt), (None, 2));
    session.handle_text(silent_at, &welcome());
    session.handle_text(silent_at, &room_channel(true));
    let restored = std::iter::from_fn(|| session.poll_event()).any(
        |event| matches!(event, SessionEvent::Restored { freeze } if freeze.as_millis() < 1_200),
    );
    assert!(restored);
    session.flush_inputs(silent_at);
    assert!(matches!(
        &outputs(&mut session, silent_at)[..],
        [.., Output::Binary(_)]
    ));
}

#[test]
fn a_second_login_elsewhere_ends_the_session() {
    let mut session = live(1);
    session.handle_closed(at(10), Some(CloseCode::Replaced.code()));
    assert!(!session.is_live());
    assert_eq!(session.poll_timeout(), None);
}

#[test]
fn a_stale_resume_token_falls_back_to_the_login_then_asks_for_another() {
    let mut session = live(1);
    session.handle_closed(at(10), None);
    session.handle_timeout(at(10));
    session.handle_connected(at(11));
    assert!(hello(&outputs(&mut session, at(11))).resume.is_some());
    session.handle_closed(at(12), Some(CloseCode::TokenExpired.code()));
    session.handle_timeout(at(2_000));
    session.handle_connected(at(2_000));
    assert!(hello(&outputs(&mut session, at(2_000))).token.is_some());
    session.handle_closed(at(2_001), Some(CloseCode::TokenExpired.code()));
    let events: Vec<_> = std::iter::from_fn(|| session.poll_event()).collect();
    assert!(
        matches!(
            events.last(),
            Some(SessionEvent::Ended(Ended::LoginNeeded(_)))
        ),
        "{events:?}"
    );
}

#[test]
fn attempts_back_off_to_the_limit() {
    let mut session = session(1);
    let mut now = at(0);
    let mut pauses = Vec::new();
    for _ in 0..12 {
        session.handle_timeout(now);
        session.handle_closed(now, None);
        let next = session.poll_timeout().unwrap();
        pauses.push(next.since(now));
        now = next;
    }
    assert_eq!(pauses[0], Duration::ZERO);
    assert!(pauses[1] <= Duration::from_millis(100));
    assert!(pauses[11] >= Duration::from_millis(2_500) && pauses[11] <= Duration::from_secs(5));
}

pub(super) fn events(session: &mut Session) -> Vec<SessionEvent> {
    std::iter::from_fn(|| session.poll_event()).collect()
}

fn snapshot(tick: u32, distance: u32) -> Bytes {
    let head = SnapshotHead {
        tick: Tick(tick),
        distance,
        ..SnapshotHead::default()
    };
    head.encode().into()
}

fn told_ticks(session: &mut Session) -> Vec<u32> {
    events(session)
        .into_iter()
        .filter_map(|event| match event {
            SessionEvent::Snapshot(snapshot) => Some(snapshot.head.tick.0),
            _ => None,
        })
        .collect()
}

#[test]
fn a_server_that_welcomes_and_hangs_up_is_not_stormed() {
    let mut session = live(1);
    let mut now = at(10);
    for _ in 0..10 {
        session.handle_closed(now, None);
        now = session.poll_timeout().unwrap().max(now);
        session.handle_timeout(now);
        session.handle_connected(now);
        session.handle_text(now, &welcome());
        outputs(&mut session, now);
    }
    assert!(now > at(10_000), "{now:?}");
    now = now + Duration::from_secs(20);
    session.handle_closed(now, None);
    assert_eq!(session.poll_timeout(), Some(now), "it had held for long");
}

#[test]
fn only_snapshots_whose_baseline_was_told_are_told() {
    let mut session = in_room();
    for (tick, distance) in [(9, 3), (10, 0), (13, 3), (16, 2), (17, 4), (12, 0)] {
        session.handle_binary(at(4), &snapshot(tick, distance));
    }
    assert_eq!(told_ticks(&mut session), [10, 13, 17]);
    session.handle_text(at(5), &room_channel(false));
    session.handle_binary(at(5), &snapshot(20, 3));
    session.handle_binary(at(5), &snapshot(21, 0));
    assert_eq!(told_ticks(&mut session), [21]);
}

#[test]
fn a_history_that_does_not_go_on_is_asked_for_afresh() {
    let mut session = live(1);
    session.join_room("room ticket".to_owned());
    session.handle_text(at(3), &room_channel(true));
    assert!(!session.is_live());
    let told = events(&mut session);
    assert!(
        !told
            .iter()
            .any(|event| matches!(event, SessionEvent::Channel(_)))
    );
    session.handle_timeout(at(3));
    session.handle_connected(at(4));
    assert_eq!(hello(&outputs(&mut session, at(4))).have.room, None);
}

#[test]
fn inputs_of_a_room_that_is_left_are_given_up_aloud() {
    let mut session = in_room();
    session.push_input(1);
    session.push_input(2);
    session.leave_room();
    let lost = events(&mut session)
        .into_iter()
        .find_map(|event| match event {
            SessionEvent::InputsGivenUp(range) => Some((range.from.0, range.to.0)),
            _ => None,
        });
    assert_eq!(lost, Some((1, 2)));
}

#[test]
fn the_answer_to_a_leave_does_not_close_the_next_room() {
    let left = r#"{"t":"channel.closed","ch":"room","reason":"left"}"#;
    let mut session = in_room();
    session.leave_room();
    session.join_room("another ticket".to_owned());
    session.handle_text(at(5), left);
    session.handle_text(at(6), &room_channel(false));
    assert!(session.is_in_room());
}

#[test]
fn what_comes_late_from_a_room_that_was_left_is_nothing() {
    let mut session = in_room();
    session.leave_room();
    events(&mut session);
    session.handle_text(at(5), &room_channel(false));
    assert_eq!(session.cursor(Channel::Room).position(), None);
    assert!(events(&mut session).is_empty());
}

#[test]
fn nothing_is_heard_between_connections() {
    let mut session = in_room();
    session.handle_closed(at(5), None);
    events(&mut session);
    session.handle_text(at(5), &room_channel(false));
    session.handle_binary(at(5), &snapshot(10, 0));
    assert!(!session.is_in_room() && events(&mut session).is_empty());
}

#[test]
fn a_close_is_said_and_not_just_done() {
    let mut session = live(1);
    session.close();
    session.close();
    assert_eq!(
        outputs(&mut session, at(5)),
        [Output::Close(CloseCode::Normal)]
    );
}

impl Session {
    /// Runs the session's own deadlines from `now` until it gives the connection up.
    fn poll_timeout_after(&mut self, mut now: Timestamp) -> Timestamp {
        while self.is_live() {
            now = self
                .poll_timeout()
                .expect("a live session has a deadline")
                .max(now);
            self.handle_timeout(now);
            if self.is_live() {
                outputs(self, now);
            }
        }
        self.handle_timeout(now);
        now
    }
}

fn watching() -> RoomWatch {
    RoomWatch {
        room: crate::id::RoomId(7),
        delay_ms: None,
    }
}

fn said(session: &mut Session, now: Timestamp) -> Vec<ClientMessage> {
    let texts = outputs(session, now).into_iter();
    let texts = texts.filter_map(|output| match output {
        Output::Text(text) => Some(ClientMessage::parse(&text).unwrap()),
        _ => None,
    });
    texts.collect()
}

#[test]
fn who_watches_asks_again_on_each_connection_and_goes_on_from_nothing() {
    let mut session = live(2);
    session.watch_room(watching());
    let ask = ClientMessage::RoomWatch(watching());
    assert_eq!(said(&mut session, at(3)), std::slice::from_ref(&ask));
    session.handle_text(at(4), &room_channel(false));
    session.push_input(5);
    session.flush_inputs(at(5));
    assert_eq!(session.inputs().unsettled().count(), 0, "no seat, no input");

    session.handle_closed(at(1_000), None);
    session.handle_timeout(at(1_000));
    outputs(&mut session, at(1_000));
    session.handle_connected(at(1_001));
    let hello = hello(&outputs(&mut session, at(1_001)));
    assert_eq!((hello.room, hello.have.room), (None, None));
    session.handle_text(at(1_002), &welcome());
    assert_eq!(said(&mut session, at(1_002)), [ask]);
    assert!(!session.is_in_room());
    session.handle_text(at(1_003), &room_channel(false));
    assert!(session.is_in_room());

    session.leave_room();
    let no_more = ClientMessage::RoomUnwatch(crate::control::RoomUnwatch {});
    assert_eq!(said(&mut session, at(1_004)), [no_more]);
    assert!(!session.is_in_room());
}

#[test]
fn a_refused_watch_ends_the_wish_to_watch_and_no_other() {
    let refused = |re: &str| {
        let error = ErrorMessage::new(ErrorCode::WatchForbidden, "no").re(re);
        ServerMessage::Error(error).to_text()
    };
    let mut session = live(1);
    session.watch_room(watching());
    session.handle_text(at(4), &refused("room.join"));
    session.handle_text(at(4), &room_channel(false));
    assert!(session.is_in_room());
    session.handle_text(at(5), &refused("room.watch"));
    assert!(!session.is_in_room());
}
