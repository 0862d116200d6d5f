//! Matches: from the claim to the end of their room.
//!
//! A match that has found its room stands once the store says so ([`TicketStore::settle`]): until
//! then nobody is told, and if the claim was lost meanwhile the room is left to itself.
//!
//! [`TicketStore::settle`]: crate::store::TicketStore::settle

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use protocol::id::{MatchId, NodeId, PlayerId, RoomId, TicketId};
use protocol::time::Timestamp;
use rpc::token::RoomTicket;
use tokio::time::timeout;
use tracing::Instrument;

use super::Desk;
use super::lost::{NodeView, Running};
use super::player::{Activity, Unsettled};
use crate::config::ModeName;
use crate::event::{Ending, MatchEvent};
use crate::nodes::RoomEnded;
use crate::placing::{Outcome, PlaceError, Room};
use crate::store::{EndedMatch, MatchRecord};
use crate::ticket::Member;

/// Ended matches that wait for the store. Over it the oldest are forgotten: whoever meets them in
/// the store finds out that they have no room.
const MOST_ENDS: usize = 65_536;

/// Rooms that are remembered to have ended. Over it the oldest is forgotten.
const MOST_OVER: usize = 16_384;

/// Ended matches that one call tells the store.
const BATCH: usize = 256;

/// Longest that one question whether a match stands takes.
const SETTLE_DEADLINE: Duration = Duration::from_secs(2);

/// Shortest life of a room ticket that is signed.
const SHORTEST: Duration = Duration::from_secs(60);

/// Matches that look for a room, and matches that have one. The first are bounded by
/// `placing.at_once`, the second by the players that there may be and by the life of a ticket.
#[derive(Debug, Default)]
pub(super) struct Matches {
    placing: BTreeMap<MatchId, Placement>,
    pub(super) running: BTreeMap<MatchId, Running>,
    /// Those that run, oldest first.
    by_age: BTreeSet<(Timestamp, MatchId)>,
    pub(super) nodes: BTreeMap<NodeId, NodeView>,
    /// Ended, and the store has yet to hear of it.
    ends: BTreeMap<RoomId, EndedMatch>,
    /// Ended of late, in that order: a store that forgot so is told again.
    over: VecDeque<RoomId>,
    is_over: BTreeSet<RoomId>,
    /// When the claims were renewed last.
    renewed_at: Timestamp,
}

/// A match that looks for a room, or has found one and waits for the store.
#[derive(Debug)]
pub(super) struct Placement {
    pub(super) mode: ModeName,
    pub(super) players: Vec<Member>,
    pub(super) tickets: Vec<TicketId>,
    pub(super) spread: u32,
    /// What was found.
    found: Option<Found>,
    /// Rooms of it that have ended already: the news can be faster than the answer.
    ended: Vec<RoomId>,
}

#[derive(Debug)]
struct Found {
    record: Arc<MatchRecord>,
    connection: u64,
    /// The store is being asked.
    asking: bool,
}

/// What the store says of a match that has found its room.
#[derive(Debug)]
pub(crate) struct Settled {
    match_id: MatchId,
    /// `None`: nothing.
    stands: Option<bool>,
}

