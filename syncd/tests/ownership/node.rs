//! A node: what the real host does around the two machines that are being proven.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use engine::{Incarnation, JournalInfo, Placement, Seq, Written};
use protocol::id::{Generation, NodeId, RoomId};
use protocol::time::Timestamp;
use syncd::ownership::claims::{Act, Answer, Claims, VIEW_LASTS, View};
use syncd::ownership::journal::{OwnJournal, Request};

use crate::history::{History, Link};
use crate::hosted::{Effect, Hosted, Prepared, Stage};
use crate::mutation::Mutation;
use crate::store::{Call, Reply, ServerIndex, TTL};
use crate::toy::{self, Command, Entry};
use crate::wire::{Body, Event, Message, Party, Poll, Report, Sent, Update, Wire};

/// A lease is renewed this often, and sooner after a failure.
const RENEW: (Duration, Duration) = (Duration::from_secs(3), Duration::from_millis(500));

/// The store is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A journal call that failed is made again after this.
const RETRY: Duration = Duration::from_millis(60);

/// A result is reported again after this.
const REPORT_AGAIN: Duration = Duration::from_millis(600);

/// Added to the term of a room that somebody else may have had: nobody has had so many.
const ABOVE_ALL: u64 = 1_000;

/// A checkpoint of each room every so many ticks.
const CHECKPOINT_EVERY: u64 = 6;

/// Bytes of entries that a node keeps before its rooms stand still.
pub(crate) const KEPT: usize = 16 * 1024;

/// What a node is given to do its work.
pub(crate) struct Context<'a> {
    pub(crate) wire: &'a mut Wire,
    pub(crate) history: &'a mut History,
    pub(crate) mutation: Option<Mutation>,
}

impl Context<'_> {
    pub(crate) fn has(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }
}

/// One incarnation.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) index: usize,
    /// Answers to anybody else are not for us.
    pub(crate) life: u64,
    pub(crate) me: Incarnation,
    pub(crate) has_lease: bool,
    lease_due: Option<Timestamp>,
    look_due: Option<Timestamp>,
    looked: (Vec<(Incarnation, bool)>, Vec<JournalInfo>),
    /// It takes nothing new.
    pub(crate) drains: bool,
    pub(crate) own: OwnJournal,
    own_due: Timestamp,
    pub(crate) claims: Claims,
    ticks: u64,
    pub(crate) rooms: BTreeMap<RoomId, Hosted>,
    pub(crate) preparing: BTreeMap<RoomId, Prepared>,
    /// Acts that wait until a room that is handed over to us has come or not.
    pub(crate) deferred: Vec<Act>,
    effects: VecDeque<(Seq, Effect)>,
    /// By worker.
    marks: Vec<Entry>,
    lineage: Option<String>,
    /// When it was last seen to have changed.
    pub(crate) changed_at: Timestamp,
    /// How often the store was seen.
    pub(crate) views: u64,
    /// Our lease lasts at least until then.
    valid_until: Timestamp,
    /// It ended since our journal was known to be ours.
    has_lapsed: bool,
    /// Placements are to be said again, once our journal is known to be ours.
    has_to_say: bool,
    /// Rooms with a new epoch that is not written; nothing is let go of before.
    unwritten: BTreeSet<RoomId>,
    /// The process of the store that last took something for our journal.
    pub(crate) proved: Option<ServerIndex>,
}

impl Host {
    pub(crate) fn new(
        index: usize,
        life: u64,
        generation: u64,
        workers: usize,
        mutation: Option<Mutation>,
    ) -> Self {
        let me = Incarnation {
            node: name(index),
            generation: Generation(generation),
        };
        let pause = match mutation {
            Some(Mutation::NoPause) => Duration::ZERO,
            _ => TTL,
        };
        let mark = |worker| Entry {
            worker,
            ..Entry::default()
        };
        Self {
            index,
            life,
            claims: Claims::new(me.clone(), pause),
            me,
            has_lease: false,
            lease_due: Some(Timestamp(0)),
            look_due: Some(Timestamp(0)),
            looked: (Vec::new(), Vec::new()),
            drains: false,
            own: OwnJournal::new(KEPT),
            own_due: Timestamp(0),
            ticks: 0,
            rooms: BTreeMap::new(),
            preparing: BTreeMap::new(),
            deferred: Vec::new(),
            effects: VecDeque::new(),
            marks: (0..workers as u64).map(mark).collect(),
            lineage: None,
            changed_at: Timestamp(0),
            views: 0,
            valid_until: Timestamp(u64::MAX),
            has_lapsed: false,
            has_to_say: false,
            unwritten: BTreeSet::new(),
            proved: None,
        }
    }

