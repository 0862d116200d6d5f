//! The track: a closed centre line with a width.

use serde::{Deserialize, Serialize};

/// Points of the centre line between two checkpoints.
const GATE_STRIDE: usize = 4;

/// A place in sixteenths of a pixel, x to the right, y down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// To the right.
    pub x: i32,
    /// Down.
    pub y: i32,
}

/// A track, as clients get it in the room's setup. Pixels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Track {
    /// Its name.
    pub name: String,
    /// The world's width and height.
    pub size: (i32, i32),
    /// Of the road.
    pub width: i32,
    /// The closed centre line, in driving direction; the first point is on the start line.
    pub points: Vec<(i32, i32)>,
}

/// Where on the track something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// The nearest segment of the centre line, which starts at the point of the same index.
    pub segment: usize,
    /// Whether it is on the road there.
    pub on_road: bool,
}

impl Track {
    /// The track that there is so far: 1414 px long, about 20 s a lap.
    pub fn harbour() -> Self {
        const CORNERS: [(i32, i32); 15] = [
            (310, 346),
            (450, 342),
            (548, 308),
            (570, 222),
            (508, 160),
            (420, 172),
            (352, 206),
            (282, 178),
            (262, 104),
            (196, 60),
            (112, 70),
            (66, 140),
            (58, 226),
            (82, 310),
            (160, 344),
        ];
        Self {
            name: "Harbour".to_owned(),
            size: (640, 400),
            width: 56,
            points: smooth(&CORNERS),
        }
    }

    /// The point with index `index`, counted around and around.
    pub fn point(&self, index: usize) -> (i32, i32) {
        self.points[index % self.points.len()]
    }

    /// Where `place` is. `hint` is the segment where it was before: on the road only the
    /// neighbourhood is searched.
    pub fn locate(&self, place: Place, hint: usize) -> Located {
        let count = self.points.len();
        let near = (0..4).map(|step| (hint + count + step - 1) % count);
        let found = self.nearest(place, near);
        if found.on_road {
            return found;
        }
        self.nearest(place, 0..count)
    }

    fn nearest(&self, place: Place, segments: impl Iterator<Item = usize>) -> Located {
        let half = i64::from(self.width) * 16 / 2;
        let distances = segments.map(|segment| (self.distance_squared(place, segment), segment));
        let (distance, segment) = distances.min().unwrap_or((i64::MAX, 0));
        Located {
            segment,
            on_road: distance <= half * half,
        }
    }

    fn distance_squared(&self, place: Place, segment: usize) -> i64 {
        let (a, b) = (self.point(segment), self.point(segment + 1));
        let (dx, dy) = (i64::from(b.0 - a.0), i64::from(b.1 - a.1));
        let (wx, wy) = (i64::from(place.x - a.0 * 16), i64::from(place.y - a.1 * 16));
        let length_squared = (dx * dx + dy * dy).max(1);
        let along = (wx * dx + wy * dy).clamp(0, length_squared * 16);
        let (ex, ey) = (
            wx - dx * along / length_squared,
            wy - dy * along / length_squared,
        );
        ex * ex + ey * ey
    }

    /// How many checkpoints there are; checkpoint 0 is the start line.
    pub fn gates(&self) -> usize {
        self.points.len() / GATE_STRIDE
    }

    /// Checkpoint `gate`'s middle and the direction that it is passed in.
    fn gate(&self, gate: usize) -> ((i32, i32), (i64, i64)) {
        let index = gate * GATE_STRIDE;
        let (before, after) = (
            self.point(index + self.points.len() - 1),
            self.point(index + 1),
        );
        let direction = (i64::from(after.0 - before.0), i64::from(after.1 - before.1));
        (self.point(index), direction)
    }

    /// Whether a move passes checkpoint `gate` forward, on the road or within a road's width
    /// beside it.
    pub fn passes_gate(&self, gate: usize, from: Place, to: Place) -> bool {
        let (middle, (dx, dy)) = self.gate(gate);
        let relative = |place: Place| {
            (
                i64::from(place.x - middle.0 * 16),
                i64::from(place.y - middle.1 * 16),
            )
        };
        let along = |(x, y): (i64, i64)| x * dx + y * dy;
        let (from, to) = (relative(from), relative(to));
        if along(from) >= 0 || along(to) < 0 {
            return false;
        }
        let across = to.0 * dy - to.1 * dx;
        let reach = i64::from(self.width) * 16 * 3 / 2;
        across * across <= reach * reach * (dx * dx + dy * dy)
    }

