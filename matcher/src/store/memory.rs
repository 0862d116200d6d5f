//! Tickets in this process. They are gone with it: clients ask again and queue anew.

use std::collections::{BTreeMap, HashMap};
use std::future::ready;
use std::sync::Arc;

use engine::{BoxFuture, EngineError};
use parking_lot::Mutex;
use protocol::id::{MatchId, PlayerId, TicketId};

use super::{Added, Found, Removed, TicketStore, Wanted};
use crate::config::ModeName;
use crate::ticket::{Age, Ticket};

/// Tickets in this process.
#[derive(Debug)]
pub struct MemoryStore {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tickets: HashMap<TicketId, Found>,
    by_player: HashMap<PlayerId, TicketId>,
    /// Those that wait, by age.
    queues: HashMap<ModeName, BTreeMap<Age, Arc<Ticket>>>,
    claims: HashMap<MatchId, Vec<TicketId>>,
}

impl MemoryStore {
    /// A store of at most `limit` tickets. Over it adding fails with [`EngineError::Full`].
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            state: Mutex::default(),
        }
    }
}

impl TicketStore for MemoryStore {
    fn add(&self, ticket: Ticket) -> BoxFuture<'_, Result<Added, EngineError>> {
        Box::pin(ready(self.state.lock().add(ticket, self.limit)))
    }

    fn remove(&self, ticket: TicketId) -> BoxFuture<'_, Result<Removed, EngineError>> {
        Box::pin(ready(Ok(self.state.lock().remove(ticket))))
    }

    fn waiting<'a>(
        &'a self,
        mode: &'a ModeName,
    ) -> BoxFuture<'a, Result<Vec<Arc<Ticket>>, EngineError>> {
        let state = self.state.lock();
        let waiting = state
            .queues
            .get(mode)
            .map(|queue| queue.values().cloned().collect())
            .unwrap_or_default();
        Box::pin(ready(Ok(waiting)))
    }

    fn claim<'a>(&'a self, wanted: &'a [Wanted]) -> BoxFuture<'a, Result<Vec<bool>, EngineError>> {
        let mut state = self.state.lock();
        let granted = wanted.iter().map(|wanted| state.claim(wanted)).collect();
        Box::pin(ready(Ok(granted)))
    }

    fn settle(&self, match_id: MatchId) -> BoxFuture<'_, Result<(), EngineError>> {
        self.state.lock().settle(match_id);
        Box::pin(ready(Ok(())))
    }

    fn give_back(&self, match_id: MatchId) -> BoxFuture<'_, Result<Vec<Arc<Ticket>>, EngineError>> {
        Box::pin(ready(Ok(self.state.lock().give_back(match_id))))
    }

    fn find(&self, player: PlayerId) -> BoxFuture<'_, Result<Option<Found>, EngineError>> {
        Box::pin(ready(Ok(self.state.lock().find(player))))
    }
}

impl State {
    fn add(&mut self, ticket: Ticket, limit: usize) -> Result<Added, EngineError> {
        let known = ticket
            .members
            .iter()
            .find_map(|member| self.find(member.player));
        if let Some(found) = known {
            return Ok(Added::Kept(found));
        }
        if self.tickets.len() >= limit {
            return Err(EngineError::Full {
                what: "tickets",
                limit,
            });
        }
        let ticket = Arc::new(ticket);
        for member in &ticket.members {
            self.by_player.insert(member.player, ticket.id);
        }
        self.enqueue(&ticket);
        Ok(Added::Waiting)
    }

    fn enqueue(&mut self, ticket: &Arc<Ticket>) {
        let found = Found {
            ticket: Arc::clone(ticket),
            claimed_by: None,
        };
        self.tickets.insert(ticket.id, found);
        self.queues
            .entry(ticket.mode.clone())
            .or_default()
            .insert(ticket.age(), Arc::clone(ticket));
    }

    fn remove(&mut self, ticket: TicketId) -> Removed {
        let Some(found) = self.tickets.get(&ticket) else {
            return Removed::Unknown;
        };
        if let Some(match_id) = found.claimed_by {
            return Removed::Claimed(match_id);
        }
        let ticket = Arc::clone(&found.ticket);
        self.dequeue(&ticket);
        self.forget(&ticket);
        Removed::Gone
    }

    fn dequeue(&mut self, ticket: &Ticket) {
        if let Some(queue) = self.queues.get_mut(&ticket.mode) {
            queue.remove(&ticket.age());
            if queue.is_empty() {
                self.queues.remove(&ticket.mode);
            }
        }
    }

    fn forget(&mut self, ticket: &Ticket) {
        self.tickets.remove(&ticket.id);
        for member in &ticket.members {
            self.by_player.remove(&member.player);
        }
    }

    fn claim(&mut self, wanted: &Wanted) -> bool {
        if let Some(claimed) = self.claims.get(&wanted.match_id) {
            return *claimed == wanted.tickets; // asked twice
        }
        let mut tickets = wanted.tickets.clone();
        tickets.sort_unstable();
        tickets.dedup();
        let free = |id| {
            self.tickets
                .get(id)
                .is_some_and(|found| found.claimed_by.is_none())
        };
        if tickets.len() != wanted.tickets.len() || !tickets.iter().all(free) {
            return false;
        }
        for id in &tickets {
            if let Some(found) = self.tickets.get_mut(id) {
                found.claimed_by = Some(wanted.match_id);
                let ticket = Arc::clone(&found.ticket);
                self.dequeue(&ticket);
            }
        }
        self.claims.insert(wanted.match_id, wanted.tickets.clone());
        true
    }

    fn claimed(&mut self, match_id: MatchId) -> Vec<Arc<Ticket>> {
        let ids = self.claims.remove(&match_id).unwrap_or_default();
        ids.iter()
            .filter_map(|id| self.tickets.get(id))
            .map(|found| Arc::clone(&found.ticket))
            .collect()
    }

    fn settle(&mut self, match_id: MatchId) {
        for ticket in self.claimed(match_id) {
            self.forget(&ticket);
        }
    }

    fn give_back(&mut self, match_id: MatchId) -> Vec<Arc<Ticket>> {
        let tickets = self.claimed(match_id);
        for ticket in &tickets {
            self.enqueue(ticket);
        }
        tickets
    }

    fn find(&self, player: PlayerId) -> Option<Found> {
        self.tickets.get(self.by_player.get(&player)?).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance;

    #[tokio::test]
    async fn the_memory_store_conforms() {
        conformance::all(&MemoryStore::new(100)).await;
    }

    #[tokio::test]
    async fn a_full_store_refuses_and_keeps_what_it_has() {
        let store = MemoryStore::new(1);
        let first = conformance::ticket(1, "race", &[1], 10);
        let second = conformance::ticket(2, "race", &[2], 11);
        store.add(first.clone()).await.unwrap();
        let refused = store.add(second).await;
        assert!(matches!(refused, Err(EngineError::Full { limit: 1, .. })));
        let again = store.add(first).await.unwrap();
        assert!(matches!(again, Added::Kept(_)), "{again:?}");
    }
}
