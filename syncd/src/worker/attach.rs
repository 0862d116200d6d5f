//! Players who come, go and speak, at the rooms of one worker.

use protocol::attach::Claim;
use protocol::close::CloseCode;
use protocol::control::{ErrorCode, ErrorMessage};
use protocol::frame::Ack;
use protocol::id::{Epoch, RoomId, SessionId};
use rpc::inbound::AttachRequest;
use rpc::origin::StreamId;

use super::hosted::Hosted;
use super::{Link, Worker};
use crate::game::Seat;
use crate::room::{Applied, Attach, Command, Refusal};

impl Worker {
    pub(super) fn attach(&mut self, link: &Link, request: &AttachRequest) {
        if link.is_ended() {
            return;
        }
        let (session, attempt) = (request.claim.session, request.claim.attempt);
        let hosted = request.room.and_then(|room| self.rooms.get_mut(&room));
        let Some(hosted) = hosted.filter(|hosted| hosted.is_running()) else {
            let batch = self.lines.batch(link, request.room);
            batch.refused(session, attempt, &room_unknown());
            return;
        };
        let id = hosted.room.id();
        let applied = hosted.apply(Command::Attach(Attach {
            player: request.player,
            claim: request.claim,
            mode: request.mode,
            epoch: Epoch(rand::random::<u32>().max(1)),
        }));
        match applied {
            // The game failed at it.
            None => self
                .lines
                .batch(link, Some(id))
                .refused(session, attempt, &room_unknown()),
            Some(Applied::Attached { seat, previous }) => {
                let before = hosted.attached[seat.index()].replace((link.id(), session));
                if let (Some((stream, _)), Some(previous)) = (before, previous) {
                    self.cut_off((stream, id), &previous, &request.claim);
                }
                let elsewhere = self.sessions.insert(session, (id, seat));
                self.move_from(elsewhere, (id, seat), session);
                self.lines.batch(link, None);
            }
            Some(Applied::Refused(refusal)) => self.refuse(link, id, &request.claim, refusal),
            Some(Applied::Done | Applied::Ignored | Applied::Unsaid(_)) => {
                unreachable!("an attach is decided")
            }
        }
    }

    /// Closes the connection that counted until now, if it is another one.
    fn cut_off(&mut self, (stream, room): (StreamId, RoomId), previous: &Claim, claim: &Claim) {
        let code = if previous.session != claim.session {
            self.sessions.remove(&previous.session);
            CloseCode::Replaced
        } else if previous.attempt != claim.attempt {
            CloseCode::Superseded
        } else {
            return;
        };
        if let Some(batch) = self.lines.batch_of(stream, room) {
            batch.close_connection(previous.session, previous.attempt, code);
        }
    }

    /// A session is in one room: from an earlier one it is gone.
    fn move_from(&mut self, from: Option<(RoomId, Seat)>, to: (RoomId, Seat), session: SessionId) {
        let Some((room, seat)) = from.filter(|from| *from != to) else {
            return;
        };
        let Some(hosted) = self.rooms.get_mut(&room) else {
            return;
        };
        let own = |(_, by): &mut (StreamId, SessionId)| *by == session;
        if hosted.attached[seat.index()].take_if(own).is_some() {
            hosted.detach(seat);
        }
    }

    fn refuse(&mut self, link: &Link, room: RoomId, claim: &Claim, refusal: Refusal) {
        let (session, attempt) = (claim.session, claim.attempt);
        let batch = self.lines.batch(link, Some(room));
        match refusal {
            Refusal::NoSeat => {
                let error = not_in_room("you have no seat in this room");
                batch.refused(session, attempt, &error);
            }
            Refusal::Left => {
                batch.refused(session, attempt, &not_in_room("you have left this room"));
            }
            Refusal::Stale => batch.close_connection(session, attempt, CloseCode::Superseded),
            Refusal::Replaced => batch.close_connection(session, attempt, CloseCode::Replaced),
        }
    }

    pub(super) fn detach(
        &mut self,
        stream: StreamId,
        session: SessionId,
        attempt: u32,
        leave: bool,
    ) {
        let Some((hosted, seat)) = self.attached(stream, session) else {
            return;
        };
        let command = match leave {
            true => Command::Leave { seat, attempt },
            false => Command::Detach { seat, attempt },
        };
        if hosted.apply(command) == Some(Applied::Done) {
            hosted.attached[seat.index()] = None;
            self.sessions.remove(&session);
        }
    }

    pub(super) fn acknowledge(&mut self, stream: StreamId, session: SessionId, ack: Ack) {
        if let Some((hosted, seat)) = self.attached(stream, session) {
            hosted.apply(Command::Ack { seat, ack });
        }
    }

    /// Where a session is attached, if it is by this stream: what comes by another one is what a
    /// late gateway still had.
    pub(super) fn attached(
        &mut self,
        stream: StreamId,
        session: SessionId,
    ) -> Option<(&mut Hosted, Seat)> {
        let (room, seat) = *self.sessions.get(&session)?;
        let hosted = self.rooms.get_mut(&room)?;
        let current = hosted.attached[seat.index()] == Some((stream, session));
        (current && hosted.is_running()).then_some((hosted, seat))
    }

    /// Players who came by a stream that ended are away until they come by another one.
    pub(super) fn drop_ended_links(&mut self) {
        let mut detached = Vec::new();
        for stream in self.lines.take_ended() {
            for hosted in self.rooms.values_mut() {
                for (index, attached) in hosted.attached.iter_mut().enumerate() {
                    let Some((_, session)) = attached.take_if(|(by, _)| *by == stream) else {
                        continue;
                    };
                    self.sessions.remove(&session);
                    detached.push(Seat(index as u16));
                }
                detached.drain(..).for_each(|seat| hosted.detach(seat));
            }
        }
    }
}

/// For a room that is not here, or not any more.
pub(crate) fn room_unknown() -> ErrorMessage {
    let message = "the room is not on this node, or is over";
    ErrorMessage::new(ErrorCode::RoomUnknown, message).re("room.join")
}

fn not_in_room(message: &str) -> ErrorMessage {
    ErrorMessage::new(ErrorCode::NotInRoom, message).re("room.join")
}
