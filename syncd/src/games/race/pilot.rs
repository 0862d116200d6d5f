//! Drives a car by what a client sees: for bots, for players who are away, for load and tests.
//! In integers, because a race that is run again has to come out the same.

use protocol::random::Random;
use serde::{Deserialize, Serialize};

use super::car::{ACCELERATE, BRAKE, LEFT, RIGHT};
use super::track::{Place, Track};
use super::trig;
use super::wire::CarState;

/// How far ahead a pilot looks, pixels.
const LOOK_AHEAD: i32 = 60;
/// Slower than this while accelerating is being stuck; sixteenths of a pixel a tick.
const CRAWL: u32 = 2;
/// Decisions of being stuck before backing off, and of backing off; 20 decisions a second.
const STUCK_AFTER: u32 = 40;
const BACK_OFF: u32 = 16;

/// An autopilot. Pilots of different seeds differ a little in line and pace, so that a field of
/// them spreads out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pilot {
    random: Random,
    /// Pixels right of the centre line.
    lane: i32,
    /// Of a hundred decisions, how many lift the foot.
    caution: u64,
    stuck: u32,
    backing: u32,
}

impl Pilot {
    /// A pilot whose ways follow from `seed`.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self {
            lane: random.below(25) as i32 - 12,
            caution: random.below(13),
            random,
            stuck: 0,
            backing: 0,
        }
    }

    /// The input until the next snapshot. Call it once a snapshot.
    pub fn drive(&mut self, track: &Track, car: &CarState) -> u32 {
        if car.finished {
            return 0;
        }
        if self.backing > 0 {
            self.backing -= 1;
            return BRAKE | LEFT;
        }
        self.stuck = match car.speed < CRAWL {
            true => self.stuck + 1,
            false => 0,
        };
        if self.stuck > STUCK_AFTER {
            self.stuck = 0;
            self.backing = BACK_OFF;
        }
        let turn = self.turn(track, car);
        let mut bits = 0;
        // 1/16 of a turn's sine either way is straight enough.
        if turn > 24 {
            bits |= RIGHT;
        } else if turn < -24 {
            bits |= LEFT;
        }
        let sharp = turn.abs() > 600 && car.speed > 8;
        if !sharp && self.random.below(100) >= self.caution {
            bits |= ACCELERATE;
        }
        bits
    }

    /// Sine of the angle to the point ahead, times 1024; what lies behind counts as a full turn
    /// of the wheel. Positive is to the right.
    fn turn(&self, track: &Track, car: &CarState) -> i32 {
        let place = Place {
            x: car.x as i32,
            y: car.y as i32,
        };
        let segment = track.locate(place, 0).segment;
        let ((x, y), _) = track.ahead(segment, LOOK_AHEAD, self.lane);
        let (dx, dy) = (i64::from(x * 16 - place.x), i64::from(y * 16 - place.y));
        let heading = (car.heading << 6) as u16;
        let (cos, sin) = (i64::from(trig::cos(heading)), i64::from(trig::sin(heading)));
        let distance = (dx * dx + dy * dy).isqrt().max(1);
        let sine = (cos * dy - sin * dx) * 1024 / (distance * i64::from(trig::ONE));
        let behind = cos * dx + sin * dy < 0;
        match behind {
            true if sine >= 0 => 1024,
            true => -1024,
            false => sine as i32,
        }
    }
}
