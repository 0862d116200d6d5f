//! A room: one game, its players' inputs, events and snapshots. A pure state machine.
//!
//! Everything that comes from outside is a [`Command`]: an explicit, ordered, serialisable value.
//! [`Room::apply`] takes them between steps; [`Room::step`] goes one tick on and gives what
//! leaves. There is no clock, no task, no socket: the same setup and the same commands at the
//! same ticks give the same bytes ([`crate::recording`] proves it).
//!
//! - `command`: what comes in; `output`: what leaves
//! - `attendance`: who comes and goes, and what they send
//! - `member`: one seat: presence, inputs, event log
//! - `checkpoint`: a room written down, and restored
//! - `durable`: which of the inputs are safe from a crash
//! - `ending`: when a game is over, and when its room is gone
//! - `say`: messages between members, and their rate
//! - `tape`: what the game takes in, for replays
//! - `tell`: the JSON that clients get
//!
//! # Rules
//! - One step of input a tick. With none waiting the last one is held for
//!   [`Rules::hold_ticks`], then the seat is neutral.
//! - At most [`Rules::input_limit`] steps wait for a seat: that is the rate check. Over it the
//!   oldest are dropped and reported by `inputs.lost`.
//! - A game that is over steps no more. Its room stays until everybody knows the result, at most
//!   [`Rules::linger_ticks`].
//! - A room is gone, too, after nobody was present for [`Rules::abandon_ticks`].

mod attendance;
mod checkpoint;
mod command;
mod durable;
mod ending;
mod member;
mod output;
mod say;
mod tape;
pub(crate) mod tell;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::attach::Claim;
use protocol::close::CloseCode;
use protocol::frame::SnapshotHead;
use protocol::id::{MatchId, PlayerId, RoomId, SessionId, Tick};
use protocol::snapshot::{Schema, View};
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::delta::SharedBodies;
use crate::game::{
    Audience, Departure, Game, GameEvent, GameKind, Priority, Seat, SeatInput, SeatResult, Setup,
    SetupError,
};
use crate::interest;
use member::Member;
use tape::{Recent, Tape};

pub use command::{Attach, Command};
pub use output::{Applied, EndReason, Output, Refusal};
pub use tape::SEGMENT_TICKS;
pub(crate) use tape::{Happening, Segment};

/// Steps a second, of every room.
pub const TICK_HZ: u32 = 60;

/// A duration in ticks, rounded down.
pub fn ticks(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis() * u128::from(TICK_HZ) / 1000).unwrap_or(u32::MAX)
}

/// Everything that a room is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomSetup {
    /// The room.
    pub room: RoomId,
    /// The match that is played in it.
    pub match_id: MatchId,
    /// The match's mode.
    pub mode: String,
    /// Players, seed and settings.
    pub game: Setup,
    /// Ticks from what happens to when whoever watches is shown it; `None`: nobody may watch.
    pub watch_delay: Option<u32>,
    /// How it runs.
    pub rules: Rules,
}

/// How a room runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// A snapshot every so many ticks, at least 1.
    pub snapshot_every: u32,
    /// Snapshots leave at ticks that leave this remainder: rooms differ, so that work is even.
    pub snapshot_phase: u32,
    /// Most bytes of a snapshot body; what does not fit waits by priority.
    pub snapshot_bytes: usize,
    /// Most steps of input that wait for a seat.
    pub input_limit: usize,
    /// How long the last input is held when none waits.
    pub hold_ticks: u32,
    /// Longest from the game's end to the room's.
    pub linger_ticks: u32,
    /// How long nobody may be present.
    pub abandon_ticks: u32,
}

/// One running room.
pub struct Room {
    setup: RoomSetup,
    kind: GameKind,
    schema: Schema,
    game: Box<dyn Game>,
    members: Vec<Member>,
    tick: Tick,
    last_present: Tick,
    over_at: Option<Tick>,
    ended: Option<EndReason>,
    /// Everything up to here is durable; `None`: everything is at once.
    confirmed: Option<Tick>,
    /// Until the game is over, of a game that is taped.
    tape: Option<Tape>,
    recent: Recent,
    inputs: Vec<SeatInput>,
    events: Vec<GameEvent>,
}

