//! The gateway that a player is on dies, freezes, is cut off or drained in the middle of a race.

use std::time::Duration;

use client::address::Address;
use e2e::deployment::Deployment;
use e2e::proxy::{Proxy, Weather};
use rustix::process::Signal;

use crate::binary;

const PLAYERS: u64 = 8;
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_goes_on_through_the_other_gateway_when_one_is_killed() {
    let (deployment, _folder) = deploy();
    let targets = deployment.addresses();
    let fault = |victim: usize| deployment.gateways[victim].signal(Signal::KILL);
    race_through("killed", &deployment, targets, fault).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_goes_on_through_the_other_gateway_when_one_is_stopped() {
    let (deployment, _folder) = deploy();
    let targets = deployment.addresses();
    let fault = |victim: usize| deployment.gateways[victim].signal(Signal::STOP);
    race_through("stopped", &deployment, targets, fault).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_goes_on_through_the_other_gateway_when_packets_to_one_are_dropped() {
    let (deployment, _folder) = deploy();
    let mut proxies = Vec::new();
    for gateway in &deployment.gateways {
        proxies.push(Proxy::start(gateway.address()).await.expect("a free port"));
    }
    let targets = proxies.iter().map(|proxy| proxy.address().into()).collect();
    let fault = |victim: usize| proxies[victim].set(Weather::BlackHole);
    race_through("dropped", &deployment, targets, fault).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_goes_on_through_the_other_gateway_when_one_is_drained() {
    let (deployment, _folder) = deploy();
    let targets = deployment.addresses();
    let fault = |victim: usize| deployment.gateways[victim].signal(Signal::TERM);
    race_through("drained", &deployment, targets, fault).await;
    let drained = |log: &str| log.contains("\"message\":\"drained\"");
    let logs: Vec<String> = deployment
        .gateways
        .iter()
        .map(|gateway| gateway.log())
        .collect();
    assert_eq!(
        logs.iter().filter(|log| drained(log)).count(),
        1,
        "{logs:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_all_gateways_in_the_middle_of_a_race_loses_nothing() {
    let (mut deployment, _folder) = deploy();
    let targets = deployment.addresses();
    let roll = || {
        (0..2)
            .try_for_each(|index| deployment.roll_gateway(index))
            .map_err(|error| error.to_string())
    };
    let race = e2e::failover::race_while_rolling(PLAYERS, targets, roll);
    let outcome = tokio::time::timeout(PATIENCE, race).await;
    if !matches!(outcome, Ok(Ok(_))) {
        panic!("{outcome:?}\n{}", deployment.logs());
    }
}

/// Eight players race; once all are under way the gateway with most of them gets the fault.
async fn race_through(
    name: &str,
    deployment: &Deployment,
    targets: Vec<Address>,
    fault: impl Fn(usize),
) {
    let race = e2e::failover::race_through(PLAYERS, targets, fault);
    let everyone = match tokio::time::timeout(PATIENCE, race).await {
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

fn deploy() -> (Deployment, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let deployment =
        Deployment::start(binary(), folder.path()).unwrap_or_else(|error| panic!("{error}"));
    (deployment, folder)
}