    /// Square of the distance from `place` to the middle of checkpoint `gate`.
    pub fn gate_distance_squared(&self, gate: usize, place: Place) -> i64 {
        let ((x, y), _) = self.gate(gate);
        let (dx, dy) = (i64::from(place.x - x * 16), i64::from(place.y - y * 16));
        dx * dx + dy * dy
    }

    /// The point `ahead` pixels along the centre line from the start of `segment` (behind, if
    /// negative), `aside` pixels to its right, and the direction of the line there.
    pub fn ahead(&self, segment: usize, ahead: i32, aside: i32) -> ((i32, i32), (i32, i32)) {
        let count = self.points.len();
        let (mut index, mut left) = (segment % count, ahead);
        while left < 0 {
            index = (index + count - 1) % count;
            left += self.segment_length(index);
        }
        while left >= self.segment_length(index) {
            left -= self.segment_length(index);
            index = (index + 1) % count;
        }
        let (a, b) = (self.point(index), self.point(index + 1));
        let direction = (b.0 - a.0, b.1 - a.1);
        let length = self.segment_length(index);
        let x = a.0 + (direction.0 * left - direction.1 * aside) / length;
        let y = a.1 + (direction.1 * left + direction.0 * aside) / length;
        ((x, y), direction)
    }

    fn segment_length(&self, index: usize) -> i32 {
        let (a, b) = (self.point(index), self.point(index + 1));
        ((b.0 - a.0).pow(2) + (b.1 - a.1).pow(2)).isqrt().max(1)
    }
}

/// Four points for each corner, on a Catmull-Rom spline through the corners (Catmull, Rom: "A
/// class of local interpolating splines", 1974), in integers.
fn smooth(corners: &[(i32, i32)]) -> Vec<(i32, i32)> {
    const PARTS: i32 = 4;
    let count = corners.len();
    let corner = |index: usize| corners[index % count];
    let mut points = Vec::with_capacity(count * PARTS as usize);
    for index in 0..count {
        let [a, b, c, d] = [count - 1, 0, 1, 2].map(|offset| corner(index + offset));
        for t in 0..PARTS {
            points.push((
                spline([a.0, b.0, c.0, d.0], t, PARTS),
                spline([a.1, b.1, c.1, d.1], t, PARTS),
            ));
        }
    }
    points
}

fn spline([a, b, c, d]: [i32; 4], t: i32, parts: i32) -> i32 {
    let cubed = parts.pow(3);
    let sum = 2 * b * cubed
        + (c - a) * t * parts.pow(2)
        + (2 * a - 5 * b + 4 * c - d) * t.pow(2) * parts
        + (3 * b - a - 3 * c + d) * t.pow(3);
    sum.div_euclid(2 * cubed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place((x, y): (i32, i32)) -> Place {
        Place {
            x: x * 16,
            y: y * 16,
        }
    }

    #[test]
    fn the_centre_line_is_road_and_the_infield_is_not() {
        let track = Track::harbour();
        for (index, point) in track.points.iter().enumerate() {
            let located = track.locate(place(*point), index);
            assert!(located.on_road, "{point:?}");
        }
        assert!(!track.locate(place((160, 200)), 0).on_road);
        assert!(!track.locate(place((0, 0)), 17).on_road);
    }

    #[test]
    fn gates_are_passed_forward_and_near_the_road_only() {
        let track = Track::harbour();
        let (before, after) = (place((300, 346)), place((315, 346)));
        assert!(track.passes_gate(0, before, after));
        assert!(!track.passes_gate(0, after, before));
        assert!(!track.passes_gate(0, place((300, 200)), place((315, 200))));
        assert!(!track.passes_gate(1, before, after));
    }

    #[test]
    fn the_road_stays_in_the_world() {
        let track = Track::harbour();
        let half = track.width / 2;
        for (x, y) in &track.points {
            assert!((half..track.size.0 - half).contains(x));
            assert!((half..track.size.1 - half).contains(y));
        }
    }
}
