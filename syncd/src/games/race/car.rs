//! One car: fixed-point motion with a little drift.

use serde::{Deserialize, Serialize};

use super::track::Place;
use super::trig::{self, ONE};

/// Input bits.
pub(crate) const ACCELERATE: u32 = 1;
pub(crate) const BRAKE: u32 = 2;
pub(crate) const LEFT: u32 = 4;
pub(crate) const RIGHT: u32 = 8;

/// One pixel, in the unit of positions; one pixel a tick, in the unit of velocities.
pub(crate) const PIXEL: i32 = 4096;
/// Of the circle that pushes other cars.
const RADIUS: i32 = 6 * PIXEL;

/// Velocity that the engine adds each tick.
const ENGINE: i32 = 42;
const BRAKES: i32 = 90;
const REVERSE: i32 = 50;
/// Rolling resistance when nobody accelerates; without it a car would creep for ever.
const ROLLING: i32 = 10;
/// A 128th of the velocity goes each tick on the road: about 1.3 px a tick at most.
const ROAD_DRAG: i32 = 128;
/// So much more goes beside it.
const GRASS_DRAG: i32 = 40;
/// A tenth of the sideways velocity goes each tick: that is the drift.
const GRIP: i32 = 10;
const GRASS_GRIP: i32 = 16;
/// Turn each tick at speed, of 65,536 to the full turn.
const TURN: i32 = 440;
/// Velocity from which the wheel has its whole effect.
const FULL_TURN_AT: i32 = PIXEL / 2;

/// A car's motion. Positions in 1/4096 px, velocities in 1/4096 px a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Car {
    pub(crate) x: i32,
    pub(crate) y: i32,
    pub(crate) vx: i32,
    pub(crate) vy: i32,
    /// 65,536 to the turn, 0 to the right, clockwise.
    pub(crate) heading: u16,
}

impl Car {
    pub(crate) fn at((x, y): (i32, i32), heading: u16) -> Self {
        Self {
            x: x * PIXEL,
            y: y * PIXEL,
            vx: 0,
            vy: 0,
            heading,
        }
    }

    pub(crate) fn place(&self) -> Place {
        Place {
            x: self.x >> 8,
            y: self.y >> 8,
        }
    }

    /// Speed in sixteenths of a pixel a tick.
    pub(crate) fn speed(&self) -> u32 {
        ((self.vx * self.vx + self.vy * self.vy).isqrt() >> 8) as u32
    }

    /// Goes one tick on.
    pub(crate) fn drive(&mut self, bits: u32, on_road: bool, size: (i32, i32)) {
        let (cos, sin) = (trig::cos(self.heading), trig::sin(self.heading));
        let mut forward = (self.vx * cos + self.vy * sin) / ONE;
        let mut side = (self.vy * cos - self.vx * sin) / ONE;

        forward += engine(forward, bits);
        forward -= forward / ROAD_DRAG;
        if !on_road {
            forward -= forward / GRASS_DRAG;
        }
        side -= side / if on_road { GRIP } else { GRASS_GRIP };
        self.steer(forward, bits);

        self.vx = (forward * cos - side * sin) / ONE;
        self.vy = (forward * sin + side * cos) / ONE;
        self.x += self.vx;
        self.y += self.vy;
        self.stay_inside(size);
    }

    fn steer(&mut self, forward: i32, bits: u32) {
        let wheel = i32::from(bits & RIGHT != 0) - i32::from(bits & LEFT != 0);
        let effect = forward.clamp(-FULL_TURN_AT, FULL_TURN_AT);
        let turn = wheel * TURN * effect / FULL_TURN_AT;
        self.heading = self.heading.wrapping_add_signed(turn as i16);
    }

    fn stay_inside(&mut self, (width, height): (i32, i32)) {
        let x = self.x.clamp(RADIUS, width * PIXEL - RADIUS);
        let y = self.y.clamp(RADIUS, height * PIXEL - RADIUS);
        if x != self.x {
            self.vx = 0;
        }
        if y != self.y {
            self.vy = 0;
        }
        (self.x, self.y) = (x, y);
    }
}

