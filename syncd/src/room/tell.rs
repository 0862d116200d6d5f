//! The JSON that a room's clients get.

use bytes::Bytes;
use protocol::id::{InputSeq, PlayerId, RoomId, Tick};
use protocol::input::InputRange;
use protocol::snapshot::Schema;
use serde::Serialize;

use crate::game::{Departure, Seat, SeatResult, SeatSetup, json};

/// What a client gets when the channel stands.
#[derive(Serialize)]
pub(crate) struct RoomState<'a> {
    pub(crate) room: RoomId,
    pub(crate) game: &'a str,
    /// None for who watches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seat: Option<Seat>,
    pub(crate) tick: Tick,
    pub(crate) tick_hz: u32,
    pub(crate) snapshot_every: u32,
    pub(crate) input_width: u8,
    pub(crate) schema: &'a Schema,
    pub(crate) setup: serde_json::Value,
    pub(crate) seats: Vec<SeatState<'a>>,
    /// Up to where the player's inputs are applied or reported: the client goes on from there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) processed: Option<InputSeq>,
    /// For who watches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) watch: Option<WatchState>,
    /// Only once the game is surely over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<RoomResult<'a>>,
}

#[derive(Serialize)]
pub(crate) struct WatchState {
    /// From what happens to when it is shown. None of a game that was over before.
    pub(crate) delay_ms: Option<u64>,
}

#[derive(Serialize)]
pub(crate) struct SeatState<'a> {
    seat: Seat,
    player: PlayerId,
    name: &'a str,
    bot: bool,
    present: bool,
}

#[derive(Serialize)]
pub(crate) struct RoomResult<'a> {
    standings: Vec<Standing<'a>>,
}

#[derive(Serialize)]
struct Standing<'a> {
    seat: Seat,
    player: PlayerId,
    name: &'a str,
    bot: bool,
    place: u32,
    ticks: Option<u32>,
}

#[derive(Serialize)]
#[serde(tag = "e")]
enum RoomEvent<'a> {
    #[serde(rename = "seat.joined")]
    Joined {
        seat: Seat,
        player: PlayerId,
        name: &'a str,
        bot: bool,
    },
    #[serde(rename = "seat.left")]
    Left { seat: Seat, reason: &'static str },
    #[serde(rename = "inputs.lost")]
    InputsLost {
        #[serde(flatten)]
        range: InputRange,
    },
    #[serde(rename = "room.ended")]
    Ended { result: &'a RoomResult<'a> },
}

pub(crate) fn state(state: &RoomState<'_>) -> String {
    serde_json::to_string(state).expect("the state has string keys only")
}

pub(crate) fn seats<'a>(seats: &'a [SeatSetup], present: &[bool]) -> Vec<SeatState<'a>> {
    let states = seats
        .iter()
        .zip(present)
        .enumerate()
        .map(|(index, (setup, present))| SeatState {
            seat: Seat(index as u16),
            player: setup.player,
            name: &setup.name,
            bot: setup.bot,
            present: *present,
        });
    states.collect()
}

pub(crate) fn result<'a>(seats: &'a [SeatSetup], results: &[SeatResult]) -> RoomResult<'a> {
    let standing = |result: &SeatResult| {
        let setup = &seats[result.seat.index()];
        Standing {
            seat: result.seat,
            player: setup.player,
            name: &setup.name,
            bot: setup.bot,
            place: result.place,
            ticks: result.ticks,
        }
    };
    RoomResult {
        standings: results.iter().map(standing).collect(),
    }
}

pub(crate) fn joined(seat: Seat, setup: &SeatSetup) -> Bytes {
    json(&RoomEvent::Joined {
        seat,
        player: setup.player,
        name: &setup.name,
        bot: setup.bot,
    })
}

pub(crate) fn left(seat: Seat, departure: Departure) -> Bytes {
    let reason = match departure {
        Departure::Lost => "lost",
        Departure::Left => "left",
    };
    json(&RoomEvent::Left { seat, reason })
}

pub(crate) fn inputs_lost(range: InputRange) -> Bytes {
    json(&RoomEvent::InputsLost { range })
}

pub(crate) fn ended(result: &RoomResult<'_>) -> Bytes {
    json(&RoomEvent::Ended { result })
}
