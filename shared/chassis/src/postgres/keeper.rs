//! The task beside a pool: every second it closes what has been there for too long, keeps the
//! least that there shall be, reports who holds a connection for too long, follows the files of
//! the login and, in the automatic mode, the waiting time.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::automatic::{Follower, Seen};
use super::config::{Login, PoolConfig};
use super::pool::{Inner, Shared};
use crate::telemetry::Chain;

const LOOK: Duration = Duration::from_secs(1);

/// Runs until the pool is gone.
pub(super) async fn keep(pool: Weak<Inner>, shared: Arc<Shared>) {
    let mut keeper = Keeper {
        follower: Follower::default(),
        looked: Instant::now(),
        refusal: None,
    };
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_time = tokio::select! {
            _ = look.tick() => true,
            () = shared.wake.notified() => false,
        };
        let Some(pool) = pool.upgrade() else {
            return;
        };
        if is_time {
            keeper.follow_files(&pool).await;
            keeper.follow_waiting(&pool);
            report_leaks(&pool);
        }
        pool.sweep();
        pool.warm_up().await;
        pool.shared.meters.show(&pool.status());
    }
}

struct Keeper {
    follower: Follower,
    looked: Instant,
    /// Why the files were refused last, which is said once.
    refusal: Option<String>,
}

impl Keeper {
    async fn follow_files(&mut self, pool: &Inner) {
        let asked = pool.asked.lock().await;
        if asked.password_file.is_none() && asked.ca_file.is_none() {
            return;
        }
        let config = asked.clone();
        let read = tokio::task::spawn_blocking(move || Login::read(&config)).await;
        let outcome = match read {
            Ok(Ok(login)) => pool.log_in_as(login).await,
            Ok(Err(invalid)) => Err(invalid.into()),
            Err(_) => return,
        };
        let refusal = outcome.err().map(|error| Chain(&error).to_string());
        if let Some(error) = refusal.as_ref().filter(|_| refusal != self.refusal) {
            tracing::error!(%error, "the files of Postgres' login were refused");
        }
        self.refusal = refusal;
    }

    fn follow_waiting(&mut self, pool: &Inner) {
        let limits = pool.shared.limits();
        let (served, late) = pool.shared.meters.take_callers();
        let seen = Seen {
            served,
            late,
            most_used: pool.shared.holders.take_most(),
            over: self.looked.elapsed(),
        };
        self.looked = Instant::now();
        let Some(bounds) = limits.automatic else {
            self.follower = Follower::default();
            return;
        };
        let max = self.follower.next(limits.max, seen, bounds);
        if max != limits.max {
            pool.limit(PoolConfig { max, ..limits });
        }
    }
}

fn report_leaks(pool: &Inner) {
    let limit = pool.shared.limits().leak_after;
    for held in pool.shared.holders.overdue(limit) {
        pool.shared.meters.leaked();
        let (place, held_ms) = (held.place, held.held_ms);
        tracing::warn!(
            place,
            held_ms,
            "a connection to Postgres is held for too long"
        );
    }
}
