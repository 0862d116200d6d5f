//! Who runs a room, and what may be told of it: rooms outlive their node.
//!
//! Pure, proven by a simulation (`tests/ownership`):
//! - [`journal`]: the owner's end of its journal
//! - [`claims`]: taking over the rooms of nodes that are gone
//!
//! Around it:

pub mod claims;
pub mod journal;
