//! What came of a run, for people and for programs.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::ChaosOptions;
use crate::history::{History, Run, Strike, Violation, What};
use crate::store::StoreKind;

/// Violations that the text shows; the JSON has all.
const SHOWN: usize = 20;

/// A freeze begins with the last that was seen before the fault: so much earlier than it, at most.
const BEFORE: Duration = Duration::from_millis(150);

/// What came of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Repeats it.
    pub seed: u64,
    /// On which Redis.
    pub store: StoreKind,
    /// How many played.
    pub players: u64,
    /// How long, in seconds.
    pub seconds: u64,
    /// What was done, and the freezes that it caused.
    pub strikes: Vec<(Strike, Freezes)>,
    /// Matches that were played.
    pub matches: usize,
    /// Connections that were lost.
    pub losses: usize,
    /// Sessions that went on after a loss.
    pub resumed: usize,
    /// Reliable events that took effect.
    pub events: usize,
    /// The rules that were broken.
    pub violations: Vec<Violation>,
}

/// What players saw of a fault.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Freezes {
    /// How many players saw one.
    pub players: usize,
    /// In milliseconds.
    pub median_ms: u64,
    /// In milliseconds.
    pub p99_ms: u64,
    /// In milliseconds.
    pub longest_ms: u64,
}

impl Report {
    pub(super) fn new(
        options: &ChaosOptions,
        histories: &[History],
        run: &Run,
        violations: Vec<Violation>,
    ) -> Self {
        let entries = || histories.iter().flat_map(|history| &history.entries);
        let count = |which: fn(&What) -> bool| entries().filter(|it| which(&it.what)).count();
        let rooms: BTreeSet<_> = histories.iter().flat_map(History::rooms).collect();
        let until = |index: usize, strike: &Strike| {
            let next = run.strikes.get(index + 1).map(|next| next.at);
            next.map_or(strike.well_by, |next| next.min(strike.well_by))
        };
        let strikes = run.strikes.iter().enumerate().map(|(index, strike)| {
            let freezes = Freezes::of(histories, strike.at, until(index, strike));
            (strike.clone(), freezes)
        });
        Self {
            seed: options.seed,
            store: options.store,
            players: options.players,
            seconds: run.ended.as_secs(),
            strikes: strikes.collect(),
            matches: rooms.len(),
            losses: count(|what| matches!(what, What::Lost { .. })),
            resumed: count(|what| matches!(what, What::Welcome { resumed: true, .. })),
            events: count(|what| matches!(what, What::Event { .. })),
            violations,
        }
    }

    /// Whether a rule was broken.
    pub fn has_failed(&self) -> bool {
        !self.violations.is_empty()
    }

    /// The report for people.
    pub fn text(&self) -> String {
        let mut text = format!(
            "seed {}, {:?} Redis, {} players, {} s: {} matches, {} events, {} connections lost, \
             {} sessions resumed\n",
            self.seed,
            self.store,
            self.players,
            self.seconds,
            self.matches,
            self.events,
            self.losses,
            self.resumed,
        );
        for (strike, freezes) in &self.strikes {
            let _ = writeln!(
                text,
                "{:>8.1} s  {}: {} players froze, median {} ms, p99 {} ms, longest {} ms",
                strike.at.as_secs_f64(),
                strike.fault,
                freezes.players,
                freezes.median_ms,
                freezes.p99_ms,
                freezes.longest_ms,
            );
        }
        for violation in self.violations.iter().take(SHOWN) {
            let _ = writeln!(
                text,
                "BROKEN {}: {} (players {:?})",
                violation.rule, violation.text, violation.players
            );
        }
        let _ = match self.violations.len() {
            0 => writeln!(text, "no rule was broken"),
            count => writeln!(text, "{count} times a rule was broken"),
        };
        text
    }

    pub(super) fn write(&self, folder: &Path, histories: &[History]) -> io::Result<()> {
        fs::write(folder.join("report.txt"), self.text())?;
        let json = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        fs::write(folder.join("report.json"), json)?;
        if self.has_failed() {
            let mut file = io::BufWriter::new(fs::File::create(folder.join("histories.jsonl"))?);
            for history in histories {
                serde_json::to_writer(&mut file, history).map_err(io::Error::other)?;
                file.write_all(b"\n")?;
            }
            file.flush()?;
        }
        Ok(())
    }
}

impl Freezes {
    /// The longest freeze of each player that lasted at `from` or began after it, and not by what
    /// happened at `until`.
    pub fn of(histories: &[History], from: Duration, until: Duration) -> Self {
        let within =
            |(at, lasted): &(Duration, Duration)| *at + BEFORE < until && *at + *lasted >= from;
        let longest = |history: &History| history.freezes().filter(within).map(|it| it.1).max();
        Self::of_all(histories.iter().filter_map(longest).collect())
    }

    /// Their spread.
    pub fn of_all(mut freezes: Vec<Duration>) -> Self {
        freezes.sort_unstable();
        let Some(last) = freezes.len().checked_sub(1) else {
            return Self::default();
        };
        let at = |share: f64| freezes[(last as f64 * share).round() as usize].as_millis() as u64;
        Self {
            players: freezes.len(),
            median_ms: at(0.5),
            p99_ms: at(0.99),
            longest_ms: at(1.0),
        }
    }
}
