//! From the claim to a match that stands: its room is found, and the store settles it.
//!
//! Until the store says so ([`TicketStore::settle`]) nobody is told of a match, and if its claim
//! was lost meanwhile the room is left to itself.
//!
//! [`TicketStore::settle`]: crate::store::TicketStore::settle

use std::sync::Arc;
use std::time::Duration;

use protocol::id::{MatchId, RoomId, TicketId};
use protocol::time::Timestamp;
use tokio::time::timeout;
use tracing::Instrument;

use super::Desk;
use super::lost::Running;
use super::matches::Matches;
use crate::config::ModeName;
use crate::event::Ending;
use crate::faults;
use crate::placing::{Order, Outcome, PlaceError, Room};
use crate::store::{EndedMatch, MatchRecord, Settling};
use crate::ticket::Member;

/// Longest that one question whether matches stand takes.
const SETTLE_DEADLINE: Duration = Duration::from_secs(2);

/// Matches that are asked about at once.
const BATCH: usize = 64;

/// Questions that are open at once. What is found meanwhile is asked about together.
const QUESTIONS: usize = 2;

/// A match that looks for a room, or has found one and waits for the store.
#[derive(Debug)]
pub(super) struct Placement {
    pub(super) mode: ModeName,
    pub(super) players: Vec<Member>,
    pub(super) tickets: Vec<TicketId>,
    pub(super) spread: u32,
    /// The room to ask for once everyone has accepted.
    pub(super) order: Option<Order>,
    /// What was found.
    found: Option<Found>,
    /// Rooms of it that have ended already: the news can be faster than the answer.
    pub(super) ended: Vec<RoomId>,
}

#[derive(Debug)]
struct Found {
    record: Arc<MatchRecord>,
    connection: u64,
    /// The store is being asked.
    asking: bool,
}

/// What the store says of matches that have found their rooms.
#[derive(Debug)]
pub(crate) struct Settled {
    matches: Vec<MatchId>,
    /// Of each of them; `None`: nothing.
    stand: Option<Vec<bool>>,
}

impl Placement {
    pub(super) fn new(
        mode: ModeName,
        players: Vec<Member>,
        tickets: Vec<TicketId>,
        spread: u32,
        order: Option<Order>,
    ) -> Self {
        Self {
            mode,
            players,
            tickets,
            spread,
            order,
            found: None,
            ended: Vec::new(),
        }
    }

    fn find(&mut self, match_id: MatchId, room: Room, now: Timestamp) {
        self.found = Some(Found {
            connection: room.connection,
            asking: false,
            record: Arc::new(MatchRecord {
                id: match_id,
                mode: self.mode.clone(),
                room: room.room,
                node: room.node,
                players: self.players.clone(),
                tickets: self.tickets.clone(),
                began_at: now,
            }),
        });
    }

    /// Whether it waits for the store.
    pub(super) fn is_found(&self) -> bool {
        self.found.is_some()
    }
}

impl Desk {
    /// Searches for rooms are over.
    pub(super) async fn placed(&mut self, outcomes: &mut Vec<Outcome>) {
        let now = self.clock.now();
        for outcome in outcomes.drain(..) {
            let Some(placement) = self.matches.placing.get_mut(&outcome.match_id) else {
                continue;
            };
            match outcome.room {
                Ok(room) => {
                    placement.find(outcome.match_id, room, now);
                    self.matches.found.push_back(outcome.match_id);
                }
                Err(error) => self.give_back(outcome.match_id, &error).await,
            }
        }
        self.settle(now).await;
    }

    /// Keeps the claims of those that look for a room, and asks again for those that the store has
    /// not answered.
    pub(super) async fn carry_on_placing(&mut self, now: Timestamp) {
        let claim_for = self.config.placing.claim_for;
        let placing: Vec<MatchId> = self.matches.placing.keys().copied().collect();
        if !placing.is_empty() && now.since(self.matches.renewed_at) >= claim_for / 4 {
            let store = Arc::clone(&self.parts.store);
            let renewed = self.ask("renew", store.renew(&placing, claim_for)).await;
            if renewed.is_ok() {
                self.matches.renewed_at = now;
            }
        }
        self.check_acceptance(now).await;
        self.matches.found = placing.into();
        self.settle(now).await;
    }

    /// Asks the store whether matches that have found their rooms stand. The desk does not wait:
    /// the answer may have to wait for replicas.
    async fn settle(&mut self, now: Timestamp) {
        while self.matches.questions < QUESTIONS {
            let mut settling = Vec::new();
            while settling.len() < BATCH
                && let Some(match_id) = self.matches.found.pop_front()
            {
                settling.extend(self.question(match_id, now).await);
            }
            if settling.is_empty() {
                return;
            }
            self.matches.questions += 1;
            self.ask_about(settling);
        }
    }

