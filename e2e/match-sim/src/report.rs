//! All that a run says, as one JSON document.

use matcher::config::{Mode, ModeError};
use serde::Serialize;

use crate::figures::Figures;
use crate::scenario::Scenario;
use crate::sweep::{self, Comparison, Point};
use crate::world;

/// All that a run says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// What was simulated.
    pub scenario: Scenario,
    /// The day with the mode as it is.
    pub figures: Figures,
    /// The mode's own window against hindsight; none unless there was a sweep.
    pub comparison: Option<Comparison>,
    /// Settings of the window; none unless there was a sweep.
    pub sweep: Vec<Point>,
}

impl Report {
    /// Runs the scenario, and the sweep if it is wanted.
    ///
    /// # Errors
    /// [`ModeError`] for a setting of the sweep that the mode cannot have.
    pub fn of(scenario: &Scenario, mode: &Mode, sweeps: bool) -> Result<Self, ModeError> {
        let figures = Figures::of(&world::run(scenario, mode));
        let (comparison, sweep) = match sweeps {
            true => (
                Some(sweep::own(scenario, mode)?),
                sweep::run(scenario, mode)?,
            ),
            false => (None, Vec::new()),
        };
        Ok(Self {
            scenario: scenario.clone(),
            figures,
            comparison,
            sweep,
        })
    }

    /// As JSON.
    pub fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("its keys are strings");
        text.push('\n');
        text
    }

    /// As some lines for a terminal.
    pub fn summary(&self) -> String {
        let Figures {
            counts, quality, ..
        } = &self.figures;
        let mut text = format!(
            "{}: {} tickets of {} players; {} matches, {} tickets given up, {} waiting at the end\n\
             wait    p50 {:.1} s, p95 {:.1} s, p99 {:.1} s\n\
             spread  p50 {:.0}, p95 {:.0}, mean {:.0}\n\
             people  {:.2} in a player's match, {:.1} % of seats are bots'\n\
             latency p50 {:.0} ms, p95 {:.0} ms\n",
            self.scenario.mode,
            counts.tickets,
            counts.players,
            counts.matches,
            counts.gave_up,
            counts.waiting,
            quality.wait_s.p50,
            quality.wait_s.p95,
            quality.wait_s.p99,
            quality.spread.p50,
            quality.spread.p95,
            quality.spread.mean,
            quality.people.mean,
            100.0 * self.bots(),
            quality.latency_ms.p50,
            quality.latency_ms.p95,
        );
        if let Some(comparison) = &self.comparison {
            text += &format!("full    {}\n", compared(comparison));
            if let Some(in_time) = comparison.in_time {
                text += &format!(
                    "        {in_time:.0} with the same moments and the best of those who had come\n"
                );
            }
        }
        for point in &self.sweep {
            let window = point.window;
            text += &format!(
                "{:>4} +{:>3}/s to {:>4}: wait {:>5.1} s, spread {:>4.0}, {:.1} people; full: {}\n",
                window.start,
                window.widen_per_second,
                window.cap,
                point.ruled.wait_p50_s,
                point.ruled.spread,
                point.ruled.people,
                compared(&point.full),
            );
        }
        text
    }

    /// Share of all seats that bots took.
    pub(crate) fn bots(&self) -> f64 {
        let fill = self.figures.fill.iter();
        let people: usize = fill.map(|one| one.matches * usize::from(one.people)).sum();
        let bots = self.figures.counts.bots;
        bots as f64 / (people + bots).max(1) as f64
    }
}

fn compared(comparison: &Comparison) -> String {
    let against = match (comparison.reference, comparison.ratio) {
        (Some(reference), Some(ratio)) => {
            format!(
                "{:.0} with hindsight (p95 {:.1} s), ratio {ratio:.3}",
                reference.spread, reference.wait_p95_s
            )
        }
        _ => "nothing to compare".to_owned(),
    };
    format!(
        "wait {:.2} s (p95 {:.1} s), spread {:.0}, {against}, {:.1} % given up",
        comparison.wait_p50_s,
        comparison.wait_p95_s,
        comparison.spread,
        100.0 * comparison.gave_up,
    )
}
