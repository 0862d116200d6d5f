//! Leases in memory. Time is tokio's, so that tests pause it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use protocol::id::{Generation, NodeId};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::leases::{FENCE, Leases, MAX_NODES, NodeKind, NodeRecord};
use crate::{BoxFuture, EngineError};

/// Leases in memory.
///
/// One task ends the leases that are not renewed. It is spawned by the first renewal, which
/// brings the runtime, and ends with this store; it holds nothing that a drain must wait for.
#[derive(Debug, Default)]
pub struct MemoryLeases {
    shared: Arc<Shared>,
    expirer: Mutex<Option<AbortHandle>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    watches: [watch::Sender<Arc<Vec<NodeRecord>>>; NodeKind::ALL.len()],
    /// The earliest deadline may have come nearer.
    renewed: Notify,
}

#[derive(Debug, Default)]
struct State {
    kinds: [BTreeMap<NodeId, Held>; NodeKind::ALL.len()],
}

#[derive(Debug)]
struct Held {
    /// The newest term seen of this name, remembered for [`FENCE`] after the lease.
    generation: Generation,
    /// When the lease ends or ended.
    ends_at: Instant,
    /// None once the lease has ended and watchers know.
    record: Option<NodeRecord>,
}

impl MemoryLeases {
    /// Nobody is there.
    pub fn new() -> Self {
        Self::default()
    }

    fn ensure_expirer(&self) {
        let mut expirer = self.expirer.lock();
        // A runtime that has ended took its task along: a later one brings its own.
        if expirer.as_ref().is_none_or(AbortHandle::is_finished) {
            let task = tokio::spawn(expire(Arc::clone(&self.shared)));
            *expirer = Some(task.abort_handle());
        }
    }
}

impl Drop for MemoryLeases {
    fn drop(&mut self) {
        if let Some(expirer) = self.expirer.get_mut() {
            expirer.abort();
        }
    }
}

impl Leases for MemoryLeases {
    fn renew<'a>(
        &'a self,
        record: &'a NodeRecord,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            self.ensure_expirer();
            self.shared.renew(record, ttl, Instant::now())?;
            self.shared.renewed.notify_one();
            Ok(())
        })
    }

    fn withdraw<'a>(
        &'a self,
        kind: NodeKind,
        node: &'a NodeId,
        generation: Generation,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move { self.shared.withdraw(kind, node, generation, Instant::now()) })
    }

    fn list(&self, kind: NodeKind) -> BoxFuture<'_, Result<Vec<NodeRecord>, EngineError>> {
        Box::pin(async move { Ok(self.shared.state.lock().list(kind, Instant::now())) })
    }

    fn watch(&self, kind: NodeKind) -> watch::Receiver<Arc<Vec<NodeRecord>>> {
        self.shared.watches[index(kind)].subscribe()
    }
}

