//! A session's part in a room: entering it, playing in it, leaving it; or watching it.

use super::{Output, Session, SessionEvent, State};
use crate::control::{ClientMessage, RoomJoin, RoomLeave, RoomUnwatch, RoomWatch};
use crate::frame::Frame;
use crate::id::{Channel, Tick};
use crate::input::{InputRange, InputWindow};
use crate::time::Timestamp;

/// The room that a client wants to be told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// By its seat there, with this ticket.
    Play(String),
    /// Without one.
    Watch(RoomWatch),
}

impl Wish {
    /// What asks for it.
    pub(super) fn request(&self) -> ClientMessage {
        match self.clone() {
            Self::Play(ticket) => ClientMessage::RoomJoin(RoomJoin { ticket }),
            Self::Watch(watch) => ClientMessage::RoomWatch(watch),
        }
    }

    pub(super) fn ticket(&self) -> Option<&String> {
        match self {
            Self::Play(ticket) => Some(ticket),
            Self::Watch(_) => None,
        }
    }
}

impl Session {
    /// Enters a room with the ticket out of `match.found`, now and after every reconnect until
    /// the room is left or over.
    pub fn join_room(&mut self, ticket: String) {
        self.wish_for(Wish::Play(ticket));
    }

    /// Watches a room without a seat in it, now and after every reconnect until it is over, or
    /// [`leave_room`](Self::leave_room). A room that was entered is none any more to this client.
    pub fn watch_room(&mut self, watch: RoomWatch) {
        self.wish_for(Wish::Watch(watch));
    }

    fn wish_for(&mut self, wish: Wish) {
        if self.room.as_ref() != Some(&wish) {
            self.close_room();
        } else if self.room_attached {
            return;
        }
        if wish.ticket().is_some() {
            self.leaving.enter_room();
        }
        let request = wish.request();
        self.room = Some(wish);
        if self.state == State::Live {
            self.say(&request);
        }
    }

    /// Leaves the room for good. Without a connection, or if the word is lost with one, the server
    /// is told as soon as it shows that it does not know. Who watches watches no more.
    pub fn leave_room(&mut self) {
        let live = self.state == State::Live;
        match self.room.take() {
            Some(Wish::Play(ticket)) => {
                self.leaving.leave_room(ticket, live);
                if live {
                    self.say(&ClientMessage::RoomLeave(RoomLeave {}));
                }
            }
            // A watch ends with its connection: there is nothing to make up for.
            Some(Wish::Watch(_)) if live => self.say(&ClientMessage::RoomUnwatch(RoomUnwatch {})),
            Some(Wish::Watch(_)) | None => {}
        }
        self.close_room();
        if live {
            // A room that did not answer is not waited for any more; a connection still is.
            self.lost_at = None;
        }
    }

    /// Adds a step of input for the room. Steps go out at the next
    /// [`flush_inputs`](Self::flush_inputs). Over the limit the oldest step is given up.
    pub fn push_input(&mut self, step: u32) {
        if self.ticket().is_none() {
            return;
        }
        if let (_, Some(lost)) = self.inputs.push(step) {
            self.events.push_back(SessionEvent::InputsGivenUp(lost));
        }
    }

    /// Sends the steps that wait, with what was received as acknowledgement. Call it about every
    /// 50 ms while in a room, also when there is no new step: old ones may have to go out again.
    pub fn flush_inputs(&mut self, now: Timestamp) {
        if self.state != State::Live || !self.room_attached {
            return;
        }
        let Some(at) = self.cursors[Channel::Room.index()].position() else {
            return;
        };
        let snapshot = self.newest_snapshot();
        while let Some(frame) = self
            .inputs
            .poll_transmit(now, at.epoch, at.offset, snapshot)
        {
            self.outputs
                .push_back(Output::Binary(Frame::Input(frame).encode()));
            if let Some(link) = &mut self.link {
                link.acknowledged_by_input();
            }
        }
    }

    /// A snapshot that was told could not be used, or was dropped on the way to whoever plays:
    /// the next one has to be whole.
    pub fn forget_snapshots(&mut self) {
        self.snapshots.clear();
    }

    /// The ticket of the room that is played in.
    pub(super) fn ticket(&self) -> Option<&String> {
        self.room.as_ref().and_then(Wish::ticket)
    }

    /// The newest snapshot that was told; 0 if none was since the room attached.
    pub(super) fn newest_snapshot(&self) -> Tick {
        self.snapshots.back().copied().unwrap_or_default()
    }

    pub(super) fn close_room(&mut self) {
        self.room = None;
        self.room_attached = false;
        self.cursors[Channel::Room.index()].reset();
        self.drop_inputs();
        self.snapshots.clear();
        // The next heartbeat brings the link back to its idle pace.
        if let Some(link) = &mut self.link {
            let heard = link.last_heard();
            link.set_active(heard, false);
        }
    }

    pub(super) fn drop_inputs(&mut self) {
        let mut unsettled = self.inputs.unsettled().map(|(seq, _)| seq);
        let range = unsettled.next().map(|from| InputRange {
            from,
            to: unsettled.last().unwrap_or(from),
        });
        if let Some(range) = range {
            self.events.push_back(SessionEvent::InputsGivenUp(range));
        }
        self.inputs = InputWindow::new(self.config.input_width, self.config.input_limit);
    }
}
