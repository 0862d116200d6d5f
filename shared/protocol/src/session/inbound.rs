//! What a session makes of what the server says.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::room::Wish;
use super::{SNAPSHOTS_KEPT, Session, SessionEvent, State};
use crate::control::{ChannelAttached, ChannelClosed, ErrorMessage, ServerMessage, Welcome};
use crate::cursor::Arrival;
use crate::frame::{Event, Snapshot};
use crate::id::{Channel, InputSeq};
use crate::link::{Link, LinkConfig, Pace};
use crate::time::Timestamp;

impl Session {
    pub(super) fn handle_control(&mut self, now: Timestamp, message: ServerMessage) {
        let expected = matches!(message, ServerMessage::Welcome(_) | ServerMessage::Error(_));
        if self.state == State::Greeting && !expected {
            return;
        }
        match message {
            ServerMessage::Welcome(welcome) => self.handle_welcome(now, welcome),
            ServerMessage::Channel(attached) => self.handle_attached(now, attached),
            ServerMessage::ChannelLost(lost) => {
                if lost.ch == Channel::Room {
                    self.room_attached = false;
                    self.lost_at.get_or_insert(now);
                } else {
                    self.leaving.handle_lost();
                }
                self.events.push_back(SessionEvent::ChannelLost(lost));
            }
            ServerMessage::ChannelClosed(closed) => self.handle_channel_closed(now, closed),
            ServerMessage::QueueState(state) => {
                self.leaving.handle_queued();
                self.events.push_back(SessionEvent::QueueState(state));
            }
            ServerMessage::EventsListed(mut listed) => {
                self.counts.keep_newer(&mut listed);
                self.events.push_back(SessionEvent::EventsListed(listed));
            }
            ServerMessage::EventCounts(counts) => {
                if self.counts.is_newer(&counts.event, counts.version) {
                    self.events.push_back(SessionEvent::EventCounts(counts));
                }
            }
            ServerMessage::PrivateState(room) => {
                self.events.push_back(SessionEvent::Private(room));
            }
            ServerMessage::EventSeat(seat) => self.events.push_back(SessionEvent::EventSeat(seat)),
            // The close that follows says when; a room is not left before it has to be.
            ServerMessage::GoAway(goaway) => self.events.push_back(SessionEvent::GoAway(goaway)),
            ServerMessage::Error(error) => self.handle_error(now, error),
        }
    }

    fn handle_welcome(&mut self, now: Timestamp, welcome: Welcome) {
        if self.state != State::Greeting {
            return;
        }
        self.state = State::Live;
        self.welcomed_at = now;
        self.timers.stop(super::CONNECT);
        self.resume = Some(welcome.resume.clone());
        let idle = Duration::from_millis(u64::from(welcome.heartbeat_ms));
        let active = Duration::from_millis(u64::from(welcome.active_heartbeat_ms));
        let config = LinkConfig {
            idle: Pace {
                interval: idle,
                silence: idle + idle / 4 + Duration::from_secs(5),
            },
            active: Pace {
                interval: active,
                silence: self.config.active_silence,
            },
        };
        let mut link = Link::client(config, self.random.next_u64(), now);
        link.set_active(now, self.room.is_some());
        self.link = Some(link);
        match &self.room {
            None => self.tell_restored(now),
            Some(Wish::Play(_)) => {} // the hello has named it
            Some(watch @ Wish::Watch(_)) => self.say(&watch.request()),
        }
        self.events.push_back(SessionEvent::Welcome(welcome));
    }

    fn handle_attached(&mut self, now: Timestamp, attached: ChannelAttached) {
        if attached.ch == Channel::Room && self.room.is_none() {
            return; // left while the answer was on its way
        }
        let cursor = &mut self.cursors[attached.ch.index()];
        let goes_on = cursor.handle_attached(attached.epoch, attached.offset, attached.recovered);
        if attached.recovered && !goes_on {
            // Nothing that came next would be worth anything: attach afresh.
            self.retry(now, None, false);
            return;
        }
        if attached.ch == Channel::Room {
            self.room_attached = true;
            self.snapshots.clear();
            match goes_on {
                true => self
                    .inputs
                    .handle_attached(processed(attached.state.as_deref())),
                false => self.drop_inputs(),
            }
            if let Some(link) = &mut self.link {
                link.set_active(now, true);
            }
            self.tell_restored(now);
        } else {
            self.leaving.handle_state(now, attached.state.as_deref());
        }
        self.events.push_back(SessionEvent::Channel(attached));
    }

    fn handle_channel_closed(&mut self, now: Timestamp, closed: ChannelClosed) {
        if closed.ch == Channel::Room {
            // The answer to a leave: of a room that is forgotten, maybe on the way into the next.
            if closed.reason == "left" && !self.room_attached {
                return;
            }
            self.close_room();
            self.tell_restored(now);
        }
        self.events.push_back(SessionEvent::ChannelClosed(closed));
    }

    fn handle_error(&mut self, now: Timestamp, error: ErrorMessage) {
        let asked = self.room.as_ref().map(|wish| wish.request().kind());
        if asked.is_some() && error.re.as_deref() == asked && error.retry_after_ms.is_none() {
            self.close_room();
            self.tell_restored(now);
        }
        self.leaving.handle_refused(now, &error);
        self.events.push_back(SessionEvent::Refused(error));
    }

    pub(super) fn handle_event(&mut self, now: Timestamp, event: Event) {
        let cursor = &mut self.cursors[event.channel.index()];
        let arrival = cursor.handle_event(&event);
        if let (Some(ack), Some(link)) = (cursor.ack(arrival == Arrival::Missing), &mut self.link) {
            link.acknowledge(now, ack);
        }
        if arrival == Arrival::Apply {
            if event.channel == Channel::Match {
                self.leaving.handle_event(&event.payload);
            }
            self.events.push_back(SessionEvent::Event(event));
        }
    }

    pub(super) fn handle_snapshot(&mut self, now: Timestamp, snapshot: Snapshot) {
        let newest = self.room_attached && snapshot.head.tick > self.newest_snapshot();
        // Without its baseline a snapshot means nothing: wait for one that we can read.
        let readable = snapshot
            .head
            .baseline()
            .is_none_or(|tick| self.snapshots.contains(&tick));
        if !newest || !readable {
            return;
        }
        if self.snapshots.len() == SNAPSHOTS_KEPT {
            self.snapshots.pop_front();
        }
        self.snapshots.push_back(snapshot.head.tick);
        let head = &snapshot.head;
        let durable = InputSeq(head.processed.0.saturating_sub(head.durable_lag));
        self.inputs.handle_snapshot(now, head.processed, durable);
        self.events.push_back(SessionEvent::Snapshot(snapshot));
    }
}

/// As the room channel's `state` has it, of servers that say so.
#[derive(Deserialize)]
struct RoomState {
    processed: InputSeq,
}

/// What the room has of this client's inputs.
fn processed(state: Option<&RawValue>) -> Option<InputSeq> {
    let state: RoomState = serde_json::from_str(state?.get()).ok()?;
    Some(state.processed)
}
