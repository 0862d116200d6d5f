//! The racing game: up to eight cars, laps around one track.
//!
//! - [`track`]: the road, its checkpoints
//! - `car`, `trig`: fixed-point motion
//! - `racer`: a seat's car, and who drives it
//! - `standing`: laps, finish, places
//! - `settings`: what a mode may set
//! - [`wire`]: what snapshots hold, and how a client reads them
//! - [`pilot`]: drives a car by what a client sees
//!
//! A race waits for its players, counts down, runs, and is over when every car has finished or
//! is out, [`FINISH_TIME`] after the first finisher, or at [`LAP_LIMIT`] a lap.
//!
//! A car whose player is away coasts for a grace time and hinders nobody; then a bot drives it,
//! until the player is back or has been away for too long. That car is out, as is one whose player
//! left: it coasts to a stop and does not finish.

mod car;
pub mod pilot;
mod racer;
mod settings;
mod standing;
pub mod track;
mod trig;
pub mod wire;

use std::borrow::Cow;
use std::time::Duration;

use protocol::snapshot::View;
use serde::{Deserialize, Serialize};

use crate::game::{
    Departure, Game, GameEvent, GameKind, Priority, RestoreError, Seat, SeatInput, SeatResult,
    Setup, SetupError, load, store,
};
use crate::room::ticks;
pub use pilot::Pilot;
use racer::Racer;
use settings::Settings;
pub use track::Track;
pub use wire::{CarState, Phase, RaceState};

/// The race, for [`Games`](crate::games::Games).
pub const KIND: GameKind = GameKind {
    name: "race",
    input_bits: 8,
    schema: wire::schema,
    version: 1,
    create: |setup| Ok(Box::new(Race::new(setup)?)),
    restore: |setup, bytes| Ok(Box::new(Race::restore(setup, bytes)?)),
};

/// Most cars.
pub const CARS: usize = 8;

/// How long the others may still finish after the first has.
pub const FINISH_TIME: Duration = Duration::from_secs(30);

/// Longest race, for each lap.
pub const LAP_LIMIT: Duration = Duration::from_secs(90);

/// What the race tells exactly once.
#[derive(Debug, Serialize)]
#[serde(tag = "e")]
enum RaceEvent {
    #[serde(rename = "race.start")]
    Start { tick: u32 },
    /// `lap` laps are complete.
    #[serde(rename = "race.lap")]
    Lap { seat: Seat, lap: u32, tick: u32 },
    #[serde(rename = "race.finish")]
    Finish { seat: Seat, place: u32, ticks: u32 },
    /// Its player was away for too long: it does not finish.
    #[serde(rename = "race.out")]
    Out { seat: Seat, tick: u32 },
}

/// What becomes of a car whose player is away, by ticks.
#[derive(Debug, Clone, Copy)]
struct AwayRules {
    /// For so long it coasts; then a bot drives.
    grace: u32,
    /// After so long it is out.
    limit: u32,
    /// Makes the bots.
    seed: u64,
}

/// One race.
#[derive(Debug, Clone)]
struct Race {
    track: Track,
    laps: u32,
    countdown: u32,
    join_until: u32,
    away: AwayRules,
    tick: u32,
    phase: Phase,
    /// While players are waited for it moves on.
    start_tick: u32,
    all_here: bool,
    /// When the race is over at the latest.
    deadline: u32,
    racers: Vec<Racer>,
}

/// What of a [`Race`] changes.
#[derive(Serialize, Deserialize)]
struct Saved<'a> {
    tick: u32,
    phase: Phase,
    start_tick: u32,
    all_here: bool,
    deadline: u32,
    racers: Cow<'a, [Racer]>,
}

impl Race {
    fn new(setup: &Setup) -> Result<Self, SetupError> {
        if !(1..=CARS).contains(&setup.seats.len()) {
            let problem = format!("a race has 1 to {CARS} seats, not {}", setup.seats.len());
            return Err(SetupError::new("seats", problem));
        }
        let settings = Settings::of(setup)?;
        let track = Track::harbour();
        let racers = racer::grid(&track, setup.seats.len(), setup.seed);
        let laps = settings.laps();
        Ok(Self {
            track,
            laps,
            countdown: ticks(settings.countdown),
            join_until: ticks(settings.join_wait),
            away: AwayRules {
                grace: ticks(settings.away_grace),
                limit: ticks(settings.away_limit),
                seed: setup.seed,
            },
            tick: 0,
            phase: Phase::Countdown,
            start_tick: ticks(settings.countdown) + 1,
            all_here: false,
            deadline: u32::MAX,
            racers,
        })
    }

    fn restore(setup: &Setup, bytes: &[u8]) -> Result<Self, RestoreError> {
        let new = Self::new(setup)?;
        let saved: Saved<'_> = load("a race", bytes)?;
        let on_track = |racer: &Racer| racer.segment < new.track.points.len();
        if saved.racers.len() != new.racers.len() || !saved.racers.iter().all(on_track) {
            return Err(RestoreError::Damaged("cars of a race"));
        }
        Ok(Self {
            tick: saved.tick,
            phase: saved.phase,
            start_tick: saved.start_tick,
            all_here: saved.all_here,
            deadline: saved.deadline,
            racers: saved.racers.into_owned(),
            ..new
        })
    }

    fn count_down(&mut self, events: &mut Vec<GameEvent>) {
        if !self.all_here {
            self.start_tick = self.tick + self.countdown;
            let joined = |racer: &Racer| racer.has_joined() || racer.is_out();
            self.all_here = self.racers.iter().all(joined) || self.tick >= self.join_until;
        }
        if self.all_here && self.tick >= self.start_tick {
            self.phase = Phase::Racing;
            self.deadline = self.tick + ticks(LAP_LIMIT) * self.laps;
            events.push(GameEvent::to_all(&RaceEvent::Start { tick: self.tick }));
        }
    }

