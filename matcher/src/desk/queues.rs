//! The queues as this matcher keeps them, to form matches out of.
//!
//! What the desk itself puts into the store is entered at once. What others did, it learns from
//! the queues' feeds; a feed that cannot tell means that the queue is read anew, part by part, while
//! matches go on being formed: a claim of what is not there any more is refused and does no harm.
//!
//! A ticket that came to another matcher is tried a moment later than there, so that two matchers do
//! not propose the same match at once: it is for the one to whom the last needed ticket came, and
//! for the others if that one has died.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use protocol::id::{PlayerId, TicketId};
use protocol::time::Timestamp;
use tokio::time::Instant;

use super::Desk;
use super::ask::Away;
use super::standing::BATCH;
use crate::config::{Config, ModeName};
use crate::pairing::Queue;
use crate::store::{Change, Cursor};
use crate::ticket::Ticket;

/// Others' tickets are tried so much later.
const OTHERS_LATER: Duration = Duration::from_millis(500);

/// Reading a feed, for which the desk waits, takes one part of its time in so many: what others did is
/// for them to match first, and that they took a ticket shows itself by a claim that is refused.
const FOLLOW_SHARE: u32 = 10;

/// Parts of a queue that are read in one round.
const PARTS: usize = 8;

/// All queues.
#[derive(Debug, Default)]
pub(super) struct Queues {
    views: BTreeMap<ModeName, View>,
    /// A store was found to have another history: so many players who wait are yet to be asked for.
    hurry: usize,
}

/// One queue.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) queue: Queue,
    /// How far its feed was read. `None`: nothing is known.
    cursor: Option<Cursor>,
    /// Until then it need not be read again.
    followed_until: Timestamp,
    reading: Option<Reading>,
}

/// A queue that is read anew.
#[derive(Debug, Default)]
struct Reading {
    /// Where the next part begins.
    from: u64,
    /// What was known before, and has not been seen again.
    doubted: HashSet<TicketId>,
}

impl Queues {
    /// The queue of a mode.
    pub(super) fn view(&mut self, mode: &ModeName) -> &mut View {
        if !self.views.contains_key(mode) {
            self.views.insert(mode.clone(), View::default());
        }
        self.views.get_mut(mode).expect("it is there by now")
    }

    /// The desk put a ticket into the store.
    pub(super) fn came(&mut self, ticket: &Arc<Ticket>, now: Timestamp) {
        self.view(&ticket.mode).enter(Arc::clone(ticket), now);
    }

    /// The desk took a ticket out of the store.
    pub(super) fn went(&mut self, ticket: &Ticket) {
        self.view(&ticket.mode).queue.remove(ticket.id);
    }

    /// Other modes are in force.
    pub(super) fn apply(&mut self, config: &Config, now: Timestamp) {
        self.views.retain(|mode, _| config.modes.contains_key(mode));
        for view in self.views.values_mut() {
            view.queue.try_all(now);
        }
    }

    /// How many players who wait are to be asked for at once because of what the store lost, at
    /// most `most`.
    pub(super) fn take_hurry(&mut self, most: usize) -> usize {
        let few = self.hurry.min(most);
        self.hurry -= few;
        few
    }
}

impl View {
    /// Whether the feed is to be read.
    pub(super) fn is_behind(&self, now: Timestamp) -> bool {
        let is_being_read = self.cursor.is_none() || self.reading.is_some();
        is_being_read || now >= self.followed_until
    }

    /// A ticket waits, and is to be tried then.
    pub(super) fn enter(&mut self, ticket: Arc<Ticket>, try_at: Timestamp) {
        if let Some(reading) = &mut self.reading {
            reading.doubted.remove(&ticket.id);
        }
        self.queue.insert(ticket, try_at);
    }

