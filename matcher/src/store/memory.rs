//! Tickets in this process. They are gone with it: clients ask again and queue anew.
//!
//! Time is tokio's, so that tests pause it.

mod party;
mod state;

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use engine::{BoxFuture, EngineError, Incarnation};
use parking_lot::Mutex;
use protocol::id::{MatchId, PlayerId};
use tokio::time::Instant;

use super::{
    Added, Asked, EndedMatch, Gather, Gathered, MatchRecord, Removed, Restored, Sighting, Standing,
    Swept, TicketStore, Wanted,
};
use crate::config::ModeName;
use crate::ticket::Ticket;
use state::State;

/// Tickets in this process.
#[derive(Debug)]
pub struct MemoryStore {
    limit: usize,
    state: Mutex<State>,
}

/// What a memory store held at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot(State);

impl MemoryStore {
    /// A store of at most `limit` players who wait or play. Over it adding fails with
    /// [`EngineError::Full`].
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            state: Mutex::default(),
        }
    }

    /// Forgets everything, as a server does that starts empty.
    pub fn clear(&self) {
        *self.state.lock() = State::default();
    }

    /// Everything, as it is now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.state.lock().clone())
    }

    /// Makes everything as it was, as a fail-over does that loses the last writes.
    pub fn go_back_to(&self, snapshot: Snapshot) {
        *self.state.lock() = snapshot.0;
    }

    fn admit(&self, state: &State, newcomers: usize) -> Result<(), EngineError> {
        if state.players() + newcomers > self.limit {
            return Err(EngineError::Full {
                what: "players in queues and matches",
                limit: self.limit,
            });
        }
        Ok(())
    }
}

impl TicketStore for MemoryStore {
    fn add<'a>(
        &'a self,
        ticket: &'a Ticket,
        sighting: &'a Sighting,
    ) -> BoxFuture<'a, Result<Added, EngineError>> {
        let mut state = self.state.lock();
        let now = Instant::now();
        let added = match state.obstacle(ticket, now) {
            Some(obstacle) => Ok(obstacle),
            None => self.admit(&state, ticket.members.len()).map(|()| {
                state.add(Arc::new(ticket.clone()), sighting, now);
                Added::Waiting
            }),
        };
        Box::pin(ready(added))
    }

    fn gather<'a>(
        &'a self,
        gather: &'a Gather,
        sighting: &'a Sighting,
    ) -> BoxFuture<'a, Result<Gathered, EngineError>> {
        let mut state = self.state.lock();
        let gathered = self
            .admit(&state, 1)
            .map(|()| state.gather(gather, sighting, Instant::now()));
        Box::pin(ready(gathered))
    }

    fn remove<'a>(
        &'a self,
        player: PlayerId,
        unseen_by: Option<&'a Incarnation>,
    ) -> BoxFuture<'a, Result<Removed, EngineError>> {
        let removed = self.state.lock().remove(player, unseen_by, Instant::now());
        Box::pin(ready(Ok(removed)))
    }

    fn waiting<'a>(
        &'a self,
        mode: &'a ModeName,
    ) -> BoxFuture<'a, Result<Vec<Arc<Ticket>>, EngineError>> {
        Box::pin(ready(Ok(self.state.lock().waiting(mode))))
    }

    fn claim<'a>(
        &'a self,
        wanted: &'a [Wanted],
        claimant: &'a Incarnation,
        claim_for: Duration,
    ) -> BoxFuture<'a, Result<Vec<bool>, EngineError>> {
        let ends_at = Instant::now() + claim_for;
        let mut state = self.state.lock();
        let granted = wanted
            .iter()
            .map(|wanted| state.claim(wanted, claimant, ends_at))
            .collect();
        Box::pin(ready(Ok(granted)))
    }

    fn renew<'a>(
        &'a self,
        matches: &'a [MatchId],
        claim_for: Duration,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        self.state.lock().renew(matches, Instant::now() + claim_for);
        Box::pin(ready(Ok(())))
    }

    fn settle<'a>(
        &'a self,
        record: &'a MatchRecord,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<bool, EngineError>> {
        let now = Instant::now();
        let settled = self.state.lock().settle(record, now + lifetime, now);
        Box::pin(ready(Ok(settled)))
    }

    fn give_back(&self, match_id: MatchId) -> BoxFuture<'_, Result<(), EngineError>> {
        self.state.lock().give_back(match_id, Instant::now());
        Box::pin(ready(Ok(())))
    }

    fn restore<'a>(
        &'a self,
        record: &'a MatchRecord,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Restored, EngineError>> {
        let now = Instant::now();
        let restored = self.state.lock().restore(record, now + lifetime, now);
        Box::pin(ready(Ok(restored)))
    }

    fn end<'a>(&'a self, ended: &'a [EndedMatch]) -> BoxFuture<'a, Result<(), EngineError>> {
        let mut state = self.state.lock();
        for ended in ended {
            state.end(ended, Instant::now());
        }
        Box::pin(ready(Ok(())))
    }

    fn depart(
        &self,
        player: PlayerId,
        match_id: MatchId,
    ) -> BoxFuture<'_, Result<(), EngineError>> {
        self.state.lock().depart(player, match_id);
        Box::pin(ready(Ok(())))
    }

    fn standing<'a>(
        &'a self,
        asked: &'a [Asked],
        sighting: &'a Sighting,
    ) -> BoxFuture<'a, Result<Vec<Standing>, EngineError>> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let standings = asked
            .iter()
            .map(|asked| {
                if asked.is_here {
                    state.see(asked.player, sighting, now);
                }
                state.standing(asked.player, now)
            })
            .collect();
        Box::pin(ready(Ok(standings)))
    }

    fn sweep(&self) -> BoxFuture<'_, Result<Swept, EngineError>> {
        Box::pin(ready(Ok(self.state.lock().sweep(Instant::now()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance;

    #[tokio::test(start_paused = true)]
    async fn the_memory_store_conforms() {
        let store = Arc::new(MemoryStore::new(1000));
        conformance::all(store).await;
    }

    #[tokio::test]
    async fn a_full_store_refuses_and_keeps_what_it_has() {
        let store = MemoryStore::new(1);
        let sighting = conformance::sighting("matcher-1");
        let first = conformance::ticket(1, "race", &[1], 10);
        let second = conformance::ticket(2, "race", &[2], 11);
        store.add(&first, &sighting).await.unwrap();
        let refused = store.add(&second, &sighting).await;
        assert!(matches!(refused, Err(EngineError::Full { limit: 1, .. })));
        let again = store.add(&first, &sighting).await.unwrap();
        assert!(matches!(again, Added::Kept(_)), "{again:?}");
    }
}
