//! Where a syncd can be told to die: between any two steps of a result.

use chassis::faults::Point;

/// A game is over and its players know; its result is not recorded.
pub(crate) const BEFORE_RECORD: Point = Point("syncd.result.before");
/// The result is recorded; the room does not know.
pub(crate) const AFTER_RECORD: Point = Point("syncd.result.after");
/// The room is over; no matcher knows.
pub(crate) const BEFORE_END: Point = Point("syncd.end.before");
/// The matchers were told.
pub(crate) const AFTER_END: Point = Point("syncd.end.after");

/// All of them, for tests that visit every one.
pub const POINTS: [Point; 4] = [BEFORE_RECORD, AFTER_RECORD, BEFORE_END, AFTER_END];
