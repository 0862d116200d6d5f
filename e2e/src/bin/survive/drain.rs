//! A syncd with 500 races is drained: every race has to move, and nobody may see much of it.

use std::time::{Duration, Instant};

use pixelrush_e2e::fleet::NodeRef;
use tokio::task::block_in_place;

use crate::stage::{Stage, row, text};

const RACES: u64 = 500;

/// People of a race: with more of them two cores that also run all players measure themselves.
const RACERS: usize = 1;

/// A race goes on for longer than all of this takes.
const LAPS: u32 = 6;

/// Beyond what the frame rate makes of it, everyone's silence counts.
const WITHIN: Duration = Duration::from_secs(5);

pub(crate) async fn measure() -> Result<(), String> {
    let mut stage = Stage::set("drain", |mut options| {
        options.syncds = 1;
        options.race = RACERS;
        options.laps = LAPS;
        options
    })
    .await?;
    let crowd = stage.crowd(RACES * RACERS as u64).await?;
    let target = block_in_place(|| stage.fleet.add_syncd()).map_err(text)?;
    let before = stage.rooms(&crowd).await?;
    let source = NodeRef::syncd(0);
    let there = before.iter().filter(|(_, node)| *node == source).count();
    let (at, began) = (crowd.now(), Instant::now());
    block_in_place(|| stage.fleet.drain(source)).map_err(text)?;
    let took = began.elapsed();
    let until = crowd.now();
    crowd
        .until_moving(crowd.now(), WITHIN)
        .await
        .map_err(text)?;
    let after = stage.rooms(&crowd).await?;
    let moved = before
        .iter()
        .filter(|(room, _)| after.contains(&(*room, target)));
    let moved = moved.count();
    let histories = stage.finish(crowd, "drain", at).await?;
    let longest = |history: &pixelrush_e2e::history::History| {
        let hit = history
            .freezes()
            .filter(|(from, lasted)| *from + *lasted >= at && *from <= until);
        // Who has no entry saw nothing longer than is written down.
        hit.map(|(_, lasted)| lasted).max().unwrap_or_default()
    };
    println!("\n{moved} of {there} races moved, the drain took {took:.1?}\n");
    println!("| a syncd is drained | players | median | p99 | longest |");
    println!("| --- | --- | --- | --- | --- |");
    println!("{}", row("freeze", histories.iter().map(longest).collect()));
    match moved == there {
        true => Ok(()),
        false => Err(format!("{} races did not move", there - moved)),
    }
}
