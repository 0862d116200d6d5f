//! Project automation. `cargo xtask` lists the commands.

mod bench;
mod browser;
mod install;
mod run;

use std::env;
use std::process::ExitCode;

use run::{Failed, cargo};

const USAGE: &str = "\
usage: cargo xtask <command>

  test       install what tests need, then run them all: format, lints, unit, conformance,
             end to end, browser
  browser    only the page and the client library in a real browser
  bench      measure what docs/BENCHMARKS.md states (release build, some minutes)
             bench survive [syncd gateway drain cuts sessions journal]: what players see of a
             failure on a shared Redis, and what surviving costs
  freeze     measure how long players see nothing when their gateway dies [PLAYERS]
  chaos      everything fails while players race, by seed: [--seeds N] [--seed S] [--players P]
             [--faults F] [--redis single|sentinel|cluster] [--seats N (0: no Postgres)];
             reports in target/chaos
  points     a process dies between any two steps of a seat, a claim and a result, once each
             (ten minutes)
  sim        the simulation of room ownership, in release mode, for so many SEEDS (100000)
  fuzz       fuzz the protocol (needs a nightly toolchain and cargo-fuzz), for SECONDS (60)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["test"] => test(),
        ["browser"] => browser::test(),
        ["bench", "survive", rest @ ..] => bench::run("survive", rest),
        ["bench", rest @ ..] => bench::run("bench", rest),
        ["freeze", rest @ ..] => bench::run("freeze", rest),
        ["chaos", rest @ ..] => bench::run("chaos", rest),
        ["points"] => cargo(&["test", "--package", "pixelrush", "--test", "points"]),
        ["sim", rest @ ..] => sim(rest),
        ["fuzz", rest @ ..] => fuzz(rest),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("xtask: {failed}");
            ExitCode::FAILURE
        }
    }
}

fn test() -> Result<(), Failed> {
    install::programs()?;
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ])?;
    cargo(&["build", "--package", "pixelrush"])?;
    cargo(&["test", "--workspace"])?;
    browser::test()
}

fn sim(rest: &[&str]) -> Result<(), Failed> {
    let seeds = rest.first().copied().unwrap_or("100000");
    let test = [
        "test",
        "--release",
        "--package",
        "pixelrush-syncd",
        "--test",
        "ownership",
        "--",
        "--nocapture",
    ];
    run::command("cargo", &test)
        .env("PIXELRUSH_SIM_SEEDS", seeds)
        .run()
}

fn fuzz(rest: &[&str]) -> Result<(), Failed> {
    let seconds = rest.first().copied().unwrap_or("60");
    let limit = format!("-max_total_time={seconds}");
    for target in ["frame", "control", "machines"] {
        run::command("cargo", &["+nightly", "fuzz", "run", target, "--", &limit])
            .inside("shared/protocol")
            .run()?;
    }
    Ok(())
}
