//! Messages of members, handed to their room.

use protocol::control::{ClientMessage, ErrorCode, ErrorMessage, RoomSay, ServerMessage};
use protocol::id::SessionId;

use super::{Link, Worker};
use crate::game::Seat;
use crate::room::{Applied, Command};

impl Worker {
    /// A control message of a client; what is wrong with it goes to its sender alone.
    pub(super) fn text(&mut self, link: &Link, session: SessionId, text: &str) {
        let Some((hosted, seat)) = self.attached(link.id(), session) else {
            return;
        };
        let error = match ClientMessage::parse(text) {
            Ok(ClientMessage::RoomSay(RoomSay { data, to })) => {
                let to = to.map(Seat);
                match hosted.apply(Command::Say { seat, to, data }) {
                    Some(Applied::Unsaid(error)) => error,
                    _ => return,
                }
            }
            Ok(other) => {
                let text = "this message is not for a room";
                ErrorMessage::new(ErrorCode::OutOfOrder, text).re(other.kind())
            }
            Err(error) => error,
        };
        let room = self.sessions.get(&session).map(|(room, _)| *room);
        let batch = self.lines.batch(link, room);
        batch.text(session, ServerMessage::Error(error).to_text());
    }
}
