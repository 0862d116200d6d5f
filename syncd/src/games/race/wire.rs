//! What the race's snapshots hold, for the server that writes them and the clients that read
//! them.

use protocol::snapshot::{Field, Schema, View};
use serde::{Deserialize, Serialize};

use super::CARS;

/// Where the race is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Cars stand; players are waited for, then seconds are counted.
    Countdown,
    /// Cars drive.
    Racing,
    /// Decided; cars coast.
    Over,
}

/// The fields of a snapshot, in this order.
pub fn schema() -> Schema {
    let globals = vec![
        Field::new("phase", 2, 0),
        Field::new("start_tick", 24, 0),
        Field::new("laps", 4, 0),
    ];
    let fields = vec![
        Field::new("x", 16, 8),
        Field::new("y", 16, 8),
        Field::new("heading", 10, 6),
        Field::new("speed", 10, 6),
        Field::new("lap", 4, 0),
        Field::new("place", 4, 0),
        Field::new("finished", 1, 0),
        Field::new("away", 1, 0),
        Field::new("bot", 1, 0),
    ];
    Schema::new(CARS, globals, fields).expect("within the limits of a schema")
}

/// The race as a whole, as a client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RaceState {
    /// Where the race is.
    pub phase: Phase,
    /// The tick of the start; moves on while players are waited for.
    pub start_tick: u32,
    /// Laps to drive.
    pub laps: u32,
}

/// A car, as a client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CarState {
    /// Sixteenths of a pixel from the left.
    pub x: u32,
    /// Sixteenths of a pixel from the top.
    pub y: u32,
    /// 1024 to the turn; 0 to the right, clockwise.
    pub heading: u32,
    /// Sixteenths of a pixel a tick, whatever the direction.
    pub speed: u32,
    /// The lap being driven, from 1; stays at the last one after the finish.
    pub lap: u32,
    /// From 1.
    pub place: u32,
    /// Whether it has finished.
    pub finished: bool,
    /// Whether its player is not connected.
    pub away: bool,
    /// Whether a bot drives it while its player is away.
    pub bot: bool,
}

impl RaceState {
    /// The race in a decoded snapshot of [`schema`].
    pub fn of(view: &View) -> Self {
        let globals = view.globals();
        let phase = match globals[0] {
            0 => Phase::Countdown,
            1 => Phase::Racing,
            _ => Phase::Over,
        };
        Self {
            phase,
            start_tick: globals[1],
            laps: globals[2],
        }
    }
}

impl CarState {
    /// The car of a seat in a decoded snapshot of [`schema`].
    pub fn of(view: &View, seat: usize) -> Option<Self> {
        let [x, y, heading, speed, lap, place, finished, away, bot] = *view.entity(seat)? else {
            return None;
        };
        Some(Self {
            x,
            y,
            heading,
            speed,
            lap,
            place,
            finished: finished == 1,
            away: away == 1,
            bot: bot == 1,
        })
    }

    pub(super) fn put(&self, view: &mut View, seat: usize) {
        let [finished, away, bot] = [self.finished, self.away, self.bot].map(u32::from);
        view.put(
            seat,
            &[
                self.x,
                self.y,
                self.heading,
                self.speed,
                self.lap,
                self.place,
                finished,
                away,
                bot,
            ],
        );
    }
}

pub(super) fn put_globals(view: &mut View, phase: Phase, start_tick: u32, laps: u32) {
    view.set_global(0, phase as u32);
    view.set_global(1, start_tick);
    view.set_global(2, laps);
}