impl Placement {
    pub(super) fn new(
        mode: ModeName,
        players: Vec<Member>,
        tickets: Vec<TicketId>,
        spread: u32,
    ) -> Self {
        Self {
            mode,
            players,
            tickets,
            spread,
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
}

impl Matches {
    /// Matches that run.
    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    /// Matches that look for a room, or wait for the store.
    pub(super) fn placing(&self) -> usize {
        self.placing.len()
    }

    /// Whether any match looks for a room.
    pub(super) fn any_looking(&self) -> bool {
        self.placing.values().any(|one| one.found.is_none())
    }

    /// A match begins to look for a room.
    pub(super) fn begin_placing(&mut self, match_id: MatchId, placement: Placement) {
        self.placing.insert(match_id, placement);
    }

    /// A match that runs.
    pub(super) fn record(&self, match_id: MatchId) -> Option<Arc<MatchRecord>> {
        let running = self.running.get(&match_id)?;
        Some(Arc::clone(&running.record))
    }

    /// Whether a room is known to have ended.
    pub(super) fn is_over(&self, room: RoomId) -> bool {
        self.is_over.contains(&room)
    }

    fn begin(&mut self, running: Running) {
        let record = &running.record;
        self.by_age.insert((record.began_at, record.id));
        self.running.insert(record.id, running);
    }

    fn end(&mut self, match_id: MatchId) -> Option<Running> {
        let running = self.running.remove(&match_id)?;
        self.by_age.remove(&(running.record.began_at, match_id));
        Some(running)
    }

    /// The store is to hear that a match is over.
    pub(super) fn must_end(&mut self, ended: EndedMatch) {
        if self.is_over.insert(ended.room) {
            self.over.push_back(ended.room);
            if self.over.len() > MOST_OVER
                && let Some(oldest) = self.over.pop_front()
            {
                self.is_over.remove(&oldest);
            }
        }
        self.ends.entry(ended.room).or_insert(ended);
        if self.ends.len() > MOST_ENDS {
            self.ends.pop_first();
        }
    }
}

impl Desk {
    /// The search for a room is over.
    pub(super) async fn placed(&mut self, outcome: Outcome) {
        let now = self.clock.now();
        let Some(placement) = self.matches.placing.get_mut(&outcome.match_id) else {
            return;
        };
        match outcome.room {
            Ok(room) => {
                placement.find(outcome.match_id, room, now);
                self.settle(outcome.match_id, now).await;
            }
            Err(error) => self.give_back(outcome.match_id, &error).await,
        }
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
        for match_id in placing {
            self.settle(match_id, now).await;
        }
    }

    /// Asks the store whether a match that has found its room stands. The desk does not wait: the
    /// answer may have to wait for replicas.
    async fn settle(&mut self, match_id: MatchId, now: Timestamp) {
        let Matches { placing, nodes, .. } = &mut self.matches;
        let Some(placement) = placing.get_mut(&match_id) else {
            return;
        };
        let Some(found) = placement.found.as_mut().filter(|found| !found.asking) else {
            return;
        };
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
            return self.give_back(match_id, &error).await;
        }
        found.asking = true;
        let lifetime = self.lifetime(&record, now);
        let store = Arc::clone(&self.parts.store);
        let answers = self.settled.clone();
        let ask = async move {
            let answer = timeout(SETTLE_DEADLINE, store.settle(&record, lifetime)).await;
            let stands = match answer {
                Ok(Ok(stands)) => Some(stands),
                Ok(Err(error)) => {
                    let error = chassis::telemetry::Chain(&error);
                    tracing::warn!(error = %error, "a match waits for the ticket store");
                    None
                }
                Err(_) => None,
            };
            // An error means that the desk has ended.
            let _ = answers.send(Settled { match_id, stands }).await;
        };
        let span = tracing::info_span!("settling", r#match = %match_id);
        self.parts.drain.spawn("settling", ask.instrument(span));
    }

    /// The store said whether a match stands, or said nothing.
    pub(super) fn settled(&mut self, settled: Settled) {
        let now = self.clock.now();
        let match_id = settled.match_id;
        let placement = self.matches.placing.get_mut(&match_id);
        let Some(found) = placement.and_then(|placement| placement.found.as_mut()) else {
            return;
        };
        found.asking = false;
        let (record, connection) = (Arc::clone(&found.record), found.connection);
        match settled.stands {
            Some(true) => self.begin_match(match_id, connection, now),
            Some(false) => self.drop_match(match_id, &record),
            // Asked again at the next tick.
            None => self.metrics.store_failures.increment(1),
        }
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
        for member in &record.players {
            // Not one who has left in the meantime, nor one who is at another matcher.
            let player = self.roster.player(member.player);
            if player.is_some_and(|player| player.is_placed_by(match_id)) {
                self.seat(member.player, &record, now);
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

    /// A match that the store knows runs here too from now on.
    pub(super) fn adopt(&mut self, record: &Arc<MatchRecord>, now: Timestamp) {
        if self.matches.running.contains_key(&record.id) {
            return;
        }
        let running = self.discover(record, now);
        self.matches.begin(running);
    }

    /// How long a match lasts at most from now on.
    pub(super) fn lifetime(&self, record: &MatchRecord, now: Timestamp) -> Duration {
        let lifetime = self.config.placing.ticket_lifetime;
        lifetime
            .saturating_sub(now.since(record.began_at))
            .max(SHORTEST)
    }

    /// A ticket for the match's room.
    pub(super) fn sign(&self, id: PlayerId, record: &MatchRecord, now: Timestamp) -> String {
        let claims = RoomTicket {
            player: id,
            room: record.room,
            match_id: record.id,
            node: record.node.clone(),
        };
        self.parts.signer.sign(claims, self.lifetime(record, now))
    }

    /// Rooms ended, as far as it is news.
    pub(super) async fn rooms_ended(&mut self, ended: &[RoomEnded]) {
        for ended in ended {
            let RoomEnded { room, match_id, .. } = *ended;
            if let Some(placement) = self.matches.placing.get_mut(&match_id)
                && !placement.ended.contains(&room)
            {
                placement.ended.push(room);
            }
            self.matches.must_end(EndedMatch {
                match_id,
                room,
                ending: ending(&ended.reason),
            });
        }
        // First the store: whoever hears that a match is over may queue at once.
        self.flush_ends().await;
        for ended in ended {
            // A room that was asked for and given up may end, too: its match has another.
            let running = self.matches.running.get(&ended.match_id);
            if running.is_some_and(|running| running.record.room == ended.room) {
                self.end_match(ended.match_id, ending(&ended.reason));
            }
        }
    }

    /// Tells the store which matches are over.
    pub(super) async fn flush_ends(&mut self) {
        while !self.matches.ends.is_empty() {
            let ends = self.matches.ends.values().take(BATCH);
            let ends: Vec<EndedMatch> = ends.copied().collect();
            let store = Arc::clone(&self.parts.store);
            if self.ask("end", store.end(&ends)).await.is_err() {
                return;
            }
            for ended in ends {
                self.matches.ends.remove(&ended.room);
            }
        }
    }

    /// Ends matches that are older than their room tickets: nothing will be heard of them.
    pub(super) async fn expire_matches(&mut self, now: Timestamp) {
        let lifetime = self.config.placing.ticket_lifetime;
        let ages = self.matches.by_age.iter();
        let old: Vec<MatchId> = ages
            .take_while(|(since, _)| now.since(*since) >= lifetime)
            .map(|(_, match_id)| *match_id)
            .collect();
        self.lose(&old).await;
    }

    /// Matches whose rooms are nowhere.
    pub(super) async fn lose(&mut self, lost: &[MatchId]) {
        for match_id in lost {
            if let Some(running) = self.matches.running.get(match_id) {
                let ended = EndedMatch {
                    match_id: *match_id,
                    room: running.record.room,
                    ending: Ending::Lost,
                };
                self.matches.must_end(ended);
            }
        }
        self.flush_ends().await;
        for match_id in lost {
            self.end_match(*match_id, Ending::Lost);
        }
    }

    /// Tells this matcher's players that their match is over.
    pub(super) fn end_match(&mut self, match_id: MatchId, ending: Ending) {
        let Some(Running { record, .. }) = self.matches.end(match_id) else {
            return;
        };
        tracing::info!(r#match = %match_id, room = %record.room, ?ending, "match ended");
        if ending == Ending::Lost {
            self.metrics.of(&record.mode).lost.increment(1);
        }
        let event = MatchEvent::Ended {
            match_id,
            room: record.room,
            reason: ending,
        };
        for member in &record.players {
            let Some(player) = self.roster.player_mut(member.player) else {
                continue;
            };
            if player
                .playing()
                .is_some_and(|playing| playing.match_id == match_id)
            {
                player.activity = Activity::Idle;
                self.notify(member.player, &event);
            }
        }
    }

    /// The player leaves the match for good and may queue again. The match goes on without.
    pub(super) async fn abandon_match(&mut self, id: PlayerId) {
        let playing = self.roster.player(id).and_then(|player| player.playing());
        let Some(match_id) = playing.map(|playing| playing.match_id) else {
            return;
        };
        if let Some(player) = self.roster.player_mut(id) {
            player.activity = Activity::Idle;
            player.left = Some(match_id);
        }
        self.set_unsettled(id, Unsettled::Match(match_id));
        // If it fails, another tick tries again.
        let _ = self.settle_up(id).await;
    }
}

/// What the reasons of syncd mean to a player.
fn ending(reason: &str) -> Ending {
    match reason {
        "failed" => Ending::Lost,
        // "finished", "abandoned", and those of later releases.
        _ => Ending::Finished,
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
