//! What the protocol promises, proved from outside of the crate.
//!
//! - `vectors`: `vectors.json` says what the code does
//! - `wire`: client, gateway and origin over a bad wire: everything takes effect once
//! - `bounds`: no input panics, none is answered at length

// All of this is tests, also what is outside of a `#[test]` function.
#![allow(clippy::unwrap_used)]

// The name under which everyone else in the workspace has it.
extern crate pixelrush_protocol as protocol;

mod bounds;
mod vectors;
mod wire;
