//! Seats of an event whose opening second has come: takers by four matcher processes, against the
//! bare script.
//!
//! Takers are sessions that are attached to the matchers over their gRPC, as by a gateway, before
//! the measurement; then each asks once. The bare script is what a matcher calls, on the same Redis,
//! by one raw connection on which calls are pipelined, one player a call.
//!
//! - `takers`: the sessions; `raw`: the connection

mod raw;
mod takers;

use std::collections::BTreeSet;
use std::time::Duration;

use pixelrush_e2e::process::Process;
use servers::RedisServer;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::server::{Launcher, processor_time};
use crate::{BenchError, system};
use raw::Raw;
use takers::Takers;

/// Seats, takers and matchers.
const SEATS: u64 = 200;
const TAKERS: u64 = 100_000;
const MATCHERS: usize = 4;

/// One round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    /// Answers a second, from the first question to the last answer, over the matchers.
    pub(crate) matchers: f64,
    /// From a question to its answer, in milliseconds: the median, and the last one.
    pub(crate) answered: (f64, f64),
    /// Processor time of a matcher for each, in microseconds.
    pub(crate) matcher_micros: f64,
    /// The same of Redis.
    pub(crate) redis_micros: f64,
    /// Calls a second of the bare script, and Redis' processor time for each.
    pub(crate) bare: f64,
    pub(crate) bare_micros: f64,
    /// From the first confirmation to the last of all seats, in milliseconds.
    pub(crate) confirmed_ms: f64,
}

/// Measures so many rounds, each on matchers and a Redis of its own.
pub(crate) fn measure(launcher: &Launcher, rounds: usize) -> Result<Vec<Round>, BenchError> {
    let cores = launcher.cores();
    cores.unpin().map_err(system("run on every core"))?;
    let runtime = Runtime::new().map_err(system("start a runtime"))?;
    (0..rounds)
        .map(|number| runtime.block_on(round(launcher, number)))
        .collect()
}

async fn round(launcher: &Launcher, number: usize) -> Result<Round, BenchError> {
    let redis = RedisServer::start();
    let data = launcher.folder().join(format!("seats-{number}"));
    let _ = std::fs::remove_dir_all(&data);
    let mut matchers = Vec::new();
    for number in 1..=MATCHERS {
        let settings = settings(number, &data.display().to_string());
        matchers.push(launcher.matcher(&redis.url(), &settings)?);
    }
    let share = TAKERS / MATCHERS as u64;
    let mut takers = Vec::new();
    for (number, matcher) in (0..).zip(&matchers) {
        let players = number * share + 1..(number + 1) * share + 1;
        takers.push(Takers::open(&matcher.url(), number, players).await?);
    }

    let before = (spent(&matchers)?, redis_spent(&redis));
    let began = Instant::now();
    let asking = takers.iter_mut().map(|takers| takers.ask("reserve", None));
    let answers = join_all(asking.collect()).await?;
    let took = began.elapsed();
    let after = (spent(&matchers)?, redis_spent(&redis));

    let held = seats(
        answers
            .iter()
            .flat_map(|answers| answers.held.iter().copied()),
    )?;
    let began = Instant::now();
    let confirming = takers.iter_mut().zip(&answers).map(|(takers, answers)| {
        takers.ask(
            "confirm",
            Some(answers.held.iter().map(|(player, _)| *player).collect()),
        )
    });
    let confirmed = join_all(confirming.collect()).await?;
    let confirmed_ms = began.elapsed().as_secs_f64() * 1000.0;
    let sold = seats(
        confirmed
            .iter()
            .flat_map(|answers| answers.held.iter().copied()),
    )?;
    if sold != held {
        return Err(wrong("what was reserved is not what was confirmed"));
    }

    let mut latencies: Vec<f64> = answers.iter().flat_map(|a| a.latencies.clone()).collect();
    latencies.sort_by(f64::total_cmp);
    // A second event, so that both sell 200 and refuse the rest.
    let mut raw = Raw::open(redis.port()).map_err(system("reach Redis"))?;
    let bare_before = redis_spent(&redis);
    let bare = raw
        .reserve(SEATS, TAKERS)
        .map_err(system("run the bare script"))?;
    let bare_spent = redis_spent(&redis) - bare_before;
    let each = |seconds: f64| seconds * 1e6 / TAKERS as f64;
    Ok(Round {
        matchers: TAKERS as f64 / took.as_secs_f64(),
        answered: (
            latencies[latencies.len() / 2],
            latencies[latencies.len() - 1],
        ),
        matcher_micros: each(after.0 - before.0),
        redis_micros: each(after.1 - before.1),
        bare: TAKERS as f64 / bare.as_secs_f64(),
        bare_micros: each(bare_spent),
        confirmed_ms,
    })
}

/// Whether they are all seats, each of one player.
fn seats(held: impl Iterator<Item = (u64, u64)>) -> Result<BTreeSet<(u64, u64)>, BenchError> {
    let held: BTreeSet<(u64, u64)> = held.map(|(player, seat)| (seat, player)).collect();
    let numbers: BTreeSet<u64> = held.iter().map(|(seat, _)| *seat).collect();
    let players: BTreeSet<u64> = held.iter().map(|(_, player)| *player).collect();
    let all: BTreeSet<u64> = (1..=SEATS).collect();
    if numbers != all || players.len() != held.len() || held.len() != numbers.len() {
        return Err(wrong("seats were sold twice, or not at all"));
    }
    Ok(held)
}

fn settings(number: usize, data: &str) -> Vec<(&'static str, String)> {
    let event = format!(
        r#"{{ gala = {{ title = "Gala", opens_at = "2020-01-01T00:00:00Z", closes_at = "2090-01-01T00:00:00Z", seats = {SEATS}, hold = "5m" }} }}"#
    );
    vec![
        ("PIXELRUSH_MATCHER__NODE", format!("matcher-{number}")),
        ("PIXELRUSH_MATCHER__EVENTS", event),
        ("PIXELRUSH_ENGINE__DATA_DIR", data.to_owned()),
    ]
}

async fn join_all<T: Send + 'static>(
    tasks: Vec<impl Future<Output = Result<T, BenchError>>>,
) -> Result<Vec<T>, BenchError> {
    futures_util::future::try_join_all(tasks).await
}

fn spent(matchers: &[Process]) -> Result<f64, BenchError> {
    let spent = matchers.iter().map(processor_time);
    let spent = spent.sum::<Result<Duration, BenchError>>()?;
    Ok(spent.as_secs_f64())
}

fn redis_spent(redis: &RedisServer) -> f64 {
    let mut info = redis::cmd("INFO");
    let cpu: String = redis.query(info.arg("cpu"));
    let field = |name: &str| {
        let line = cpu.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|text| text.trim().parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    field("used_cpu_user:") + field("used_cpu_sys:")
}

fn wrong(reason: &str) -> BenchError {
    BenchError::Failed {
        what: "sell seats",
        reason: reason.to_owned(),
    }
}
