//! What the journal costs: two syncds with the same races, one on a shared Redis and one that keeps
//! nothing, measured in pairs of the same seconds.

use std::fs;
use std::io;
use std::time::Duration;

use pixelrush_e2e::deployment::Deployment;
use pixelrush_e2e::fleet::NodeRef;
use tokio::task::block_in_place;

use crate::stage::{Stage, binary, crowd, folder, text};

/// Forty races of eight on each side: a few hundred players, as a node in use has. With ten, most of
/// a step's time is what the links to gateways cost each tick, and so is most of the journal's.
const PLAYERS: u64 = 320;

const RACE: u64 = 8;

/// A race that outlasts the measurement.
const LAPS: u32 = 9;

const PAIRS: usize = 10;

const WINDOW: Duration = Duration::from_secs(5);

/// Steps of a room in a second.
const STEPS: f64 = 60.0;

pub(crate) async fn measure() -> Result<(), String> {
    let stage = Stage::set("journal", |mut options| {
        options.syncds = 1;
        options.matchers = 1;
        options.laps = LAPS;
        options
    })
    .await?;
    let folder = folder("no-journal")?;
    let deployment =
        block_in_place(|| Deployment::with_laps(&binary()?, &folder, LAPS).map_err(text))?;
    let journalled = crowd(PLAYERS, stage.fleet.targets());
    let plain = crowd(PLAYERS, deployment.addresses());
    let (journalled, plain) = tokio::try_join!(journalled, plain)?;
    let process = stage.fleet.process(NodeRef::syncd(0));
    let with = process.ok_or("the syncd is gone")?.id();
    let without = deployment.syncd().id();
    let mut pairs = Vec::new();
    for _ in 0..PAIRS {
        let (a, b) = (busy(with).map_err(text)?, busy(without).map_err(text)?);
        tokio::time::sleep(WINDOW).await;
        let a = busy(with).map_err(text)?.saturating_sub(a);
        let b = busy(without).map_err(text)?.saturating_sub(b);
        pairs.push((a, b));
    }
    for (name, crowd) in [("journal", &journalled), ("no journal", &plain)] {
        let racing = crowd
            .phases()
            .iter()
            .filter(|(_, room)| room.is_some())
            .count();
        if racing != crowd.size() {
            return Err(format!(
                "{name}: only {racing} still race; measure with more laps"
            ));
        }
    }
    let steps = STEPS * WINDOW.as_secs_f64() * (PLAYERS / RACE) as f64;
    let a_step = |time: Duration| time.as_secs_f64() * 1e6 / steps;
    let with = median(pairs.iter().map(|(a, _)| a_step(*a)).collect());
    let without = median(pairs.iter().map(|(_, b)| a_step(*b)).collect());
    let mut ratios: Vec<f64> = pairs
        .iter()
        .map(|(a, b)| a.as_secs_f64() / b.as_secs_f64())
        .collect();
    ratios.sort_unstable_by(f64::total_cmp);
    println!(
        "\n| processor time of syncd a room's step | with the journal | without | ratio, median of {PAIRS} pairs | spread |"
    );
    println!("| --- | --- | --- | --- | --- |");
    println!(
        "| {} rooms of {RACE} | {with:.1} µs | {without:.1} µs | {:.2} | {:.2} to {:.2} |",
        PLAYERS / RACE,
        median(ratios.clone()),
        ratios[0],
        ratios[ratios.len() - 1],
    );
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The time that all threads of a process have been on a core.
fn busy(process: u32) -> io::Result<Duration> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        let first = text.split(' ').next();
        sum += first
            .and_then(|first| first.parse::<u64>().ok())
            .unwrap_or(0);
    }
    Ok(Duration::from_nanos(sum))
}
