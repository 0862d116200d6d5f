//! The desk's patience with the ticket store.
//!
//! Where little is at stake the desk waits for the store: what a call answers is acted on before
//! anything else happens, so nothing is remembered that is no longer so. What comes in crowds it
//! does not wait for ([`calls`](super::calls)). Either way its patience is bounded: calls that fail
//! or are slow have [`PATIENCE`] together in one tick, and after a failure nothing is asked at all
//! for a while. What is not asked counts as failed, and is done at a later tick or when the client
//! asks again.

use std::future::Future;
use std::time::Duration;

use chassis::backoff::Backoff;
use engine::EngineError;
use tokio::time::{Instant, timeout};

use super::Desk;

/// Longest that one tick waits for a store that fails.
const PATIENCE: Duration = Duration::from_millis(500);

/// A call that takes no longer, and succeeds, costs no patience.
const USUAL: Duration = Duration::from_millis(100);

/// Shortest and longest pause after a failure.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(2));

/// The store did not do it, as far as is known. It has been logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Away;

/// What the store said, and how long it took.
#[derive(Debug)]
pub(super) struct Answer<T> {
    operation: &'static str,
    took: Duration,
    result: Result<T, EngineError>,
}

/// Waits for an answer for so long.
pub(super) async fn answer_within<T>(
    limit: Duration,
    operation: &'static str,
    call: impl Future<Output = Result<T, EngineError>>,
) -> Answer<T> {
    let began = Instant::now();
    let result = timeout(limit, call).await;
    Answer {
        operation,
        took: began.elapsed(),
        result: result.unwrap_or(Err(EngineError::Deadline { operation })),
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Patience {
    left: Duration,
    /// Since a call failed, and none has succeeded: when to try again.
    paused_until: Option<Instant>,
    backoff: Backoff,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            left: PATIENCE,
            paused_until: None,
            backoff: Backoff::new(PAUSE.0, PAUSE.1),
        }
    }
}

impl Patience {
    /// A tick has begun.
    pub(super) fn renew(&mut self) {
        self.left = PATIENCE;
    }

    /// Whether to ask at all.
    fn has_any(&self, now: Instant) -> bool {
        !self.left.is_zero() && self.paused_until.is_none_or(|until| until <= now)
    }

    fn succeeded(&mut self, took: Duration) {
        if took > USUAL {
            self.left = self.left.saturating_sub(took);
        }
        if self.paused_until.take().is_some() {
            tracing::info!("the ticket store is back");
        }
        self.backoff.reset();
    }

    fn failed(&mut self, took: Duration, error: &EngineError) {
        self.left = self.left.saturating_sub(took);
        let pause = self.backoff.next();
        if self.paused_until.replace(Instant::now() + pause).is_none() {
            let error = chassis::telemetry::Chain(error);
            tracing::warn!(error = %error, "the ticket store is away");
        }
    }
}

impl Desk {
    /// Whether the store would be asked now.
    pub(super) fn has_patience(&self) -> bool {
        self.patience.has_any(Instant::now())
    }

    /// How long a call may take that begins now.
    pub(super) fn patience(&self) -> Result<Duration, Away> {
        match self.has_patience() {
            true => Ok(self.patience.left),
            false => Err(Away),
        }
    }

    /// Waits for the ticket store, as far as there is patience left.
    pub(super) async fn ask<T>(
        &mut self,
        operation: &'static str,
        call: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, Away> {
        let answer = answer_within(self.patience()?, operation, call).await;
        self.heed(answer)
    }

    /// What an answer does to the desk's patience.
    pub(super) fn heed<T>(&mut self, answer: Answer<T>) -> Result<T, Away> {
        let Answer {
            operation,
            took,
            result,
        } = answer;
        match result {
            Ok(value) => {
                self.patience.succeeded(took);
                return Ok(value);
            }
            // It is there, and this one call asks too much of it.
            Err(error @ (EngineError::Full { .. } | EngineError::TooLarge { .. })) => {
                let error = chassis::telemetry::Chain(&error);
                tracing::warn!(operation, error = %error, "the ticket store refused");
            }
            Err(error) => self.patience.failed(took, &error),
        }
        self.metrics.store_failures.increment(1);
        Err(Away)
    }

    /// The store has as many players as it takes: for who comes it is as good as away.
    pub(super) fn is_full(&mut self) -> Away {
        tracing::warn!("the ticket store takes no more players");
        self.metrics.store_failures.increment(1);
        Away
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn patience_ends_with_failures_and_comes_back_with_the_pause() {
        let mut patience = Patience::default();
        let error = EngineError::Deadline { operation: "test" };
        patience.succeeded(Duration::from_millis(2));
        assert_eq!(patience.left, PATIENCE);
        patience.failed(PATIENCE, &error);
        assert!(!patience.has_any(Instant::now()));
        patience.renew();
        assert!(!patience.has_any(Instant::now()), "the pause goes on");
        tokio::time::advance(PAUSE.0).await;
        assert!(patience.has_any(Instant::now()));
        patience.succeeded(Duration::from_millis(400));
        assert_eq!(patience.left, Duration::from_millis(100));
    }
}
