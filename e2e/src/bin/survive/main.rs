//! Measures what players see when parts of a deployment on a shared Redis fail, and what surviving
//! costs: `cargo xtask bench survive [WHAT…]`.
//!
//! | what | measures |
//! | --- | --- |
//! | `syncd` | freezes when a syncd is killed, and how fast its rooms are taken over |
//! | `gateway` | freezes when a gateway is killed, stopped, cut off, drained |
//! | `drain` | freezes when a syncd with 500 races is drained |
//! | `cuts` | how many of 10,000 lost connections resume, and what is lost with them |
//! | `sessions` | how long 19,000 sessions of a killed gateway take to resume on another |
//! | `journal` | the processor time that the journal costs |
//!
//! Tables go to standard output, in the form of docs/BENCHMARKS.md.

mod cuts;
mod drain;
mod gateway;
mod journal;
mod sessions;
mod stage;
mod syncd;

use std::process::ExitCode;

/// All of it, in order.
const ALL: [&str; 6] = ["syncd", "gateway", "drain", "cuts", "sessions", "journal"];

fn main() -> ExitCode {
    let mut wanted: Vec<String> = std::env::args().skip(1).collect();
    if wanted.is_empty() {
        wanted = ALL.map(str::to_owned).to_vec();
    }
    if let Some(unknown) = wanted.iter().find(|what| !ALL.contains(&what.as_str())) {
        eprintln!("survive: no {unknown:?}; there are {}", ALL.join(", "));
        return ExitCode::from(2);
    }
    if cfg!(debug_assertions) {
        eprintln!("survive: figures of a debug build say nothing");
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("survive: {error}");
            return ExitCode::FAILURE;
        }
    };
    for what in &wanted {
        let outcome = match what.as_str() {
            "syncd" => runtime.block_on(syncd::measure()),
            "gateway" => runtime.block_on(gateway::measure()),
            "drain" => runtime.block_on(drain::measure()),
            "cuts" => runtime.block_on(cuts::measure()),
            "sessions" => runtime.block_on(sessions::measure()),
            _ => runtime.block_on(journal::measure()),
        };
        if let Err(failure) = outcome {
            eprintln!("survive: {what}: {failure}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
