//! Results as tables, in Markdown, and as JSON.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::accept::Accepts;
use crate::matching::{Matching, Million};
use crate::memory::Run;
use crate::pool::{Measured, Waits};
use crate::seats::Round;
use crate::server::{Launcher, Memory};
use crate::{Pair, Sample};

/// Targets.
const SESSION_BYTES: f64 = 8.0 * 1024.0;
const ECHO_RATIO: f64 = 1.25;
const ACCEPT_MICROS: f64 = 40.0;
const SETTLED_MILLIS: f64 = 100.0;
const FAIRNESS: f64 = 2.0;
const SEATS_RATIO: f64 = 1.5;

/// Prints results and keeps them.
#[derive(Debug)]
pub(crate) struct Report {
    results: Map<String, Value>,
}

/// The middle of several rounds, and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Report {
    pub(crate) fn new(launcher: &Launcher) -> Self {
        let cores = launcher.cores();
        let machine = json!({
            "processor": line_of("/proc/cpuinfo", "model name"),
            "kernel": fs::read_to_string("/proc/version").unwrap_or_default().trim(),
            "server_core": cores.server,
            "generator_core": cores.generator,
        });
        if cores.server == cores.generator {
            println!("There is one core only: servers and generator share it.");
        }
        Self {
            results: Map::from_iter([("machine".to_owned(), machine)]),
        }
    }

    pub(crate) fn memory(&mut self, runs: &[Run]) {
        println!(
            "\nMemory of the gateway for each idle, logged-in session (target: at most 8.00 KiB)\n"
        );
        println!("| sessions | KiB each | spread | KiB each of those added | by PSS | held |");
        println!("| --- | --- | --- | --- | --- | --- |");
        let mut levels = Vec::new();
        for (level, &(size, _)) in runs[0].levels.iter().enumerate() {
            let each = Spread::of(
                runs.iter()
                    .map(|run| per_session(run, level, |memory| memory.rss)),
            );
            let pss = Spread::of(
                runs.iter()
                    .map(|run| per_session(run, level, |memory| memory.pss)),
            );
            let added = Spread::of(runs.iter().map(|run| per_added(run, level)));
            println!(
                "| {size} | {:.2} | {:.2} to {:.2} | {:.2} | {:.2} | {} |",
                each.median / 1024.0,
                each.least / 1024.0,
                each.most / 1024.0,
                added.median / 1024.0,
                pss.median / 1024.0,
                held(each.median <= SESSION_BYTES),
            );
            levels.push(json!({
                "sessions": size, "bytes_each": each.json(), "bytes_each_added": added.json(),
                "pss_bytes_each": pss.json(),
            }));
        }
        let empty = Spread::of(runs.iter().map(|run| run.empty.rss as f64));
        println!(
            "\nWithout sessions the gateway has {:.1} MiB.",
            empty.median / 1_048_576.0
        );
        let result = json!({ "runs": runs.len(), "empty_bytes": empty.json(), "levels": levels });
        self.results.insert("memory".to_owned(), result);
    }

    pub(crate) fn echo(&mut self, rounds: &[Pair]) {
        println!("\nEcho of 64 bytes, 200 busy connections (target: at most 1.25 x bare epoll)\n");
        let ratio = self.compare("echo", rounds);
        println!("\nTarget {}.", held(ratio.median <= ECHO_RATIO));
    }

    pub(crate) fn accept(&mut self, accepts: &Accepts) {
        println!("\nAccept of a WebSocket before login (target: at most 40 us)\n");
        self.compare("accept", &accepts.accept);
        let gateway = Spread::of(accepts.accept.iter().map(|pair| pair.gateway.micros));
        println!("\nTarget {}.", held(gateway.median <= ACCEPT_MICROS));
        println!("\nEnd of a WebSocket whose client just goes away (no target)\n");
        self.compare("close", &accepts.close);
    }

    pub(crate) fn pool(&mut self, measured: &Measured) {
        let resizes = &measured.resizes;
        println!(
            "\nResizes of the pool under full load (targets: no failed query, never more than the maximum, settled within 100 ms)\n"
        );
        println!(
            "| resizes | queries | failed | counts by Postgres | above the maximum | ms to settle: median | p99 | most |"
        );
        println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
        let [median, p99, most] = [0.5, 0.99, 1.0].map(|part| millis(&resizes.settled, part));
        println!(
            "| {} | {} | {} | {} | {} | {median:.1} | {p99:.1} | {most:.1} |",
            resizes.settled.len(),
            resizes.queries,
            resizes.failed,
            resizes.counts,
            resizes.exceeded,
        );
        let met = resizes.failed == 0 && resizes.exceeded == 0 && most <= SETTLED_MILLIS;
        println!("\nTarget {}.", held(met));
        println!(
            "\nWaits for one of 10 connections, 100 callers (target: p99 at most 2 x the fair queue's)\n"
        );
        println!("| queue | ms: median | p99 | most |");
        println!("| --- | --- | --- | --- |");
        let part = |of: fn(&Waits) -> &Vec<Duration>, part| {
            Spread::of(measured.waits.iter().map(|round| millis(of(round), part))).median
        };
        let mut rows = Vec::new();
        for (name, of) in [
            ("the pool", (|w| &w.pool) as fn(&Waits) -> &Vec<Duration>),
            ("fair queue", |w| &w.fair),
        ] {
            let [median, p99, most] = [0.5, 0.99, 1.0].map(|share| part(of, share));
            println!("| {name} | {median:.1} | {p99:.1} | {most:.1} |");
            rows.push(
                json!({ "queue": name, "median_ms": median, "p99_ms": p99, "most_ms": most }),
            );
        }
        let ratio = Spread::of(
            measured
                .waits
                .iter()
                .map(|round| millis(&round.pool, 0.99) / millis(&round.fair, 0.99)),
        );
        println!(
            "\np99 of the pool / the fair queue's: {:.2} ({:.2} to {:.2}). Target {}.",
            ratio.median,
            ratio.least,
            ratio.most,
            held(ratio.median <= FAIRNESS)
        );
        let result = json!({
            "resizes": resizes.settled.len(), "queries": resizes.queries, "failed": resizes.failed,
            "counts": resizes.counts, "exceeded": resizes.exceeded,
            "settled_ms": { "median": median, "p99": p99, "most": most },
            "waits": rows, "p99_ratio": ratio.json(),
        });
        self.results.insert("pool".to_owned(), result);
    }

    pub(crate) fn matching(&mut self, one: &Matching) {
        println!("\nMatching on one Redis (target: 20,000 tickets/s, p99 under 86 ms)\n");
        println!("| | injected | matched |");
        println!("| --- | --- | --- |");
        println!(
            "| tickets a second | {:.0} | {:.0} |",
            one.injected, one.matched
        );
        println!(
            "| players a second | {:.0} | {:.0} |",
            one.players, one.found
        );
        println!(
            "\n{:.0} matches a second. Tickets that wait in the end: {}.",
            one.matches, one.waiting
        );
        println!(
            "Processor time for a matched ticket: matcher {:.1} us, Redis {:.1} us, generator and rooms {:.1} us.",
            one.matcher_micros, one.redis_micros, one.own_micros
        );
        println!(
            "From the last needed ticket to the claim, ms: p50 {:.1}, p99 {:.1}, most {:.1}. From a player's own join until told: p50 {:.1}, p99 {:.1}.",
            one.claimed.p50, one.claimed.p99, one.claimed.most, one.told.p50, one.told.p99
        );
        println!("Redis took {:.1} ms at most for one call.", one.stall_ms);
        println!(
            "Target {}.",
            held(one.matched >= 20_000.0 && one.claimed.p99 < 86.0)
        );
        self.results.insert(
            "matching".to_owned(),
            json!({
                "injected": one.injected, "matched": one.matched, "matches": one.matches,
                "players_found": one.found, "waiting": one.waiting,
                "matcher_micros": one.matcher_micros, "redis_micros": one.redis_micros,
                "claimed_p50_ms": one.claimed.p50, "claimed_p99_ms": one.claimed.p99,
                "told_p99_ms": one.told.p99, "stall_ms": one.stall_ms,
            }),
        );
    }

    pub(crate) fn million(&mut self, one: &Million) {
        println!("\nMany waiting tickets (target: add p99 under 5 ms, no Redis call over 10 ms)\n");
        println!(
            "| waiting | add p50, ms | add p99, ms | longest Redis call, ms | matcher | Redis |"
        );
        println!("| --- | --- | --- | --- | --- | --- |");
        println!(
            "| {} | {:.2} | {:.2} | {:.1} | {:.0} MiB | {:.0} MiB |",
            one.waiting,
            one.add.p50,
            one.add.p99,
            one.stall_ms,
            one.matcher_bytes / 1_048_576.0,
            one.redis_bytes / 1_048_576.0
        );
        println!(
            "\nTarget {}.",
            held(one.add.p99 < 5.0 && one.stall_ms <= 10.0)
        );
        self.results.insert(
            "million".to_owned(),
            json!({
                "waiting": one.waiting, "add_p50_ms": one.add.p50, "add_p99_ms": one.add.p99,
                "stall_ms": one.stall_ms, "matcher_bytes": one.matcher_bytes,
                "redis_bytes": one.redis_bytes,
            }),
        );
    }

    pub(crate) fn seats(&mut self, rounds: &[Round]) {
        println!(
            "\n200 seats, 100,000 takers at once over 4 matchers (target: within 1.5 x of the bare script)\n"
        );
        let spread = |of: fn(&Round) -> f64| Spread::of(rounds.iter().map(of));
        let rows = [
            (
                "reserve calls a second, over the matchers",
                spread(|r| r.matchers),
            ),
            ("reserve calls a second, bare script", spread(|r| r.bare)),
            (
                "bare script / over the matchers",
                spread(|r| r.bare / r.matchers),
            ),
            ("ms to an answer, median", spread(|r| r.answered.0)),
            ("ms to an answer, the last one", spread(|r| r.answered.1)),
            (
                "us of the matchers' processor time each",
                spread(|r| r.matcher_micros),
            ),
            (
                "us of Redis' each, over the matchers",
                spread(|r| r.redis_micros),
            ),
            ("us of Redis' each, bare script", spread(|r| r.bare_micros)),
            ("ms to confirm all 200, durably", spread(|r| r.confirmed_ms)),
        ];
        println!("| what | median | spread |");
        println!("| --- | --- | --- |");
        let mut result = Map::new();
        for (name, spread) in &rows {
            println!(
                "| {name} | {:.2} | {:.2} to {:.2} |",
                spread.median, spread.least, spread.most
            );
            result.insert((*name).to_owned(), spread.json());
        }
        println!("\nTarget {}.", held(rows[2].1.median <= SEATS_RATIO));
        self.results
            .insert("seats".to_owned(), Value::Object(result));
    }

    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_string_pretty(&self.results)?;
        fs::write(path, text + "\n")
    }

    fn compare(&mut self, name: &str, rounds: &[Pair]) -> Spread {
        println!("| server | us of processor time each | spread | a second |");
        println!("| --- | --- | --- | --- |");
        let of = |pick: fn(&Pair) -> Sample| {
            let micros = Spread::of(rounds.iter().map(|round| pick(round).micros));
            let rate = Spread::of(rounds.iter().map(|round| pick(round).rate));
            (micros, rate)
        };
        let (gateway, gateway_rate) = of(|round| round.gateway);
        let (bare, bare_rate) = of(|round| round.bare);
        for (server, micros, rate) in [
            ("gateway", gateway, gateway_rate),
            ("bare epoll", bare, bare_rate),
        ] {
            println!(
                "| {server} | {:.2} | {:.2} to {:.2} | {:.0} |",
                micros.median, micros.least, micros.most, rate.median
            );
        }
        // Of neighbouring rounds, so that what slows the machine down for a while hits both.
        let ratio = Spread::of(
            rounds
                .iter()
                .map(|round| round.gateway.micros / round.bare.micros),
        );
        println!(
            "| gateway / bare epoll | {:.2} | {:.2} to {:.2} | |",
            ratio.median, ratio.least, ratio.most
        );
        let result = json!({
            "rounds": rounds.len(), "gateway_micros": gateway.json(), "bare_micros": bare.json(),
            "ratio": ratio.json(), "gateway_rate": gateway_rate.json(), "bare_rate": bare_rate.json(),
        });
        self.results.insert(name.to_owned(), result);
        ratio
    }
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            (values[middle - 1] + values[middle]) / 2.0
        };
        Self {
            median,
            least: values[0],
            most: values[values.len() - 1],
        }
    }

    fn json(&self) -> Value {
        json!({ "median": self.median, "least": self.least, "most": self.most })
    }
}

