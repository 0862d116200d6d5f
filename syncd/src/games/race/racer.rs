//! A seat's car, and who drives it.

use protocol::random::Random;
use serde::{Deserialize, Serialize};

use super::AwayRules;
use super::car::Car;
use super::pilot::Pilot;
use super::standing::Standing;
use super::track::Track;
use super::wire::CarState;
use crate::game::Departure;

/// Distance between the rows of the starting grid, pixels.
const GRID_ROW: i32 = 22;
/// Of a grid place from the middle of the road, pixels.
const GRID_SIDE: i32 = 11;

/// A bot decides every so many ticks, as often as a client that gets 20 snapshots a second.
const DECIDE_EVERY: u32 = 3;

/// A seat's car and how it does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Racer {
    pub(super) car: Car,
    /// The segment of the centre line where it was last.
    pub(super) segment: usize,
    pub(super) standing: Standing,
    player: Player,
    /// Drives while the player is away.
    stand_in: Option<StandIn>,
}

/// Where the player is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Player {
    /// Has never been here.
    Expected,
    Present,
    /// Since this tick.
    Away(u32),
    /// Left for good.
    Left,
    /// Away for too long, and still away or back too late.
    TooLate {
        present: bool,
    },
}

/// A bot and what it does until its next decision.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct StandIn {
    pilot: Pilot,
    bits: u32,
}

impl Racer {
    fn at(car: Car, track: &Track) -> Self {
        Self {
            segment: track.locate(car.place(), 0).segment,
            car,
            standing: Standing::default(),
            player: Player::Expected,
            stand_in: None,
        }
    }

    /// The player is here, and drives again at once.
    pub(super) fn join(&mut self) {
        self.stand_in = None;
        self.player = match self.player {
            Player::TooLate { .. } => Player::TooLate { present: true },
            _ => Player::Present,
        };
    }

    pub(super) fn leave(&mut self, tick: u32, departure: Departure) {
        self.player = match (departure, self.player) {
            (Departure::Left, _) => Player::Left,
            (Departure::Lost, Player::TooLate { .. }) => Player::TooLate { present: false },
            (Departure::Lost, _) => Player::Away(tick),
        };
    }

    /// Lets a bot take over, or ends the race of a player who is away for too long: gives whether
    /// it does that now.
    pub(super) fn mind_absence(&mut self, tick: u32, rules: &AwayRules, seat: u64) -> bool {
        let Player::Away(since) = self.player else {
            return false;
        };
        let away_for = tick.saturating_sub(since);
        if self.standing.is_finished() {
            return false;
        }
        if away_for >= rules.limit {
            self.player = Player::TooLate { present: false };
            self.stand_in = None;
            return true;
        }
        if away_for >= rules.grace && self.stand_in.is_none() {
            self.stand_in = Some(StandIn {
                pilot: Pilot::new(rules.seed.wrapping_add(seat)),
                bits: 0,
            });
        }
        false
    }

    /// What the car is driven by: its player's input, the bot's, or nothing.
    pub(super) fn input(&mut self, tick: u32, of_player: u32, track: &Track) -> u32 {
        if !self.is_driven() {
            return 0;
        }
        let state = self.state();
        let Some(stand_in) = &mut self.stand_in else {
            return of_player;
        };
        if tick.is_multiple_of(DECIDE_EVERY) {
            stand_in.bits = stand_in.pilot.drive(track, &state);
        }
        stand_in.bits
    }

    /// Whether somebody acts on it: else it coasts and touches nobody.
    pub(super) fn is_driven(&self) -> bool {
        let acts = self.player == Player::Present || self.stand_in.is_some();
        acts && !self.is_out() && !self.standing.is_finished()
    }

    /// Whether it does not race any more without having finished.
    pub(super) fn is_out(&self) -> bool {
        let out = matches!(self.player, Player::Left | Player::TooLate { .. });
        out && !self.standing.is_finished()
    }

    /// Whether the player has ever been here.
    pub(super) fn has_joined(&self) -> bool {
        self.player != Player::Expected
    }

    /// The car as it is shown, but for its place, and for the lap that may be beyond the last.
    pub(super) fn state(&self) -> CarState {
        let is_present = matches!(
            self.player,
            Player::Present | Player::TooLate { present: true }
        );
        CarState {
            x: (self.car.x >> 8).max(0) as u32,
            y: (self.car.y >> 8).max(0) as u32,
            heading: u32::from(self.car.heading >> 6),
            speed: self.car.speed(),
            lap: self.standing.lap_being_driven(),
            place: 0,
            finished: self.standing.is_finished(),
            away: !is_present,
            bot: self.stand_in.is_some() && self.is_driven(),
        }
    }
}

/// Cars on the grid, in an order drawn from the seed.
pub(super) fn grid(track: &Track, count: usize, seed: u64) -> Vec<Racer> {
    let mut random = Random::new(seed);
    let mut boxes: Vec<i32> = (0..count as i32).collect();
    for index in (1..count).rev() {
        boxes.swap(index, random.below(index as u64 + 1) as usize);
    }
    let racer = |grid_box: i32| {
        let behind = GRID_ROW * (grid_box / 2 + 1);
        let aside = GRID_SIDE * (2 * (grid_box % 2) - 1);
        // The straight before the start runs along the x axis.
        let (place, _) = track.ahead(0, -behind, aside);
        Racer::at(Car::at(place, 0), track)
    };
    boxes.into_iter().map(racer).collect()
}
