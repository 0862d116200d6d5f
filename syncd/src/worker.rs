//! A task that steps many rooms, and speaks for them to the gateways.
//!
//! Each tick it takes its mail, steps every room, and sends each gateway one batch. Mail waits
//! for the next tick at most.

mod deliver;
mod hosted;
mod lines;
mod say;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use protocol::attach::Claim;
use protocol::close::CloseCode;
use protocol::control::{ErrorCode, ErrorMessage};
use protocol::frame::Ack;
use protocol::id::{Epoch, RoomId, SessionId};
use rpc::inbound::{AttachRequest, Inbound};
use rpc::origin::StreamId;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::game::Seat;
use crate::host::{Host, WorkerIndex};
use crate::meters::Meters;
use crate::results::Ending;
use crate::room::{Applied, Attach, Command, Output, Refusal, Room};
use crate::ticker::Ticker;
use deliver::deliver;
use hosted::Hosted;
use lines::Lines;
pub(crate) use lines::Link;

/// What comes to a worker.
#[derive(Debug)]
pub(crate) enum Mail {
    /// A new room.
    Open(Box<Room>),
    /// A gateway says something of a session.
    Gateway {
        /// By this stream.
        link: Link,
        /// What.
        inbound: Inbound,
    },
}

/// A task's state.
pub(crate) struct Worker {
    index: WorkerIndex,
    host: Arc<Host>,
    mailbox: mpsc::Receiver<Mail>,
    endings: mpsc::Sender<Ending>,
    meters: Meters,
    tick: u32,
    opened: u32,
    rooms: BTreeMap<RoomId, Hosted>,
    /// Where a session is attached. Never iterated.
    sessions: HashMap<SessionId, (RoomId, Seat)>,
    lines: Lines,
    /// Kept for its memory.
    outputs: Vec<Output>,
}

impl Worker {
    pub(crate) fn new(
        index: WorkerIndex,
        host: Arc<Host>,
        mailbox: mpsc::Receiver<Mail>,
        endings: mpsc::Sender<Ending>,
    ) -> Self {
        Self {
            index,
            host,
            mailbox,
            endings,
            meters: Meters::new(),
            tick: 0,
            opened: 0,
            rooms: BTreeMap::new(),
            sessions: HashMap::new(),
            lines: Lines::default(),
            outputs: Vec::new(),
        }
    }

