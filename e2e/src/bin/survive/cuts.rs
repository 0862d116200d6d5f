//! 10,000 connections are lost, most of them cut and many with their gateway: all have to resume,
//! and no event may be lost or doubled.

use std::time::{Duration, Instant};

use pixelrush_e2e::fleet::NodeRef;
use pixelrush_e2e::history::{History, What};
use protocol::random::Random;
use tokio::task::block_in_place;

use crate::stage::{Stage, text};

const PLAYERS: u64 = 160;

const LOSSES: usize = 10_000;

/// Between two cuts: 50 a second.
const PAUSE: Duration = Duration::from_millis(20);

/// Between two kills of a gateway.
const KILL_EVERY: Duration = Duration::from_secs(8);

pub(crate) async fn measure() -> Result<(), String> {
    let mut stage = Stage::set("cuts", |options| options).await?;
    let crowd = stage.crowd(PLAYERS).await?;
    let mut random = Random::new(1);
    let (mut victim, mut killed) = (0, Instant::now());
    let mut kills = 0;
    let mut beat = tokio::time::interval(PAUSE);
    let at = crowd.now();
    while crowd.losses() < LOSSES {
        beat.tick().await;
        crowd.cut(random.below(PLAYERS) as usize).await;
        if killed.elapsed() >= KILL_EVERY {
            let gateway = NodeRef::gateway(victim);
            stage.fleet.kill(gateway);
            block_in_place(|| stage.fleet.restart(gateway)).map_err(text)?;
            (victim, killed) = (1 - victim, Instant::now());
            kills += 1;
        }
    }
    let histories = stage.finish(crowd, "cuts", at).await?;
    let lost: usize = histories.iter().map(History::losses).sum();
    let entries = histories.iter().flat_map(|history| &history.entries);
    let (mut resumed, mut fresh, mut events) = (0, 0, 0);
    for entry in entries {
        match entry.what {
            What::Welcome { resumed: true, .. } => resumed += 1,
            What::Welcome { resumed: false, .. } => fresh += 1,
            What::Event { .. } => events += 1,
            _ => {}
        }
    }
    let again = fresh - histories.len();
    let share = 100.0 * resumed as f64 / (resumed + again) as f64;
    println!(
        "\n| connections lost | gateways killed | reconnects | that resume | events, each once |"
    );
    println!("| --- | --- | --- | --- | --- |");
    println!(
        "| {lost} | {kills} | {} | {share:.2} % | {events} |",
        resumed + again
    );
    Ok(())
}
