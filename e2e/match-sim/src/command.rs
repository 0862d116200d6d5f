//! `pixelrush match-sim`: the command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use clap::Args;
use matcher::config::{Mode, ModeError, ModeName, ModeOptions};

use crate::page;
use crate::report::Report;
use crate::scenario::{Scenario, ScenarioError};

/// What can be asked for. The common settings; a file has all of them.
#[derive(Debug, Clone, Default, Args)]
pub struct Options {
    /// The scenario, a TOML file that states what differs from the defaults.
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// All chance follows from it.
    #[arg(long)]
    pub seed: Option<u64>,
    /// The mode whose queue is simulated.
    #[arg(long)]
    pub mode: Option<ModeName>,
    /// How many hours are simulated.
    #[arg(long)]
    pub hours: Option<f64>,
    /// Times as many people as the scenario says.
    #[arg(long, value_name = "FACTOR")]
    pub crowd: Option<f64>,
    /// Bots that wait for matches.
    #[arg(long)]
    pub bots: Option<u32>,
    /// Rating points that the mode's window begins with.
    #[arg(long, value_name = "POINTS")]
    pub window_start: Option<u32>,
    /// Rating points that each second adds.
    #[arg(long, value_name = "POINTS")]
    pub window_widen: Option<u32>,
    /// Rating points that are never exceeded.
    #[arg(long, value_name = "POINTS")]
    pub window_cap: Option<u32>,
    /// Seconds after which bots fill free places.
    #[arg(long, value_name = "SECONDS")]
    pub bots_after: Option<f64>,
    /// Do not try other settings of the window, nor compare with hindsight.
    #[arg(long)]
    pub no_sweep: bool,
    /// Write the figures here, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the plots here, as one HTML page.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Print the scenario with all its settings, as JSON, and exit.
    #[arg(long)]
    pub show: bool,
}

/// Why a simulation came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    /// There is nothing to simulate.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The mode cannot be as it was asked for.
    #[error("the mode cannot be so: {0}")]
    Mode(#[from] ModeError),
    /// A file cannot be written.
    #[error("cannot write {}", file.display())]
    Write {
        /// Which.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Runs the command and tells of it.
pub fn run(options: &Options) -> ExitCode {
    match simulate(options) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("match-sim: {}", chassis::telemetry::Chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Runs the command; gives what it prints.
///
/// # Errors
/// [`SimulationError`].
pub fn simulate(options: &Options) -> Result<String, SimulationError> {
    let scenario = options.apply(Scenario::load(options.scenario.as_deref())?)?;
    let mode = scenario.check()?;
    if options.show {
        let text = serde_json::to_string_pretty(&scenario).expect("its keys are strings");
        return Ok(text + "\n");
    }
    let report = Report::of(&scenario, mode, !options.no_sweep)?;
    if let Some(file) = &options.json {
        write(file, &report.json())?;
    }
    if let Some(file) = &options.html {
        write(file, &page::of(&report))?;
    }
    Ok(report.summary())
}

fn write(file: &Path, text: &str) -> Result<(), SimulationError> {
    fs::write(file, text).map_err(|source| SimulationError::Write {
        file: file.to_owned(),
        source,
    })
}

impl Options {
    /// The scenario as the flags change it.
    fn apply(&self, mut scenario: Scenario) -> Result<Scenario, SimulationError> {
        let set = |to: &mut f64, value: Option<f64>| *to = value.unwrap_or(*to);
        set(&mut scenario.hours, self.hours);
        scenario.seed = self.seed.unwrap_or(scenario.seed);
        scenario.bots = self.bots.unwrap_or(scenario.bots);
        if let Some(mode) = &self.mode {
            scenario.mode = mode.clone();
        }
        if let Some(crowd) = self.crowd {
            scenario.arrivals.sessions_per_hour *= crowd;
            for peak in &mut scenario.arrivals.peaks {
                peak.sessions_per_hour *= crowd;
            }
        }
        scenario.check()?;
        if let Some(mode) = scenario.modes.get_mut(&scenario.mode) {
            *mode = self.applied(mode)?;
        }
        Ok(scenario)
    }

    fn applied(&self, mode: &Mode) -> Result<Mode, SimulationError> {
        let mut options: ModeOptions = mode.clone().into();
        let window = &mut options.window;
        window.start = self.window_start.unwrap_or(window.start);
        window.widen_per_second = self.window_widen.unwrap_or(window.widen_per_second);
        window.cap = self.window_cap.unwrap_or(window.cap);
        if let Some(seconds) = self.bots_after {
            options.bots_after = std::time::Duration::try_from_secs_f64(seconds).map_err(|_| {
                ScenarioError::Invalid {
                    key: "--bots-after",
                    expected: "is a number of seconds, 0 or more",
                }
            })?;
        }
        Ok(Mode::new(options)?)
    }
}