    /// Steps rooms until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut ticker = Ticker::new(Instant::now());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(ticker.next()) => {}
            }
            let due = ticker.due(Instant::now());
            if due.skipped > 0 {
                self.meters.overruns.increment(u64::from(due.skipped));
            }
            self.take_mail();
            self.drop_ended_links();
            for _ in 0..due.steps {
                let start = Instant::now();
                self.step();
                self.meters.tick.record(start.elapsed());
            }
            self.lines.send();
            self.publish();
        }
    }

    /// All that has come, but no more than a mailbox holds: steps must not wait for a flood.
    fn take_mail(&mut self) {
        for _ in 0..self.mailbox.max_capacity() {
            match self.mailbox.try_recv() {
                Ok(Mail::Open(room)) => self.open(room),
                Ok(Mail::Gateway { link, inbound }) => self.take(&link, inbound),
                Err(_) => return,
            }
        }
    }

    fn open(&mut self, mut room: Box<Room>) {
        // The n-th room sends its snapshots with the n-th phase of this worker's ticks.
        let every = room.setup().rules.snapshot_every;
        room.set_snapshot_phase((self.opened + every - self.tick % every) % every);
        self.opened = self.opened.wrapping_add(1);
        let hosted = Hosted::new(*room);
        self.rooms.insert(hosted.room.id(), hosted);
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

    fn attach(&mut self, link: &Link, request: &AttachRequest) {
        if link.is_ended() {
            return;
        }
        let (session, attempt) = (request.claim.session, request.claim.attempt);
        let hosted = request.room.and_then(|room| self.rooms.get_mut(&room));
        let Some(hosted) = hosted.filter(|hosted| !hosted.has_failed()) else {
            let batch = self.lines.batch(link);
            batch.refused(session, attempt, &room_unknown());
            return;
        };
        let id = hosted.room.id();
        let applied = hosted.apply(Command::Attach(Attach {
            player: request.player,
            claim: request.claim,
            mode: request.mode,
            epoch: Epoch(rand::random::<u32>().max(1)),
        }));
        match applied {
            // The game failed at it.
            None => self
                .lines
                .batch(link)
                .refused(session, attempt, &room_unknown()),
            Some(Applied::Attached { seat, previous }) => {
                let before = hosted.attached[seat.index()].replace((link.id(), session));
                if let (Some((stream, _)), Some(previous)) = (before, previous) {
                    self.cut_off(stream, &previous, &request.claim);
                }
                let elsewhere = self.sessions.insert(session, (id, seat));
                self.move_from(elsewhere, (id, seat), session);
                self.lines.batch(link);
            }
            Some(Applied::Refused(refusal)) => self.refuse(link, &request.claim, refusal),
            Some(Applied::Done | Applied::Ignored | Applied::Unsaid(_)) => {
                unreachable!("an attach is decided")
            }
        }
    }

    /// Closes the connection that counted until now, if it is another one.
    fn cut_off(&mut self, stream: StreamId, previous: &Claim, claim: &Claim) {
        let code = if previous.session != claim.session {
            self.sessions.remove(&previous.session);
            CloseCode::Replaced
        } else if previous.attempt != claim.attempt {
            CloseCode::Superseded
        } else {
            return;
        };
        if let Some(batch) = self.lines.batch_of(stream) {
            batch.close_connection(previous.session, previous.attempt, code);
        }
    }

    /// A session is in one room: from an earlier one it is gone.
    fn move_from(&mut self, from: Option<(RoomId, Seat)>, to: (RoomId, Seat), session: SessionId) {
        let Some((room, seat)) = from.filter(|from| *from != to) else {
            return;
        };
        let Some(hosted) = self.rooms.get_mut(&room) else {
            return;
        };
        let own = |(_, by): &mut (StreamId, SessionId)| *by == session;
        if hosted.attached[seat.index()].take_if(own).is_some() {
            hosted.detach(seat);
        }
    }

    fn refuse(&mut self, link: &Link, claim: &Claim, refusal: Refusal) {
        let (session, attempt) = (claim.session, claim.attempt);
        let batch = self.lines.batch(link);
        match refusal {
            Refusal::NoSeat => {
                let error = not_in_room("you have no seat in this room");
                batch.refused(session, attempt, &error);
            }
            Refusal::Left => {
                batch.refused(session, attempt, &not_in_room("you have left this room"));
            }
            Refusal::Stale => batch.close_connection(session, attempt, CloseCode::Superseded),
            Refusal::Replaced => batch.close_connection(session, attempt, CloseCode::Replaced),
        }
    }

    fn detach(&mut self, stream: StreamId, session: SessionId, attempt: u32, leave: bool) {
        let Some((hosted, seat)) = self.attached(stream, session) else {
            return;
        };
        let command = match leave {
            true => Command::Leave { seat, attempt },
            false => Command::Detach { seat, attempt },
        };
        if hosted.apply(command) == Some(Applied::Done) {
            hosted.attached[seat.index()] = None;
            self.sessions.remove(&session);
        }
    }

    fn acknowledge(&mut self, stream: StreamId, session: SessionId, ack: Ack) {
        if let Some((hosted, seat)) = self.attached(stream, session) {
            hosted.apply(Command::Ack { seat, ack });
        }
    }

    /// Where a session is attached, if it is by this stream: what comes by another one is what a
    /// late gateway still had.
    fn attached(&mut self, stream: StreamId, session: SessionId) -> Option<(&mut Hosted, Seat)> {
        let (room, seat) = *self.sessions.get(&session)?;
        let hosted = self.rooms.get_mut(&room)?;
        let current = hosted.attached[seat.index()] == Some((stream, session));
        (current && !hosted.has_failed()).then_some((hosted, seat))
    }

    /// Players who came by a stream that ended are away until they come by another one.
    fn drop_ended_links(&mut self) {
        let mut detached = Vec::new();
        for stream in self.lines.take_ended() {
            for hosted in self.rooms.values_mut() {
                for (index, attached) in hosted.attached.iter_mut().enumerate() {
                    let Some((_, session)) = attached.take_if(|(by, _)| *by == stream) else {
                        continue;
                    };
                    self.sessions.remove(&session);
                    detached.push(Seat(index as u16));
                }
                detached.drain(..).for_each(|seat| hosted.detach(seat));
            }
        }
    }

    fn step(&mut self) {
        self.tick = self.tick.wrapping_add(1);
        let mut outputs = std::mem::take(&mut self.outputs);
        for hosted in self.rooms.values_mut() {
            hosted.step(&mut outputs);
            for output in outputs.drain(..) {
                deliver(&mut self.lines, &hosted.attached, output, &self.meters);
            }
        }
        self.outputs = outputs;
        self.close_rooms();
    }

    /// Reports rooms that ended, and drops those that are gone. One whose end cannot be reported
    /// yet keeps its place: so the reports are bounded by the rooms.
    fn close_rooms(&mut self) {
        let mut gone = Vec::new();
        for (id, hosted) in &mut self.rooms {
            if !hosted.reported
                && hosted.is_decided()
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
            if let Some(hosted) = self.rooms.remove(&id) {
                for (_, session) in hosted.attached.into_iter().flatten() {
                    self.sessions.remove(&session);
                }
            }
            self.host.close(id);
        }
    }

    fn publish(&mut self) {
        let rooms = self.rooms.values();
        let players = rooms.map(|hosted| hosted.room.present()).sum();
        self.host.set_players(self.index, players);
        let load = self.host.load();
        self.meters.rooms.set(load.rooms);
        self.meters.players.set(load.players);
    }
}

/// For a room that is not here, or not any more.
pub(crate) fn room_unknown() -> ErrorMessage {
    let message = "the room is not on this node, or is over";
    ErrorMessage::new(ErrorCode::RoomUnknown, message).re("room.join")
}

fn not_in_room(message: &str) -> ErrorMessage {
    ErrorMessage::new(ErrorCode::NotInRoom, message).re("room.join")
}
