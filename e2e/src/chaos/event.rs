//! The event whose seats are sold while things fail.

use std::collections::BTreeMap;
use std::time::Duration;

use client::address::Address;
use engine::seats::MAX_BOOKINGS;
use engine::{Booking, Engine, EngineError, NodeKind, SeatLedger};
use protocol::id::SeatNumber;
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};

use super::{ChaosOptions, LAST};
use crate::fleet::{EVENT, Fleet};
use crate::history::{Seats, SeatsTold};
use crate::takers::{Takers, TakersPlan};

/// Time from one who wants a seat to the next.
const TAKER: Duration = Duration::from_millis(400);

/// Longest until every matcher has heard of the last seat.
const HEARD: Duration = Duration::from_secs(20);

/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Sends half as many again as there are seats on their way, if there is an event.
pub(super) fn takers(options: &ChaosOptions, targets: &[Address]) -> Option<Takers> {
    options.seats.map(|seats| {
        Takers::start(&TakersPlan {
            targets: targets.to_vec(),
            event: EVENT.to_owned(),
            takers: u64::from(seats) * 3 / 2,
            every: TAKER,
            seed: options.seed,
        })
    })
}

/// Lets the rest come at once, and gives what came of the event.
pub(super) async fn finish(
    takers: Option<Takers>,
    fleet: &Fleet,
    engine: &Engine,
) -> Result<Option<Seats>, EngineError> {
    let (Some(takers), Some(ledger)) = (takers, &engine.seats) else {
        return Ok(None);
    };
    let told = takers.finish(LAST).await;
    sold(fleet, &**ledger, told).await.map(Some)
}

/// The event as everyone has it, as soon as the matchers have heard of the last seat.
async fn sold(
    fleet: &Fleet,
    ledger: &dyn SeatLedger,
    told: SeatsTold,
) -> Result<Seats, EngineError> {
    let deadline = Instant::now() + HEARD;
    loop {
        let mut booked: Vec<Booking> = Vec::new();
        loop {
            let after = booked.last().map_or(SeatNumber(0), |last| last.seat);
            let page = ledger.booked(EVENT, after, MAX_BOOKINGS).await?;
            if page.is_empty() {
                break;
            }
            booked.extend(page);
        }
        let confirmed = u32::try_from(booked.len()).unwrap_or(u32::MAX);
        let counts = block_in_place(|| counts(fleet));
        let agree = counts.values().all(|(sold, _)| *sold == confirmed);
        if agree || Instant::now() >= deadline {
            return Ok(Seats {
                seats: fleet.options().seats.unwrap_or_default(),
                told,
                ledger: booked,
                counts,
            });
        }
        sleep(LOOK).await;
    }
}

/// How many seats each matcher says are confirmed and free.
fn counts(fleet: &Fleet) -> BTreeMap<String, (u32, u32)> {
    let matchers = fleet.names().into_iter();
    let matchers = matchers.filter(|node| node.kind == NodeKind::Matcher);
    matchers
        .filter_map(|node| {
            let metrics = fleet.metrics(node)?;
            let of = |name: &str| {
                let line = metrics.lines().find(|line| line.starts_with(name))?;
                line.rsplit(' ').next()?.parse().ok()
            };
            let counts = (of("matcher_seats_confirmed")?, of("matcher_seats_free")?);
            Some((node.to_string(), counts))
        })
        .collect()
}
