//! The proof of room ownership: both machines of `syncd::ownership`, driven through thousands of
//! worlds in virtual time, each drawn from one seed.
//!
//! `PIXELRUSH_SIM_SEED=n` runs one seed and tells what happens; `PIXELRUSH_SIM_SEEDS=n` runs so
//! many. `cargo xtask sim` is the long run.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

// The name that other crates know this one by.
extern crate pixelrush_syncd as syncd;

#[path = "ownership/faults.rs"]
mod faults;
#[path = "ownership/history.rs"]
mod history;
#[path = "ownership/hosted.rs"]
mod hosted;
#[path = "ownership/losses.rs"]
mod losses;
#[path = "ownership/moves.rs"]
mod moves;
#[path = "ownership/mutation.rs"]
mod mutation;
#[path = "ownership/node.rs"]
mod node;
#[path = "ownership/observer.rs"]
mod observer;
#[path = "ownership/store.rs"]
mod store;
#[path = "ownership/toy.rs"]
mod toy;
#[path = "ownership/wire.rs"]
mod wire;
#[path = "ownership/world.rs"]
mod world;

use std::time::Instant;

use history::Counts;
use mutation::Mutation;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

#[test]
fn ownership_holds_under_faults() {
    if let Some(seed) = number("PIXELRUSH_SIM_SEED") {
        let outcome = world::run(seed, None, true);
        println!("{outcome:#?}");
        assert!(outcome.violation.is_none(), "seed {seed}");
        return;
    }
    let seeds = number("PIXELRUSH_SIM_SEEDS").unwrap_or(2000);
    let start = Instant::now();
    let mut total = Counts::default();
    let mut failed = Vec::new();
    for seed in 0..seeds {
        let outcome = world::run(seed, None, false);
        total.add(&outcome.counts);
        if let Some(violation) = outcome.violation {
            println!("seed {seed}: {}: {}", violation.invariant, violation.what);
            failed.push(seed);
        }
    }
    let minutes = start.elapsed().as_secs_f64() / 60.0;
    println!("{total:?}");
    println!("{:.0} seeds a minute", seeds as f64 / minutes);
    assert!(
        failed.is_empty(),
        "{} of {seeds} seeds; the first again: PIXELRUSH_SIM_SEED={}",
        failed.len(),
        failed[0],
    );
}

#[test]
fn every_mutation_is_found() {
    for mutation in Mutation::ALL {
        let found = (0..3000).find_map(|seed| {
            let violation = world::run(seed, Some(mutation), false).violation?;
            Some((seed, violation))
        });
        match found {
            Some((seed, violation)) => println!(
                "{mutation:?}: seed {seed}, {}: {}",
                violation.invariant, violation.what
            ),
            None => println!("{mutation:?}: not found"),
        }
    }
}
