//! The long case: two players race, and one of them loses its connection on the way.

use super::Options;
use super::cases::expect;
use crate::journey::{Journey, Plan, Seen};

pub(super) async fn whole(options: &Options) -> Result<(), String> {
    let run = std::process::id();
    let plan = |number: u64| Plan {
        targets: options.targets.clone(),
        mode: options.mode.clone(),
        device: format!("smoke-racer-{number}-{run}"),
        seed: number,
    };
    let mut cut = Journey::start(plan(1));
    let plain = Journey::start(plan(2));
    cut.until(|seen| seen.is_racing).await?;
    cut.cut().await;
    let (cut, plain) = tokio::join!(cut.finish(), plain.finish());
    let (cut, plain) = (cut?, plain?);
    check(&cut)?;
    check(&plain)?;
    expect(!cut.freezes.is_empty(), || {
        "the cut connection was never told as restored".to_owned()
    })
}

/// What has to hold for everyone who raced.
fn check(seen: &Seen) -> Result<(), String> {
    seen.check_history()?;
    expect(seen.rooms.len() == 1, || format!("rooms: {:?}", seen.rooms))?;
    expect(seen.snapshots > 50, || {
        format!("only {} snapshots", seen.snapshots)
    })?;
    let result = seen.result.as_ref().ok_or("no result")?;
    let standings = result["standings"].as_array().map_or(0, Vec::len);
    expect(standings >= 2, || {
        format!("a result without standings: {result}")
    })
}
