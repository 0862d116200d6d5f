//! `match-sim`: `pixelrush match-sim` as a program of its own, which is built much sooner.

use std::process::ExitCode;

use clap::Parser;
use pixelrush_match_sim::command::{self, Options};

/// The matcher's pairing over a population in virtual time.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    command::run(&Cli::parse().options)
}
