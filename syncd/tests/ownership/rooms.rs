//! What becomes of a node's rooms: their way to the store and back, and what players ask of them.

use std::time::Duration;

use engine::Placement;
use protocol::id::{Generation, RoomId};
use protocol::time::Timestamp;

use crate::hosted::{Connection, Doubt, Hosted, Stage};
use crate::mutation::Mutation;
use crate::node::{Context, Host};
use crate::store::{Call, Reply, ServerIndex};
use crate::toy::{self, Command};
use crate::wire::{Body, Event, Message, Poll, Update, Wire};

/// A result is reported again after this.
const REPORT_AGAIN: Duration = Duration::from_millis(600);

/// Who is offered a room has so long to answer.
const OFFER: Duration = Duration::from_millis(1500);

impl Host {
    pub(crate) fn advance_rooms(&mut self, cx: &mut Context<'_>) {
        let now = cx.wire.now;
        let rooms: Vec<RoomId> = self.rooms.keys().copied().collect();
        for room in rooms {
            if let Some(call) = self.next_call(room, cx) {
                self.ask(cx.wire, call);
            }
            let Some(hosted) = self.rooms.get_mut(&room) else {
                continue;
            };
            let doubt = hosted.doubt.as_mut();
            let is_due = |doubt: &&mut Doubt| !doubt.is_asked && doubt.at <= now;
            if let Some(doubt) = doubt.filter(is_due) {
                doubt.is_asked = true;
                self.ask(cx.wire, Call::Find(room));
            }
            self.replace(room, cx);
        }
    }

    /// Says the placement again, if that is to be done.
    fn replace(&mut self, room: RoomId, cx: &mut Context<'_>) {
        let may_say = self.is_ours() || cx.has(Mutation::SayUnproved);
        if let Some(hosted) = self.rooms.get_mut(&room)
            && hosted.replace == Some(false)
            && may_say
        {
            hosted.replace = Some(true);
            let call = Call::Place(room, hosted.placement(&self.me));
            self.ask(cx.wire, call);
        }
    }

    /// What the room's stage wants to be asked of the store.
    fn next_call(&mut self, room: RoomId, cx: &mut Context<'_>) -> Option<Call> {
        let now = cx.wire.now;
        let hosted = self.rooms.get_mut(&room)?;
        let (is_held, placement) = (hosted.is_held(), hosted.placement(&self.me));
        match &mut hosted.stage {
            Stage::Writing if self.own.is_written(room) || cx.has(Mutation::ToldUnwritten) => {
                hosted.stage = Stage::Placing(true);
                return Some(Call::Place(room, placement));
            }
            Stage::Placing(asked @ false) => {
                *asked = true;
                return Some(Call::Place(room, placement));
            }
            Stage::Frozen(at, to) if *at <= self.own.confirmed() => {
                let message = Message::Give {
                    room: hosted.toy.clone(),
                    from: placement,
                    giver: self.index,
                };
                cx.wire.tell_node(*to, message);
                hosted.stage = Stage::Offered(now + OFFER);
                hosted.is_refused = false;
            }
            Stage::Offered(until) if *until <= now => {
                hosted.stage = Stage::TakingBack(false);
            }
            Stage::TakingBack(asked @ false) if !is_held => {
                *asked = true;
                if cx.has(Mutation::ThawByLookUp) {
                    return Some(Call::Find(room));
                }
                let to = Placement {
                    generation: Generation(placement.generation.0 + 1),
                    ..placement.clone()
                };
                return Some(Call::Claim(room, placement, to));
            }
            Stage::Missing(asked @ false, views) if !is_held && *views <= self.views => {
                *asked = true;
                return Some(Call::Find(room));
            }
            Stage::Reporting(sent) if now.since(*sent) >= REPORT_AGAIN => {
                *sent = now;
                let report = hosted.report(self.index, self.life);
                cx.wire.report(report);
            }
            Stage::Removing(asked @ false) => {
                *asked = true;
                return Some(Call::Remove(room, placement.generation));
            }
            _ => {}
        }
        None
    }

    pub(crate) fn placed(
        &mut self,
        room: RoomId,
        placement: &Placement,
        reply: Option<Reply>,
        (server, at): (ServerIndex, Timestamp),
        cx: &mut Context<'_>,
    ) {
        let Some(hosted) = self.rooms.get_mut(&room) else {
            return;
        };
        if matches!(reply, Some(Reply::Placed(true))) {
            hosted.said = Some(server);
            hosted.said_at = at;
        }
        if hosted.placement(&self.me) != *placement {
            hosted.replace = hosted.replace.map(|_| false);
            return;
        }
        match (reply, &mut hosted.stage) {
            (Some(Reply::Placed(true)), Stage::Placing(_)) => {
                hosted.stage = Stage::Runs;
                self.marks[hosted.worker].begun.push(room);
                cx.wire.after(Duration::from_millis(2), Event::Told(room));
            }
            (Some(Reply::Placed(true)), stage) => {
                if matches!(stage, Stage::Missing(..)) {
                    *stage = Stage::TakingBack(false);
                }
                hosted.replace = None;
            }
            // Its newer term may be our own.
            (Some(_), Stage::TakingBack(_)) => hosted.replace = None,
            (Some(_), _) => self.drop_room(room, cx),
            (None, Stage::Placing(asked)) => *asked = false,
            (None, _) => hosted.replace = hosted.replace.map(|_| false),
        }
    }

