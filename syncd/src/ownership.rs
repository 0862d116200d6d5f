//! Who runs a room, and what may be told of it: rooms outlive their node.
//!
//! Pure, proven by a simulation (`tests/ownership`):
//! - [`journal`]: the owner's end of its journal
//! - [`claims`]: taking over the rooms of nodes that are gone
//!
//! Around it:
//! - [`entry`]: what is written, and how a room is restored from it
//! - `writer`: the task that writes a journal
//! - `tenure`: this node's incarnation, and what is said of its rooms in the store
//! - `claimer`: the task that takes rooms over
//! - `handover`: rooms of a node that goes away, given to others
//! - `moves`: rooms that are on the move, by one way at a time
//! - `term`: one incarnation after the other; `again`: what is said again after the store lost it

pub mod claims;
pub mod entry;
pub mod journal;

pub(crate) mod again;
pub(crate) mod claimer;
pub(crate) mod handover;
pub(crate) mod moves;
pub(crate) mod tenure;
pub(crate) mod term;
pub(crate) mod writer;
