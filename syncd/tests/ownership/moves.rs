//! How rooms come to a node and leave it: out of dead nodes' journals, and by hand-over.

use engine::Placement;
use protocol::id::{Generation, RoomId};
use protocol::time::Timestamp;
use syncd::ownership::claims::{Act, VIEW_LASTS};

use crate::hosted::{Hosted, Origin, Prepared, Stage};
use crate::mutation::Mutation;
use crate::node::{Context, Host};
use crate::store::{Call, Reply, TTL};
use crate::toy::{self, Toy};
use crate::wire::Message;

impl Host {
    /// Does what the claims want to be done.
    pub(crate) fn act(&mut self, act: Act, cx: &mut Context<'_>) {
        cx.wire.trace(|| format!("{}: {}", self.me, told(&act)));
        match act {
            Act::Prepare { room, .. } if self.preparing.contains_key(&room) => {
                self.deferred.push(act);
            }
            Act::Prepare {
                room,
                from,
                estate,
                is_suspect,
            } => {
                let Some(mut toy) = toy::restore(&estate, room) else {
                    cx.history.counts.unreadable += 1;
                    return self.claims.handle_prepared(cx.wire.now, &from, room, false);
                };
                if is_suspect && !cx.has(Mutation::NoSuspicion) {
                    toy.renew(cx.wire.random.next_u64());
                    cx.history.counts.suspect += 1;
                }
                self.rooms.remove(&room);
                self.prepare(toy, Origin::Dead(from, false));
            }
            Act::Adopt { room, placement } => {
                if let Some(prepared) = self.preparing.remove(&room) {
                    cx.history.counts.takeovers += 1;
                    self.adopt(prepared.toy, &placement, Timestamp(0), cx);
                } else if !self.rooms.contains_key(&room) {
                    let what = format!("{} adopts {room}, which it has not prepared", self.me);
                    cx.history.violate("host", what);
                }
            }
            Act::Abandon(room) => {
                let is_of = |act: &Act| matches!(act, Act::Prepare { room: of, .. } if *of == room);
                self.deferred.retain(|act| !is_of(act));
                let prepared = self.preparing.get(&room);
                // One that is being handed over has a claim of its own under way.
                if prepared.is_some_and(|prepared| matches!(prepared.origin, Origin::Dead(..))) {
                    self.preparing.remove(&room);
                    self.own.forget(room);
                }
            }
        }
    }

    fn prepare(&mut self, toy: Toy, origin: Origin) {
        let at = self.own.last();
        self.own.checkpoint(toy.id, at, toy::encode(at, None, &toy));
        self.preparing.insert(toy.id, Prepared { toy, origin });
    }

    fn adopt(&mut self, toy: Toy, placement: &Placement, at: Timestamp, cx: &mut Context<'_>) {
        let worker = self.worker(toy.id);
        cx.history.adopted(toy.id, toy.epoch);
        let mut hosted = Hosted::new(toy, placement.generation.0, worker, Stage::Runs);
        hosted.said_at = at;
        self.begin(hosted);
    }

    /// Goes on with rooms that are written by now; whether there was anything to do.
    pub(crate) fn advance_prepared(&mut self, cx: &mut Context<'_>) -> bool {
        let mut is_busy = false;
        // A claim that is made late is made only when our journal is known to be ours: what it has
        // of the room would be lost with a seal that we do not know of.
        let is_ours = self.is_ours();
        for (room, prepared) in &mut self.preparing {
            if !self.own.is_written(*room) {
                continue;
            }
            match &mut prepared.origin {
                Origin::Dead(from, said @ false) => {
                    *said = true;
                    self.claims.handle_prepared(cx.wire.now, from, *room, true);
                    is_busy = true;
                }
                Origin::Given {
                    from,
                    asked: asked @ false,
                    ..
                } if is_ours => {
                    *asked = true;
                    let to = Placement {
                        owner: self.me.clone(),
                        generation: Generation(from.generation.0 + 1),
                    };
                    let call = Call::Claim(*room, from.clone(), to);
                    cx.wire
                        .ask(crate::wire::Party::Node(self.index), self.life, call);
                }
                _ => {}
            }
        }
        is_busy
    }

    /// Another node wants to hand a room over.
    pub(crate) fn give(&mut self, toy: Toy, from: Placement, giver: usize, cx: &mut Context<'_>) {
        let room = toy.id;
        if self.preparing.contains_key(&room) || self.rooms.contains_key(&room) {
            return;
        }
        if !self.has_lease {
            let taken = false;
            return cx
                .wire
                .tell_node(giver, Message::Given { room, from, taken });
        }
        self.prepare(
            toy,
            Origin::Given {
                from,
                giver,
                asked: false,
            },
        );
    }

