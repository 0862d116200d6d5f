//! What a node does when the store may have lost something: it says it again, if it may.

use protocol::id::RoomId;
use protocol::time::Timestamp;

use crate::node::{Context, Host, LOOK_EVERY};
use syncd::ownership::claims::VIEW_LASTS;

use crate::mutation::Mutation;
use crate::store::{Reply, TTL};
use crate::toy;

/// Added to the term of a room that somebody else may have had: nobody has had so many.
const ABOVE_ALL: u64 = 1_000;

impl Host {
    /// Whether our journal is known not to have been sealed.
    pub(crate) fn is_ours(&self) -> bool {
        self.lapsed_at.is_none()
    }

    /// Notices when our lease has ended.
    pub(crate) fn look_at_lease(&mut self, now: Timestamp) {
        if now >= self.valid_until {
            self.lapsed_at = Some(now);
        }
    }

    /// The journal took what was sent at this time: if our lease had ended before, nobody has
    /// sealed it for that.
    pub(crate) fn is_known_ours(&mut self, at: Timestamp) {
        self.lapsed_at.take_if(|lapsed| *lapsed < at);
    }

    /// What the store may have lost is said again. Not while the journal may be sealed: a room
    /// that is over would be placed again.
    pub(crate) fn say_again(&mut self) {
        for hosted in self.rooms.values_mut() {
            if hosted.is_sure() {
                hosted.replace = Some(false);
            }
        }
    }

    /// Our lease had ended, and the store does not know any more whether our journal was sealed:
    /// somebody else may have gone on with our rooms. Who has says so within a lease. Rooms of
    /// which nobody does are ours, with another history from then on.
    pub(crate) fn doubt_all(&mut self, cx: &mut Context<'_>) {
        let at = match cx.has(Mutation::NoSettle) {
            true => return,
            false => cx.wire.now + TTL + VIEW_LASTS,
        };
        for hosted in self.rooms.values_mut().filter(|hosted| hosted.is_placed()) {
            hosted.doubt_until(at);
        }
    }

    /// Whose a room is that somebody else may run.
    pub(crate) fn settle(&mut self, room: RoomId, reply: Option<Reply>, cx: &mut Context<'_>) {
        let Some(hosted) = self.rooms.get_mut(&room) else {
            return;
        };
        let Some(doubt) = &mut hosted.doubt else {
            return;
        };
        doubt.is_asked = false;
        doubt.at = cx.wire.now + LOOK_EVERY;
        match reply {
            None => {}
            Some(Reply::Found(Some(found))) if found.owner != self.me => self.drop_room(room, cx),
            Some(_) if !doubt.is_settled => {
                doubt.is_settled = true;
                hosted.generation += ABOVE_ALL;
                self.has_to_say = true;
                self.renew(room, cx);
            }
            Some(Reply::Found(None)) => self.has_to_say = true,
            Some(_) => {}
        }
    }

    pub(crate) fn renew(&mut self, room: RoomId, cx: &mut Context<'_>) {
        let at = self.own.last();
        let Some(hosted) = self.rooms.get_mut(&room) else {
            return;
        };
        hosted.toy.renew(cx.wire.random.next_u64());
        hosted.released.events = 0;
        hosted.is_renewing = true;
        hosted
            .connections
            .iter_mut()
            .flatten()
            .for_each(|known| known.sent = 0);
        cx.history.renewed(room, hosted.toy.epoch);
        let worker = hosted.steps().then_some(hosted.worker as u64);
        self.own
            .checkpoint(room, at, toy::encode(at, worker, &hosted.toy));
        self.unwritten.insert(room);
    }
}
