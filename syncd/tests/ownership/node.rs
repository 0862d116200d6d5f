//! A node: what the real host does around the two machines that are being proven.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use engine::{Incarnation, JournalInfo, Seq, Written};
use protocol::id::{Generation, NodeId, RoomId};
use protocol::time::Timestamp;
use syncd::ownership::claims::{Act, Answer, Ask, Claims, View};
use syncd::ownership::journal::{OwnJournal, Request};

use crate::history::{History, Link};
use crate::hosted::{Effect, Hosted, Prepared, Stage};
use crate::mutation::Mutation;
use crate::rooms::push;
use crate::store::{Call, Known, Reply, ServerIndex, TTL};
use crate::toy::{self, Entry};
use crate::wire::{Party, Sent, Wire};

/// A lease is renewed this often, and sooner after a failure.
const RENEW: (Duration, Duration) = (Duration::from_secs(3), Duration::from_millis(500));

/// The store is looked at this often.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A journal call that failed is made again after this.
const RETRY: Duration = Duration::from_millis(60);

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
    pub(crate) marks: Vec<Entry>,
    pub(crate) lineage: Option<String>,
    /// When it was last seen to have changed.
    pub(crate) changed_at: Timestamp,
    /// How often the store was seen.
    pub(crate) views: u64,
    /// Our lease lasts at least until then.
    pub(crate) valid_until: Timestamp,
    /// It ended since our journal was known to be ours.
    pub(crate) lapsed_at: Option<Timestamp>,
    /// Placements are to be said again, once our journal is known to be ours.
    pub(crate) has_to_say: bool,
    /// Rooms with a new epoch that is not written; nothing is let go of before.
    pub(crate) unwritten: BTreeSet<RoomId>,
    known: Known,
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
            lapsed_at: None,
            has_to_say: false,
            unwritten: BTreeSet::new(),
            proved: None,
            known: Known::default(),
        }
    }

    pub(crate) fn ask(&self, wire: &mut Wire, call: Call) {
        wire.ask(Party::Node(self.index), self.life, call);
    }

    /// The clock.
    pub(crate) fn tick(&mut self, cx: &mut Context<'_>) {
        let now = cx.wire.now;
        self.look_at_lease(now);
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

    /// Whether there is nothing to do but to look.
    pub(crate) fn is_idle(&self) -> bool {
        self.rooms.is_empty() && self.preparing.is_empty() && self.own.kept_bytes() == 0
    }

    /// All rooms of a worker take a step, which is written down.
    fn step(&mut self, worker: usize, cx: &mut Context<'_>) {
        let steps = |hosted: &&mut Hosted| hosted.worker == worker && hosted.steps();
        let has_any = !self.rooms.is_empty() || !self.preparing.is_empty();
        // An empty entry shows whether our journal is ours.
        let is_in_doubt = worker == 0 && !self.is_ours() && has_any;
        let mark = &mut self.marks[worker];
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
                self.ask(cx.wire, Call::Own(self.me.clone(), request, self.known));
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
            if self.own.take_reopened() && self.lapsed_at.is_some() {
                self.doubt_all(cx);
            }
            self.lapsed_at = None;
            self.look_at_lease(now);
        }
        if self.has_to_say && (self.is_ours() || cx.has(Mutation::SayUnproved)) {
            self.has_to_say = false;
            self.say_again();
        }
        self.release(cx);
        self.advance_rooms(cx);
    }

    /// Lets go of what is confirmed.
    fn release(&mut self, cx: &mut Context<'_>) {
        let upto = match cx.has(Mutation::ReleaseEarly) {
            true => self.own.last(),
            false => self.own.confirmed(),
        };
        self.unwritten
            .retain(|room| self.rooms.contains_key(room) && !self.own.is_written(*room));
        for (room, hosted) in &mut self.rooms {
            hosted.is_renewing = self.unwritten.contains(room);
        }
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

    /// The store's answer, or that there is none.
    pub(crate) fn handle_answer(&mut self, sent: Sent, reply: Option<Reply>, cx: &mut Context<'_>) {
        let now = cx.wire.now;
        let (server, at) = (sent.server, sent.at());
        self.look_at_lease(now);
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
                self.seen(lineage, now);
            }
            (Call::Look | Call::Lineage, _) => self.look_due = Some(now + RETRY),
            (Call::Own(_, request, _), reply) => {
                let written = match reply {
                    Some(Reply::Own(written)) => Some(written),
                    _ => None,
                };
                self.written(&request, written, (server, at), cx);
            }
            (Call::Ask(_, ask), reply) => {
                let gives_up = cx.has(Mutation::GiveUpClaim) && matches!(ask, Ask::Claim { .. });
                let answer = match reply {
                    Some(Reply::Ask(answer)) => answer,
                    _ if gives_up => Answer::Claimed(false),
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

    /// The store was looked at.
    fn seen(&mut self, lineage: String, now: Timestamp) {
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

    /// The store answered a call of our journal, which was sent to this process at this time.
    fn written(
        &mut self,
        request: &Request,
        written: Option<Written>,
        (server, at): (ServerIndex, Timestamp),
        cx: &mut Context<'_>,
    ) {
        if written.is_none() {
            self.own_due = cx.wire.now + RETRY;
        }
        if written.is_some() {
            self.known.server = Some(server);
        }
        if let (Request::Append { first, entries }, Some(Written::Done)) = (request, written) {
            let last = Seq(first.0 + entries.len() as u64 - 1);
            self.known.confirmed = self.known.confirmed.max(last);
        }
        let written = match written {
            Some(Written::Gap(_)) if cx.has(Mutation::NoRepair) => Some(Written::Done),
            other => other,
        };
        let was_repairing = self.own.is_repairing();
        self.own.handle_reply(request, written);
        if was_repairing || written != Some(Written::Done) {
            return;
        }
        match request {
            Request::Open { .. } => {}
            Request::Append { .. } => self.is_known_ours(at),
            Request::Checkpoint(_) => {
                self.proved = Some(server);
                self.is_known_ours(at);
            }
        }
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