    /// What is to be asked about a match, if it has a room and nothing is open about it.
    async fn question(&mut self, match_id: MatchId, now: Timestamp) -> Option<Settling> {
        let Matches { placing, nodes, .. } = &mut self.matches;
        let placement = placing.get_mut(&match_id)?;
        let found = placement.found.as_mut().filter(|found| !found.asking)?;
        let record = Arc::clone(&found.record);
        let lost = nodes
            .get(&record.node)
            .is_some_and(|view| view.has_lost(found.connection, record.room));
        if lost || placement.ended.contains(&record.room) {
            // Also if an earlier attempt took effect.
            self.matches.must_end(EndedMatch {
                match_id,
                room: record.room,
                ending: Ending::Lost,
            });
            self.flush_ends().await;
            let error = PlaceError::Lost(record.node.clone());
            self.give_back(match_id, &error).await;
            return None;
        }
        found.asking = true;
        let lifetime = self.lifetime(&record, now);
        Some(Settling { record, lifetime })
    }

    fn ask_about(&self, settling: Vec<Settling>) {
        let store = Arc::clone(&self.parts.store);
        let answers = self.settled.clone();
        let ask = async move {
            faults::BEFORE_SETTLE.pass();
            let answer = timeout(SETTLE_DEADLINE, store.settle(&settling)).await;
            faults::AFTER_SETTLE.pass();
            let stand = match answer {
                Ok(Ok(stand)) => Some(stand),
                Ok(Err(error)) => {
                    let error = chassis::telemetry::Chain(&error);
                    tracing::warn!(error = %error, "matches wait for the ticket store");
                    None
                }
                Err(_) => None,
            };
            let matches = settling.iter().map(|one| one.record.id).collect();
            // An error means that the desk has ended.
            let _ = answers.send(Settled { matches, stand }).await;
        };
        let span = tracing::info_span!("settling");
        self.parts.drain.spawn("settling", ask.instrument(span));
    }

    /// The store said whether matches stand, or said nothing.
    pub(super) async fn settled(&mut self, settled: Settled) {
        let now = self.clock.now();
        self.matches.questions -= 1;
        for (place, match_id) in settled.matches.iter().enumerate() {
            let placement = self.matches.placing.get_mut(match_id);
            let Some(found) = placement.and_then(|placement| placement.found.as_mut()) else {
                continue;
            };
            found.asking = false;
            let (record, connection) = (Arc::clone(&found.record), found.connection);
            match settled.stand.as_ref().map(|stand| stand[place]) {
                Some(true) => self.begin_match(*match_id, connection, now),
                Some(false) => self.drop_match(*match_id, &record),
                // Asked again at the next tick.
                None => self.metrics.store_failures.increment(1),
            }
        }
        self.settle(now).await;
    }

    fn begin_match(&mut self, match_id: MatchId, connection: u64, now: Timestamp) {
        let Some(placement) = self.matches.placing.remove(&match_id) else {
            return;
        };
        let Some(Found { record, .. }) = placement.found else {
            return;
        };
        self.pauses.remove(&placement.mode);
        tracing::info!(
            r#match = %match_id,
            mode = %placement.mode,
            room = %record.room,
            node = %record.node,
            players = placement.players.len(),
            spread = placement.spread,
            "match placed"
        );
        let metrics = self.metrics.of(&placement.mode);
        metrics.matches.increment(1);
        metrics.spread.record(f64::from(placement.spread));
        let generation = self.generation_of(&record.node);
        self.matches
            .begin(Running::new(Arc::clone(&record), connection, generation));
        faults::BEFORE_TELLING.pass();
        for member in &record.players {
            // Not one who has left in the meantime, nor one who is at another matcher.
            let player = self.roster.player(member.player);
            if player.is_some_and(|player| player.is_placed_by(match_id)) {
                self.seat(member.player, &record, now);
                faults::AMID_TELLING.pass();
            }
        }
        if placement.ended.contains(&record.room) {
            self.end_match(match_id, Ending::Finished);
        }
    }

    /// A match lost its claim: its tickets are somebody else's by now. Nobody was told of it.
    fn drop_match(&mut self, match_id: MatchId, record: &MatchRecord) {
        self.matches.placing.remove(&match_id);
        self.metrics.claims_lost.increment(1);
        tracing::warn!(
            r#match = %match_id,
            room = %record.room,
            node = %record.node,
            "a match lost its tickets while it was made; its room is given up"
        );
    }

    async fn give_back(&mut self, match_id: MatchId, error: &PlaceError) {
        let Some(placement) = self.matches.placing.remove(&match_id) else {
            return;
        };
        log_failure(match_id, &placement.mode, error);
        self.metrics.placement_failures.increment(1);
        let now = self.clock.now();
        self.pauses.entry(placement.mode).or_default().extend(now);
        // If it fails, the claim runs out. What became of the tickets, the next tick finds.
        let store = Arc::clone(&self.parts.store);
        let _ = self.ask("give_back", store.give_back(match_id)).await;
    }
}

fn log_failure(match_id: MatchId, mode: &ModeName, error: &PlaceError) {
    let text = chassis::telemetry::Chain(error);
    match error {
        // Nobody will play this mode until its settings, or the nodes' build, are mended.
        PlaceError::Invalid { .. } => {
            tracing::error!(r#match = %match_id, %mode, error = %text, "a mode gets no rooms");
        }
        _ => tracing::warn!(
            r#match = %match_id, %mode, error = %text,
            "a match found no room; its tickets go back to the queue"
        ),
    }
}
