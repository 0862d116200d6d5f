//! A room where it is hosted: with the streams that its players come by, and its end.

use std::panic::{AssertUnwindSafe, catch_unwind};

use engine::{MatchResult, Standing};
use protocol::id::SessionId;
use rpc::origin::StreamId;
use tokio::time::Instant;

use crate::game::{Seat, SeatResult};
use crate::results::Ending;
use crate::room::{Applied, Command, EndReason, Output, Room};

/// A room and the streams that its players come by.
pub(super) struct Hosted {
    pub(super) room: Room,
    /// By seat. `None`: not attached.
    pub(super) attached: Vec<Option<(StreamId, SessionId)>>,
    /// Its game panicked: the room is not touched any more.
    failed: Option<Failed>,
    /// Its end is on its way to the recorder.
    pub(super) reported: bool,
}

/// Whether the players of a room that failed know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failed {
    Untold,
    Told,
}

impl Hosted {
    pub(super) fn new(room: Room) -> Self {
        Self {
            attached: vec![None; room.setup().game.seats.len()],
            room,
            failed: None,
            reported: false,
        }
    }

    /// Whether its game panicked.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Applies a command; `None` if the room has failed, or fails at it.
    pub(super) fn apply(&mut self, command: Command) -> Option<Applied> {
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
            at: Instant::now(),
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
