//! What every implementation of the traits must do. Each suite takes an empty store and panics,
//! with the behaviour that is missing, when it does not do it. They are part of the library, not
//! of one crate's tests, so that an implementation anywhere can run them.

pub mod journals;
pub mod leases;
pub mod placements;
pub mod players;
pub mod results;
pub mod seats;
pub mod tapes;
