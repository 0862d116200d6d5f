//! Measures what `docs/BENCHMARKS.md` states: `cargo xtask bench [memory] [echo] [accept] [pool]
//! [matching] [million] [seats]`.
//!
//! The server, the reference and the generator are processes of their own. What is compared is
//! the processor time that a server takes for an operation, not how fast it answers: wall time
//! on a shared machine says more about the neighbours.
//!
//! - `memory`, `echo`, `accept`, `pool`, `seats`: one measurement each; `matching`: two, of a matcher
//!   on Redis
//! - `bare`: the reference, an epoll loop with nothing around it
//! - `server`: starts processes, reads their processor time and memory
//! - `session`: a logged-in client; `wire`: frames and handshakes by hand; `poller`: epoll
//! - `report`: tables and JSON

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};

use report::Report;
use server::{Cores, Launcher};

mod accept;
mod bare;
mod echo;
mod matching;
mod memory;
mod poller;
mod pool;
mod report;
mod seats;
mod server;
mod session;
mod wire;

const USAGE: &str = "\
usage: bench [memory] [echo] [accept] [pool] [matching] [million] [seats] [--rounds N] [--rate N]

Measures the server that lies beside this program (build it with --release), and the pool of
connections to Postgres, which it starts. Without a name memory, echo, accept and pool run; matching
injects --rate tickets a second. Results are printed, and written to target/bench/results.json.
";

/// Rounds of `echo` and `accept`, each on both servers. An odd number has a median of its own.
const ROUNDS: usize = 25;

/// Tickets a second in `matching`.
const RATE: u64 = 20_000;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
enum BenchError {
    #[error("cannot start a server")]
    Start(#[from] pixelrush_e2e::process::StartError),
    #[error("cannot {what}")]
    System {
        what: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("the database failed")]
    Database(#[from] chassis::postgres::PoolError),
    #[error("cannot {what}: {reason}")]
    Failed { what: &'static str, reason: String },
    #[error("the server answered {what} with {answer:?}")]
    Answer { what: &'static str, answer: String },
}

/// What one server did in one round.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Processor time of the server for each operation, in microseconds.
    micros: f64,
    /// Operations a second by the wall clock.
    rate: f64,
}

/// One round on both servers, one right after the other.
#[derive(Debug, Clone, Copy)]
struct Pair {
    gateway: Sample,
    bare: Sample,
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Bare,
    Measure {
        which: Vec<Which>,
        rounds: usize,
        rate: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Memory,
    Echo,
    Accept,
    Pool,
    Matching,
    Million,
    Seats,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match parse(&arguments) {
        None => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
        Some(Wanted::Bare) => bare::serve().map_err(system("serve")),
        Some(Wanted::Measure {
            which,
            rounds,
            rate,
        }) => measure(&which, rounds, rate),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            eprintln!("bench: {text}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Option<Wanted> {
    if arguments == ["bare"] {
        return Some(Wanted::Bare);
    }
    let (mut which, mut rounds, mut rate) = (Vec::new(), ROUNDS, RATE);
    let mut words = arguments.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "memory" => which.push(Which::Memory),
            "echo" => which.push(Which::Echo),
            "accept" => which.push(Which::Accept),
            "pool" => which.push(Which::Pool),
            "matching" => which.push(Which::Matching),
            "million" => which.push(Which::Million),
            "--rate" => rate = words.next()?.parse().ok().filter(|&rate| rate > 0)?,
            "seats" => which.push(Which::Seats),
            "--rounds" => rounds = words.next()?.parse().ok().filter(|&rounds| rounds > 0)?,
            _ => return None,
        }
    }
    if which.is_empty() {
        which = vec![Which::Memory, Which::Echo, Which::Accept, Which::Pool];
    }
    Some(Wanted::Measure {
        which,
        rounds,
        rate,
    })
}

fn measure(which: &[Which], rounds: usize, rate: u64) -> Result<(), BenchError> {
    // Thousands of sockets here; the servers inherit it.
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)
        .map_err(|error| system("raise the file limit")(error.into()))?;
    let cores = Cores::split().map_err(system("pin to a core"))?;
    let launcher = Launcher::new(cores).map_err(system("make target/bench"))?;
    let mut report = Report::new(&launcher);
    for which in which {
        match which {
            Which::Memory => report.memory(&memory::measure(&launcher)?),
            Which::Echo => report.echo(&echo::measure(&launcher, rounds)?),
            Which::Accept => report.accept(&accept::measure(&launcher, rounds)?),
            Which::Pool => report.pool(&launcher.on_all_cores(pool::measure)?),
            Which::Matching => report.matching(&matching::measure(&launcher, rate)?),
            Which::Million => report.million(&matching::million(&launcher)?),
            Which::Seats => report.seats(&seats::measure(&launcher, rounds)?),
        }
    }
    let path = launcher.folder().join("results.json");
    report.write(&path).map_err(system("write the results"))?;
    println!("written to {}", path.display());
    Ok(())
}

impl Sample {
    fn of(spent: Duration, operations: u64, took: Duration) -> Self {
        let operations = operations as f64;
        Self {
            micros: spent.as_secs_f64() * 1e6 / operations,
            rate: operations / took.as_secs_f64(),
        }
    }
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> BenchError {
    move |source| BenchError::System { what, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Option<Wanted> {
        parse(
            &line
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn without_a_name_everything_is_measured() {
        let which = vec![Which::Memory, Which::Echo, Which::Accept, Which::Pool];
        assert_eq!(
            parsed(""),
            Some(Wanted::Measure {
                which,
                rounds: ROUNDS,
                rate: RATE,
            })
        );
        let which = vec![Which::Echo];
        assert_eq!(
            parsed("echo --rounds 3"),
            Some(Wanted::Measure {
                which,
                rounds: 3,
                rate: RATE,
            })
        );
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for line in ["ecko", "echo --rounds", "echo --rounds 0", "bare echo"] {
            assert_eq!(parsed(line), None, "{line}");
        }
    }
}