    pub(crate) fn ask(&self, wire: &mut Wire, call: Call) {
        wire.ask(Party::Node(self.index), self.life, call);
    }

    /// The clock.
    pub(crate) fn tick(&mut self, cx: &mut Context<'_>) {
        let now = cx.wire.now;
        self.has_lapsed |= now >= self.valid_until;
        if self.lease_due.take_if(|due| *due <= now).is_some() {
            self.ask(cx.wire, Call::Renew(self.me.clone(), self.drains));
        }
        if self.has_lease && self.look_due.take_if(|due| *due <= now).is_some() {
            self.ask(cx.wire, Call::Look);
        }
        self.ticks += 1;
        if !self.own.is_full() {
            for worker in 0..self.marks.len() {
                self.step(worker, cx);
            }
        }
        self.pump(cx);
    }

    /// All rooms of a worker take a step, which is written down.
    fn step(&mut self, worker: usize, cx: &mut Context<'_>) {
        let steps = |hosted: &&mut Hosted| hosted.worker == worker && hosted.steps();
        let mark = &mut self.marks[worker];
        // An empty entry shows whether our journal is ours.
        let is_in_doubt = worker == 0 && self.has_lapsed && !self.rooms.is_empty();
        let is_marked = !mark.begun.is_empty() || !mark.rest.is_empty() || is_in_doubt;
        if !is_marked && !self.rooms.values_mut().any(|hosted| steps(&hosted)) {
            return;
        }
        let next = Entry {
            worker: mark.worker,
            ..Entry::default()
        };
        let mut entry = std::mem::replace(mark, next);
        for hosted in self.rooms.values_mut().filter(steps) {
            entry.commands.append(&mut hosted.commands);
        }
        let seq = self.own.push(entry.encode());
        for (id, hosted) in self
            .rooms
            .iter_mut()
            .filter(|(_, hosted)| hosted.worker == worker && hosted.steps())
        {
            let before = hosted.toy.hash;
            let commands = entry.commands.iter();
            commands
                .filter(|command| command.room == *id)
                .for_each(|command| hosted.toy.apply(command));
            hosted.toy.step();
            self.effects.push_back((seq, effect(hosted, before)));
            let mut is_due = (self.ticks + id.0).is_multiple_of(CHECKPOINT_EVERY);
            if let Stage::Stopping(to) = hosted.stage {
                hosted.stage = match hosted.toy.is_over() {
                    true => Stage::Runs,
                    false => Stage::Frozen(seq, to),
                };
                if !hosted.toy.is_over() {
                    self.marks[worker].rest.push(*id);
                    is_due = true;
                }
            }
            if is_due {
                let bytes = toy::encode(seq, Some(worker as u64), &hosted.toy);
                self.own.checkpoint(*id, seq, bytes);
            }
        }
        for hosted in self.rooms.values_mut() {
            if hosted.worker == worker && cx.wire.chance(200) {
                (0..toy::SEATS).for_each(|seat| push(self.index, hosted, seat, cx.wire));
            }
        }
    }

    /// Does everything that can be done now.
    pub(crate) fn pump(&mut self, cx: &mut Context<'_>) {
        if !self.has_lease {
            return;
        }
        let now = cx.wire.now;
        loop {
            while now >= self.own_due
                && let Some(request) = self.own.poll_request()
            {
                self.ask(cx.wire, Call::Own(self.me.clone(), request));
            }
            while let Some(ask) = self.claims.poll_ask(now) {
                self.ask(cx.wire, Call::Ask(self.me.clone(), ask));
            }
            let mut is_done = !self.advance_prepared(cx);
            while let Some(act) = self.claims.poll_act() {
                self.act(act, cx);
                is_done = false;
            }
            if is_done {
                break;
            }
        }
        if self.own.is_sealed() {
            return;
        }
        if self.own.take_repaired() {
            cx.history.counts.repairs += 1;
            self.has_to_say = true;
            if self.own.take_reopened() && self.has_lapsed {
                self.doubt_all(now + TTL + VIEW_LASTS);
            }
            self.has_lapsed = now >= self.valid_until;
        }
        if self.has_to_say && !self.has_lapsed {
            self.has_to_say = false;
            self.say_again();
        }
        self.release(cx);
        self.advance_rooms(cx);
    }

    /// What the store may have lost is said again. Not while the journal may be sealed: a room
    /// that is over would be placed again.
    fn say_again(&mut self) {
        for hosted in self.rooms.values_mut() {
            if hosted.is_sure() {
                hosted.replace = Some(false);
            }
        }
    }

