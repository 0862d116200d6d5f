//! A task that steps many rooms, and speaks for them to the gateways.
//!
//! Each tick it takes its mail, steps every room, and sends each gateway one batch. Mail waits
//! for the next tick at most.

mod attach;
mod deliver;
mod hosted;
mod lines;
mod say;
mod survive;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use engine::{Incarnation, Segment};
use protocol::id::{Generation, NodeId, RoomId, SessionId};
use rpc::inbound::Inbound;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use attach::room_unknown;

use crate::game::Seat;
use crate::host::{Host, WorkerIndex};
use crate::load::Load;
use crate::meters::Meters;
use crate::ownership::writer::Journal;
use crate::results::Ending;
use crate::room::{Command, Output, Room, TICK_HZ};
use crate::ticker::Ticker;
use deliver::deliver;
use hosted::Hosted;
pub(crate) use lines::{Lines, Link};
pub(crate) use survive::Frozen;
use survive::Survival;

/// What comes to a worker.
#[derive(Debug)]
pub(crate) enum Mail {
    /// A room to step from now on.
    Host(Box<NewRoom>),
    /// A room is to stand still after the next tick; its state then goes to whoever asks.
    Freeze {
        /// Which.
        room: RoomId,
        /// Dropped if the room is not here.
        reply: oneshot::Sender<Frozen>,
    },
    /// A room that stands still goes on.
    Thaw(RoomId),
    /// A room is another node's now.
    Moved {
        /// Which.
        room: RoomId,
        /// Whose, if that is known.
        to: Option<(NodeId, Generation)>,
    },
    /// Nobody is to continue what rooms have told until now.
    BreakHistories(Instant),
    /// The node has a new incarnation, with this journal and no rooms.
    Journal(Arc<Journal>),
    /// A gateway says something of a session.
    Gateway {
        /// By this stream.
        link: Link,
        /// What.
        inbound: Inbound,
    },
}

/// A room for a worker.
#[derive(Debug)]
pub(crate) struct NewRoom {
    pub(crate) room: Room,
    /// The incarnation whose journal has it; `None` where nothing is journalled.
    pub(crate) owner: Option<Incarnation>,
    /// It was another node's: its players are on their way.
    pub(crate) is_adopted: bool,
}

/// A task's state.
pub(crate) struct Worker {
    index: WorkerIndex,
    host: Arc<Host>,
    mailbox: mpsc::Receiver<Mail>,
    endings: mpsc::Sender<Ending>,
    meters: Meters,
    tick: u32,
    load: Load,
    opened: u32,
    rooms: BTreeMap<RoomId, Hosted>,
    /// Where a session is attached. Never iterated.
    sessions: HashMap<SessionId, (RoomId, Seat)>,
    lines: Lines,
    /// Where rooms outlive the node.
    survival: Option<Survival>,
    /// Pieces of tapes that were cut and are not kept yet: of the tick under way, or waiting for
    /// their entry.
    segments: VecDeque<(RoomId, Segment)>,
    /// Kept for its memory.
    outputs: Vec<Output>,
}

impl Worker {
    pub(crate) fn new(
        index: WorkerIndex,
        host: Arc<Host>,
        mailbox: mpsc::Receiver<Mail>,
        endings: mpsc::Sender<Ending>,
        journal: Option<Arc<Journal>>,
    ) -> Self {
        let survival = journal.map(|journal| Survival::new(index, journal));
        Self {
            index,
            host,
            mailbox,
            endings,
            meters: Meters::new(),
            tick: 0,
            load: Load::default(),
            opened: 0,
            rooms: BTreeMap::new(),
            sessions: HashMap::new(),
            lines: Lines::new(survival.is_some()),
            survival,
            segments: VecDeque::new(),
            outputs: Vec::new(),
        }
    }