    /// The store's answer to a claim that is not of a dead node's room.
    pub(crate) fn claimed(
        &mut self,
        room: RoomId,
        from: Placement,
        to: Placement,
        reply: Option<Reply>,
        at: Timestamp,
        cx: &mut Context<'_>,
    ) {
        if from.owner == self.me {
            return self.took_back(room, &from, &to, reply, at);
        }
        let Some(prepared) = self.preparing.get_mut(&room) else {
            return;
        };
        let Origin::Given { giver, asked, .. } = &mut prepared.origin else {
            return;
        };
        let giver = *giver;
        let taken = match reply {
            Some(Reply::Claimed(taken)) => taken,
            _ => {
                *asked = false;
                return;
            }
        };
        if let Some(prepared) = self.preparing.remove(&room) {
            match taken {
                true => {
                    cx.history.counts.handovers += 1;
                    self.adopt(prepared.toy, &to, at, cx);
                }
                false => self.own.forget(room),
            }
        }
        cx.wire
            .tell_node(giver, Message::Given { room, from, taken });
        self.resume(room, taken, cx);
    }

    /// What had to wait for a room that was being handed over can go on.
    fn resume(&mut self, room: RoomId, taken: bool, cx: &mut Context<'_>) {
        let is_of = |act: &mut Act| matches!(act, Act::Prepare { room: of, .. } if *of == room);
        let waiting: Vec<Act> = self.deferred.extract_if(.., is_of).collect();
        for act in waiting {
            match act {
                // The claim will find it here.
                Act::Prepare { from, room, .. } if taken => {
                    self.claims.handle_prepared(cx.wire.now, &from, room, true);
                }
                act => self.act(act, cx),
            }
        }
    }

    fn took_back(
        &mut self,
        room: RoomId,
        from: &Placement,
        to: &Placement,
        reply: Option<Reply>,
        at: Timestamp,
    ) {
        let Some(hosted) = self.rooms.get_mut(&room) else {
            return;
        };
        if hosted.placement(&self.me) != *from || !matches!(hosted.stage, Stage::TakingBack(_)) {
            return;
        }
        match reply {
            Some(Reply::Claimed(true)) => {
                hosted.generation = to.generation.0;
                hosted.said_at = at;
                self.thaw(room);
            }
            Some(_) => hosted.stage = Stage::Missing(false, self.views + 2),
            None => hosted.stage = Stage::TakingBack(false),
        }
    }

    /// The placement of a room that was handed over without an answer.
    pub(crate) fn looked_up(&mut self, room: RoomId, reply: Option<Reply>, cx: &mut Context<'_>) {
        let Some(hosted) = self.rooms.get_mut(&room) else {
            return;
        };
        let mine = hosted.placement(&self.me);
        let looks_back = cx.has(Mutation::ThawByLookUp);
        match (&mut hosted.stage, reply) {
            // Of when it was missing.
            (Stage::TakingBack(_), _) if !looks_back => {}
            (Stage::TakingBack(asked) | Stage::Missing(asked, _), None) => *asked = false,
            (Stage::Missing(..), Some(Reply::Found(None))) => {
                if hosted.said_at >= self.changed_at {
                    // It is over: the node that it was offered to took it.
                    self.drop_room(room, cx);
                    return;
                }
                match hosted.is_refused {
                    true => hosted.replace = Some(false),
                    false => hosted.doubt_until(cx.wire.now + TTL + VIEW_LASTS),
                }
            }
            (stage @ Stage::Missing(..), Some(Reply::Found(Some(found)))) if found == mine => {
                *stage = Stage::TakingBack(false);
            }
            (Stage::TakingBack(_), Some(Reply::Found(Some(found)))) if found == mine => {
                self.thaw(room);
            }
            (stage @ Stage::TakingBack(_), Some(Reply::Found(None))) => {
                *stage = Stage::Missing(false, self.views + 2);
            }
            (Stage::TakingBack(_) | Stage::Missing(..), _) => self.drop_room(room, cx),
            _ => {}
        }
    }

    /// The answer of a node that a room was offered to.
    pub(crate) fn given(
        &mut self,
        room: RoomId,
        from: &Placement,
        taken: bool,
        cx: &mut Context<'_>,
    ) {
        let Some(hosted) = self.rooms.get_mut(&room) else {
            return;
        };
        if hosted.placement(&self.me) != *from {
            return;
        }
        match (taken, &hosted.stage) {
            (true, _) => self.drop_room(room, cx),
            (false, Stage::Offered(_)) => {
                hosted.is_refused = true;
                hosted.stage = Stage::TakingBack(false);
            }
            (false, _) => {}
        }
    }
}

fn told(act: &Act) -> String {
    match act {
        Act::Prepare {
            room,
            from,
            is_suspect,
            ..
        } => format!("prepare {room} of {from}, suspect: {is_suspect}"),
        Act::Adopt { room, placement } => format!("adopt {room} as {}", placement.generation),
        Act::Abandon(room) => format!("abandon {room}"),
    }
}
