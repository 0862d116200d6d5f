//! PixelRush: one binary for every service.
//!
//! - `cli`: what can be asked for
//! - `settings`, `problems`, `secrets`: the configuration file, what is wrong with it, the keys
//! - `service`: starts one service on an address; `stores`: what a matcher works on
//! - `succession`: a gateway that replaces another process on the same host
//! - `single`: all services in one process, with bots
//! - `bots`: clients that fill races
//! - `smoke`: the suite against a deployment; `replay`: a race, run again

mod bots;
mod cli;
mod failure;
mod problems;
mod replay;
mod running;
mod secrets;
mod service;
mod settings;
mod single;
mod smoke;
mod stores;
mod succession;

use std::path::Path;
use std::process::ExitCode;

use chassis::admin::Admin;
use chassis::config::Changes;
use chassis::drain::{Drain, reloads};
use chassis::readiness::Readiness;
use chassis::telemetry::{Chain, Telemetry};
use clap::Parser;
use tokio::task::JoinHandle;

use cli::{Cli, Command};
use failure::Failure;
use service::Host;
use settings::Settings;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("pixelrush: {}", Chain(&failure));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode, Failure> {
    if let Some(Command::MatchSim(options)) = &cli.command {
        return Ok(match_sim::command::run(options));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::Runtime)?;
    if let Some(Command::Smoke(options)) = &cli.command {
        return Ok(runtime.block_on(smoke::run(options)));
    }
    let settings = Settings::load(cli.config())?;
    let problems = settings.problems();
    if !problems.is_empty() {
        return Err(Failure::Settings(problems.join("; ")));
    }
    if cli.check() {
        println!("the configuration is good");
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(Command::Replay(options)) = &cli.command {
        return runtime.block_on(replay::run(&settings, options.room));
    }
    let telemetry = chassis::telemetry::init(&cli.telemetry(&settings))?;
    service::raise_file_limit();
    runtime.block_on(serve(cli, settings, telemetry))?;
    Ok(ExitCode::SUCCESS)
}

/// Builds, runs, drains.
async fn serve(cli: &Cli, settings: Settings, telemetry: Telemetry) -> Result<(), Failure> {
    let drain = Drain::new();
    let readiness = Readiness::new();
    let hurry = drain.signals().map_err(Failure::Signals)?;
    let host = Host::new(settings.clone(), drain.clone(), readiness.clone())?;
    let admin = Admin::new(readiness, telemetry.clone(), drain).config(host.shown());
    let running = match &cli.command {
        None => single::start(&host, admin, cli.config().is_none()).await?,
        Some(Command::Gateway(_)) => service::gateway(&host, admin).await?,
        Some(Command::Matcher(_)) => service::matcher(&host, admin).await?,
        Some(Command::Syncd(_)) => service::syncd(&host, admin).await?,
        Some(Command::Smoke(_) | Command::Replay(_) | Command::MatchSim(_)) => return Ok(()),
    };
    watch_for_reloads(cli.config(), &host, &telemetry)?;
    tokio::select! {
        () = running.finished() => tracing::info!("drained"),
        () = hurry => tracing::warn!("second signal: exiting at once"),
    }
    match host.take_failure() {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

/// SIGHUP, SIGUSR1 and a change of the file read it again: what can change does, what cannot is
/// named, and a bad file changes nothing.
fn watch_for_reloads(
    file: Option<&Path>,
    host: &Host,
    telemetry: &Telemetry,
) -> Result<JoinHandle<()>, Failure> {
    let mut reloads = reloads().map_err(Failure::Signals)?;
    let mut changes = Changes::of(file);
    let (file, host, telemetry) = (file.map(Path::to_path_buf), host.clone(), telemetry.clone());
    Ok(tokio::spawn(async move {
        loop {
            tokio::select! {
                () = reloads.next() => {}
                () = changes.next() => tracing::info!("the configuration file has changed"),
            }
            match Settings::load(file.as_deref()) {
                Err(error) => {
                    tracing::error!(error = %Chain(&error), "reload refused, the old settings stay")
                }
                Ok(settings) => host.reload(settings, &telemetry).await,
            }
        }
    }))
}
