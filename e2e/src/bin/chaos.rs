//! The long chaos run: `cargo xtask chaos [--seeds N] [--seed S] [--players P] [--faults F]
//! [--redis single|sentinel|cluster]`.
//!
//! Each seed is a run of its own: a fleet, a Redis, a crowd, and faults drawn from the seed. What
//! came of it is in `target/chaos/seed-S-REDIS/`; of a run that broke a rule with all logs and
//! histories. It ends with a failure if any run broke a rule.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use pixelrush_e2e::chaos::{self, ChaosOptions, Report};
use pixelrush_e2e::fleet::FleetOptions;
use pixelrush_e2e::store::StoreKind;

const USAGE: &str = "usage: chaos [--seeds N] [--seed S] [--players P] [--faults F] \
                     [--redis single|sentinel|cluster] [--seats N (0: no Postgres)] [--basics]";

struct Arguments {
    first: u64,
    seeds: u64,
    players: u64,
    faults: usize,
    store: StoreKind,
    /// Seats of the event that is sold meanwhile, out of a Postgres; none: there is no Postgres.
    seats: Option<u32>,
    /// Not drawn: every process once, as in the tests.
    basics: bool,
}

fn main() -> ExitCode {
    let Some(arguments) = Arguments::parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("chaos: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut failed = Vec::new();
    for seed in arguments.first..arguments.first + arguments.seeds {
        println!("seed {seed}");
        match runtime.block_on(run(&arguments, seed)) {
            Ok(report) => {
                println!("{}", report.text());
                if report.has_failed() {
                    failed.push(seed);
                }
            }
            Err(error) => {
                println!("seed {seed}: {error}");
                failed.push(seed);
            }
        }
    }
    match failed.as_slice() {
        [] => ExitCode::SUCCESS,
        seeds => {
            println!("rules were broken with the seeds {seeds:?}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments, seed: u64) -> Result<Report, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let binary = program.with_file_name("pixelrush");
    let folder = folder(&program, seed, arguments.store);
    // A run of that seed before this one.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let fleet = FleetOptions::new(String::new());
    let faults = match arguments.basics {
        true => chaos::basics(&fleet),
        false => {
            let database = arguments.seats.is_some();
            chaos::draw(seed, arguments.faults, &fleet, arguments.store, database)
        }
    };
    let options = ChaosOptions {
        seed,
        players: arguments.players,
        store: arguments.store,
        seats: arguments.seats,
        proxies: true,
        faults,
    };
    let mut tell = |line: &str| println!("{line}");
    let report = chaos::run(&binary, &folder, &options, &mut tell).await?;
    if report.has_failed() {
        println!("logs and histories are in {}", folder.display());
    }
    Ok(report)
}

fn folder(program: &Path, seed: u64, store: StoreKind) -> PathBuf {
    let target = program.ancestors().nth(2).unwrap_or(Path::new("."));
    let name = format!("seed-{seed}-{store:?}").to_lowercase();
    target.join("chaos").join(name)
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let mut parsed = Self {
            first: fresh_seed(),
            seeds: 1,
            players: 200,
            faults: 20,
            store: StoreKind::Single,
            seats: Some(500),
            basics: false,
        };
        while let Some(word) = words.next() {
            if word == "--basics" {
                parsed.basics = true;
                continue;
            }
            let value = words.next()?;
            match word.as_str() {
                "--seed" => parsed.first = value.parse().ok()?,
                "--seeds" => parsed.seeds = value.parse().ok()?,
                "--players" => parsed.players = value.parse().ok()?,
                "--faults" => parsed.faults = value.parse().ok()?,
                "--seats" => {
                    parsed.seats = value
                        .parse()
                        .ok()
                        .map(|seats| (seats > 0).then_some(seats))?
                }
                "--redis" => {
                    parsed.store = match value.as_str() {
                        "single" => StoreKind::Single,
                        "sentinel" => StoreKind::Sentinel,
                        "cluster" => StoreKind::Cluster,
                        _ => return None,
                    };
                }
                _ => return None,
            }
        }
        (parsed.players > 0 && parsed.players.is_multiple_of(8)).then_some(parsed)
    }
}

/// One that has hardly been run before; it is printed.
fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(1, |since| since.as_secs() % 1_000_000)
}
