//! A matcher on one Redis: tickets a second that end in a match, and what a long queue costs.
//!
//! Tickets come as from gateways, over the matcher's gRPC, at a steady rate whatever the matcher
//! does. Rooms are made, and ended a second later, by this process. When a match is claimed shows
//! itself by the room that is asked for.
//!
//! - `population`: who comes; `gateway`: how; `rooms`: where they end up

mod gateway;
mod population;
mod rooms;

use std::sync::Arc;
use std::time::Duration;

use pixelrush_e2e::process::Process;
use servers::RedisServer;
use tokio::runtime::Runtime;
use tokio::time::sleep;

use crate::server::{Launcher, memory, processor_time, processor_time_of};
use crate::{BenchError, system};
use gateway::Gateway;
use population::{Population, Wishes};
use rooms::Rooms;

/// Before measuring begins, and how long it lasts.
const WARM_UP: Duration = Duration::from_secs(5);
const MEASURE: Duration = Duration::from_secs(15);

/// Tickets of `million`, those whose addition is measured at last, and how fast they come.
const MANY: u64 = 1_000_000;
const LAST: u64 = 50_000;
const FILL_RATE: u64 = 12_000;
const LAST_RATE: u64 = 5_000;

/// Streams that tickets come by.
const GATEWAYS: usize = 2;

/// Milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) most: f64,
}

/// What came of `matching`. Rates are a second.
#[derive(Debug)]
pub(crate) struct Matching {
    pub(crate) injected: f64,
    pub(crate) players: f64,
    pub(crate) matched: f64,
    pub(crate) matches: f64,
    pub(crate) found: f64,
    pub(crate) waiting: u64,
    pub(crate) matcher_micros: f64,
    pub(crate) redis_micros: f64,
    pub(crate) own_micros: f64,
    pub(crate) claimed: Latency,
    pub(crate) told: Latency,
    pub(crate) stall_ms: f64,
}

/// What came of `million`.
#[derive(Debug)]
pub(crate) struct Million {
    pub(crate) waiting: u64,
    pub(crate) add: Latency,
    pub(crate) stall_ms: f64,
    pub(crate) matcher_bytes: f64,
    pub(crate) redis_bytes: f64,
}

/// The mode: two teams of four, windows, regions, no bots.
const MODES: &str = r#"{ squad = { game = "race", teams = 2, players = { min = 8, max = 8 }, bots = false, timeout = "1h", window = { start = 150, widen_per_second = 75, cap = 1000 }, region = { start_ms = 60, widen_ms_per_second = 10, cap_ms = 200 } } }"#;

/// A mode in which nobody whose rating differs meets anybody.
const LONELY: &str = r#"{ squad = { game = "race", teams = 2, players = { min = 8, max = 8 }, bots = false, timeout = "1h", window = { start = 0, widen_per_second = 0, cap = 0 } } }"#;

struct Bench {
    redis: RedisServer,
    matcher: Process,
    rooms: Arc<Rooms>,
    population: Arc<Population>,
}

impl Bench {
    async fn start(
        launcher: &Launcher,
        population: Population,
        settings: &[(&str, String)],
    ) -> Result<(Self, Vec<Gateway>), BenchError> {
        let redis = RedisServer::start();
        let population = Arc::new(population);
        let rooms = Rooms::start(&redis.url(), Arc::clone(&population)).await?;
        let matcher = launcher.matcher(&redis.url(), settings)?;
        let mut gateways = Vec::new();
        for number in 0..GATEWAYS {
            let url = matcher.url();
            gateways.push(Gateway::open(&url, number, Arc::clone(&population)).await?);
        }
        let bench = Self {
            redis,
            matcher,
            rooms,
            population,
        };
        bench.rooms.watched().await;
        Ok((bench, gateways))
    }

    /// Processor seconds so far of matcher, Redis and this process.
    fn spent(&self) -> Result<[f64; 3], BenchError> {
        let own = processor_time_of(std::process::id())?.as_secs_f64();
        let cpu = self.info("cpu");
        let redis = number(&cpu, "used_cpu_user:") + number(&cpu, "used_cpu_sys:");
        let matcher = processor_time(&self.matcher)?.as_secs_f64();
        Ok([matcher, redis, own])
    }

    fn info(&self, section: &str) -> String {
        self.redis.query(redis::cmd("INFO").arg(section))
    }

    /// From here on the longest calls are kept.
    fn watch_for_stalls(&self) {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg("slowlog-log-slower-than").arg(500);
        let _: String = self.redis.query(&set);
        let mut size = redis::cmd("CONFIG");
        size.arg("SET").arg("slowlog-max-len").arg(100_000);
        let _: String = self.redis.query(&size);
        let _: String = self.redis.query(redis::cmd("SLOWLOG").arg("RESET"));
    }

