//! When a game is over, and when its room is gone.

use super::member::{Member, Presence};
use super::output::{EndReason, Output};
use super::{Room, TICK_HZ, tell};
use crate::game::{Audience, Seat};

/// How long a room stays after its game at least, if [`super::Rules::linger_ticks`] is not
/// shorter: time to look at the result, and to come back for those whose connection just broke
/// without the room knowing it yet.
const SHOWN_TICKS: u32 = 10 * TICK_HZ;

impl Room {
    /// Tells the result when the game is over, and decides whether the room is gone.
    pub(super) fn check_end(&mut self) {
        if self.over_at.is_none() && self.game.is_over() {
            self.over_at = Some(self.tick);
            let event = tell::ended(&self.standings());
            self.tell(Audience::All, &event);
        }
        if self.members.iter().any(Member::is_present) {
            self.last_present = self.tick;
        }
        let absent_for = self.tick.0 - self.last_present.0;
        self.ended = match self.over_at {
            Some(over) => self
                .is_let_go(self.tick.0 - over.0)
                .then_some(EndReason::Finished),
            None if absent_for >= self.setup.rules.abandon_ticks => Some(EndReason::Abandoned),
            None => None,
        };
    }

    /// Whether nobody needs the room any more, whose game is over for so many ticks. Who is away
    /// may be back for the result; who never came, or has left, is not waited for.
    fn is_let_go(&self, over_for: u32) -> bool {
        let has_left = |member: &Member| member.presence == Presence::Left;
        let knows_all = |member: &Member| match member.presence {
            Presence::Present => member.log.is_settled(),
            Presence::Away => false,
            Presence::Expected | Presence::Left => true,
        };
        let shown = over_for >= SHOWN_TICKS && self.members.iter().all(knows_all);
        shown || over_for >= self.setup.rules.linger_ticks || self.members.iter().all(has_left)
    }

    pub(super) fn standings(&self) -> tell::RoomResult<'_> {
        tell::result(&self.setup.game.seats, &self.game.result())
    }

    /// Tells those who listen that the room is gone.
    pub(super) fn close_channels(&self, reason: EndReason, out: &mut Vec<Output>) {
        for (index, member) in self.members.iter().enumerate() {
            if let Some(claim) = member.listener() {
                out.push(Output::CloseChannel {
                    seat: Seat(index as u16),
                    session: claim.session,
                    attempt: claim.attempt,
                    reason,
                });
            }
        }
    }
}
