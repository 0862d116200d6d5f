//! A room where it is hosted: with the streams that its players come by, and its end.

use engine::{MatchResult, Standing};
use protocol::id::SessionId;
use rpc::origin::StreamId;
use tokio::time::Instant;

use crate::game::{Seat, SeatResult};
use crate::results::Ending;
use crate::room::{Command, EndReason, Output, Room};

/// A room and the streams that its players come by.
pub(super) struct Hosted {
    pub(super) room: Room,
    /// By seat. `None`: not attached.
    pub(super) attached: Vec<Option<(StreamId, SessionId)>>,
    /// Its game panicked: it steps no more.
    pub(super) failed: bool,
    /// Its end is on its way to the recorder.
    pub(super) reported: bool,
}

impl Hosted {
    pub(super) fn new(room: Room) -> Self {
        Self {
            attached: vec![None; room.setup().game.seats.len()],
            room,
            failed: false,
            reported: false,
        }
    }

    /// Takes a player's presence away, whatever its connection.
    pub(super) fn detach(&mut self, seat: Seat) {
        if let Some(attempt) = self.room.attempt_of(seat) {
            self.room.apply(Command::Detach { seat, attempt });
        }
    }

    /// Whether its end can be reported.
    pub(super) fn is_decided(&self) -> bool {
        self.failed || self.room.is_over() || self.room.ended().is_some()
    }

    /// The report of its end.
    pub(super) fn ending(&self) -> Ending {
        let setup = self.room.setup();
        let result = self.room.result().filter(|_| !self.failed);
        let reason = match (&result, self.room.ended()) {
            _ if self.failed => EndReason::Failed,
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

    /// Tells its players that it is gone.
    pub(super) fn closings(&self) -> impl Iterator<Item = Output> {
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
