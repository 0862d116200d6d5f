//! The proof of room ownership: both machines of `syncd::ownership`, driven through thousands of
//! worlds in virtual time, each drawn from one seed.
//!
//! - `PIXELRUSH_SIM_SEED=n` runs one seed and tells what happens.
//! - `PIXELRUSH_SIM_SEEDS=n` runs so many; `cargo xtask sim n` does so in release mode.
//!
//! What a host does around the machines is in [`node`], [`rooms`], [`moves`] and [`again`]; what
//! the store promises in [`store`]; what must hold in [`history`]; what may be lost in [`losses`].

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

// The name that other crates know this one by.
extern crate pixelrush_syncd as syncd;

#[path = "ownership/again.rs"]
mod again;
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
#[path = "ownership/rooms.rs"]
mod rooms;
#[path = "ownership/store.rs"]
mod store;
#[path = "ownership/strikes.rs"]
mod strikes;
#[path = "ownership/toy.rs"]
mod toy;
#[path = "ownership/wire.rs"]
mod wire;
#[path = "ownership/world.rs"]
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use history::{Counts, Violation};
use mutation::Mutation;

/// Seeds of a run that says nothing else.
const SEEDS: u64 = 2_000;

/// Seeds within which a mutation is found, from [where the search begins](Mutation::first_seed).
const FOUND_WITHIN: u64 = 400;

/// And from the first seed of all, which is searched when a number of seeds is given.
const FOUND_BEFORE: u64 = 20_000;

#[test]
fn ownership_holds_under_faults() {
    if let Some(seed) = number("PIXELRUSH_SIM_SEED") {
        let outcome = world::run(seed, None, true);
        println!("{outcome:#?}");
        assert!(outcome.violation.is_none(), "seed {seed}");
        return;
    }
    let seeds = number("PIXELRUSH_SIM_SEEDS").unwrap_or(SEEDS);
    let start = Instant::now();
    let total = Mutex::new(Counts::default());
    let failed: Mutex<Vec<(u64, Violation)>> = Mutex::default();
    side_by_side(seeds, |seed| {
        let outcome = world::run(seed, None, false);
        total.lock().unwrap().add(&outcome.counts);
        if let Some(violation) = outcome.violation {
            failed.lock().unwrap().push((seed, violation));
        }
    });
    let minutes = start.elapsed().as_secs_f64() / 60.0;
    let total = total.into_inner().unwrap();
    println!("{total:?}");
    println!("{:.0} seeds a minute", seeds as f64 / minutes);
    let mut failed = failed.into_inner().unwrap();
    failed.sort_by_key(|(seed, _)| *seed);
    for (seed, violation) in &failed {
        println!("seed {seed}: {violation}");
    }
    if let Some((seed, _)) = failed.first() {
        let count = failed.len();
        panic!("{count} of {seeds} seeds; the first again: PIXELRUSH_SIM_SEED={seed}");
    }
    if seeds >= SEEDS {
        let missing = total.missing();
        assert!(
            missing.is_empty(),
            "did not happen in any world: {missing:?}"
        );
    }
}

/// What a seed shows can be looked at again, with a trace.
#[test]
fn a_seed_is_always_the_same_world() {
    for seed in 0..20 {
        let [first, again] = [(); 2].map(|()| world::run(seed, None, false));
        assert_eq!(first.counts, again.counts, "seed {seed}");
    }
}

/// A proof that finds nothing when a guard is gone proves nothing.
#[test]
fn every_mutation_is_found() {
    if number("PIXELRUSH_SIM_SEED").is_some() {
        return;
    }
    let is_long = number("PIXELRUSH_SIM_SEEDS").is_some();
    let missed: Mutex<Vec<Mutation>> = Mutex::default();
    side_by_side(Mutation::ALL.len() as u64, |index| {
        let mutation = Mutation::ALL[index as usize];
        let seeds = match is_long {
            true => 0..FOUND_BEFORE,
            false => mutation.first_seed()..mutation.first_seed() + FOUND_WITHIN,
        };
        let found = seeds.into_iter().find_map(|seed| {
            let violation = world::run(seed, Some(mutation), false).violation?;
            let is_its_own = world::run(seed, None, false).violation.is_none();
            is_its_own.then_some((seed, violation))
        });
        match found {
            Some((seed, violation)) => println!("{mutation:?}: seed {seed}: {violation}"),
            None => missed.lock().unwrap().push(mutation),
        }
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "not found: {missed:?}");
}

/// Runs `work` for each number below `count`, on all cores. Worlds know nothing of each other.
fn side_by_side(count: u64, work: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    work(number);
                }
            });
        }
    });
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}