impl Room {
    /// A room at tick 0, in which nobody is present.
    ///
    /// # Errors
    /// [`SetupError`], with the field of the setup at fault.
    pub fn new(kind: &GameKind, setup: RoomSetup) -> Result<Self, SetupError> {
        let seats = &setup.game.seats;
        for (index, seat) in seats.iter().enumerate() {
            if seats[..index]
                .iter()
                .any(|other| other.player == seat.player)
            {
                let problem = format!("player {} has two seats", seat.player);
                return Err(SetupError::new(format!("seats[{index}].player"), problem));
            }
        }
        let game = (kind.create)(&setup.game)?;
        let members: Vec<Member> = seats
            .iter()
            .map(|_| Member::new(setup.rules.input_limit))
            .collect();
        Ok(Self {
            schema: (kind.schema)(),
            kind: *kind,
            tape: Tape::of(game.as_ref(), members.len()),
            recent: Recent::default(),
            game,
            members,
            tick: Tick(0),
            last_present: Tick(0),
            over_at: None,
            ended: None,
            confirmed: None,
            inputs: Vec::new(),
            events: Vec::new(),
            setup,
        })
    }

    /// Takes a command, between two steps. What it makes the room say leaves with the next step.
    pub fn apply(&mut self, command: Command) -> Applied {
        match command {
            Command::Attach(attach) => self.attach(attach),
            Command::Detach { seat, attempt } => self.detach(seat, attempt, Departure::Lost),
            Command::Leave { seat, attempt } => self.detach(seat, attempt, Departure::Left),
            Command::Ack { seat, ack } => self.acknowledge(seat, ack),
            Command::Input { seat, input } => self.input(seat, &input),
            Command::Say { seat, to, data } => self.say(seat, to, &data),
        }
    }

    /// Goes one tick on and adds what leaves to `out`, in order for each seat.
    pub fn step(&mut self, out: &mut Vec<Output>) {
        self.tick.0 += 1;
        self.inputs.clear();
        let hold = self.setup.rules.hold_ticks;
        let inputs = self
            .members
            .iter_mut()
            .map(|member| member.next_input(hold));
        self.inputs.extend(inputs);
        if self.confirmed.is_some() {
            for member in &mut self.members {
                member.note_processed(self.tick);
            }
        }
        if !self.is_over() {
            self.step_game();
        }
        self.report_lost_inputs(out);
        self.check_end();
        self.cut_tape(out);
        self.flush(out);
        let rules = &self.setup.rules;
        if self.tick.0 % rules.snapshot_every == rules.snapshot_phase % rules.snapshot_every {
            self.snapshot(out);
        }
        if let Some(reason) = self.ended {
            self.close_channels(reason, out);
        }
    }

    /// Sets the tick phase of snapshots, of a room that has not taken a step yet.
    pub fn set_snapshot_phase(&mut self, phase: u32) {
        self.setup.rules.snapshot_phase = phase;
    }

    /// The room's id.
    pub fn id(&self) -> RoomId {
        self.setup.room
    }

    /// What it was made from.
    pub fn setup(&self) -> &RoomSetup {
        &self.setup
    }

