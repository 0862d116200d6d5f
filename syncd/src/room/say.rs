//! Messages between members: how many, to whom; the game has the rest.

use std::collections::VecDeque;

use protocol::control::{Data, ErrorCode, ErrorMessage};
use protocol::id::Tick;
use serde::{Deserialize, Serialize};

use super::{Applied, Room, TICK_HZ};
use crate::game::Seat;

/// Most messages of a seat in any second. One more is refused, and its sender told when it may.
const SAID_A_SECOND: usize = 10;

/// When a seat has said what it said within the last second. Ticks are the clock, so that a room
/// that is run again decides the same.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Pace(VecDeque<Tick>);

impl Pace {
    /// Counts a message, or gives the ticks until one is free.
    fn take(&mut self, now: Tick) -> Result<(), u32> {
        while let Some(first) = self.0.front()
            && now.0 - first.0 >= TICK_HZ
        {
            self.0.pop_front();
        }
        if self.0.len() < SAID_A_SECOND {
            self.0.push_back(now);
            return Ok(());
        }
        Err(self.0[0].0 + TICK_HZ - now.0)
    }
}

impl Room {
    /// A message of a member to another, or to all.
    pub(super) fn say(&mut self, from: Seat, to: Option<Seat>, data: &Data) -> Applied {
        let now = self.tick;
        let Some(member) = self.members.get_mut(from.index()) else {
            return Applied::Ignored;
        };
        if !member.is_present() {
            return Applied::Ignored;
        }
        if let Err(ticks) = member.said.take(now) {
            let text = format!("more than {SAID_A_SECOND} messages in a second; slow down");
            let millis = (u64::from(ticks) * 1000).div_ceil(u64::from(TICK_HZ));
            let error = ErrorMessage::new(ErrorCode::RateLimited, text).retry_after_ms(millis);
            return Applied::Unsaid(error.re("room.say"));
        }
        if self.is_over() {
            let error = ErrorMessage::new(ErrorCode::RoomUnknown, "the room is over");
            return Applied::Unsaid(error.re("room.say"));
        }
        let seats = self.members.len();
        if let Some(seat) = to.filter(|seat| seat.index() >= seats) {
            let text = format!("room.say.to: no seat {seat}; this room has {seats}, from 0");
            let error = ErrorMessage::new(ErrorCode::BadField, text).field("to");
            return Applied::Unsaid(error.re("room.say"));
        }
        if let Some(tape) = &mut self.tape {
            tape.say(now, from, to, data);
        }
        let mut events = std::mem::take(&mut self.events);
        let said = self.game.say(from, to, data, &mut events);
        // At once: who joins later in this tick was not there.
        for event in events.drain(..) {
            self.tell(event.to, &event.payload);
        }
        self.events = events;
        match said {
            Ok(()) => Applied::Done,
            Err(error) => Applied::Unsaid(error.re("room.say")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_messages_fit_into_any_second() {
        let mut pace = Pace::default();
        for tick in 0..10 {
            assert_eq!(pace.take(Tick(tick)), Ok(()));
        }
        assert_eq!(pace.take(Tick(10)), Err(50));
        assert_eq!(pace.take(Tick(59)), Err(1));
        assert_eq!(pace.take(Tick(60)), Ok(()));
        assert_eq!(pace.take(Tick(60)), Err(1));
        assert_eq!(pace.take(Tick(61)), Ok(()));
    }
}