/// What the pedals add to the forward velocity.
fn engine(forward: i32, bits: u32) -> i32 {
    if bits & BRAKE != 0 {
        // Backwards a car is slow: its drag is four times that of driving forward.
        return match forward {
            1.. => -BRAKES.min(forward),
            _ => -REVERSE - forward / 32,
        };
    }
    if bits & ACCELERATE != 0 {
        return ENGINE;
    }
    -forward.clamp(-ROLLING, ROLLING)
}

/// Two cars that overlap are pushed apart, and what they approach each other with is shared.
pub(crate) fn collide(one: &mut Car, other: &mut Car) {
    let (dx, dy) = (i64::from(other.x - one.x), i64::from(other.y - one.y));
    let reach = i64::from(2 * RADIUS);
    let squared = dx * dx + dy * dy;
    if squared >= reach * reach {
        return;
    }
    let distance = squared.isqrt();
    // Exactly on top of each other there is no direction: the lower seat goes left.
    let (nx, ny) = match distance {
        0 => (i64::from(ONE), 0),
        distance => (
            dx * i64::from(ONE) / distance,
            dy * i64::from(ONE) / distance,
        ),
    };
    let one_unit = i64::from(ONE);
    let push = (reach - distance) / 2;
    let (px, py) = ((nx * push / one_unit) as i32, (ny * push / one_unit) as i32);
    one.x -= px;
    one.y -= py;
    other.x += px;
    other.y += py;
    let approach =
        (i64::from(one.vx - other.vx) * nx + i64::from(one.vy - other.vy) * ny) / one_unit;
    if approach <= 0 {
        return;
    }
    // Three quarters of the approach change hands: between a dead and a full bounce.
    let impulse = approach * 3 / 4;
    let (ix, iy) = (
        (nx * impulse / one_unit) as i32,
        (ny * impulse / one_unit) as i32,
    );
    one.vx -= ix;
    one.vy -= iy;
    other.vx += ix;
    other.vy += iy;
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORLD: (i32, i32) = (640, 400);

    fn after(mut car: Car, ticks: u32, bits: u32, on_road: bool) -> Car {
        (0..ticks).for_each(|_| car.drive(bits, on_road, WORLD));
        car
    }

    #[test]
    fn a_car_gathers_speed_and_coasts_to_a_stop() {
        let fast = after(Car::at((20, 200), 0), 300, ACCELERATE, true);
        assert!((18..24).contains(&fast.speed()), "{}", fast.speed());
        let stopped = after(
            Car {
                x: 20 * PIXEL,
                ..fast
            },
            600,
            0,
            true,
        );
        assert_eq!((stopped.vx, stopped.vy), (0, 0));
    }

    #[test]
    fn grass_is_slow() {
        let slow = after(Car::at((20, 200), 0), 300, ACCELERATE, false);
        assert!(slow.speed() < 8, "{}", slow.speed());
    }

    #[test]
    fn right_is_clockwise_and_a_standing_car_does_not_turn() {
        assert_eq!(after(Car::at((20, 200), 0), 60, RIGHT, true).heading, 0);
        let right = after(Car::at((20, 200), 0), 60, ACCELERATE | RIGHT, true);
        assert!(right.y > 200 * PIXEL && right.heading < 1 << 15);
    }

    #[test]
    fn braking_ends_in_slow_reverse() {
        let fast = after(Car::at((20, 200), 0), 200, ACCELERATE, true);
        let back = after(fast, 200, BRAKE, true);
        assert!(back.vx < 0 && back.speed() < 9, "{back:?}");
    }

    #[test]
    fn cars_push_each_other_apart_and_keep_their_momentum() {
        let mut one = after(Car::at((100, 200), 0), 100, ACCELERATE, true);
        let mut other = Car::at((one.x / PIXEL + 8, 200), 0);
        let before = one.vx;
        collide(&mut one, &mut other);
        assert!(other.x - one.x >= 2 * RADIUS - 2);
        assert!(other.vx > 0 && one.vx + other.vx == before);
    }

    #[test]
    fn the_world_has_an_edge() {
        let edge = after(Car::at((600, 200), 0), 600, ACCELERATE, true);
        assert!(edge.x <= 640 * PIXEL - RADIUS);
    }
}