    /// The name of its game.
    pub fn game(&self) -> &'static str {
        self.kind.name
    }

    /// The last step.
    pub fn tick(&self) -> Tick {
        self.tick
    }

    /// The fields of its snapshots.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The game's whole state, as a viewer without limits sees it.
    pub fn view(&self) -> View {
        let mut view = View::new(&self.schema);
        self.game.encode(&mut view);
        view
    }

    /// How many players are present.
    pub fn present(&self) -> usize {
        let present = |member: &&Member| member.is_present();
        self.members.iter().filter(present).count()
    }

    /// How many ticks late the inputs of the last step came, of those that were late.
    pub(crate) fn late_inputs(&mut self) -> impl Iterator<Item = u32> + '_ {
        self.members
            .iter_mut()
            .filter_map(|member| member.late.take())
    }

    /// Why it is gone, once it is: drop it then.
    pub fn ended(&self) -> Option<EndReason> {
        self.ended
    }

    /// How each seat did, once the game is over.
    pub fn result(&self) -> Option<Vec<SeatResult>> {
        self.over_at.map(|_| self.game.result())
    }

    /// Whether the game is over. The room lingers.
    pub fn is_over(&self) -> bool {
        self.over_at.is_some()
    }

    /// The connection that `seat` is attached by, or was last.
    pub fn attempt_of(&self, seat: Seat) -> Option<u32> {
        Some(self.members.get(seat.index())?.holder.current()?.attempt)
    }

    /// The seat of `player`.
    pub fn seat_of(&self, player: PlayerId) -> Option<Seat> {
        let seats = &self.setup.game.seats;
        let index = seats.iter().position(|seat| seat.player == player)?;
        Some(Seat(index as u16))
    }

    /// Events are timed by ticks, so that replays send them again at the same moments.
    fn now(&self) -> Timestamp {
        Timestamp(u64::from(self.tick.0) * 1_000_000 / u64::from(TICK_HZ))
    }

    fn step_game(&mut self) {
        if let Some(tape) = &mut self.tape {
            tape.inputs(Tick(self.tick.0 - 1), &self.inputs);
        }
        let mut events = std::mem::take(&mut self.events);
        self.game.step(&self.inputs, &mut events);
        for event in events.drain(..) {
            self.tell(event.to, &event.payload);
        }
        self.events = events;
    }

    fn tell(&mut self, to: Audience, payload: &Bytes) {
        for (index, member) in self.members.iter_mut().enumerate() {
            if to == Audience::All || to == Audience::Seat(Seat(index as u16)) {
                member.append(payload.clone());
            }
        }
    }

    /// Presence of a seat goes to the others; its own player has it in the state.
    fn tell_others(&mut self, seat: Seat, payload: &Bytes) {
        for (index, member) in self.members.iter_mut().enumerate() {
            if index != seat.index() {
                member.append(payload.clone());
            }
        }
    }

    fn report_lost_inputs(&mut self, out: &mut Vec<Output>) {
        for index in 0..self.members.len() {
            let member = &mut self.members[index];
            if let Some(range) = member.lost.take() {
                let seat = Seat(index as u16);
                out.push(Output::InputsLost { seat, range });
                self.tell(Audience::Seat(seat), &tell::inputs_lost(range));
            }
        }
    }

    /// Attachments that stand anew, then events.
    fn flush(&mut self, out: &mut Vec<Output>) {
        let now = self.now();
        for index in 0..self.members.len() {
            let seat = Seat(index as u16);
            let member = &mut self.members[index];
            let attached = member.attached.take();
            let Some(Claim {
                session, attempt, ..
            }) = member.listener()
            else {
                continue;
            };
            if std::mem::take(&mut member.overflowed) {
                let code = CloseCode::SlowConsumer;
                out.push(Output::CloseConnection {
                    seat,
                    session,
                    attempt,
                    code,
                });
                continue; // what follows is of a history that this client does not know
            }
            if let Some(attached) = attached {
                out.push(Output::Attached {
                    seat,
                    session,
                    attempt,
                    attached,
                    state: self.state_for(seat),
                });
            }
            let log = &mut self.members[index].log;
            log.handle_timeout(now);
            while let Some(event) = log.poll_transmit(now) {
                out.push(Output::Event {
                    seat,
                    session,
                    event,
                });
            }
        }
    }

    fn snapshot(&mut self, out: &mut Vec<Output>) {
        if self
            .members
            .iter()
            .all(|member| member.listener().is_none())
        {
            return;
        }
        let mut bodies = SharedBodies::new(&self.schema, Arc::new(self.view()));
        for index in 0..self.members.len() {
            let seat = Seat(index as u16);
            let member = &mut self.members[index];
            let Some(Claim { session, .. }) = member.listener() else {
                continue;
            };
            let head = member.head(self.tick, self.confirmed.is_some());
            let priority = |entity| match self.game.interest(seat, entity) {
                Priority(0) => None,
                priority => Some(priority),
            };
            let view = interest::view_for(
                &mut bodies,
                &mut member.viewer,
                self.setup.rules.snapshot_bytes,
                priority,
            );
            bodies.address(member.viewer.baseline(), &view, (seat, session, head));
            member.viewer.sent(self.tick, view);
        }
        out.extend(bodies.into_outputs());
    }

    fn state_for(&self, seat: Seat) -> String {
        let present: Vec<bool> = self.members.iter().map(Member::is_present).collect();
        let result = self.is_surely_over().then(|| self.standings());
        tell::state(&tell::RoomState {
            room: self.setup.room,
            game: self.kind.name,
            seat: Some(seat),
            tick: self.tick,
            tick_hz: TICK_HZ,
            snapshot_every: self.setup.rules.snapshot_every,
            input_width: self.kind.input_bits,
            schema: &self.schema,
            setup: self.game.setup(),
            seats: tell::seats(&self.setup.game.seats, &present),
            processed: Some(self.members[seat.index()].processed()),
            watch: None,
            result,
        })
    }
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room")
            .field("setup", &self.setup)
            .field("tick", &self.tick)
            .finish_non_exhaustive()
    }
}

/// Who a snapshot is for, and the part that is theirs alone.
pub(crate) type SnapshotTarget = (Seat, SessionId, SnapshotHead);

#[cfg(test)]
pub(crate) mod rig;
#[cfg(test)]
mod tests;
