//! Tickets in this process. They are gone with it: clients ask again and queue anew.
//!
//! Time is tokio's, so that tests pause it.

mod accept;
mod claims;
mod feed;
mod party;
mod private;
mod state;

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use engine::{BoxFuture, EngineError, Incarnation};
use parking_lot::Mutex;
use protocol::id::{MatchId, PlayerId, TicketId};
use tokio::time::Instant;

use super::{
    Acceptance, Added, Answered, Asked, Changed, CoolDown, Cursor, EndedMatch, Entered, Entering,
    Fed, Gather, Gathered, MatchRecord, Page, PrivateChange, Removed, Restored, Settling, Sighting,
    Standing, Start, Swept, TicketStore, Wanted,
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
    /// A store of at most `limit` players who wait or play. Over it nobody is let in.
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

    fn has_room(&self, state: &State, newcomers: usize) -> bool {
        state.players() + newcomers <= self.limit
    }
}

impl TicketStore for MemoryStore {
    fn add<'a>(
        &'a self,
        tickets: &'a [Arc<Ticket>],
        sighting: &'a Sighting,
    ) -> BoxFuture<'a, Result<Vec<Added>, EngineError>> {
        let mut state = self.state.lock();
        let now = Instant::now();
        let mut add = |ticket: &Arc<Ticket>| {
            if let Some(obstacle) = state.obstacle(ticket, now) {
                return obstacle;
            }
            if !self.has_room(&state, ticket.members.len()) {
                return Added::Full;
            }
            state.add(Arc::clone(ticket), sighting, now);
            Added::Waiting
        };
        let added = tickets.iter().map(&mut add).collect();
        Box::pin(ready(Ok(added)))
    }

    fn gather<'a>(
        &'a self,
        gather: &'a [Gather],
        sighting: &'a Sighting,
    ) -> BoxFuture<'a, Result<Vec<Gathered>, EngineError>> {
        let mut state = self.state.lock();
        let now = Instant::now();
        let mut one = |gather: &Gather| match self.has_room(&state, 1) {
            true => state.gather(gather, sighting, now),
            false => Gathered::Full,
        };
        let gathered = gather.iter().map(&mut one).collect();
        Box::pin(ready(Ok(gathered)))
    }

    fn enter_private<'a>(
        &'a self,
        entering: &'a Entering,
        sighting: &'a Sighting,
    ) -> BoxFuture<'a, Result<Entered, EngineError>> {
        let mut state = self.state.lock();
        let has_room = self.has_room(&state, 1);
        let entered = state.enter_private(entering, sighting, has_room, Instant::now());
        Box::pin(ready(Ok(entered)))
    }

    fn change_private(
        &self,
        player: PlayerId,
        change: PrivateChange,
    ) -> BoxFuture<'_, Result<Changed, EngineError>> {
        let changed = self.state.lock().change_private(player, change);
        Box::pin(ready(Ok(changed)))
    }

    fn start_private<'a>(
        &'a self,
        start: &'a Start,
        claimant: &'a Incarnation,
        claim_for: Duration,
    ) -> BoxFuture<'a, Result<bool, EngineError>> {
        let ends_at = Instant::now() + claim_for;
        let started = self.state.lock().start_private(start, claimant, ends_at);
        Box::pin(ready(Ok(started)))
    }

    fn remove<'a>(
        &'a self,
        player: PlayerId,
        unseen_by: Option<&'a Incarnation>,
    ) -> BoxFuture<'a, Result<Removed, EngineError>> {
        let removed = self.state.lock().remove(player, unseen_by, Instant::now());
        Box::pin(ready(Ok(removed)))
    }

    fn feed_end<'a>(&'a self, mode: &'a ModeName) -> BoxFuture<'a, Result<Cursor, EngineError>> {
        Box::pin(ready(Ok(self.state.lock().feed_of(mode).end())))
    }

    fn feed<'a>(
        &'a self,
        mode: &'a ModeName,
        since: &'a Cursor,
    ) -> BoxFuture<'a, Result<Option<Fed>, EngineError>> {
        Box::pin(ready(Ok(self.state.lock().feed_of(mode).after(since))))
    }

    fn scan<'a>(
        &'a self,
        mode: &'a ModeName,
        _from: u64,
    ) -> BoxFuture<'a, Result<Page, EngineError>> {
        let page = Page {
            tickets: self.state.lock().waiting(mode),
            next: None,
        };
        Box::pin(ready(Ok(page)))
    }

    fn find<'a>(
        &'a self,
        tickets: &'a [TicketId],
    ) -> BoxFuture<'a, Result<Vec<Arc<Ticket>>, EngineError>> {
        let state = self.state.lock();
        let found = tickets.iter().filter_map(|id| state.tickets.get(id));
        let waiting = found.filter(|found| found.claimed_by.is_none());
        let tickets = waiting.map(|found| Arc::clone(&found.ticket)).collect();
        Box::pin(ready(Ok(tickets)))
    }

    fn claim<'a>(
        &'a self,
        wanted: &'a [Wanted],
        claimant: &'a Incarnation,
        claim_for: Duration,
    ) -> BoxFuture<'a, Result<Vec<bool>, EngineError>> {
        let now = Instant::now();
        let ends_at = now + claim_for;
        let mut state = self.state.lock();
        let granted = wanted
            .iter()
            .map(|wanted| state.claim(wanted, claimant, ends_at, now))
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

    fn answer<'a>(
        &'a self,
        player: PlayerId,
        match_id: MatchId,
        accepts: bool,
        cool_down: CoolDown,
    ) -> BoxFuture<'a, Result<Answered, EngineError>> {
        let mut state = self.state.lock();
        let answered = state.answer(player, match_id, accepts, cool_down, Instant::now());
        Box::pin(ready(Ok(answered)))
    }

    fn acceptance<'a>(
        &'a self,
        matches: &'a [MatchId],
        cool_down: CoolDown,
    ) -> BoxFuture<'a, Result<Vec<Acceptance>, EngineError>> {
        let mut state = self.state.lock();
        let now = Instant::now();
        let stands = matches
            .iter()
            .map(|one| state.acceptance(*one, cool_down, now));
        let stands = stands.collect();
        Box::pin(ready(Ok(stands)))
    }

    fn settle<'a>(
        &'a self,
        settling: &'a [Settling],
    ) -> BoxFuture<'a, Result<Vec<bool>, EngineError>> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let stand = settling
            .iter()
            .map(|one| state.settle(&one.record, now + one.lifetime, now))
            .collect();
        Box::pin(ready(Ok(stand)))
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
        let (first, second) = (Arc::new(first), Arc::new(second));
        let added = store.add(&[first.clone(), second], &sighting).await;
        assert_eq!(added.unwrap(), [Added::Waiting, Added::Full]);
        let again = store.add(&[first], &sighting).await.unwrap();
        assert!(matches!(again[..], [Added::Kept(_)]), "{again:?}");
    }
}
