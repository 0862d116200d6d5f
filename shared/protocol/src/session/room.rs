//! A session's part in a room: entering it, playing in it, leaving it.

use super::{Output, Session, SessionEvent, State};
use crate::control::{ClientMessage, RoomJoin, RoomLeave};
use crate::frame::Frame;
use crate::id::{Channel, Tick};
use crate::input::{InputRange, InputWindow};
use crate::time::Timestamp;

impl Session {
    /// Enters a room with the ticket out of `match.found`, now and after every reconnect until
    /// the room is left or over.
    pub fn join_room(&mut self, ticket: String) {
        if self.room.as_ref() != Some(&ticket) {
            self.close_room();
        } else if self.room_attached {
            return;
        }
        self.leaving.enter_room();
        self.room = Some(ticket.clone());
        if self.state == State::Live {
            self.say(&ClientMessage::RoomJoin(RoomJoin { ticket }));
        }
    }

    /// Leaves the room for good. Without a connection, or if the word is lost with one, the server
    /// is told as soon as it shows that it does not know.
    pub fn leave_room(&mut self) {
        let live = self.state == State::Live;
        if let Some(ticket) = self.room.take() {
            self.leaving.leave_room(ticket, live);
            if live {
                self.say(&ClientMessage::RoomLeave(RoomLeave {}));
            }
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
        if self.room.is_none() {
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