    pub(crate) fn removed(&mut self, room: RoomId, reply: Option<Reply>, cx: &mut Context<'_>) {
        let Some(hosted) = self.rooms.get_mut(&room) else {
            return;
        };
        match reply {
            Some(_) => self.drop_room(room, cx),
            None if hosted.stage == Stage::Removing(true) => hosted.stage = Stage::Removing(false),
            None => {}
        }
    }

    /// The room is not here any more.
    pub(crate) fn drop_room(&mut self, room: RoomId, cx: &mut Context<'_>) {
        let Some(hosted) = self.rooms.remove(&room) else {
            return;
        };
        cx.wire.trace(|| format!("{} lets go of {room}", self.me));
        self.own.forget(room);
        for connection in hosted.connections.into_iter().flatten() {
            let update = Update {
                connection: connection.number,
                body: None,
            };
            cx.wire.update(self.index, connection.observer, update);
        }
    }

    /// The room is ours: it begins with the next tick.
    pub(crate) fn begin(&mut self, hosted: Hosted) {
        let room = hosted.toy.id;
        self.marks[hosted.worker].begun.push(room);
        self.rooms.insert(room, hosted);
    }

    /// A room that stood still goes on.
    pub(crate) fn thaw(&mut self, room: RoomId) {
        if let Some(hosted) = self.rooms.get_mut(&room) {
            let mark = &mut self.marks[hosted.worker];
            mark.rest.retain(|other| *other != room);
            mark.begun.push(room);
            hosted.stage = Stage::Runs;
        }
    }

    /// The worker for a room.
    pub(crate) fn worker(&self, room: RoomId) -> usize {
        room.0 as usize % self.marks.len()
    }

    /// Somebody says something.
    pub(crate) fn handle(&mut self, message: Message, cx: &mut Context<'_>) {
        match message {
            Message::Create {
                room,
                length,
                epoch,
            } => self.create(room, length, epoch, cx),
            Message::Poll(poll) => self.poll(&poll, cx),
            Message::Give { room, from, giver } => self.give(room, from, giver, cx),
            Message::Given { room, from, taken } => self.given(room, &from, taken, cx),
            Message::Recorded { room, life } => {
                if let Some(hosted) = self.rooms.get_mut(&room)
                    && life == self.life
                    && matches!(hosted.stage, Stage::Reporting(_))
                {
                    hosted.stage = Stage::Removing(false);
                }
            }
        }
        self.pump(cx);
    }

    fn create(&mut self, room: RoomId, length: u64, epoch: Option<u64>, cx: &mut Context<'_>) {
        match (self.rooms.get(&room), epoch) {
            (Some(hosted), _) if hosted.is_placed() => {
                cx.wire.after(Duration::from_millis(2), Event::Told(room));
            }
            (None, Some(epoch)) if self.has_lease && !self.preparing.contains_key(&room) => {
                let toy = toy::Toy::new(room, epoch, length);
                let at = self.own.last();
                self.own.checkpoint(room, at, toy::encode(at, None, &toy));
                let hosted = Hosted::new(toy, 1, self.worker(room), Stage::Writing);
                self.rooms.insert(room, hosted);
            }
            _ => {}
        }
    }

    /// An observer asks for what it does not have.
    fn poll(&mut self, poll: &Poll, cx: &mut Context<'_>) {
        let hosted = self
            .rooms
            .get_mut(&poll.room)
            .filter(|hosted| hosted.is_placed());
        let Some(hosted) = hosted.filter(|_| poll.owner == self.me) else {
            let update = Update {
                connection: poll.connection,
                body: None,
            };
            cx.wire.update(self.index, poll.observer, update);
            return;
        };
        let is_same = poll.epoch == hosted.toy.epoch;
        let known = hosted.connections[poll.seat].map_or(0, |known| known.number);
        if known > poll.connection {
            return;
        }
        if known < poll.connection {
            if is_same && poll.have as usize > hosted.released.events {
                let what = format!(
                    "{} has fewer events of {} than its observer",
                    self.me, poll.room
                );
                cx.history.violate("I1", what);
            }
            hosted.connections[poll.seat] = Some(Connection {
                observer: poll.observer,
                number: poll.connection,
                sent: if is_same { poll.have as usize } else { 0 },
            });
        }
        if is_same && poll.inputs.0 > hosted.taken[poll.seat] {
            let what = format!(
                "{} lacks an input of {} that was durable",
                self.me, poll.room
            );
            cx.history.violate("I2", what);
        }
        if hosted.steps() && !hosted.toy.is_over() {
            let next = hosted.taken[poll.seat] + 1;
            for number in next..=poll.inputs.1 {
                hosted.taken[poll.seat] = number;
                hosted.commands.push(Command {
                    room: poll.room,
                    seat: poll.seat,
                    number,
                });
            }
        }
        push(self.index, hosted, poll.seat, cx.wire);
    }
}

/// Sends an observer what it lacks of what may be told.
pub(crate) fn push(node: usize, hosted: &mut Hosted, seat: usize, wire: &mut Wire) {
    // An epoch is told once it is written: the next owner may know the one before.
    if hosted.is_renewing {
        return;
    }
    let Some(connection) = &mut hosted.connections[seat] else {
        return;
    };
    let upto = hosted.released.events.max(connection.sent);
    let events = hosted.toy.events.get(connection.sent..upto);
    let update = Update {
        connection: connection.number,
        body: Some(Body {
            generation: hosted.generation,
            epoch: hosted.toy.epoch,
            first: connection.sent as u64,
            events: events.unwrap_or_default().to_vec(),
            durable: hosted.released.cursors[seat],
            is_over: hosted.released.is_over,
        }),
    };
    connection.sent = upto;
    if !wire.update(node, connection.observer, update) {
        hosted.connections[seat] = None;
    }
}
