//! The JSON that a room's clients get.

use bytes::Bytes;
use protocol::id::{InputSeq, PlayerId, RoomId, Tick};
use protocol::input::InputRange;
use protocol::snapshot::Schema;
use serde::Serialize;

use crate::game::{Departure, Seat, SeatResult, SeatSetup, json};

/// What a client gets when the channel stands.
#[derive(Serialize)]
pub(super) struct RoomState<'a> {
    pub(super) room: RoomId,
    pub(super) game: &'a str,
    pub(super) seat: Seat,
    pub(super) tick: Tick,
    pub(super) tick_hz: u32,
    pub(super) snapshot_every: u32,
    pub(super) input_width: u8,
    pub(super) schema: &'a Schema,
    pub(super) setup: serde_json::Value,
    pub(super) seats: Vec<SeatState<'a>>,
    /// Up to where the player's inputs are applied or reported: the client goes on from there.
    pub(super) processed: InputSeq,
    /// Only once the game is surely over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) result: Option<RoomResult<'a>>,
}

#[derive(Serialize)]
pub(super) struct SeatState<'a> {
    seat: Seat,
    player: PlayerId,
    name: &'a str,
    bot: bool,
    present: bool,
}

#[derive(Serialize)]
pub(super) struct RoomResult<'a> {
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

pub(super) fn state(state: &RoomState<'_>) -> String {
    serde_json::to_string(state).expect("the state has string keys only")
}

pub(super) fn seats<'a>(seats: &'a [SeatSetup], present: &[bool]) -> Vec<SeatState<'a>> {
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

pub(super) fn result<'a>(seats: &'a [SeatSetup], results: &[SeatResult]) -> RoomResult<'a> {
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

pub(super) fn joined(seat: Seat, setup: &SeatSetup) -> Bytes {
    json(&RoomEvent::Joined {
        seat,
        player: setup.player,
        name: &setup.name,
        bot: setup.bot,
    })
}

pub(super) fn left(seat: Seat, departure: Departure) -> Bytes {
    let reason = match departure {
        Departure::Lost => "lost",
        Departure::Left => "left",
    };
    json(&RoomEvent::Left { seat, reason })
}

pub(super) fn inputs_lost(range: InputRange) -> Bytes {
    json(&RoomEvent::InputsLost { range })
}

pub(super) fn ended(result: &RoomResult<'_>) -> Bytes {
    json(&RoomEvent::Ended { result })
}
