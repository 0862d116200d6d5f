//! Who comes and goes, and what they send.

use protocol::attach::Verdict;
use protocol::frame::{Ack, InputFrame};

use super::member::Presence;
use super::{Applied, Attach, Refusal, Room, tell};
use crate::game::{Audience, Departure, Seat};

impl Room {
    pub(super) fn attach(&mut self, attach: Attach) -> Applied {
        let Some(seat) = self.seat_of(attach.player) else {
            return Applied::Refused(Refusal::NoSeat);
        };
        let member = &mut self.members[seat.index()];
        if member.presence == Presence::Left {
            return Applied::Refused(Refusal::Left);
        }
        match member.holder.judge(&attach.claim) {
            Verdict::Accept => {}
            Verdict::Stale => return Applied::Refused(Refusal::Stale),
            Verdict::Replaced => return Applied::Refused(Refusal::Replaced),
        }
        let previous = member.present_claim();
        let recovered = member.attach(&attach, self.setup.rules.input_limit);
        self.last_present = self.tick;
        if previous.is_none() {
            if let Some(tape) = &mut self.tape {
                tape.join(self.tick, seat);
            }
            self.game.join(seat);
            let event = tell::joined(seat, &self.setup.game.seats[seat.index()]);
            self.tell_others(seat, &event);
        }
        if !recovered && self.is_over() {
            // The event that told it is of a history that is gone.
            let event = tell::ended(&self.standings());
            self.tell(Audience::Seat(seat), &event);
        }
        Applied::Attached { seat, previous }
    }

    pub(super) fn detach(&mut self, seat: Seat, attempt: u32, departure: Departure) -> Applied {
        let Some(member) = self.members.get_mut(seat.index()) else {
            return Applied::Ignored;
        };
        // A detach that comes late must not undo a later attach.
        let counts = member.holder.current();
        let current = counts.is_some_and(|claim| claim.attempt == attempt);
        if !current || !member.is_present() {
            return Applied::Ignored;
        }
        member.detach(departure);
        self.last_present = self.tick;
        if let Some(tape) = &mut self.tape {
            tape.leave(self.tick, seat, departure);
        }
        self.game.leave(seat, departure);
        self.tell_others(seat, &tell::left(seat, departure));
        Applied::Done
    }

    pub(super) fn acknowledge(&mut self, seat: Seat, ack: Ack) -> Applied {
        let now = self.now();
        match self.members.get_mut(seat.index()) {
            Some(member) => {
                member.log.handle_ack(now, ack);
                Applied::Done
            }
            None => Applied::Ignored,
        }
    }

    pub(super) fn input(&mut self, seat: Seat, input: &InputFrame) -> Applied {
        let (now, bits) = (self.now(), self.kind.input_bits);
        let Some(member) = self.members.get_mut(seat.index()) else {
            return Applied::Ignored;
        };
        match member.accept(now, input, bits) {
            true => Applied::Done,
            false => Applied::Ignored,
        }
    }
}