fn per_session(run: &Run, level: usize, of: fn(&Memory) -> u64) -> f64 {
    let (size, memory) = run.levels[level];
    of(&memory).saturating_sub(of(&run.empty)) as f64 / size as f64
}

fn per_added(run: &Run, level: usize) -> f64 {
    let (size, memory) = run.levels[level];
    let before = level
        .checked_sub(1)
        .map_or((0, run.empty), |before| run.levels[before]);
    memory.rss.saturating_sub(before.1.rss) as f64 / (size - before.0) as f64
}

/// What `part` of them are at most, in milliseconds.
fn millis(durations: &[Duration], part: f64) -> f64 {
    let mut sorted = durations.to_vec();
    sorted.sort();
    let last = sorted.len().saturating_sub(1);
    let index = (last as f64 * part).ceil() as usize;
    sorted.get(index).map_or(0.0, |one| one.as_secs_f64() * 1e3)
}

fn held(held: bool) -> &'static str {
    if held { "held" } else { "MISSED" }
}

fn line_of(path: &str, key: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text
        .lines()
        .find(|line| line.starts_with(key))
        .unwrap_or_default();
    line.split_once(':')
        .map_or(String::new(), |(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        let spread = Spread::of([3.0, 1.0, 10.0].into_iter());
        assert_eq!(
            spread,
            Spread {
                median: 3.0,
                least: 1.0,
                most: 10.0
            }
        );
        assert_eq!(Spread::of([1.0, 2.0].into_iter()).median, 1.5);
    }

    #[test]
    fn a_levels_increment_leaves_out_what_was_there_before() {
        let memory = |rss| Memory { rss, pss: rss };
        let run = Run {
            empty: memory(1_000),
            levels: vec![(10, memory(2_000)), (20, memory(5_000))],
        };
        assert_eq!(per_session(&run, 1, |memory| memory.rss), 200.0);
        assert_eq!(per_added(&run, 1), 300.0);
    }
}