    /// Applies what a feed tells. Gives the tickets that are not known here, and the players on
    /// tickets that were taken.
    fn apply(&mut self, changes: &[Change]) -> (Vec<TicketId>, Vec<PlayerId>) {
        let (mut unknown, mut taken) = (Vec::new(), Vec::new());
        for change in changes {
            match change {
                Change::Waits(id) => {
                    if let Some(reading) = &mut self.reading {
                        reading.doubted.remove(id);
                    }
                    if !self.queue.contains(*id) {
                        unknown.push(*id);
                    }
                }
                Change::Gone(id) => {
                    if let Some(ticket) = self.queue.remove(*id) {
                        taken.extend(ticket.members.iter().map(|member| member.player));
                    }
                }
            }
        }
        (unknown, taken)
    }

    /// All that was known is in doubt.
    fn doubt(&mut self, end: Cursor) {
        self.cursor = Some(end);
        self.reading = Some(Reading {
            from: 0,
            doubted: self.queue.ids().collect(),
        });
    }
}

impl Desk {
    /// Brings a queue up to what the store holds.
    pub(super) async fn follow(&mut self, mode: &ModeName, now: Timestamp) -> Result<(), Away> {
        let store = Arc::clone(&self.parts.store);
        let began = Instant::now();
        loop {
            let Some(cursor) = self.queues.view(mode).cursor.clone() else {
                self.begin_anew(mode).await?;
                continue;
            };
            let Some(fed) = self.ask("feed", store.feed(mode, &cursor)).await? else {
                tracing::warn!(%mode, "a queue's feed has a gap; the queue is read anew");
                self.queues.hurry = self.roster.len();
                self.begin_anew(mode).await?;
                continue;
            };
            let view = self.queues.view(mode);
            let (unknown, taken) = view.apply(&fed.changes);
            view.cursor = Some(fed.upto);
            view.followed_until = now + began.elapsed() * FOLLOW_SHARE;
            for player in taken {
                self.roster.mark(player);
            }
            self.enter_found(mode, &unknown, now + OTHERS_LATER).await?;
            if !fed.more {
                break;
            }
        }
        self.read_on(mode, now).await
    }

    async fn begin_anew(&mut self, mode: &ModeName) -> Result<(), Away> {
        let store = Arc::clone(&self.parts.store);
        let end = self.ask("feed_end", store.feed_end(mode)).await?;
        self.queues.view(mode).doubt(end);
        Ok(())
    }

    /// Enters those of the tickets that wait. If the store does not answer, the queue is read anew.
    pub(super) async fn enter_found(
        &mut self,
        mode: &ModeName,
        ids: &[TicketId],
        try_at: Timestamp,
    ) -> Result<(), Away> {
        let store = Arc::clone(&self.parts.store);
        for ids in ids.chunks(BATCH) {
            let found = match self.ask("find", store.find(ids)).await {
                Ok(found) => found,
                Err(Away) => {
                    self.queues.view(mode).cursor = None;
                    return Err(Away);
                }
            };
            let view = self.queues.view(mode);
            for ticket in found {
                view.enter(ticket, try_at);
            }
        }
        Ok(())
    }

    /// Reads the next parts of a queue that is read anew.
    async fn read_on(&mut self, mode: &ModeName, now: Timestamp) -> Result<(), Away> {
        let store = Arc::clone(&self.parts.store);
        for _ in 0..PARTS {
            let reading = self.queues.view(mode).reading.as_ref();
            let Some(from) = reading.map(|reading| reading.from) else {
                return Ok(());
            };
            let page = self.ask("scan", store.scan(mode, from)).await?;
            let view = self.queues.view(mode);
            for ticket in page.tickets {
                view.enter(ticket, now + OTHERS_LATER);
            }
            match (page.next, &mut view.reading) {
                (Some(next), Some(reading)) => reading.from = next,
                (None, reading) => {
                    let doubted = reading.take().map(|reading| reading.doubted);
                    for id in doubted.into_iter().flatten() {
                        view.queue.remove(id);
                    }
                }
                (Some(_), None) => {}
            }
        }
        Ok(())
    }
}
