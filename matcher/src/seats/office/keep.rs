//! The rounds: what has lapsed or is in doubt, what the store has lost, and how events stand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chassis::clock::unix_ms;
use protocol::time::Timestamp;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};

use super::{Away, Office, away};
use crate::config::EventName;
use crate::seats::store::{Sale, Swept};

/// How often a round is made.
const ROUND: Duration = Duration::from_secs(1);

/// How long an event that has closed is still looked after: what is in writing then is settled.
const AFTER: Duration = Duration::from_secs(3600);

/// Makes rounds. The first is at once: events are open, and the board has them, before anybody
/// asks.
pub(super) async fn keep(office: Arc<Office>) {
    let mut config = office.config.clone();
    let mut rounds = interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut lineages = BTreeMap::new();
    loop {
        tokio::select! {
            _ = rounds.tick() => {}
            changed = config.changed() => {
                if changed.is_err() {
                    // No more changes; rounds go on.
                    rounds.tick().await;
                }
            }
        }
        config.mark_unchanged();
        office.round(&mut lineages).await;
    }
}

/// Puts news on the board.
pub(super) async fn hear(office: Arc<Office>) {
    let mut news = office.store.news();
    loop {
        match news.recv().await {
            Ok(news) => {
                if office.sale(&news.event).is_some() {
                    office.saw(&news.event, news.counts);
                }
            }
            // The next round looks by itself.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

impl Office {
    /// `lineages`: of each event, the history of the store that it was rebuilt in.
    async fn round(&self, lineages: &mut BTreeMap<EventName, String>) {
        let sales = self.sales();
        let names: BTreeSet<&EventName> = sales.iter().map(|sale| &sale.name).collect();
        lineages.retain(|name, _| names.contains(name));
        self.board.retain(|name| names.contains(name));
        if sales.is_empty() {
            return;
        }
        // Asked before anything is rebuilt: what is lost after this shows in the next round.
        let Ok(lineage) = self.store.lineage().await.map_err(away) else {
            return;
        };
        for sale in &sales {
            if lineages.get(&sale.name) != Some(&lineage) {
                if self.rebuild(sale).await.is_err() {
                    return;
                }
                lineages.insert(sale.name.clone(), lineage.clone());
            }
            if self.look_after(sale).await.is_err() {
                return;
            }
        }
    }

    fn sales(&self) -> Vec<Sale> {
        let now = Timestamp(unix_ms().saturating_mul(1000));
        let config = self.config.borrow();
        let sales = config.events.iter();
        sales
            .filter(|(_, event)| now < event.closes_at() + AFTER)
            .map(|(name, event)| Sale::new(name, event))
            .collect()
    }

    async fn look_after(&self, sale: &Sale) -> Result<(), Away> {
        let seen = self.board.seen(&sale.name);
        let swept = self.ask(sale, || self.store.sweep(sale, seen));
        let Swept { lapsed, doubtful } = swept.await?;
        if let Some(counts) = self.board.counts(&sale.name) {
            self.meters.stands(&sale.name, &counts);
        }
        if lapsed > 0 {
            tracing::debug!(event = %sale.name, lapsed, "reservations have ended");
        }
        if doubtful.is_empty() {
            return Ok(());
        }
        self.meters.doubtful.increment(doubtful.len() as u64);
        tracing::warn!(
            event = %sale.name, seats = doubtful.len(),
            "seats have been in writing for too long: the ledger is asked"
        );
        let players: Vec<_> = doubtful.iter().map(|(player, _)| *player).collect();
        let seats = self.ledger.seats_of(sale.name.as_str(), &players).await;
        let (mut booked, mut not) = (Vec::new(), Vec::new());
        for ((player, wanted), seat) in doubtful.into_iter().zip(seats.map_err(away)?) {
            match seat {
                Some(seat) => booked.push((player, seat)),
                None => not.push((player, wanted)),
            }
        }
        self.settle(sale, &booked).await;
        if !not.is_empty() {
            self.store.undo(sale, &not).await.map_err(away)?;
        }
        Ok(())
    }
}
