//! Measures how long players see nothing when their gateway dies: `cargo xtask freeze [PLAYERS]`.
//!
//! Two gateways, a matcher and a syncd; races of eight; in the middle of them the gateway with
//! most of the players is killed, stopped, cut off by a network that swallows its packets, or
//! drained. Every run also checks that each event took effect once.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use pixelrush_e2e::deployment::Deployment;
use pixelrush_e2e::failover::race_through;
use pixelrush_e2e::proxy::{Proxy, Weather};
use rustix::process::Signal;

/// Players unless the command line says otherwise: twenty races.
const PLAYERS: u64 = 160;

#[derive(Debug, Clone, Copy)]
enum Fault {
    Killed,
    Stopped,
    PacketsDropped,
    Drained,
}

fn main() -> ExitCode {
    let players = match std::env::args().nth(1).map(|text| text.parse::<u64>()) {
        None => PLAYERS,
        Some(Ok(players)) if players > 0 && players % 8 == 0 => players,
        Some(_) => {
            eprintln!("usage: freeze [PLAYERS], a multiple of 8");
            return ExitCode::from(2);
        }
    };
    let outcome = tokio::runtime::Runtime::new()
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(measure(players)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("freeze: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(players: u64) -> Result<(), String> {
    println!("| gateway | players hit | median | p99 | longest |");
    println!("| --- | --- | --- | --- | --- |");
    for fault in [
        Fault::Killed,
        Fault::Stopped,
        Fault::PacketsDropped,
        Fault::Drained,
    ] {
        let freezes = run(fault, players).await?;
        let at = |share: f64| freezes[((freezes.len() - 1) as f64 * share).round() as usize];
        println!(
            "| {fault:?} | {} | {:.0?} | {:.0?} | {:.0?} |",
            freezes.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
    Ok(())
}

/// The freezes of one fault, in rising order.
async fn run(fault: Fault, players: u64) -> Result<Vec<Duration>, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let binary = program.with_file_name("pixelrush");
    let folder = program.parent().unwrap_or(Path::new(".")).join("../freeze");
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let deployment = Deployment::start(&binary, &folder).map_err(|error| error.to_string())?;
    let mut proxies = Vec::new();
    for gateway in &deployment.gateways {
        let proxy = Proxy::start(gateway.address())
            .await
            .map_err(|error| error.to_string())?;
        proxies.push(proxy);
    }
    let targets = proxies.iter().map(|proxy| proxy.address().into()).collect();
    let strike = |victim: usize| match fault {
        Fault::Killed => deployment.gateways[victim].signal(Signal::KILL),
        Fault::Stopped => deployment.gateways[victim].signal(Signal::STOP),
        Fault::PacketsDropped => proxies[victim].set(Weather::BlackHole),
        Fault::Drained => deployment.gateways[victim].signal(Signal::TERM),
    };
    let everyone = race_through(players, targets, strike)
        .await
        .map_err(|failure| format!("{fault:?}: {failure}\n{}", deployment.logs()))?;
    let mut freezes: Vec<Duration> = everyone
        .iter()
        .flat_map(|seen| seen.freezes.iter().copied())
        .collect();
    freezes.sort_unstable();
    Ok(freezes)
}
