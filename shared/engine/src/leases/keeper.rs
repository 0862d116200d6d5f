//! Keeps a lease: renews it in time, tries again soon when that fails, gives it back at the end.

use std::sync::Arc;
use std::time::Duration;

use protocol::id::Generation;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{Leases, NodeRecord};
use crate::EngineError;

/// How a lease is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeaseConfig {
    /// A lease is renewed this often.
    #[serde(with = "chassis::config::duration")]
    pub renew: Duration,
    /// A node that has not renewed for this long is gone. More than twice `renew`, or one late
    /// answer costs a node its rooms.
    #[serde(with = "chassis::config::duration")]
    pub ttl: Duration,
    /// A renewal that failed is tried again after this.
    #[serde(with = "chassis::config::duration")]
    pub retry: Duration,
}

impl Default for LeaseConfig {
    fn default() -> Self {
        Self {
            renew: Duration::from_secs(3),
            ttl: Duration::from_secs(5),
            retry: Duration::from_millis(500),
        }
    }
}

/// Whether the lease is held, as far as this node knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseState {
    /// Not yet.
    Waiting,
    /// By us.
    Held {
        /// In this term of the node.
        generation: Generation,
        /// Without a break since then.
        since: Instant,
        /// Until then at least, whatever comes.
        until: Instant,
    },
    /// It may have ended: the store cannot be reached.
    Lapsed,
    /// A newer process of this name is there.
    Fenced,
}

impl LeaseState {
    /// Whether this term of the node has the lease, as far as was known when this was said.
    pub fn is_held_by(&self, term: Generation) -> bool {
        matches!(self, Self::Held { generation, .. } if *generation == term)
    }
}

/// Changes of the record go out at most this often.
const CHANGES: Duration = Duration::from_millis(250);

/// Announces what `record` says, as it changes, until `stop`; tells how it stands on `state`.
pub async fn keep(
    leases: Arc<dyn Leases>,
    mut record: watch::Receiver<NodeRecord>,
    config: LeaseConfig,
    state: watch::Sender<LeaseState>,
    stop: CancellationToken,
) {
    let mut renewed: Option<Instant> = None;
    let mut unbroken: Option<(Generation, Instant)> = None;
    while !stop.is_cancelled() {
        let current = record.borrow_and_update().clone();
        let asked = Instant::now();
        let answer = timeout(
            config.retry.max(CHANGES),
            leases.renew(&current, config.ttl),
        )
        .await;
        let pause = match answer {
            Ok(Ok(())) => {
                if *state.borrow() == LeaseState::Lapsed {
                    tracing::info!(node = %current.node, "the lease is held again");
                }
                // A process that stood still has lapsed without any renewal that failed.
                if renewed.is_none_or(|renewed| renewed.elapsed() >= config.ttl) {
                    unbroken = None;
                }
                renewed = Some(asked);
                let generation = current.generation;
                let (_, since) = unbroken
                    .filter(|(held, _)| *held == generation)
                    .unwrap_or_else(|| (generation, Instant::now()));
                unbroken = Some((generation, since));
                state.send_replace(LeaseState::Held {
                    generation,
                    since,
                    until: asked + config.ttl,
                });
                config.renew
            }
            Ok(Err(EngineError::Fenced { .. })) => {
                unbroken = None;
                if state.send_replace(LeaseState::Fenced) != LeaseState::Fenced {
                    tracing::error!(
                        node = %current.node, generation = %current.generation,
                        "a newer process of this name has the lease; names must be unique"
                    );
                }
                config.renew
            }
            Ok(Err(_)) | Err(_) => {
                let lapsed = renewed.is_some_and(|renewed| renewed.elapsed() >= config.ttl);
                if lapsed && state.send_replace(LeaseState::Lapsed) != LeaseState::Lapsed {
                    tracing::warn!(node = %current.node, "the lease may have ended: the store does not answer");
                }
                config.retry
            }
        };
        // With jitter, so that a fleet that lost the same store does not come back in step.
        let pause = pause.mul_f64(0.9 + 0.1 * jitter());
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
            changed = record.changed() => {
                if changed.is_err() {
                    break;
                }
                tokio::time::sleep(CHANGES.saturating_sub(asked.elapsed())).await;
            }
        }
    }
    let last = record.borrow().clone();
    let withdrawn = leases.withdraw(last.kind, &last.node, last.generation);
    // If it fails the lease ends by itself.
    let _ = timeout(config.retry, withdrawn).await;
}

