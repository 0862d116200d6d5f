//! What was left is left, whatever becomes of the word; and nothing else is.

use bytes::Bytes;

use super::tests::{at, events, in_room, live, outputs, welcome};
use super::*;
use crate::control::{QueueJoin, QueueLeave};
use crate::frame::Event;
use crate::id::{Epoch, Offset};

const IN_QUEUE: &str = r#"{"queue":{"mode":"race","waiting_ms":9},"match":null}"#;
const IDLE: &str = r#"{"queue":null,"match":null}"#;
const JOIN_REFUSED: &str =
    r#"{"t":"error","code":"already_in_match","message":"leave it first","re":"queue.join"}"#;

/// In the match of this ticket, whose room has this number.
fn playing(room: u64, ticket: &str) -> String {
    format!(
        r#"{{"queue":null,"match":{{"match":"mt_0000000000000001","mode":"race","room":"rm_{room:016x}","ticket":"{ticket}"}}}}"#
    )
}

fn old_match() -> String {
    playing(1, "room ticket")
}

fn match_channel(state: &str) -> String {
    format!(
        r#"{{"t":"channel","ch":"match","epoch":7,"offset":0,"recovered":false,"state":{state}}}"#
    )
}

fn unavailable(re: &str) -> String {
    format!(
        r#"{{"t":"error","code":"unavailable","message":"away","re":"{re}","retry_after_ms":500}}"#
    )
}

fn told(session: &mut Session, offset: u32, payload: &str) {
    let event = Event {
        channel: Channel::Match,
        epoch: Epoch(7),
        offset: Offset(offset),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
    };
    session.handle_binary(at(9), &Frame::Event(event).encode().into());
}

/// The types of the control messages that went out.
fn said(session: &mut Session, now: u64) -> Vec<&'static str> {
    let texts = outputs(session, at(now))
        .into_iter()
        .filter_map(|output| match output {
            Output::Text(text) => Some(ClientMessage::parse(&text).unwrap().kind()),
            _ => None,
        });
    texts.collect()
}

fn queue_leave(session: &mut Session) -> bool {
    session.send(&ClientMessage::QueueLeave(QueueLeave {}))
}

fn queue_join(session: &mut Session) -> bool {
    session.send(&ClientMessage::QueueJoin(QueueJoin::default()))
}

/// Loses the connection and gets another one, up to its welcome.
fn reconnect(session: &mut Session, now: u64) {
    session.handle_closed(at(now), None);
    come_back(session, now);
}

fn come_back(session: &mut Session, now: u64) {
    let now = session.poll_timeout().unwrap().max(at(now));
    session.handle_timeout(now);
    session.handle_connected(now);
    session.handle_text(now, &welcome());
    outputs(session, now);
}

/// A session that has left the room of [`old_match`].
fn left_room() -> Session {
    let mut session = in_room();
    session.handle_text(at(3), &match_channel(&old_match()));
    session.leave_room();
    assert_eq!(said(&mut session, 3), ["room.leave"]);
    session
}

#[test]
fn a_leave_that_is_refused_for_now_is_said_again() {
    let mut session = left_room();
    queue_leave(&mut session);
    assert_eq!(said(&mut session, 4), ["queue.leave"]);
    session.handle_text(at(10), &unavailable("room.leave"));
    session.handle_text(at(20), &unavailable("queue.leave"));
    assert_eq!(said(&mut session, 509), [""; 0]);
    assert_eq!(session.poll_timeout(), Some(at(510)));
    assert_eq!(said(&mut session, 510), ["room.leave"]);
    assert_eq!(said(&mut session, 520), ["queue.leave"]);
    session.handle_text(at(600), &unavailable("room.leave"));
    assert_eq!(
        said(&mut session, 1_100),
        ["room.leave"],
        "until it is heard"
    );
    assert_eq!(said(&mut session, 5_000), [""; 0]);
}

#[test]
fn a_leave_that_was_lost_with_the_connection_is_said_when_the_match_still_stands() {
    let mut session = left_room();
    reconnect(&mut session, 10);
    assert_eq!(said(&mut session, 10), [""; 0], "the matcher may know");
    session.handle_text(at(11), &match_channel(&old_match()));
    assert_eq!(said(&mut session, 11), ["room.leave"]);
    reconnect(&mut session, 6_000);
    session.handle_text(at(6_001), &match_channel(IDLE));
    assert_eq!(said(&mut session, 6_001), [""; 0]);
    reconnect(&mut session, 12_000);
    session.handle_text(at(12_001), &match_channel(&old_match()));
    assert_eq!(said(&mut session, 12_001), [""; 0], "it was gone once");
}