    /// Steps rooms until `stop`, at the rate that began with `start`: all workers step at the same
    /// moments, so that what they write down goes together.
    pub(crate) async fn run(mut self, start: Instant, stop: CancellationToken) {
        let mut ticker = Ticker::new(start);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(ticker.next()) => {}
                () = survive::progress(&mut self.survival) => {
                    self.confirm();
                    continue;
                }
            }
            let began = Instant::now();
            let due = ticker.due(began);
            if due.skipped > 0 {
                self.meters.overruns.increment(u64::from(due.skipped));
            }
            self.take_mail();
            self.drop_ended_links();
            for _ in 0..due.steps {
                if self.stands_still() {
                    self.meters.stalls.increment(1);
                    continue;
                }
                let start = Instant::now();
                self.step();
                self.meters.tick.record(start.elapsed());
            }
            self.lines.send();
            self.load
                .note(began.elapsed(), due.steps + due.skipped, self.rooms.len());
            self.publish();
        }
    }

    /// All that has come, but no more than a mailbox holds: steps must not wait for a flood.
    fn take_mail(&mut self) {
        for _ in 0..self.mailbox.max_capacity() {
            match self.mailbox.try_recv() {
                Ok(Mail::Host(room)) => self.open(*room),
                Ok(Mail::Freeze { room, reply }) => self.freeze(room, reply),
                Ok(Mail::Thaw(room)) => self.thaw(room),
                Ok(Mail::Moved { room, to }) => self.moved(room, to.as_ref()),
                Ok(Mail::BreakHistories(since)) => self.break_histories(since),
                Ok(Mail::Journal(journal)) => self.begin_journal(journal),
                Ok(Mail::Gateway { link, inbound }) => self.take(&link, inbound),
                Err(_) => return,
            }
        }
    }

    fn open(&mut self, new: NewRoom) {
        let NewRoom {
            mut room,
            owner,
            is_adopted,
        } = new;
        let id = room.id();
        if owner.as_ref() != self.survival.as_ref().map(Survival::owner) {
            // It was prepared by an incarnation that is no more.
            self.host.forget(id);
            return;
        }
        // The n-th room sends its snapshots with the n-th phase of this worker's ticks.
        let every = room.setup().rules.snapshot_every;
        let phase = self.opened + every - self.tick % every + room.tick().0;
        room.set_snapshot_phase(phase % every);
        self.opened = self.opened.wrapping_add(1);
        if let Some(survival) = &mut self.survival {
            survival.begin(&mut room);
        }
        if is_adopted {
            // Whoever cut them may not have come to keep them.
            let recent = room.recent_segments();
            let recent = recent.map(|(until, bytes)| (id, Segment { until, bytes }));
            self.segments.extend(recent);
        }
        self.rooms
            .insert(id, Hosted::new(room, is_adopted, owner.is_some()));
    }

    fn take(&mut self, link: &Link, inbound: Inbound) {
        match inbound {
            Inbound::Attach(request) => self.attach(link, &request),
            Inbound::Detach {
                session,
                attempt,
                leave,
            } => self.detach(link.id(), session, attempt, leave),
            Inbound::Ack { session, ack } => self.acknowledge(link.id(), session, ack),
            Inbound::Input { session, input } => {
                if let Some((hosted, seat)) = self.attached(link.id(), session) {
                    hosted.apply(Command::Input { seat, input });
                }
            }
            Inbound::Text { session, text } => self.text(link, session, &text),
        }
    }

    fn step(&mut self) {
        self.tick = self.tick.wrapping_add(1);
        let mut outputs = std::mem::take(&mut self.outputs);
        for (id, hosted) in &mut self.rooms {
            if hosted.is_frozen() {
                continue;
            }
            hosted.step(&mut outputs);
            for ticks in hosted.room.late_inputs() {
                let late = f64::from(ticks) / f64::from(TICK_HZ);
                self.meters.inputs_late.record(late);
            }
            for output in outputs.drain(..) {
                if let Output::Segment { until, bytes } = output {
                    self.segments.push_back((*id, Segment { until, bytes }));
                    continue;
                }
                deliver(
                    &mut self.lines,
                    (*id, &hosted.attached),
                    output,
                    &self.meters,
                );
            }
        }
        self.outputs = outputs;
        self.write_down();
        if self.survival.is_none() {
            self.keep_tapes(usize::MAX);
        }
        self.close_rooms();
    }

    /// Reports rooms that ended, and drops those that are gone. One whose end cannot be reported
    /// yet keeps its place: so the reports are bounded by the rooms.
    fn close_rooms(&mut self) {
        let mut gone = Vec::new();
        let survival = self.survival.as_ref();
        for (id, hosted) in &mut self.rooms {
            let is_safe = survival.is_none_or(|survival| survival.is_confirmed(hosted.decided_at));
            if !hosted.reported
                && hosted.is_decided()
                && is_safe
                && let Ok(permit) = self.endings.try_reserve()
            {
                permit.send(hosted.ending());
                hosted.reported = true;
            }
            if hosted.reported && hosted.is_gone() {
                gone.push(*id);
            }
        }
        for id in gone {
            let hosted = self.rooms.remove(&id);
            if let Some(survival) = &mut self.survival {
                if let Some(hosted) = hosted.as_ref().filter(|hosted| !hosted.has_failed()) {
                    survival.park(&hosted.room);
                }
                survival.rest(id);
            }
            for (_, session) in hosted
                .into_iter()
                .flat_map(|hosted| hosted.attached)
                .flatten()
            {
                self.sessions.remove(&session);
            }
            self.host.close(id);
        }
    }

    /// Hands the first `count` pieces of tapes to be kept. Over the bound of what waits for the
    /// store they are lost, and the tape is shorter: races matter more.
    fn keep_tapes(&mut self, count: usize) {
        for (room, segment) in self.segments.drain(..count.min(self.segments.len())) {
            if self.host.tapes.try_send((room, segment)).is_err() {
                self.meters.tapes_lost.increment(1);
            }
        }
    }

    fn publish(&mut self) {
        let rooms = self.rooms.values();
        let players = rooms.map(|hosted| hosted.room.present()).sum();
        self.host.set_players(self.index, players);
        self.host.set_load(self.index, self.load);
        let load = self.host.load();
        self.meters.busy.set(f64::from(load.busy) / 1_000.0);
        self.meters.rooms.set(load.rooms);
        self.meters.players.set(load.players);
    }
}
