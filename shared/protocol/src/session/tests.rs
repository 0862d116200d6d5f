use super::*;
use crate::id::{Epoch, Offset, PlayerId, SessionId};

fn at(millis: u64) -> Timestamp {
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

fn outputs(session: &mut Session, now: Timestamp) -> Vec<Output> {
    std::iter::from_fn(|| session.poll_output(now)).collect()
}

fn hello(outputs: &[Output]) -> Hello {
    let text = outputs.iter().find_map(|output| match output {
        Output::Text(text) => Some(text),
        _ => None,
    });
    match ClientMessage::parse(text.expect("a text message")) {
        Ok(ClientMessage::Hello(hello)) => hello,
        other => panic!("{other:?}"),
    }
}

fn welcome() -> String {
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

fn live(addresses: usize) -> Session {
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

fn in_room() -> Session {
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