async fn expire(shared: Arc<Shared>) {
    loop {
        let next = shared.state.lock().next_end();
        let timer = async {
            match next {
                Some(ends_at) => tokio::time::sleep_until(ends_at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = timer => shared.expire(Instant::now()),
            () = shared.renewed.notified() => {}
        }
    }
}

impl Shared {
    fn renew(&self, record: &NodeRecord, ttl: Duration, now: Instant) -> Result<(), EngineError> {
        let mut state = self.state.lock();
        state.make_room(record.kind, &record.node, now)?;
        let names = &mut state.kinds[index(record.kind)];
        if let Some(held) = names.get(&record.node) {
            held.admit(&record.node, record.generation, now)?;
        }
        let held = Held {
            generation: record.generation,
            ends_at: now + ttl,
            record: Some(record.clone()),
        };
        names.insert(record.node.clone(), held);
        self.publish(&state, record.kind, now);
        Ok(())
    }

    fn withdraw(
        &self,
        kind: NodeKind,
        node: &NodeId,
        generation: Generation,
        now: Instant,
    ) -> Result<(), EngineError> {
        let mut state = self.state.lock();
        if let Some(held) = state.kinds[index(kind)].get_mut(node) {
            held.admit(node, generation, now)?;
            held.record = None;
            held.ends_at = held.ends_at.min(now);
            self.publish(&state, kind, now);
        }
        Ok(())
    }

    fn expire(&self, now: Instant) {
        let mut state = self.state.lock();
        for kind in NodeKind::ALL {
            for (node, held) in &mut state.kinds[index(kind)] {
                if held.ends_at <= now && held.record.take().is_some() {
                    tracing::warn!(%node, ?kind, "lease ended without a renewal");
                }
            }
            self.publish(&state, kind, now);
        }
    }

    /// Under the state's lock, so that two changes are seen in the order in which they happened.
    fn publish(&self, state: &State, kind: NodeKind, now: Instant) {
        let list = state.list(kind, now);
        self.watches[index(kind)].send_if_modified(|shown| {
            let changed = **shown != list;
            if changed {
                *shown = Arc::new(list);
            }
            changed
        });
    }
}

impl State {
    fn list(&self, kind: NodeKind, now: Instant) -> Vec<NodeRecord> {
        let names = self.kinds[index(kind)].values();
        names
            .filter(|held| held.ends_at > now)
            .filter_map(|held| held.record.clone())
            .collect()
    }

    fn next_end(&self) -> Option<Instant> {
        let names = self.kinds.iter().flat_map(BTreeMap::values);
        names
            .filter(|held| held.record.is_some())
            .map(|held| held.ends_at)
            .min()
    }

    /// Makes room for `node` when its kind is at the limit.
    fn make_room(
        &mut self,
        kind: NodeKind,
        node: &NodeId,
        now: Instant,
    ) -> Result<(), EngineError> {
        let names = &mut self.kinds[index(kind)];
        if names.len() < MAX_NODES || names.contains_key(node) {
            return Ok(());
        }
        names.retain(|_, held| !held.is_forgotten(now));
        if names.len() < MAX_NODES {
            return Ok(());
        }
        Err(EngineError::Full {
            what: "node names",
            limit: MAX_NODES,
        })
    }
}

impl Held {
    fn admit(&self, node: &NodeId, offered: Generation, now: Instant) -> Result<(), EngineError> {
        if offered < self.generation && !self.is_forgotten(now) {
            return Err(EngineError::Fenced {
                subject: node.to_string(),
                held: self.generation,
                offered,
            });
        }
        Ok(())
    }

    fn is_forgotten(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.ends_at) >= FENCE
    }
}

fn index(kind: NodeKind) -> usize {
    match kind {
        NodeKind::Gateway => 0,
        NodeKind::Matcher => 1,
        NodeKind::Syncd => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leases::Load;

    fn record(number: usize, generation: u64) -> NodeRecord {
        NodeRecord {
            node: format!("n{number}").parse().expect("name"),
            kind: NodeKind::Gateway,
            generation: Generation(generation),
            endpoint: String::new(),
            load: Load::default(),
            build: String::new(),
            simulation: String::new(),
            region: String::new(),
        }
    }

    const TTL: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn a_node_beyond_the_limit_is_refused_until_an_old_name_is_forgotten() {
        let leases = MemoryLeases::new();
        for number in 0..MAX_NODES {
            leases.renew(&record(number, 1), TTL).await.expect("room");
        }
        let refused = leases.renew(&record(MAX_NODES, 1), TTL).await;
        assert!(matches!(refused, Err(EngineError::Full { .. })));
        leases
            .renew(&record(7, 1), TTL)
            .await
            .expect("known names still renew");
        tokio::time::advance(FENCE + TTL * 2).await;
        leases
            .renew(&record(MAX_NODES, 1), TTL)
            .await
            .expect("room again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_fence_is_forgotten_after_its_time() {
        let leases = MemoryLeases::new();
        leases.renew(&record(1, 9), TTL).await.expect("renew");
        let mut watch = leases.watch(NodeKind::Gateway);
        watch
            .wait_for(|nodes| nodes.is_empty())
            .await
            .expect("gone");
        assert!(leases.renew(&record(1, 8), TTL).await.is_err());
        tokio::time::advance(FENCE).await;
        assert!(leases.renew(&record(1, 8), TTL).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn dropping_the_store_ends_its_task() {
        let leases = MemoryLeases::new();
        leases.renew(&record(1, 1), TTL).await.expect("renew");
        let mut watch = leases.watch(NodeKind::Gateway);
        watch.mark_unchanged();
        drop(leases);
        assert!(watch.changed().await.is_err(), "the senders are gone");
    }
}
