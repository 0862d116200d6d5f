//! The client's side of resume: which event took effect last on a channel.

use crate::frame::{Ack, Event};
use crate::id::{Channel, Epoch, Offset, Position};

/// What to do with an event that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It is the next one: let it take effect.
    Apply,
    /// It took effect before, or belongs to another history.
    Drop,
    /// One before it is missing: drop it, and ask for those since the last that took effect. Told
    /// once for each time that the origin sends the row: those behind the first one missing are
    /// just dropped, or each of them would make the origin send everything again.
    Missing,
}

/// A client's place in one channel.
#[derive(Debug, Clone, Copy)]
pub struct Cursor {
    channel: Channel,
    position: Option<Position>,
    /// The last event that came too early since the last one that took effect.
    early: Option<Offset>,
}

impl Cursor {
    /// A cursor with nothing yet.
    pub fn new(channel: Channel) -> Self {
        Self {
            channel,
            position: None,
            early: None,
        }
    }

    /// What this client has.
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// The origin says where the channel stands. Gives whether what the client had goes on.
    ///
    /// If the origin says so and this client has nothing that could go on from there, then
    /// something is lost that neither side knows of: the cursor forgets its position, and the
    /// client has to attach afresh.
    pub fn handle_attached(&mut self, epoch: Epoch, offset: Offset, recovered: bool) -> bool {
        self.early = None;
        if !recovered {
            self.position = Some(Position { epoch, offset });
            return false;
        }
        let goes_on = self
            .position
            .is_some_and(|position| position.epoch == epoch && position.offset >= offset);
        if !goes_on {
            self.position = None;
        }
        goes_on
    }

    /// Takes an event; on [`Arrival::Apply`] it counts as having taken effect.
    pub fn handle_event(&mut self, event: &Event) -> Arrival {
        let Some(position) = &mut self.position else {
            return Arrival::Drop;
        };
        if event.epoch != position.epoch || event.offset <= position.offset {
            return Arrival::Drop;
        }
        if event.offset.0 - position.offset.0 > 1 {
            let again = self.early.is_none_or(|early| event.offset <= early);
            self.early = Some(event.offset);
            return if again {
                Arrival::Missing
            } else {
                Arrival::Drop
            };
        }
        position.offset = event.offset;
        self.early = None;
        Arrival::Apply
    }

    /// The acknowledgement of what took effect.
    pub fn ack(&self, resend: bool) -> Option<Ack> {
        let position = self.position?;
        Some(Ack {
            channel: self.channel,
            epoch: position.epoch,
            offset: position.offset,
            resend,
        })
    }

    /// Forgets everything: the channel is closed.
    pub fn reset(&mut self) {
        self.position = None;
        self.early = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn event(epoch: u32, offset: u32) -> Event {
        Event {
            channel: Channel::Room,
            epoch: Epoch(epoch),
            offset: Offset(offset),
            payload: Bytes::new(),
        }
    }

    fn arrivals(cursor: &mut Cursor, offsets: &[u32]) -> Vec<Arrival> {
        offsets
            .iter()
            .map(|offset| cursor.handle_event(&event(1, *offset)))
            .collect()
    }

    #[test]
    fn a_row_with_a_gap_is_asked_for_once() {
        use Arrival::{Apply, Drop, Missing};
        let mut cursor = Cursor::new(Channel::Room);
        cursor.handle_attached(Epoch(1), Offset(0), false);
        assert_eq!(
            arrivals(&mut cursor, &[1, 3, 4, 5]),
            [Apply, Missing, Drop, Drop]
        );
        assert_eq!(
            arrivals(&mut cursor, &[3, 4]),
            [Missing, Drop],
            "lost once more"
        );
        assert_eq!(
            arrivals(&mut cursor, &[2, 3, 5]),
            [Apply, Apply, Missing],
            "another gap"
        );
    }

    #[test]
    fn a_history_that_the_client_cannot_go_on_from_is_not_trusted() {
        let mut cursor = Cursor::new(Channel::Room);
        assert!(!cursor.handle_attached(Epoch(1), Offset(3), true));
        assert_eq!(cursor.position(), None);
        cursor.handle_attached(Epoch(1), Offset(3), false);
        assert!(cursor.handle_attached(Epoch(1), Offset(2), true));
        assert!(!cursor.handle_attached(Epoch(1), Offset(9), true));
        assert_eq!(cursor.position(), None);
    }

    #[test]
    fn the_last_offset_there_is_does_not_overflow() {
        let mut cursor = Cursor::new(Channel::Room);
        cursor.handle_attached(Epoch(1), Offset(u32::MAX - 1), false);
        assert_eq!(
            arrivals(&mut cursor, &[u32::MAX, u32::MAX]),
            [Arrival::Apply, Arrival::Drop]
        );
    }
}