    fn mind_absences(&mut self, events: &mut Vec<GameEvent>) {
        let tick = self.tick;
        for (index, racer) in self.racers.iter_mut().enumerate() {
            if racer.mind_absence(tick, &self.away, index as u64) {
                let seat = Seat(index as u16);
                events.push(GameEvent::to_all(&RaceEvent::Out { seat, tick }));
            }
        }
    }

    fn drive(&mut self, inputs: &[SeatInput]) {
        for (racer, input) in self.racers.iter_mut().zip(inputs) {
            let bits = racer.input(self.tick, input.bits, &self.track);
            let before = racer.car.place();
            let located = self.track.locate(before, racer.segment);
            racer.segment = located.segment;
            racer.car.drive(bits, located.on_road, self.track.size);
        }
        for index in 1..self.racers.len() {
            let (lower, upper) = self.racers.split_at_mut(index);
            let one = &mut upper[0];
            for other in lower {
                if one.is_driven() && other.is_driven() {
                    car::collide(&mut other.car, &mut one.car);
                }
            }
        }
    }

    fn count_laps(&mut self, before: &[track::Place], events: &mut Vec<GameEvent>) {
        for (index, from) in before.iter().enumerate() {
            let racer = &mut self.racers[index];
            if racer.standing.is_finished() || racer.is_out() {
                continue;
            }
            let to = racer.car.place();
            let Some(lap) = racer.standing.advance(&self.track, *from, to) else {
                continue;
            };
            let (seat, tick) = (Seat(index as u16), self.tick);
            events.push(GameEvent::to_all(&RaceEvent::Lap { seat, lap, tick }));
            if lap == self.laps {
                self.finish(index, events);
            }
        }
    }

    fn finish(&mut self, index: usize, events: &mut Vec<GameEvent>) {
        let finished = |racer: &&Racer| racer.standing.is_finished();
        let place = self.racers.iter().filter(finished).count() as u32 + 1;
        let ticks_taken = self.tick - self.start_tick;
        self.racers[index].standing.finish(place, ticks_taken);
        if place == 1 {
            self.deadline = self.deadline.min(self.tick + ticks(FINISH_TIME));
        }
        events.push(GameEvent::to_all(&RaceEvent::Finish {
            seat: Seat(index as u16),
            place,
            ticks: ticks_taken,
        }));
    }

    /// Seats in the order of the race.
    fn order(&self) -> Vec<usize> {
        let key = |index: usize| {
            let racer = &self.racers[index];
            racer.standing.rank(&self.track, racer.car.place())
        };
        let mut order: Vec<usize> = (0..self.racers.len()).collect();
        order.sort_by_key(|index| (key(*index), *index));
        order
    }
}

impl Game for Race {
    fn join(&mut self, seat: Seat) {
        self.racers[seat.index()].join();
    }

    fn leave(&mut self, seat: Seat, departure: Departure) {
        self.racers[seat.index()].leave(self.tick, departure);
    }

    fn step(&mut self, inputs: &[SeatInput], events: &mut Vec<GameEvent>) {
        self.tick += 1;
        self.mind_absences(events);
        if self.phase == Phase::Countdown {
            self.count_down(events);
        }
        if self.phase == Phase::Countdown {
            return;
        }
        let before: Vec<track::Place> = self.racers.iter().map(|racer| racer.car.place()).collect();
        self.drive(inputs);
        if self.phase == Phase::Over {
            return;
        }
        self.count_laps(&before, events);
        let done = |racer: &Racer| racer.is_out() || racer.standing.is_finished();
        if self.racers.iter().all(done) || self.tick >= self.deadline {
            self.phase = Phase::Over;
        }
    }

    fn save(&self) -> Vec<u8> {
        store(&Saved {
            tick: self.tick,
            phase: self.phase,
            start_tick: self.start_tick,
            all_here: self.all_here,
            deadline: self.deadline,
            racers: Cow::Borrowed(&self.racers),
        })
    }

    fn encode(&self, view: &mut View) {
        wire::put_globals(view, self.phase, self.start_tick, self.laps);
        for (place, index) in self.order().into_iter().enumerate() {
            let racer = &self.racers[index];
            let mut state = racer.state();
            state.lap = state.lap.min(self.laps);
            state.place = place as u32 + 1;
            state.put(view, index);
        }
    }

    fn interest(&self, viewer: Seat, entity: usize) -> Priority {
        let (Some(own), Some(other)) = (self.racers.get(viewer.index()), self.racers.get(entity))
        else {
            return Priority(1);
        };
        if viewer.index() == entity {
            return Priority(16);
        }
        let distance = (own.car.x - other.car.x).abs() + (own.car.y - other.car.y).abs();
        match distance / car::PIXEL {
            ..160 => Priority(8),
            160..400 => Priority(3),
            _ => Priority(1),
        }
    }

    fn setup(&self) -> serde_json::Value {
        serde_json::json!({ "track": self.track, "laps": self.laps })
    }

    fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    fn result(&self) -> Vec<SeatResult> {
        let order = self.order().into_iter().enumerate();
        let results = order.map(|(place, index)| SeatResult {
            seat: Seat(index as u16),
            place: place as u32 + 1,
            ticks: self.racers[index].standing.ticks(),
        });
        results.collect()
    }
}

#[cfg(test)]
mod tests;
