//! Which sessions are connected here: where the node links deliver to.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use protocol::close::CloseCode;
use protocol::id::SessionId;

use crate::outbox::Outbox;

const SHARDS: usize = 64;

/// Sessions and their outboxes.
#[derive(Debug)]
pub(crate) struct Registry {
    shards: [RwLock<HashMap<SessionId, Arc<Outbox>>>; SHARDS],
}

/// A session's entry, removed when dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    registry: Arc<Registry>,
    session: SessionId,
    outbox: Arc<Outbox>,
}

impl Registry {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            shards: std::array::from_fn(|_| RwLock::default()),
        })
    }

    /// Enters a session. Another connection of the same session here is closed as superseded.
    pub(crate) fn enter(self: &Arc<Self>, session: SessionId, outbox: Arc<Outbox>) -> Registration {
        let before = self.shard(session).write().insert(session, outbox.clone());
        if let Some(before) = before {
            before.close(CloseCode::Superseded);
        }
        Registration {
            registry: self.clone(),
            session,
            outbox,
        }
    }

    pub(crate) fn find(&self, session: SessionId) -> Option<Arc<Outbox>> {
        self.shard(session).read().get(&session).cloned()
    }

    /// Everybody, in no order that means anything.
    pub(crate) fn outboxes(&self) -> Vec<Arc<Outbox>> {
        self.shards
            .iter()
            .flat_map(|shard| shard.read().values().cloned().collect::<Vec<_>>())
            .collect()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    fn shard(&self, session: SessionId) -> &RwLock<HashMap<SessionId, Arc<Outbox>>> {
        &self.shards[(session.0 as usize) % SHARDS]
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut shard = self.registry.shard(self.session).write();
        if shard
            .get(&self.session)
            .is_some_and(|entry| Arc::ptr_eq(entry, &self.outbox))
        {
            shard.remove(&self.session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Next;

    #[test]
    fn a_later_connection_of_a_session_stays_when_the_earlier_one_leaves() {
        let registry = Registry::new();
        let (first, second) = (Outbox::new(100), Outbox::new(100));
        let session = SessionId(3);
        let earlier = registry.enter(session, first.clone());
        let later = registry.enter(session, second.clone());
        assert!(matches!(
            first.next(),
            Some(Next::Close(CloseCode::Superseded))
        ));
        drop(earlier);
        assert!(
            registry
                .find(session)
                .is_some_and(|found| Arc::ptr_eq(&found, &second))
        );
        drop(later);
        assert_eq!(registry.len(), 0);
    }
}
