//! A syncd is killed: how long its players see nothing, and how long taking a room over takes.

use std::collections::BTreeMap;
use std::time::Duration;

use pixelrush_e2e::fleet::{Lease, NodeRef};
use protocol::id::RoomId;

use crate::stage::{Stage, freezes, room_at, row, text};

/// Twenty races of eight.
const PLAYERS: u64 = 160;

const ROUNDS: usize = 3;

/// Longest from the kill to the end of the freeze.
const WITHIN: Duration = Duration::from_secs(20);

pub(crate) async fn measure() -> Result<(), String> {
    let mut taken = Vec::new();
    println!("\n| a syncd is killed | players hit | median | p99 | longest |");
    println!("| --- | --- | --- | --- | --- |");
    for (lease, name) in [
        (Lease::Fast, "fast leases (300 ms, 1 s)"),
        (Lease::Default, "default leases (3 s, 5 s)"),
    ] {
        let mut all = Vec::new();
        for round in 0..ROUNDS {
            let (freezes, takeovers) = kill(lease, round).await?;
            all.extend(freezes);
            taken.extend(takeovers);
        }
        println!("{}", row(name, all));
    }
    println!("\n| | rooms | median | p99 | longest |");
    println!("| --- | --- | --- | --- | --- |");
    println!(
        "{}",
        row("from the seal to a room that was taken over", taken)
    );
    Ok(())
}

async fn kill(lease: Lease, round: usize) -> Result<(Vec<Duration>, Vec<Duration>), String> {
    let name = format!("syncd-{lease:?}-{round}").to_lowercase();
    let mut stage = Stage::set(&name, |mut options| {
        options.lease = lease;
        options
    })
    .await?;
    let crowd = stage.crowd(PLAYERS).await?;
    let rooms = stage.rooms(&crowd).await?;
    let mut counts: BTreeMap<NodeRef, usize> = BTreeMap::new();
    for (_, node) in &rooms {
        *counts.entry(*node).or_default() += 1;
    }
    let victim = counts.iter().max_by_key(|(_, count)| **count);
    let victim = *victim.ok_or("there are no rooms")?.0;
    let hit: Vec<RoomId> = rooms
        .iter()
        .filter(|(_, node)| *node == victim)
        .map(|(room, _)| *room)
        .collect();
    let at = crowd.now();
    stage.fleet.kill(victim);
    tokio::time::sleep(lease.ttl()).await;
    crowd
        .until_moving(crowd.now(), WITHIN)
        .await
        .map_err(text)?;
    let histories = stage.finish(crowd, &name, at).await?;
    let players = histories
        .iter()
        .filter(|history| room_at(history, at).is_some_and(|room| hit.contains(&room)));
    let freezes = freezes(players, at, lease.ttl());
    let survivors = stage.fleet.names().into_iter();
    let takeovers = survivors.flat_map(|node| takeovers(&stage.fleet.log_of(node)));
    Ok((freezes, takeovers.collect()))
}

/// From a node's log, how long after the seal each room was taken over.
fn takeovers(log: &str) -> Vec<Duration> {
    let mut sealed = None;
    let mut found = Vec::new();
    for line in log.lines() {
        let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else {
            continue;
        };
        let at = line["timestamp"].as_str().and_then(time_of_day);
        match line["message"].as_str() {
            Some("a node is gone; its journal is sealed") => sealed = at,
            Some("a room was taken over") => {
                if let (Some(sealed), Some(at)) = (sealed, at) {
                    found.push(at.saturating_sub(sealed));
                }
            }
            _ => {}
        }
    }
    found
}

/// The time in `2026-11-26T12:19:01.476886Z`, as it has passed since midnight.
fn time_of_day(timestamp: &str) -> Option<Duration> {
    let (_, time) = timestamp.trim_end_matches('Z').split_once('T')?;
    let mut parts = time.split(':');
    let hours: u64 = parts.next()?.parse().ok()?;
    let minutes: u64 = parts.next()?.parse().ok()?;
    let seconds: f64 = parts.next()?.parse().ok()?;
    Some(Duration::from_secs(hours * 3600 + minutes * 60) + Duration::from_secs_f64(seconds))
}
