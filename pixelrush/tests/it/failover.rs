//! The gateway that a player is on dies, freezes, or is cut off in the middle of a race.

use std::net::SocketAddr;
use std::time::Duration;

use client::address::Address;
use e2e::journey::{Journey, Plan, Seen};
use e2e::proxy::{Proxy, Weather};
use rustix::process::Signal;

use crate::deployment::{Deployment, address};

const PLAYERS: u64 = 8;
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_goes_on_through_the_other_gateway_when_one_is_killed() {
    let deployment = Deployment::start();
    let targets = deployment.addresses();
    let fault = |victim: usize| deployment.gateways[victim].signal(Signal::KILL);
    race_through("killed", &deployment, targets, fault).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_goes_on_through_the_other_gateway_when_one_is_stopped() {
    let deployment = Deployment::start();
    let targets = deployment.addresses();
    let fault = |victim: usize| deployment.gateways[victim].signal(Signal::STOP);
    race_through("stopped", &deployment, targets, fault).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_goes_on_through_the_other_gateway_when_packets_to_one_are_dropped() {
    let deployment = Deployment::start();
    let mut proxies = Vec::new();
    for gateway in &deployment.gateways {
        proxies.push(Proxy::start(gateway.address()).await.expect("a free port"));
    }
    let url = |address: SocketAddr| address_of(address);
    let targets = proxies.iter().map(|proxy| url(proxy.address())).collect();
    let fault = |victim: usize| proxies[victim].set(Weather::BlackHole);
    race_through("dropped", &deployment, targets, fault).await;
}

/// Eight players race; once all are under way the gateway with most of them gets the fault.
async fn race_through(
    name: &str,
    deployment: &Deployment,
    targets: Vec<Address>,
    fault: impl Fn(usize),
) {
    let outcome = tokio::time::timeout(PATIENCE, run(targets, fault)).await;
    let everyone = match outcome {
        Ok(Ok(everyone)) => everyone,
        Ok(Err(failure)) => panic!("{failure}\n{}", deployment.logs()),
        Err(_) => panic!("not done within {PATIENCE:?}\n{}", deployment.logs()),
    };
    let mut freezes: Vec<Duration> = everyone
        .iter()
        .flat_map(|seen| seen.freezes.iter().copied())
        .collect();
    freezes.sort_unstable();
    println!("gateway {name}: freezes {freezes:?}");
}

async fn run(targets: Vec<Address>, fault: impl Fn(usize)) -> Result<Vec<Seen>, String> {
    let mut players: Vec<Journey> = (0..PLAYERS)
        .map(|number| {
            Journey::start(Plan {
                targets: targets.clone(),
                mode: "race".to_owned(),
                device: format!("player-{number}"),
                seed: number,
            })
        })
        .collect();
    let mut before = Vec::new();
    for player in &mut players {
        before.push(player.until(|seen| seen.is_racing).await?);
    }
    let on_second = before
        .iter()
        .filter(|seen| seen.nodes[0] == "gateway-2")
        .count();
    let victim = usize::from(on_second > PLAYERS as usize / 2);
    let (dead, alive) = if victim == 0 {
        ("gateway-1", "gateway-2")
    } else {
        ("gateway-2", "gateway-1")
    };
    fault(victim);
    let mut everyone = Vec::new();
    for player in players {
        everyone.push(player.finish().await?);
    }
    for seen in &everyone {
        check(seen, dead, alive)?;
    }
    let first = everyone[0].told_to_all();
    match everyone.iter().find(|seen| seen.told_to_all() != first) {
        Some(other) => Err(format!(
            "{first:?}\nbut another player saw\n{:?}",
            other.told_to_all()
        )),
        None => Ok(everyone),
    }
}

fn check(seen: &Seen, dead: &str, alive: &str) -> Result<(), String> {
    seen.check_history()?;
    if seen.rooms.len() != 1 {
        return Err(format!("one room each, not {:?}", seen.rooms));
    }
    let hit = seen.nodes[0] == dead;
    if hit != (seen.losses > 0) || hit != !seen.freezes.is_empty() {
        return Err(format!(
            "{} losses and freezes {:?} on {}",
            seen.losses, seen.freezes, seen.nodes[0]
        ));
    }
    if seen.nodes.last().is_none_or(|node| node != alive) {
        return Err(format!("went {:?}, not to {alive}", seen.nodes));
    }
    Ok(())
}

fn address_of(socket: SocketAddr) -> Address {
    address(&format!("http://{socket}"))
}