    /// Our lease had ended, and the store does not know any more whether our journal was sealed:
    /// somebody else may have gone on with our rooms. Who has says so within a lease. Rooms of
    /// which nobody does are ours, with another history from then on.
    fn doubt_all(&mut self, at: Timestamp) {
        for hosted in self.rooms.values_mut().filter(|hosted| hosted.is_placed()) {
            hosted.doubt_until(at);
        }
    }

    /// Whose a room is that somebody else may run.
    fn settle(&mut self, room: RoomId, reply: Option<Reply>, cx: &mut Context<'_>) {
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

    /// Lets go of what is confirmed.
    fn release(&mut self, cx: &mut Context<'_>) {
        let upto = match cx.has(Mutation::ReleaseEarly) {
            true => self.own.last(),
            false => self.own.confirmed(),
        };
        self.unwritten
            .retain(|room| self.rooms.contains_key(room) && !self.own.is_written(*room));
        if !self.unwritten.is_empty() {
            return;
        }
        let mut touched = Vec::new();
        while let Some((seq, effect)) = self.effects.pop_front_if(|(seq, _)| *seq <= upto) {
            let hosted = self.rooms.get_mut(&effect.room);
            let is_due =
                |hosted: &&mut Hosted| hosted.toy.epoch == effect.epoch && !hosted.is_held();
            let Some(hosted) = hosted.filter(is_due) else {
                continue;
            };
            let link = Link {
                before: effect.before,
                after: effect.after,
            };
            let who = &self.me;
            if effect.before != effect.after {
                cx.history
                    .released(effect.room, effect.epoch, effect.tick, link, who);
            }
            hosted.released.events = effect.events;
            hosted.released.cursors = effect.cursors;
            hosted.released.at = seq;
            if effect.is_over && !hosted.released.is_over {
                hosted.released.is_over = true;
                hosted.stage = Stage::Reporting(Timestamp(0));
            }
            touched.push(effect.room);
        }
        touched.sort();
        touched.dedup();
        for room in touched {
            if let Some(hosted) = self.rooms.get_mut(&room) {
                (0..toy::SEATS).for_each(|seat| push(self.index, hosted, seat, cx.wire));
            }
        }
    }

    fn advance_rooms(&mut self, cx: &mut Context<'_>) {
        let now = cx.wire.now;
        let (index, life, confirmed) = (self.index, self.life, self.own.confirmed());
        let node = Party::Node(index);
        for (id, hosted) in &mut self.rooms {
            let generation = Generation(hosted.generation);
            let placement = || Placement {
                owner: self.me.clone(),
                generation,
            };
            let mut call = None;
            let is_held = hosted.is_held();
            match &mut hosted.stage {
                Stage::Writing if self.own.is_written(*id) || cx.has(Mutation::ToldUnwritten) => {
                    call = Some(Call::Place(*id, placement()));
                    hosted.stage = Stage::Placing(true);
                }
                Stage::Placing(asked @ false) => {
                    *asked = true;
                    call = Some(Call::Place(*id, placement()));
                }
                Stage::Frozen(at, to) if *at <= confirmed => {
                    let message = Message::Give {
                        room: hosted.toy.clone(),
                        from: placement(),
                        giver: index,
                    };
                    cx.wire.tell_node(*to, message);
                    hosted.stage = Stage::Offered(now + Duration::from_millis(1500));
                    hosted.is_refused = false;
                }
                Stage::Offered(until) if *until <= now => {
                    hosted.stage = Stage::TakingBack(false);
                }
                Stage::TakingBack(_) | Stage::Missing(..) if is_held => {}
                Stage::TakingBack(asked @ false) => {
                    *asked = true;
                    let from = placement();
                    let to = Placement {
                        generation: Generation(from.generation.0 + 1),
                        ..from.clone()
                    };
                    call = Some(match cx.has(Mutation::ThawByLookUp) {
                        true => Call::Find(*id),
                        false => Call::Claim(*id, from, to),
                    });
                }
                Stage::Missing(asked @ false, views) if *views <= self.views => {
                    *asked = true;
                    call = Some(Call::Find(*id));
                }
                Stage::Reporting(sent) if now.since(*sent) >= REPORT_AGAIN => {
                    *sent = now;
                    let report = Report {
                        node: index,
                        life,
                        room: *id,
                        hash: hosted.toy.hash,
                        epoch: hosted.toy.epoch,
                        cursors: hosted.toy.cursors,
                        is_torn: hosted.toy.is_torn,
                    };
                    cx.wire.report(report);
                }
                Stage::Removing(asked @ false) => {
                    *asked = true;
                    call = Some(Call::Remove(*id, Generation(hosted.generation)));
                }
                _ => {}
            }
            if let Some(call) = call {
                cx.wire.ask(node, life, call);
            }
            if let Some(doubt) = &mut hosted.doubt
                && !doubt.is_asked
                && doubt.at <= now
            {
                doubt.is_asked = true;
                cx.wire.ask(node, life, Call::Find(*id));
            }
            if hosted.replace == Some(false) && !self.has_lapsed {
                hosted.replace = Some(true);
                let call = Call::Place(*id, hosted.placement(&self.me));
                cx.wire.ask(node, life, call);
            }
        }
    }

    /// The store's answer, or that there is none.
    pub(crate) fn handle_answer(&mut self, sent: Sent, reply: Option<Reply>, cx: &mut Context<'_>) {
        let now = cx.wire.now;
        let (server, at) = (sent.server, sent.at());
        self.has_lapsed |= now >= self.valid_until;
        match (sent.call, reply) {
            (Call::Renew(..), Some(Reply::Renewed(true))) => {
                self.has_lease = true;
                self.valid_until = at + TTL;
                self.lease_due = Some(now + RENEW.0);
            }
            (Call::Renew(..), _) => self.lease_due = Some(now + RENEW.1),
            (Call::Look, Some(Reply::Looked(alive, journals))) => {
                self.looked = (alive, journals);
                self.ask(cx.wire, Call::Lineage);
            }
            (Call::Lineage, Some(Reply::Lineage(lineage))) => {
                self.look_due = Some(now + LOOK_EVERY);
                self.views += 1;
                if self.lineage.as_ref().is_some_and(|known| *known != lineage) {
                    self.changed_at = now;
                    self.has_to_say = true;
                    self.lease_due = self.lease_due.map(|_| now);
                }
                self.lineage = Some(lineage.clone());
                let (alive, journals) = std::mem::take(&mut self.looked);
                let heirs = alive.iter().filter(|(_, drains)| !drains);
                let view = View {
                    lineage,
                    heirs: heirs.map(|(who, _)| who.clone()).collect(),
                    alive: alive.into_iter().map(|(who, _)| who).collect(),
                    journals,
                };
                self.claims.handle_view(now, view);
            }
            (Call::Look | Call::Lineage, _) => self.look_due = Some(now + RETRY),
            (Call::Own(_, request), reply) => {
                let written = match reply {
                    Some(Reply::Own(written)) => Some(written),
                    _ => None,
                };
                if written.is_none() {
                    self.own_due = now + RETRY;
                }
                let written = match written {
                    Some(Written::Gap(_)) if cx.has(Mutation::NoRepair) => Some(Written::Done),
                    other => other,
                };
                let was_repairing = self.own.is_repairing();
                self.own.handle_reply(&request, written);
                match (&request, written) {
                    (Request::Open { .. }, _) | (_, None) => {}
                    (Request::Checkpoint(_), Some(Written::Done)) if !was_repairing => {
                        self.proved = Some(server);
                        self.has_lapsed &= now >= self.valid_until;
                    }
                    (_, Some(Written::Done)) if !was_repairing => {
                        self.has_lapsed &= now >= self.valid_until;
                    }
                    _ => {}
                }
            }
            (Call::Ask(_, ask), reply) => {
                let answer = match reply {
                    Some(Reply::Ask(answer)) => answer,
                    _ => Answer::Unknown,
                };
                self.claims.handle_answer(now, &ask, answer);
            }
            (Call::Place(room, placement), reply) => {
                self.placed(room, &placement, reply, (server, at), cx)
            }
            (Call::Claim(room, from, to), reply) => self.claimed(room, from, to, reply, at, cx),
            (Call::Find(room), reply) => {
                let hosted = self.rooms.get(&room);
                let is_asked = |hosted: &Hosted| hosted.doubt.is_some_and(|doubt| doubt.is_asked);
                match hosted.is_some_and(is_asked) {
                    true => self.settle(room, reply, cx),
                    false => self.looked_up(room, reply, cx),
                }
            }
            (Call::Remove(room, _), reply) => self.removed(room, reply, cx),
        }
        self.pump(cx);
    }

    fn placed(
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

    fn removed(&mut self, room: RoomId, reply: Option<Reply>, cx: &mut Context<'_>) {
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
            hosted.connections[poll.seat] = Some(crate::hosted::Connection {
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

/// A node's name.
pub(crate) fn name(index: usize) -> NodeId {
    format!("n{index}").parse().expect("a name")
}

fn effect(hosted: &Hosted, before: u64) -> Effect {
    let toy = &hosted.toy;
    Effect {
        room: toy.id,
        epoch: toy.epoch,
        tick: toy.tick,
        before,
        after: toy.hash,
        events: toy.events.len(),
        cursors: toy.cursors,
        is_over: toy.is_over(),
    }
}

/// Sends an observer what it lacks of what may be told.
fn push(node: usize, hosted: &mut Hosted, seat: usize, wire: &mut Wire) {
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
