//! Where a matcher can be told to die: between any two steps of a claim, and of a seat that is
//! confirmed.

use chassis::faults::Point;

/// Matches are proposed; nothing is claimed.
pub(crate) const BEFORE_CLAIM: Point = Point("matcher.claim.before");
/// Their tickets are claimed; no room is asked for.
pub(crate) const AFTER_CLAIM: Point = Point("matcher.claim.after");
/// A node has made the room; the matcher has not heard it.
pub(crate) const AFTER_ROOM: Point = Point("matcher.room.after");
/// Rooms are there; the store is not asked to settle.
pub(crate) const BEFORE_SETTLE: Point = Point("matcher.settle.before");
/// The matches stand; the matcher has not heard it.
pub(crate) const AFTER_SETTLE: Point = Point("matcher.settle.after");
/// The matches stand; no player is told.
pub(crate) const BEFORE_TELLING: Point = Point("matcher.tell.before");
/// The first player of a match is in it by what this matcher knows; the others are not.
pub(crate) const AMID_TELLING: Point = Point("matcher.tell.amid");

/// A seat was reserved; the player has not heard it.
pub(crate) const AFTER_RESERVE: Point = Point("matcher.seat.reserve.after");
/// A seat is to be confirmed; the store has not heard it.
pub(crate) const BEFORE_BEGIN: Point = Point("matcher.seat.begin.before");
/// The store keeps the seat; the ledger has not heard it.
pub(crate) const BEFORE_BOOK: Point = Point("matcher.seat.book.before");
/// The ledger has the seat; the player has not heard it.
pub(crate) const AFTER_BOOK: Point = Point("matcher.seat.book.after");
/// The player was told; the store has not heard that the seat is confirmed.
pub(crate) const BEFORE_NOTE: Point = Point("matcher.seat.settle.before");
/// The store has heard it.
pub(crate) const AFTER_NOTE: Point = Point("matcher.seat.settle.after");

/// All of them, for tests that visit every one.
pub const POINTS: [Point; 13] = [
    BEFORE_CLAIM,
    AFTER_CLAIM,
    AFTER_ROOM,
    BEFORE_SETTLE,
    AFTER_SETTLE,
    BEFORE_TELLING,
    AMID_TELLING,
    AFTER_RESERVE,
    BEFORE_BEGIN,
    BEFORE_BOOK,
    AFTER_BOOK,
    BEFORE_NOTE,
    AFTER_NOTE,
];
