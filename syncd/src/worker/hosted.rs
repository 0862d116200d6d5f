//! A room where it is hosted: with the streams that its players come by, and its end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use engine::{MatchResult, Seq, Standing};
use protocol::id::SessionId;
use rpc::origin::StreamId;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::survive::Frozen;
use crate::game::{Seat, SeatResult};
use crate::ownership::entry::{Commands, EntryWriter};
use crate::results::Ending;
use crate::room::{Applied, Command, EndReason, Output, Room};

/// A room and the streams that its players come by.
pub(super) struct Hosted {
    pub(super) room: Room,
    /// By seat. `None`: not attached.
    pub(super) attached: Vec<Option<(StreamId, SessionId)>>,
    /// By seat, when who is attached came.
    attached_at: Vec<Option<Instant>>,
    /// Its game panicked: the room is not touched any more.
    failed: Option<Failed>,
    /// Its end is on its way to the recorder.
    pub(super) reported: bool,
    /// The entry that its end is written down by, once it is decided.
    pub(super) decided_at: Option<Seq>,
    /// Commands since the last entry, where they are journalled.
    taken: Option<Commands>,
    motion: Motion,
    /// Until then its players may come back as if nothing had happened: it was another node's.
    pub(super) return_by: Option<Instant>,
}

/// Whether it steps.
#[derive(Debug)]
enum Motion {
    Steps,
    /// Is to stand still after the next entry.
    Stopping(oneshot::Sender<Frozen>),
    /// Stands still: it is being handed over.
    Frozen,
}

/// How long players of a room that was another node's have to come here before they count as
/// away. Their gateways bring them within a fraction of a second.
const RETURN_WITHIN: Duration = Duration::from_secs(5);

/// Whether the players of a room that failed know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failed {
    Untold,
    Told,
}

impl Hosted {
    pub(super) fn new(room: Room, is_adopted: bool, is_journalled: bool) -> Self {
        Self {
            attached: vec![None; room.setup().game.seats.len()],
            attached_at: vec![None; room.setup().game.seats.len()],
            room,
            failed: None,
            reported: false,
            decided_at: None,
            taken: is_journalled.then(Commands::default),
            motion: Motion::Steps,
            return_by: is_adopted.then(|| Instant::now() + RETURN_WITHIN),
        }
    }

    /// A seat's player comes by this stream; gives by which it was here until now.
    pub(super) fn come(
        &mut self,
        seat: Seat,
        stream: StreamId,
        session: SessionId,
    ) -> Option<(StreamId, SessionId)> {
        self.attached_at[seat.index()] = Some(Instant::now());
        self.attached[seat.index()].replace((stream, session))
    }

    /// By seat, whether its player has been attached without a break since before `since`. No
    /// other node can have told it anything since.
    pub(super) fn stays_since(&self, since: Instant) -> Vec<bool> {
        let seats = self.attached.iter().zip(&self.attached_at);
        seats
            .map(|(attached, at)| attached.is_some() && at.is_some_and(|at| at < since))
            .collect()
    }

    /// Whether its game panicked.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Whether it takes commands.
    pub(super) fn is_running(&self) -> bool {
        !self.has_failed() && !self.is_frozen()
    }

    /// Whether it stands still, because it is being handed over.
    pub(super) fn is_frozen(&self) -> bool {
        matches!(self.motion, Motion::Frozen)
    }

    /// It stands still after the next entry.
    pub(super) fn freeze(&mut self, reply: oneshot::Sender<Frozen>) {
        self.motion = Motion::Stopping(reply);
    }

    /// Whether it is to stand still after the next entry.
    pub(super) fn is_stopping(&self) -> bool {
        matches!(self.motion, Motion::Stopping(_))
    }

    /// If it is to stand still: it does from now on, and this is who is told.
    pub(super) fn stop(&mut self) -> Option<oneshot::Sender<Frozen>> {
        match std::mem::replace(&mut self.motion, Motion::Steps) {
            Motion::Stopping(reply) => {
                self.motion = Motion::Frozen;
                Some(reply)
            }
            other => {
                self.motion = other;
                None
            }
        }
    }

    /// It goes on.
    pub(super) fn thaw(&mut self) {
        self.motion = Motion::Steps;
    }

