//! `pixelrush match-sim`: the real pairing code over a population, in virtual time.
//!
//! Everything follows from the scenario and its seed: the same ones give the same figures. What is
//! simulated is one matcher whose store takes no time; what is not is written in docs/MATCHING.md.
//!
//! - [`scenario`]: who plays when, from where, how well, and for how long; from a TOML file
//! - `random`: draws from distributions; `population`: who comes, drawn from the scenario
//! - [`world`]: a day of [`matcher::pairing::Queue`], from event to event
//! - [`trace`]: which tickets there were, and what became of each
//! - [`figures`]: what a trace says; `percentile`
//! - [`reference`]: how good it could have been with hindsight, at the same wait
//! - [`sweep`]: the trade-off between wait and spread, over settings of the window
//! - [`report`]: all of it as JSON; [`page`]: as one HTML page; `plot`: its drawings
//! - [`command`]: the command line

pub mod command;
pub mod figures;
pub mod page;
mod percentile;
mod plot;
mod population;
mod random;
pub mod reference;
pub mod report;
pub mod scenario;
pub mod sweep;
pub mod trace;
pub mod world;
