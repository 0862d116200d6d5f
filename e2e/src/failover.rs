//! Players race, a gateway gets a fault in the middle, and what they saw must be as if nothing
//! had happened.

use client::address::Address;

use crate::journey::{Journey, Plan, Seen};

/// Sends `players` on their way; once all are racing, the gateway with most of them gets the
/// `fault`, by its index. Gives what everyone saw, checked.
///
/// # Errors
/// The first journey that failed, or the first thing that is not as it must be.
pub async fn race_through(
    players: u64,
    targets: Vec<Address>,
    fault: impl Fn(usize),
) -> Result<Vec<Seen>, String> {
    let mut journeys: Vec<Journey> = (0..players)
        .map(|number| journey(number, &targets))
        .collect();
    let mut on_second = 0;
    for journey in &mut journeys {
        let seen = journey.until(|seen| seen.is_racing).await?;
        on_second += u64::from(seen.nodes[0] == "gateway-2");
    }
    let victim = usize::from(on_second > players / 2);
    fault(victim);
    let mut everyone = Vec::new();
    for journey in journeys {
        everyone.push(journey.finish().await?);
    }
    let nodes = ["gateway-1", "gateway-2"];
    for seen in &everyone {
        check(seen, nodes[victim], nodes[1 - victim])?;
        check_same(seen, &everyone)?;
    }
    Ok(everyone)
}

/// Sends `players` on their way; once all are racing, `roll` is called, which may take seconds.
/// Gives what everyone saw, checked.
///
/// # Errors
/// As [`race_through`], and if nobody had to move.
pub async fn race_while_rolling(
    players: u64,
    targets: Vec<Address>,
    roll: impl FnOnce() -> Result<(), String>,
) -> Result<Vec<Seen>, String> {
    let mut journeys: Vec<Journey> = (0..players)
        .map(|number| journey(number, &targets))
        .collect();
    for journey in &mut journeys {
        journey.until(|seen| seen.is_racing).await?;
    }
    roll()?;
    let mut everyone = Vec::new();
    for journey in journeys {
        everyone.push(journey.finish().await?);
    }
    for seen in &everyone {
        seen.check_history()?;
        check_same(seen, &everyone)?;
        if seen.rooms.len() != 1 || seen.freezes.is_empty() != (seen.losses == 0) {
            return Err(format!(
                "rooms {:?}, {} losses, freezes {:?}",
                seen.rooms, seen.losses, seen.freezes
            ));
        }
    }
    match everyone.iter().map(|seen| seen.losses).sum::<usize>() {
        0 => Err("nobody had to move".to_owned()),
        _ => Ok(everyone),
    }
}

fn journey(number: u64, targets: &[Address]) -> Journey {
    Journey::start(Plan {
        targets: targets.to_vec(),
        mode: "race".to_owned(),
        device: format!("player-{number}"),
        seed: number,
    })
}

fn check(seen: &Seen, dead: &str, alive: &str) -> Result<(), String> {
    seen.check_history()?;
    if seen.rooms.len() != 1 {
        return Err(format!("one room each, not {:?}", seen.rooms));
    }
    let hit = seen.nodes[0] == dead;
    if hit != (seen.losses > 0) || hit == seen.freezes.is_empty() {
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

/// Everyone in a room was told the same.
fn check_same(seen: &Seen, everyone: &[Seen]) -> Result<(), String> {
    let told = seen.told_to_all();
    let other = everyone
        .iter()
        .find(|other| other.rooms == seen.rooms && other.told_to_all() != told);
    match other {
        Some(other) => Err(format!(
            "{told:?}\nbut another saw\n{:?}",
            other.told_to_all()
        )),
        None => Ok(()),
    }
}
