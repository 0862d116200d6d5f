//! What can be asked for on the command line. Secrets cannot: they come from files.

use std::path::{Path, PathBuf};

use chassis::telemetry::{LogFormat, TelemetryConfig};
use clap::{Args, Parser, Subcommand};

use crate::settings::Settings;

/// The PixelRush server. Without a command: every service in one process, with bots, on the
/// embedded engine; open the address that it prints in a browser.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a gateway: the edge that clients connect to.
    Gateway(SettingsArgs),
    /// Run a matcher: queues and matches.
    Matcher(SettingsArgs),
    /// Run a syncd: rooms.
    Syncd(SettingsArgs),
    /// Run a race again from its tape, and compare it with what was played; exits with 0 only if
    /// every byte is the same.
    Replay(ReplayArgs),
    /// Run the matcher's pairing over a population in virtual time: how long people wait, how even
    /// their matches are, and how good both could have been.
    MatchSim(Box<match_sim::command::Options>),
    /// Run the smoke suite against a deployment; exits with 0 only if everything holds.
    Smoke(SmokeArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct SettingsArgs {
    /// The configuration file. PIXELRUSH_<SECTION>__<KEY> in the environment overrides it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Read the configuration, say whether it is good, and exit.
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The room, as logs and clients name it: rm_ and 16 digits.
    pub(crate) room: protocol::id::RoomId,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SmokeArgs {
    /// Public address of a gateway, http://host:port; may be given several times.
    #[arg(long = "target", value_name = "URL", required = true)]
    pub(crate) targets: Vec<client::address::Address>,
    /// The mode to play.
    #[arg(long, default_value = "race")]
    pub(crate) mode: String,
    /// Longest that one case may take, in seconds.
    #[arg(long, default_value_t = 180)]
    pub(crate) patience: u64,
    /// Write the report here, as JUnit XML.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}

impl Cli {
    fn settings(&self) -> &SettingsArgs {
        match &self.command {
            Some(Command::Gateway(args) | Command::Matcher(args) | Command::Syncd(args)) => args,
            Some(Command::Replay(replay)) => &replay.settings,
            Some(Command::Smoke(_) | Command::MatchSim(_)) | None => &self.settings,
        }
    }

    pub(crate) fn config(&self) -> Option<&Path> {
        self.settings().config.as_deref()
    }

    pub(crate) fn check(&self) -> bool {
        self.settings().check
    }

    /// Logs as the settings say; at a terminal without a file, as a person reads them.
    pub(crate) fn telemetry(&self, settings: &Settings) -> TelemetryConfig {
        let mut telemetry = settings.telemetry.clone();
        let at_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        if self.command.is_none() && self.config().is_none() && at_terminal {
            telemetry.format = LogFormat::Text;
        }
        telemetry
    }
}
