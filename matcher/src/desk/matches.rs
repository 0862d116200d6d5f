//! Matches, to the end of their room. How they begin is in [`settling`](super::settling).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use protocol::id::{MatchId, NodeId, PlayerId, RoomId};
use protocol::time::Timestamp;
use rpc::token::RoomTicket;

use super::Desk;
use super::ask::{Away, answer_within};
use super::calls::Reply;
use super::lost::{NodeView, Running};
use super::player::{Activity, Unsettled};
use super::settling::Placement;
use crate::event::{Ending, MatchEvent};
use crate::nodes::RoomEnded;
use crate::store::{EndedMatch, MatchRecord};

/// Ended matches that wait for the store. Over it the oldest are forgotten: whoever meets them in
/// the store finds out that they have no room.
const MOST_ENDS: usize = 65_536;

/// Rooms that are remembered to have ended. Over it the oldest is forgotten.
const MOST_OVER: usize = 16_384;

/// Matches that ask their players at once.
const MOST_ASKING: usize = 4_096;

/// Ended matches that one call tells the store.
const BATCH: usize = 256;

/// Shortest life of a room ticket that is signed.
const SHORTEST: Duration = Duration::from_secs(60);

/// Matches that look for a room, and matches that have one. The first are bounded by
/// `placing.at_once`, the second by the players that there may be and by the life of a ticket.
#[derive(Debug, Default)]
pub(super) struct Matches {
    pub(super) placing: BTreeMap<MatchId, Placement>,
    /// Of these, those that ask their players first.
    pub(super) asking: BTreeSet<MatchId>,
    pub(super) running: BTreeMap<MatchId, Running>,
    /// Those that run, oldest first.
    by_age: BTreeSet<(Timestamp, MatchId)>,
    pub(super) nodes: BTreeMap<NodeId, NodeView>,
    /// Ended, and the store has yet to hear of it.
    ends: BTreeMap<RoomId, EndedMatch>,
    /// Of these, those whose players are told when it has, or has not answered.
    ending: VecDeque<EndedMatch>,
    /// Of these, those that it is being told.
    telling: Vec<EndedMatch>,
    /// Ended of late, in that order: a store that forgot so is told again.
    over: VecDeque<RoomId>,
    is_over: BTreeSet<RoomId>,
    /// Of the first, those that have found a room and wait to be asked about.
    pub(super) found: VecDeque<MatchId>,
    /// Questions to the store about such that are open.
    pub(super) questions: usize,
    /// When the claims were renewed last.
    pub(super) renewed_at: Timestamp,
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

    /// How many more may be begun: of those that look for a room there are `at_once` at most.
    pub(super) fn free(&self, at_once: usize) -> usize {
        let looking = self.placing.len() - self.asking.len();
        let asking = MOST_ASKING.saturating_sub(self.asking.len());
        at_once.saturating_sub(looking).min(asking)
    }

    /// Whether any match looks for a room.
    pub(super) fn any_looking(&self) -> bool {
        self.placing.values().any(|one| !one.is_found())
    }

    /// A match begins to look for a room.
    pub(super) fn begin_placing(&mut self, match_id: MatchId, placement: Placement) {
        if placement.order.is_some() {
            self.asking.insert(match_id);
        }
        self.placing.insert(match_id, placement);
    }

    /// A match that runs.
    pub(super) fn record(&self, match_id: MatchId) -> Option<Arc<MatchRecord>> {
        let running = self.running.get(&match_id)?;
        Some(Arc::clone(&running.record))
    }

    /// Whether the store did not take that some matches are over.
    pub(super) fn has_unheard_ends(&self) -> bool {
        self.ends.len() > self.ending.len() + self.telling.len()
    }

    /// Whether a room is known to have ended.
    pub(super) fn is_over(&self, room: RoomId) -> bool {
        self.is_over.contains(&room)
    }

    pub(super) fn begin(&mut self, running: Running) {
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

    /// Rooms ended, as far as it is news. It waits for the store, and everyone is told then.
    pub(super) async fn rooms_ended(&mut self, ended: &[RoomEnded]) {
        for ended in ended {
            self.note_end(ended);
        }
        self.flush_ends().await;
        for ended in ended {
            self.end_room(ended.match_id, ended.room, ending(&ended.reason));
        }
    }

    /// A room ended. First the store hears of it: whoever hears that a match is over may queue at
    /// once.
    pub(super) fn room_ended(&mut self, ended: &RoomEnded) {
        let ended = self.note_end(ended);
        self.matches.ending.push_back(ended);
        self.tell_ends();
    }

    fn note_end(&mut self, ended: &RoomEnded) -> EndedMatch {
        let RoomEnded { room, match_id, .. } = *ended;
        if let Some(placement) = self.matches.placing.get_mut(&match_id)
            && !placement.ended.contains(&room)
        {
            placement.ended.push(room);
        }
        let ended = EndedMatch {
            match_id,
            room,
            ending: ending(&ended.reason),
        };
        self.matches.must_end(ended);
        ended
    }

    /// Tells the store of the next rooms that ended.
    pub(super) fn tell_ends(&mut self) {
        let Matches {
            ending, telling, ..
        } = &mut self.matches;
        if !telling.is_empty() || ending.is_empty() {
            return;
        }
        telling.extend(ending.drain(..ending.len().min(BATCH)));
        let told = telling.clone();
        let Ok(limit) = self.patience() else {
            return self.have_ended(Err(Away));
        };
        let store = Arc::clone(&self.parts.store);
        self.call(async move { Reply::Ended(answer_within(limit, "end", store.end(&told)).await) });
    }

    /// The store has heard, or will at a later tick.
    pub(super) fn have_ended(&mut self, heard: Result<(), Away>) {
        for ended in std::mem::take(&mut self.matches.telling) {
            if heard.is_ok() {
                self.matches.ends.remove(&ended.room);
            }
            self.end_room(ended.match_id, ended.room, ended.ending);
        }
    }

    /// A room that was asked for and given up may end, too: its match has another.
    fn end_room(&mut self, match_id: MatchId, room: RoomId, ending: Ending) {
        let running = self.matches.running.get(&match_id);
        if running.is_some_and(|running| running.record.room == room) {
            self.end_match(match_id, ending);
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
            // The result was recorded before the room was said to have ended. It is also that of
            // who has left before.
            self.ask_ratings(member.player);
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
