//! A gateway is killed, stopped, cut off or drained: how long its players see nothing.

use std::time::Duration;

use pixelrush_e2e::fleet::NodeRef;
use pixelrush_e2e::history::History;
use pixelrush_e2e::proxy::{Proxy, Weather};
use rustix::process::Signal;

use crate::stage::{Stage, crowd, freezes, gateway_of, row, text};

/// Twenty races of eight.
const PLAYERS: u64 = 160;

const WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy)]
enum Fault {
    Killed,
    Stopped,
    CutOff,
    Drained,
}

pub(crate) async fn measure() -> Result<(), String> {
    println!("\n| the gateway is | players hit | median | p99 | longest |");
    println!("| --- | --- | --- | --- | --- |");
    for (fault, name) in [
        (Fault::Killed, "killed"),
        (Fault::Stopped, "stopped (SIGSTOP)"),
        (Fault::CutOff, "cut off, its packets swallowed"),
        (Fault::Drained, "drained (SIGTERM)"),
    ] {
        println!("{}", row(name, strike(fault).await?));
    }
    Ok(())
}

async fn strike(fault: Fault) -> Result<Vec<Duration>, String> {
    let name = format!("gateway-{fault:?}").to_lowercase();
    let stage = Stage::set(&name, |options| options).await?;
    let mut proxies = Vec::new();
    for address in stage.fleet.addresses() {
        proxies.push(Proxy::start(address).await.map_err(text)?);
    }
    let targets = proxies.iter().map(|proxy| proxy.address().into()).collect();
    let crowd = crowd(PLAYERS, targets).await?;
    let on_second = |histories: &[History]| {
        let second = NodeRef::gateway(1).to_string();
        let on = |history: &&History| gateway_of(history) == Some(second.as_str());
        histories.iter().filter(on).count()
    };
    let before = crowd.histories();
    let index = usize::from(on_second(&before) > before.len() / 2);
    let victim = NodeRef::gateway(index);
    let hit: Vec<u64> = before
        .iter()
        .filter(|history| gateway_of(history) == Some(victim.to_string().as_str()))
        .map(|history| history.number)
        .collect();
    let at = crowd.now();
    match fault {
        Fault::Killed => stage.fleet.signal(victim, Signal::KILL),
        Fault::Stopped => stage.fleet.signal(victim, Signal::STOP),
        Fault::CutOff => proxies[index].set(Weather::BlackHole),
        Fault::Drained => stage.fleet.signal(victim, Signal::TERM),
    }
    tokio::time::sleep(WITHIN).await;
    let histories = stage.finish(crowd, &name, at).await?;
    let players = histories
        .iter()
        .filter(|history| hit.contains(&history.number));
    Ok(freezes(players, at, WITHIN))
}
