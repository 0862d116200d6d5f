//! A matcher's way to the shared store, which a test can cut, slow down, or watch.

use std::sync::Arc;
use std::time::Duration;

use engine::{BoxFuture, EngineError, Incarnation};
use parking_lot::Mutex;
use pixelrush_matcher::config::ModeName;
use pixelrush_matcher::store::{
    Acceptance, Added, Answered, Asked, Changed, CoolDown, Cursor, EndedMatch, Entered, Entering,
    Fed, Gather, Gathered, MatchRecord, Page, PrivateChange, Removed, Restored, Settling, Sighting,
    Standing, Start, Swept, TicketStore, Wanted,
};
use pixelrush_matcher::ticket::Ticket;
use protocol::id::{MatchId, PlayerId, TicketId};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Open,
    /// Calls fail at once.
    Failing,
    /// Calls are never answered.
    CutOff,
    /// Calls arrive, and their answers are lost.
    Deaf,
}

pub(crate) struct FlakyStore {
    inner: Arc<dyn TicketStore>,
    manner: Mutex<Manner>,
}

impl FlakyStore {
    pub(crate) fn new(inner: Arc<dyn TicketStore>) -> Self {
        Self {
            inner,
            manner: Mutex::new(Manner::Open),
        }
    }

    pub(crate) fn open(&self) {
        *self.manner.lock() = Manner::Open;
    }

    pub(crate) fn fail(&self) {
        *self.manner.lock() = Manner::Failing;
    }

    pub(crate) fn cut_off(&self) {
        *self.manner.lock() = Manner::CutOff;
    }

    pub(crate) fn lose_answers(&self) {
        *self.manner.lock() = Manner::Deaf;
    }

    fn pass<'a, T: Send + 'a>(
        &'a self,
        call: impl FnOnce(&'a dyn TicketStore) -> BoxFuture<'a, Result<T, EngineError>>,
    ) -> BoxFuture<'a, Result<T, EngineError>> {
        let lost = || EngineError::Deadline { operation: "test" };
        match *self.manner.lock() {
            Manner::Open => call(&*self.inner),
            Manner::Failing => Box::pin(async move { Err(lost()) }),
            Manner::CutOff => Box::pin(std::future::pending()),
            Manner::Deaf => {
                let call = call(&*self.inner);
                Box::pin(async move {
                    let _ = call.await;
                    Err(lost())
                })
            }
        }
    }
}

impl TicketStore for FlakyStore {
    fn add<'a>(
        &'a self,
        tickets: &'a [Arc<Ticket>],
        sighting: &'a Sighting,
    ) -> BoxFuture<'a, Result<Vec<Added>, EngineError>> {
        self.pass(|store| store.add(tickets, sighting))
    }

    fn gather<'a>(
        &'a self,
        gather: &'a [Gather],
        sighting: &'a Sighting,
    ) -> BoxFuture<'a, Result<Vec<Gathered>, EngineError>> {
        self.pass(|store| store.gather(gather, sighting))
    }

    fn enter_private<'a>(
        &'a self,
        entering: &'a Entering,
        sighting: &'a Sighting,
    ) -> BoxFuture<'a, Result<Entered, EngineError>> {
        self.pass(|store| store.enter_private(entering, sighting))
    }

    fn change_private(
        &self,
        player: PlayerId,
        change: PrivateChange,
    ) -> BoxFuture<'_, Result<Changed, EngineError>> {
        self.pass(|store| store.change_private(player, change))
    }

    fn start_private<'a>(
        &'a self,
        start: &'a Start,
        claimant: &'a Incarnation,
        claim_for: Duration,
    ) -> BoxFuture<'a, Result<bool, EngineError>> {
        self.pass(|store| store.start_private(start, claimant, claim_for))
    }

    fn remove<'a>(
        &'a self,
        player: PlayerId,
        unseen_by: Option<&'a Incarnation>,
    ) -> BoxFuture<'a, Result<Removed, EngineError>> {
        self.pass(|store| store.remove(player, unseen_by))
    }

    fn feed_end<'a>(&'a self, mode: &'a ModeName) -> BoxFuture<'a, Result<Cursor, EngineError>> {
        self.pass(|store| store.feed_end(mode))
    }

    fn feed<'a>(
        &'a self,
        mode: &'a ModeName,
        since: &'a Cursor,
    ) -> BoxFuture<'a, Result<Option<Fed>, EngineError>> {
        self.pass(|store| store.feed(mode, since))
    }

    fn scan<'a>(
        &'a self,
        mode: &'a ModeName,
        from: u64,
    ) -> BoxFuture<'a, Result<Page, EngineError>> {
        self.pass(|store| store.scan(mode, from))
    }

    fn find<'a>(
        &'a self,
        tickets: &'a [TicketId],
    ) -> BoxFuture<'a, Result<Vec<Arc<Ticket>>, EngineError>> {
        self.pass(|store| store.find(tickets))
    }

    fn claim<'a>(
        &'a self,
        wanted: &'a [Wanted],
        claimant: &'a Incarnation,
        claim_for: Duration,
    ) -> BoxFuture<'a, Result<Vec<bool>, EngineError>> {
        self.pass(|store| store.claim(wanted, claimant, claim_for))
    }

    fn renew<'a>(
        &'a self,
        matches: &'a [MatchId],
        claim_for: Duration,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        self.pass(|store| store.renew(matches, claim_for))
    }

    fn answer<'a>(
        &'a self,
        player: PlayerId,
        match_id: MatchId,
        accepts: bool,
        cool_down: CoolDown,
    ) -> BoxFuture<'a, Result<Answered, EngineError>> {
        self.pass(|store| store.answer(player, match_id, accepts, cool_down))
    }

    fn acceptance<'a>(
        &'a self,
        matches: &'a [MatchId],
        cool_down: CoolDown,
    ) -> BoxFuture<'a, Result<Vec<Acceptance>, EngineError>> {
        self.pass(|store| store.acceptance(matches, cool_down))
    }

    fn settle<'a>(
        &'a self,
        settling: &'a [Settling],
    ) -> BoxFuture<'a, Result<Vec<bool>, EngineError>> {
        self.pass(|store| store.settle(settling))
    }

    fn give_back(&self, match_id: MatchId) -> BoxFuture<'_, Result<(), EngineError>> {
        self.pass(|store| store.give_back(match_id))
    }

    fn restore<'a>(
        &'a self,
        record: &'a MatchRecord,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Restored, EngineError>> {
        self.pass(|store| store.restore(record, lifetime))
    }

    fn end<'a>(&'a self, ended: &'a [EndedMatch]) -> BoxFuture<'a, Result<(), EngineError>> {
        self.pass(|store| store.end(ended))
    }

    fn depart(
        &self,
        player: PlayerId,
        match_id: MatchId,
    ) -> BoxFuture<'_, Result<(), EngineError>> {
        self.pass(|store| store.depart(player, match_id))
    }

    fn standing<'a>(
        &'a self,
        asked: &'a [Asked],
        sighting: &'a Sighting,
    ) -> BoxFuture<'a, Result<Vec<Standing>, EngineError>> {
        self.pass(|store| store.standing(asked, sighting))
    }

    fn sweep(&self) -> BoxFuture<'_, Result<Swept, EngineError>> {
        self.pass(|store| store.sweep())
    }
}
