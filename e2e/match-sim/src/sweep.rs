//! The trade-off between wait and spread: settings of the window, each over the same people.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use matcher::config::{Mode, ModeError, ModeOptions, RatingWindow};
use serde::Serialize;

use crate::figures::{Figures, Quality};
use crate::percentile::percentile;
use crate::reference::{self, Reference};
use crate::scenario::Scenario;
use crate::trace::Trace;
use crate::world;

/// One setting of the window, and what comes of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// The setting.
    pub window: RatingWindow,
    /// With the mode's own rules for bots and short matches.
    pub ruled: Outcome,
    /// With full matches of people alone, against hindsight.
    pub full: Comparison,
}

/// What comes of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Outcome {
    /// Seconds, median.
    pub wait_p50_s: f64,
    /// Seconds, of 95 in 100.
    pub wait_p95_s: f64,
    /// Rating points, mean of players.
    pub spread: f64,
    /// Rating points, of 95 in 100.
    pub spread_p95: f64,
    /// People in a player's match, mean.
    pub people: f64,
    /// Share of tickets that were given up.
    pub gave_up: f64,
}

/// Full matches against the offline reference at the same median wait.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Comparison {
    /// Matches.
    pub matches: usize,
    /// Share of tickets that were given up.
    pub gave_up: f64,
    /// Waits of matches in seconds, the mean of each one's players: median.
    pub wait_p50_s: f64,
    /// … and of 95 in 100.
    pub wait_p95_s: f64,
    /// Rating points, mean of matches.
    pub spread: f64,
    /// What hindsight could have made of the same trace; none without matches.
    pub reference: Option<Reference>,
    /// Spread over the reference's.
    pub ratio: Option<f64>,
    /// Mean spread if each match had begun when it did with the best of those who had come; only of
    /// the mode's own window.
    pub in_time: Option<f64>,
}

/// Tries each setting of the scenario's sweep, on all cores.
///
/// # Errors
/// [`ModeError`] for a setting that the mode cannot have.
pub fn run(scenario: &Scenario, mode: &Mode) -> Result<Vec<Point>, ModeError> {
    let part = part(scenario);
    let mut settings = Vec::new();
    for start in &scenario.sweep.starts {
        for widen_per_second in &scenario.sweep.widen_per_second {
            let mut options: ModeOptions = mode.clone().into();
            options.window = RatingWindow {
                start: *start,
                widen_per_second: *widen_per_second,
                cap: match scenario.sweep.cap {
                    0 => mode.window.cap.max(*start),
                    cap => cap,
                },
                ..mode.window
            };
            settings.push(Mode::new(options)?);
        }
    }
    let full: Vec<Mode> = settings
        .iter()
        .map(full_matches)
        .collect::<Result<_, _>>()?;
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(place) = Some(next.fetch_add(1, Relaxed)).filter(|at| *at < full.len()) {
            let point = Point {
                window: settings[place].window,
                ruled: outcome(&world::run(&part, &settings[place])),
                full: compare(&world::run(&part, &full[place]), &full[place]),
            };
            done.push((place, point));
        }
        done
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut points: Vec<(usize, Point)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let done = workers.into_iter().map(|worker| worker.join());
        done.flat_map(|done| done.expect("a worker does not panic"))
            .collect()
    });
    points.sort_unstable_by_key(|(place, _)| *place);
    Ok(points.into_iter().map(|(_, point)| point).collect())
}

/// The mode's own window, with full matches alone, over the same part of the day.
///
/// # Errors
/// [`ModeError`] if the mode cannot be without bots.
pub fn own(scenario: &Scenario, mode: &Mode) -> Result<Comparison, ModeError> {
    let full = full_matches(mode)?;
    let trace = world::run(&part(scenario), &full);
    Ok(Comparison {
        in_time: reference::in_time(&trace, usize::from(full.players.max)),
        ..compare(&trace, &full)
    })
}

fn part(scenario: &Scenario) -> Scenario {
    Scenario {
        from_hour: scenario.sweep.from_hour,
        hours: scenario.sweep.hours,
        ..scenario.clone()
    }
}

/// The mode without bots and short matches: what is compared is the choice of partners.
fn full_matches(mode: &Mode) -> Result<Mode, ModeError> {
    let mut options: ModeOptions = mode.clone().into();
    options.bots = false;
    options.players.min = options.players.max;
    Mode::new(options)
}

fn outcome(trace: &Trace) -> Outcome {
    let Figures {
        counts,
        quality:
            Quality {
                wait_s,
                spread,
                people,
                ..
            },
        ..
    } = Figures::of(trace);
    Outcome {
        wait_p50_s: wait_s.p50,
        wait_p95_s: wait_s.p95,
        spread: spread.mean,
        spread_p95: spread.p95,
        people: people.mean,
        gave_up: counts.gave_up as f64 / counts.tickets.max(1) as f64,
    }
}

fn compare(trace: &Trace, mode: &Mode) -> Comparison {
    let figures = Figures::of(trace);
    let matches = figures.counts.matches;
    let spreads = trace.matches.iter().map(|one| f64::from(one.spread));
    let spread = spreads.sum::<f64>() / matches.max(1) as f64;
    let waits = trace.waits();
    let wait_p50_s = percentile(&waits, 50.0);
    let reference = reference::at_wait(trace, usize::from(mode.players.max), wait_p50_s);
    Comparison {
        matches,
        gave_up: figures.counts.gave_up as f64 / figures.counts.tickets.max(1) as f64,
        wait_p50_s,
        wait_p95_s: percentile(&waits, 95.0),
        spread,
        reference,
        ratio: reference.map(|reference| spread / reference.spread),
        in_time: None,
    }
}