/// 0 to 1, from the clock: how it is spread matters, not how it is drawn.
fn jitter() -> f64 {
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.subsec_nanos());
    f64::from(nanos % 1_000) / 1_000.0
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::BoxFuture;
    use crate::leases::{Load, NodeKind};
    use crate::memory::MemoryLeases;

    /// Leases that can be out of reach.
    struct Failing {
        inner: MemoryLeases,
        fails: AtomicBool,
    }

    impl Failing {
        fn refusal(&self) -> Option<EngineError> {
            let operation = "renewing";
            self.fails
                .load(Ordering::Relaxed)
                .then_some(EngineError::Deadline { operation })
        }
    }

    impl Leases for Failing {
        fn renew<'a>(
            &'a self,
            record: &'a NodeRecord,
            ttl: Duration,
        ) -> BoxFuture<'a, Result<(), EngineError>> {
            match self.refusal() {
                Some(refusal) => Box::pin(std::future::ready(Err(refusal))),
                None => self.inner.renew(record, ttl),
            }
        }

        fn withdraw<'a>(
            &'a self,
            kind: NodeKind,
            node: &'a protocol::id::NodeId,
            generation: Generation,
        ) -> BoxFuture<'a, Result<(), EngineError>> {
            self.inner.withdraw(kind, node, generation)
        }

        fn list(&self, kind: NodeKind) -> BoxFuture<'_, Result<Vec<NodeRecord>, EngineError>> {
            self.inner.list(kind)
        }

        fn watch(&self, kind: NodeKind) -> watch::Receiver<Arc<Vec<NodeRecord>>> {
            self.inner.watch(kind)
        }
    }

    fn record(rooms: u32) -> NodeRecord {
        NodeRecord {
            node: "syncd-1".parse().expect("a name"),
            kind: NodeKind::Syncd,
            generation: Generation(1),
            endpoint: String::new(),
            load: Load {
                rooms,
                ..Load::default()
            },
            build: String::new(),
            simulation: String::new(),
            region: String::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_kept_through_changes_and_failures_and_given_back() {
        let leases = Arc::new(Failing {
            inner: MemoryLeases::new(),
            fails: AtomicBool::new(false),
        });
        let (told, record_of) = watch::channel(record(0));
        let (state, mut states) = watch::channel(LeaseState::Waiting);
        let stop = CancellationToken::new();
        let config = LeaseConfig::default();
        let keeping = keep(leases.clone(), record_of, config, state, stop.clone());
        let keeping = tokio::spawn(keeping);
        let held = |state: &LeaseState| state.is_held_by(Generation(1));
        let since = |state: &LeaseState| match state {
            LeaseState::Held { since, until, .. } if *until > Instant::now() => *since,
            other => panic!("{other:?}"),
        };
        let first = since(&states.wait_for(held).await.expect("it is held"));

        let mut seen = leases.watch(NodeKind::Syncd);
        told.send_replace(record(7));
        let has_seven =
            |nodes: &Arc<Vec<NodeRecord>>| nodes.first().is_some_and(|n| n.load.rooms == 7);
        seen.wait_for(has_seven).await.expect("the change is seen");

        tokio::time::sleep(config.ttl * 4).await;
        assert_eq!(leases.list(NodeKind::Syncd).await.expect("listed").len(), 1);
        assert_eq!(since(&states.borrow()), first, "without a break");

        leases.fails.store(true, Ordering::Relaxed);
        states
            .wait_for(|state| *state == LeaseState::Lapsed)
            .await
            .expect("it lapses");
        leases.fails.store(false, Ordering::Relaxed);
        let began = Instant::now();
        let again = since(&states.wait_for(held).await.expect("it is held again"));
        assert!(again >= began, "a lease that lapsed is another one");
        assert!(began.elapsed() <= config.retry * 2, "{:?}", began.elapsed());

        stop.cancel();
        keeping.await.expect("it ends");
        assert!(
            leases
                .list(NodeKind::Syncd)
                .await
                .expect("listed")
                .is_empty()
        );
    }
}