    /// Writes down what it took since the last call.
    pub(super) fn write_commands(&mut self, entry: &mut EntryWriter) {
        if let Some(taken) = &mut self.taken {
            entry.commands(self.room.id(), taken);
        }
    }

    /// Its players were sent away for a moment: they are on their way back.
    pub(super) fn await_returns(&mut self) {
        self.return_by = Some(Instant::now() + RETURN_WITHIN);
    }

    /// Players of a room that was another node's, who have not come in time, are away.
    pub(super) fn expire_returns(&mut self, now: Instant) {
        if self.return_by.take_if(|by| *by <= now).is_none() {
            return;
        }
        let absent: Vec<Seat> = self
            .attached
            .iter()
            .enumerate()
            .filter(|(_, attached)| attached.is_none())
            .map(|(index, _)| Seat(index as u16))
            .collect();
        absent.into_iter().for_each(|seat| self.detach(seat));
    }

    /// Applies a command; `None` if the room has failed, or fails at it.
    pub(super) fn apply(&mut self, command: Command) -> Option<Applied> {
        if let Some(taken) = &mut self.taken
            && self.failed.is_none()
        {
            taken.push(&command);
        }
        self.guarded(|room| room.apply(command))
    }

    /// Goes one tick on and adds what leaves to `out`, which is empty. Of a room that has failed
    /// that is, once, that it is gone.
    pub(super) fn step(&mut self, out: &mut Vec<Output>) {
        if self.guarded(|room| room.step(out)).is_some() {
            return;
        }
        out.clear(); // of the step that failed
        if self.failed.replace(Failed::Told) == Some(Failed::Untold) {
            out.extend(self.closings());
        }
    }

    /// Takes a player's presence away, whatever its connection.
    pub(super) fn detach(&mut self, seat: Seat) {
        if let Some(attempt) = self.room.attempt_of(seat) {
            self.apply(Command::Detach { seat, attempt });
        }
    }

    /// Whether its end can be reported.
    pub(super) fn is_decided(&self) -> bool {
        self.has_failed() || self.room.is_over() || self.room.ended().is_some()
    }

    /// Whether nothing of it is left to be told to its players.
    pub(super) fn is_gone(&self) -> bool {
        match self.failed {
            Some(failed) => failed == Failed::Told,
            None => self.room.ended().is_some(),
        }
    }

    /// The report of its end.
    pub(super) fn ending(&mut self) -> Ending {
        let result = self.guarded(|room| room.result()).flatten();
        let setup = self.room.setup();
        let reason = match (&result, self.room.ended()) {
            _ if self.has_failed() => EndReason::Failed,
            (Some(_), _) => EndReason::Finished,
            (None, reason) => reason.unwrap_or(EndReason::Abandoned),
        };
        let standing = |result: &SeatResult| {
            let seat = &setup.game.seats[result.seat.index()];
            Standing {
                player: seat.player,
                name: seat.name.clone(),
                bot: seat.bot,
                place: result.place,
                ticks: result.ticks,
                team: seat.team,
                rating: seat.rating,
            }
        };
        let result = result.map(|result| MatchResult {
            match_id: setup.match_id,
            room: setup.room,
            mode: setup.mode.clone(),
            finished_at_ms: chassis::clock::unix_ms(),
            standings: result.iter().map(standing).collect(),
        });
        Ending {
            room: setup.room,
            match_id: setup.match_id,
            reason,
            result,
        }
    }

    /// Does what may call the game. One with a bug ends its own room, not those of everybody.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Room) -> T) -> Option<T> {
        if self.has_failed() {
            return None;
        }
        // A room that panicked half way is only asked for its setup and its seats after it.
        let done = catch_unwind(AssertUnwindSafe(|| work(&mut self.room)));
        if done.is_err() {
            self.failed = Some(Failed::Untold);
            tracing::error!(room = %self.room.id(), "a room's game panicked; the room is closed");
        }
        done.ok()
    }

    /// Tells its players that it is gone.
    fn closings(&self) -> impl Iterator<Item = Output> {
        let attached = self.attached.iter().enumerate();
        attached.filter_map(|(index, attached)| {
            let (_, session) = (*attached)?;
            let seat = Seat(index as u16);
            Some(Output::CloseChannel {
                seat,
                session,
                attempt: self.room.attempt_of(seat)?,
                reason: EndReason::Failed,
            })
        })
    }
}