    fn longest_stall(&self) -> f64 {
        let mut read = redis::cmd("SLOWLOG");
        read.arg("GET").arg(100_000);
        let entries: Vec<Vec<redis::Value>> = self.redis.query(&read);
        let took = |entry: &Vec<redis::Value>| match entry.get(2) {
            Some(redis::Value::Int(micros)) => *micros,
            _ => 0,
        };
        let longest = entries.iter().map(took).max().unwrap_or(0);
        longest as f64 / 1000.0
    }
}

/// Measures matches at `rate` tickets a second.
pub(crate) fn measure(launcher: &Launcher, rate: u64) -> Result<Matching, BenchError> {
    runtime(launcher)?.block_on(async {
        let lasts = (WARM_UP + MEASURE).as_secs() + 2;
        let population = Population::new(rate * lasts, Wishes::Varied);
        let settings = settings(MODES, "1s");
        let (bench, gateways) = Bench::start(launcher, population, &settings).await?;
        let population = Arc::clone(&bench.population);
        let share = rate / gateways.len() as u64;
        let senders: Vec<_> = gateways.iter().map(|one| one.inject(share)).collect();
        sleep(WARM_UP).await;
        bench.watch_for_stalls();
        let before = (bench.spent()?, population.counts());
        population.begin_measuring();
        sleep(MEASURE).await;
        population.end_measuring();
        let after = (bench.spent()?, population.counts());
        for sender in senders {
            sender.abort();
        }
        let seconds = MEASURE.as_secs_f64();
        let counts = after.1.since(&before.1);
        let micros = |who: usize| (after.0[who] - before.0[who]) * 1e6 / counts.matched as f64;
        Ok(Matching {
            injected: counts.injected as f64 / seconds,
            players: counts.players as f64 / seconds,
            matched: counts.matched as f64 / seconds,
            matches: counts.matches as f64 / seconds,
            found: counts.found as f64 / seconds,
            waiting: after.1.injected - after.1.matched,
            matcher_micros: micros(0),
            redis_micros: micros(1),
            own_micros: micros(2),
            claimed: population.claimed(),
            told: population.told(),
            stall_ms: bench.longest_stall(),
        })
    })
}

/// Measures adding to a queue of a million tickets.
pub(crate) fn million(launcher: &Launcher) -> Result<Million, BenchError> {
    runtime(launcher)?.block_on(async {
        let population = Population::new(MANY + LAST + 1_000, Wishes::Lonely);
        let settings = settings(LONELY, "10m");
        let (bench, gateways) = Bench::start(launcher, population, &settings).await?;
        let population = Arc::clone(&bench.population);
        let share = FILL_RATE / gateways.len() as u64;
        let senders: Vec<_> = gateways.iter().map(|one| one.inject(share)).collect();
        while population.counts().joined < MANY {
            sleep(Duration::from_millis(200)).await;
        }
        for sender in senders {
            sender.abort();
        }
        sleep(WARM_UP).await;
        bench.watch_for_stalls();
        population.begin_measuring();
        let share = LAST_RATE / gateways.len() as u64;
        let senders: Vec<_> = gateways.iter().map(|one| one.inject(share)).collect();
        sleep(Duration::from_secs(LAST / LAST_RATE)).await;
        for sender in senders {
            sender.abort();
        }
        population.end_measuring();
        let memory = memory(&bench.matcher).map_err(system("read the matcher's memory"))?;
        let counts = population.counts();
        Ok(Million {
            waiting: counts.joined - counts.matched,
            add: population.joined(),
            stall_ms: bench.longest_stall(),
            matcher_bytes: memory.rss as f64,
            redis_bytes: number(&bench.info("memory"), "used_memory:"),
        })
    })
}

fn settings(modes: &str, state_every: &str) -> Vec<(&'static str, String)> {
    [
        ("PIXELRUSH_MATCHER__MODES", modes),
        ("PIXELRUSH_MATCHER__PLAYERS", "2000000"),
        ("PIXELRUSH_MATCHER__GRACE", "2m"),
        ("PIXELRUSH_MATCHER__STATE_EVERY", state_every),
        ("PIXELRUSH_MATCHER__PLACING__AT_ONCE", "2048"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

fn runtime(launcher: &Launcher) -> Result<Runtime, BenchError> {
    let cores = launcher.cores();
    cores.unpin().map_err(system("run on every core"))?;
    Runtime::new().map_err(system("start a runtime"))
}

fn number(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|text| text.trim().parse().ok())
        .unwrap_or(0.0)
}
