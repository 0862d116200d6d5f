//! The long case: two players race, and lose their connection, their page, their device on the way.

use super::Options;
use super::cases::expect;
use crate::journey::{Journey, Plan, Seen};

pub(super) async fn whole(options: &Options) -> Result<(), String> {
    let mut refreshed = Journey::start(plan(options, 1));
    let mut moved = Journey::start(plan(options, 2));
    refreshed.until(|seen| seen.is_racing).await?;
    refreshed.cut().await;
    let cut = refreshed.until(|seen| !seen.freezes.is_empty()).await?;
    cut.check_history()?;
    let first = moved.until(|seen| seen.is_racing).await?;
    refreshed.refresh().await;
    moved.change_device().await;
    let (refreshed, moved) = tokio::join!(refreshed.finish(), moved.finish());
    returned(&cut, &refreshed?, "a refresh")?;
    returned(&first, &moved?, "another device")
}

/// What has to hold for everyone who raced, and lost all that the client knew on the way.
fn returned(before: &Seen, after: &Seen, way: &str) -> Result<(), String> {
    check(after)?;
    expect(before.rooms.len() == 1, || {
        format!("rooms: {:?}", before.rooms)
    })?;
    expect(before.rooms == after.rooms, || {
        format!("{way} leads from {:?} to {:?}", before.rooms, after.rooms)
    })
}

fn plan(options: &Options, number: u64) -> Plan {
    let run = std::process::id();
    Plan {
        targets: options.targets.clone(),
        mode: options.mode.clone(),
        device: format!("smoke-racer-{number}-{run}"),
        seed: number,
    }
}

/// What has to hold for whoever races.
fn check(seen: &Seen) -> Result<(), String> {
    seen.check_history()?;
    expect(seen.snapshots > 50, || {
        format!("only {} snapshots", seen.snapshots)
    })?;
    let result = seen.result.as_ref().ok_or("no result")?;
    let standings = result["standings"].as_array().map_or(0, Vec::len);
    expect(standings >= 2, || {
        format!("a result without standings: {result}")
    })
}
