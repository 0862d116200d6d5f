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
    shards: [RwLock<HashMap<SessionId, Entry>>; SHARDS],
}

#[derive(Debug)]
struct Entry {
    attempt: u32,
    outbox: Arc<Outbox>,
}

/// A session's entry, removed when dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    registry: Arc<Registry>,
    session: SessionId,
    outbox: Arc<Outbox>,
}

/// A later connection of the same session is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LaterHere;

impl Registry {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            shards: std::array::from_fn(|_| RwLock::default()),
        })
    }

    /// Enters a session's connection, which is the client's `attempt`-th. An earlier one here is
    /// closed as superseded.
    ///
    /// # Errors
    /// If a later one is here: this one was on its way for longer, and is of no use any more.
    pub(crate) fn enter(
        self: &Arc<Self>,
        session: SessionId,
        attempt: u32,
        outbox: Arc<Outbox>,
    ) -> Result<Registration, LaterHere> {
        let mut shard = self.shard(session).write();
        if shard
            .get(&session)
            .is_some_and(|entry| entry.attempt > attempt)
        {
            return Err(LaterHere);
        }
        let entry = Entry {
            attempt,
            outbox: outbox.clone(),
        };
        let before = shard.insert(session, entry);
        drop(shard);
        if let Some(before) = before {
            before.outbox.close(CloseCode::Superseded);
        }
        Ok(Registration {
            registry: self.clone(),
            session,
            outbox,
        })
    }

    /// The present connection of a session.
    pub(crate) fn find(&self, session: SessionId) -> Option<Arc<Outbox>> {
        let shard = self.shard(session).read();
        shard.get(&session).map(|entry| entry.outbox.clone())
    }

    /// The session's connection `attempt`, if that is the present one.
    pub(crate) fn find_attempt(&self, session: SessionId, attempt: u32) -> Option<Arc<Outbox>> {
        let shard = self.shard(session).read();
        let entry = shard.get(&session)?;
        (entry.attempt == attempt).then(|| entry.outbox.clone())
    }

    /// Everybody, in no order that means anything.
    pub(crate) fn outboxes(&self) -> Vec<Arc<Outbox>> {
        self.shards
            .iter()
            .flat_map(|shard| {
                let shard = shard.read();
                let outboxes = shard.values().map(|entry| entry.outbox.clone());
                outboxes.collect::<Vec<_>>()
            })
            .collect()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    fn shard(&self, session: SessionId) -> &RwLock<HashMap<SessionId, Entry>> {
        &self.shards[(session.0 as usize) % SHARDS]
    }
}

impl Registration {
    /// Where what is meant for the connection waits.
    pub(crate) fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut shard = self.registry.shard(self.session).write();
        if shard
            .get(&self.session)
            .is_some_and(|entry| Arc::ptr_eq(&entry.outbox, &self.outbox))
        {
            shard.remove(&self.session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_connection_of_a_session_stays_when_the_earlier_one_leaves() {
        let registry = Registry::new();
        let (first, second) = (Outbox::new(100), Outbox::new(100));
        let session = SessionId(3);
        let earlier = registry.enter(session, 1, first.clone()).unwrap();
        let later = registry.enter(session, 2, second.clone()).unwrap();
        assert_eq!(first.closed(), Some(CloseCode::Superseded));
        assert!(registry.find_attempt(session, 1).is_none());
        assert!(registry.find_attempt(session, 2).is_some());
        drop(earlier);
        assert!(
            registry
                .find(session)
                .is_some_and(|found| Arc::ptr_eq(&found, &second))
        );
        drop(later);
        assert_eq!(registry.len(), 0);
    }

    #[test]
    fn an_earlier_connection_that_comes_late_does_not_take_over() {
        let registry = Registry::new();
        let (first, second) = (Outbox::new(100), Outbox::new(100));
        let later = registry.enter(SessionId(3), 2, second.clone()).unwrap();
        let late = registry.enter(SessionId(3), 1, first);
        assert_eq!(late.err(), Some(LaterHere));
        assert_eq!(second.closed(), None);
        drop(later);
    }
}