#[test]
fn what_is_left_without_a_connection_is_left_when_there_is_one() {
    let mut session = in_room();
    session.handle_closed(at(5), None);
    session.leave_room();
    assert!(!queue_leave(&mut session));
    come_back(&mut session, 5);
    let both = format!(
        r#"{{"queue":{{}},{}"#,
        &old_match()[r#"{"queue":null,"#.len()..]
    );
    session.handle_text(at(6), &match_channel(&both));
    assert_eq!(said(&mut session, 6), ["queue.leave", "room.leave"]);
}

#[test]
fn a_queue_that_still_stands_after_a_loss_is_left_again() {
    let mut session = live(1);
    queue_leave(&mut session);
    reconnect(&mut session, 10);
    session.handle_text(at(11), &match_channel(IN_QUEUE));
    assert_eq!(said(&mut session, 11), ["queue.leave"]);
    told(
        &mut session,
        1,
        r#"{"e":"queue.left","reason":"left","message":""}"#,
    );
    reconnect(&mut session, 6_000);
    session.handle_text(at(6_001), &match_channel(IN_QUEUE));
    assert_eq!(said(&mut session, 6_001), [""; 0], "that is another stay");
}

#[test]
fn who_queues_again_stays_in_the_queue() {
    let mut session = live(1);
    queue_leave(&mut session);
    queue_join(&mut session);
    assert_eq!(said(&mut session, 5), ["queue.leave", "queue.join"]);
    session.handle_text(at(6), &unavailable("queue.leave"));
    assert_eq!(said(&mut session, 1_000), [""; 0]);
    reconnect(&mut session, 1_001);
    session.handle_text(at(1_002), &match_channel(IN_QUEUE));
    assert_eq!(said(&mut session, 1_002), [""; 0]);
}

#[test]
fn a_later_match_is_never_left_by_an_old_word() {
    let mut session = left_room();
    reconnect(&mut session, 10);
    session.handle_text(at(11), &match_channel(&playing(2, "next ticket")));
    assert_eq!(said(&mut session, 11), [""; 0]);

    let mut session = left_room();
    session.handle_text(at(8), &unavailable("room.leave"));
    let found = r#"{"e":"match.found","match":"mt_0000000000000002","mode":"race","room":"rm_0000000000000002","ticket":"next ticket","players":2}"#;
    told(&mut session, 1, found);
    assert_eq!(said(&mut session, 1_000), [""; 0]);

    let mut session = left_room();
    session.handle_text(at(8), &unavailable("room.leave"));
    session.join_room("next ticket".to_owned());
    assert_eq!(said(&mut session, 1_000), ["room.join"]);
}

#[test]
fn no_leave_follows_a_queue_join_that_may_have_led_to_a_match() {
    let mut session = left_room();
    queue_join(&mut session);
    session.handle_text(at(10), &unavailable("room.leave"));
    assert_eq!(said(&mut session, 1_000), ["queue.join"]);
    assert_ne!(
        session.poll_timeout(),
        Some(at(510)),
        "nothing to wake up for"
    );
    session.handle_text(at(1_001), JOIN_REFUSED);
    assert_eq!(said(&mut session, 1_001), ["room.leave"], "it led to none");
}

#[test]
fn a_leave_that_is_due_goes_ahead_of_the_next_queue_join() {
    let mut session = left_room();
    session.handle_text(at(10), &unavailable("room.leave"));
    queue_join(&mut session);
    assert_eq!(said(&mut session, 11), ["room.leave", "queue.join"]);
    let queued = r#"{"t":"queue.state","mode":"race","waiting_ms":0,"size":1}"#;
    session.handle_text(at(12), queued);
    session.handle_text(at(13), &unavailable("room.leave"));
    assert_eq!(
        said(&mut session, 5_000),
        [""; 0],
        "who queues is in no match"
    );
}

#[test]
fn a_match_that_ended_by_itself_need_not_be_left() {
    let mut session = left_room();
    session.handle_text(at(8), &unavailable("room.leave"));
    let ended = r#"{"e":"match.ended","match":"mt_0000000000000001","room":"rm_0000000000000001","reason":"finished"}"#;
    told(&mut session, 1, ended);
    assert_eq!(said(&mut session, 1_000), [""; 0]);
}

#[test]
fn a_matcher_that_was_out_of_reach_is_told_when_it_is_back() {
    let mut session = left_room();
    let lost = r#"{"t":"channel.lost","ch":"match","reason":"node_silent"}"#;
    session.handle_text(at(10), lost);
    session.handle_text(at(900), &match_channel(&old_match()));
    assert_eq!(said(&mut session, 900), ["room.leave"]);
}

#[test]
fn the_answer_to_a_leave_is_no_news() {
    let mut session = left_room();
    events(&mut session);
    let left = r#"{"t":"channel.closed","ch":"room","reason":"left"}"#;
    session.handle_text(at(10), left);
    assert!(events(&mut session).is_empty());
}

#[test]
fn leaving_a_room_that_does_not_answer_ends_the_wait_for_it() {
    let mut session = in_room();
    let lost = r#"{"t":"channel.lost","ch":"room","reason":"node_gone"}"#;
    session.handle_text(at(10), lost);
    session.leave_room();
    session.handle_text(at(59_990), &match_channel(IDLE));
    session.handle_closed(at(60_000), None);
    come_back(&mut session, 60_100);
    let freeze = events(&mut session)
        .into_iter()
        .find_map(|event| match event {
            SessionEvent::Restored { freeze } => Some(freeze),
            _ => None,
        });
    assert_eq!(freeze, Some(Duration::from_millis(110)));
}

#[test]
fn the_same_ticket_is_good_for_a_join_after_another_login() {
    let mut session = in_room();
    session.close();
    assert!(!session.is_in_room());
    session.log_in(at(10), "another token".to_owned());
    come_back(&mut session, 10);
    session.join_room("room ticket".to_owned());
    assert_eq!(said(&mut session, 11), ["room.join"]);
}
