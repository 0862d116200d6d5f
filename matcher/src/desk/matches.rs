//! Matches: from the claim to the end of their room.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use protocol::id::{MatchId, NodeId, PlayerId, RoomId};
use protocol::time::Timestamp;
use rpc::token::RoomTicket;

use super::Desk;
use super::player::{Activity, Playing};
use crate::config::ModeName;
use crate::event::{Ending, MatchEvent};
use crate::nodes::{News, RoomEnded};
use crate::placing::{Outcome, PlaceError, Room};
use crate::ticket::Ticket;

/// Matches that look for a room, and matches that have one. The first are bounded by
/// `placing.at_once`, the second by the players that there may be and by the life of a ticket.
#[derive(Debug, Default)]
pub(super) struct Matches {
    placing: BTreeMap<MatchId, Placement>,
    running: BTreeMap<MatchId, Running>,
    /// Those that run, oldest first, and some that have ended since.
    by_age: VecDeque<(Timestamp, MatchId)>,
    nodes: BTreeMap<NodeId, NodeView>,
}

/// A match that looks for a room.
#[derive(Debug)]
pub(super) struct Placement {
    mode: ModeName,
    players: Vec<PlayerId>,
    spread: u32,
    /// Rooms of it that have ended already: the news can be faster than the answer.
    ended: Vec<(RoomId, Ending)>,
}

#[derive(Debug)]
struct Running {
    mode: ModeName,
    room: RoomId,
    node: NodeId,
    connection: u64,
    players: Vec<PlayerId>,
}

/// What is known of a node.
#[derive(Debug, Default)]
struct NodeView {
    connection: u64,
    /// The rooms that were open when the connection began.
    rooms: BTreeSet<RoomId>,
    /// Out of reach since then.
    gone_since: Option<Timestamp>,
}

impl Placement {
    pub(super) fn new(mode: ModeName, players: Vec<PlayerId>, spread: u32) -> Self {
        Self {
            mode,
            players,
            spread,
            ended: Vec::new(),
        }
    }
}

impl Matches {
    /// Matches that run.
    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    /// Matches that look for a room.
    pub(super) fn placing(&self) -> usize {
        self.placing.len()
    }

    /// A match begins to look for a room.
    pub(super) fn begin_placing(&mut self, match_id: MatchId, placement: Placement) {
        self.placing.insert(match_id, placement);
    }

    /// Matches on `node` that the list which opened its connection shows to be gone.
    fn lost_on(&self, node: &NodeId) -> Vec<MatchId> {
        let Some(view) = self.nodes.get(node) else {
            return Vec::new();
        };
        self.running
            .iter()
            .filter(|(_, running)| running.node == *node && view.has_lost(running))
            .map(|(match_id, _)| *match_id)
            .collect()
    }
}

impl NodeView {
    fn has_lost(&self, running: &Running) -> bool {
        running.connection < self.connection && !self.rooms.contains(&running.room)
    }
}

impl Desk {
    /// The search for a room is over.
    pub(super) async fn placed(&mut self, outcome: Outcome) {
        let Some(placement) = self.matches.placing.remove(&outcome.match_id) else {
            return;
        };
        match outcome.room {
            Ok(room) => self.begin_match(outcome.match_id, placement, room).await,
            Err(error) => self.give_back(outcome.match_id, &placement, &error).await,
        }
    }

    async fn begin_match(&mut self, match_id: MatchId, placement: Placement, room: Room) {
        self.pauses.remove(&placement.mode);
        if let Err(error) = self.parts.store.settle(match_id).await {
            // The tickets stay claimed by a match that stands; nobody else can get them.
            self.store_failed(&error);
        }
        let now = self.clock.now();
        tracing::info!(
            r#match = %match_id,
            mode = %placement.mode,
            room = %room.room,
            node = %room.node,
            players = placement.players.len(),
            spread = placement.spread,
            "match placed"
        );
        let metrics = self.metrics.of(&placement.mode);
        metrics.matches.increment(1);
        metrics.spread.record(f64::from(placement.spread));
        for player in &placement.players {
            self.seat(*player, match_id, &placement, &room, now);
        }
        self.matches.by_age.push_back((now, match_id));
        let running = Running {
            mode: placement.mode,
            room: room.room,
            node: room.node.clone(),
            connection: room.connection,
            players: placement.players,
        };
        let view = self.matches.nodes.get(&running.node);
        let lost = view.is_some_and(|view| view.has_lost(&running));
        self.matches.running.insert(match_id, running);
        let ended = placement
            .ended
            .iter()
            .find(|(ended, _)| *ended == room.room);
        if let Some((_, ending)) = ended {
            self.end_match(match_id, *ending);
        } else if lost {
            self.end_match(match_id, Ending::Lost);
        }
    }

    /// Gives a player the seat, unless the player has left in the meantime.
    fn seat(
        &mut self,
        id: PlayerId,
        match_id: MatchId,
        placement: &Placement,
        room: &Room,
        now: Timestamp,
    ) {
        let lifetime = self.config().placing.ticket_lifetime;
        let Some(player) = self.roster.player_mut(id) else {
            return;
        };
        let Some(queued) = player
            .queued()
            .filter(|queued| queued.placing == Some(match_id))
        else {
            return;
        };
        let (waited, expected) = (now.since(queued.since), queued.expected);
        if let Some(code) = queued.wish.party.clone() {
            self.parties.disband(&code);
        }
        let metrics = self.metrics.of(&placement.mode);
        if player.bot {
            metrics.seats_bots.increment(1);
        } else {
            metrics.seats_people.increment(1);
            metrics.waited(waited, expected);
            self.estimates
                .entry(placement.mode.clone())
                .or_default()
                .record(waited);
        }
        let claims = RoomTicket {
            player: id,
            room: room.room,
            match_id,
            node: room.node.clone(),
        };
        let ticket = self.parts.signer.sign(claims, lifetime);
        let event = MatchEvent::Found {
            match_id,
            mode: &placement.mode,
            room: room.room,
            ticket: &ticket,
            players: placement.players.len(),
        };
        let payload = event.payload();
        player.activity = Activity::Playing(Playing {
            match_id,
            mode: placement.mode.clone(),
            room: room.room,
            ticket,
        });
        self.append(id, payload);
    }

    async fn give_back(&mut self, match_id: MatchId, placement: &Placement, error: &PlaceError) {
        let mode = &placement.mode;
        log_failure(match_id, mode, error);
        self.metrics.placement_failures.increment(1);
        let now = self.clock.now();
        self.pauses.entry(mode.clone()).or_default().extend(now);
        let tickets = match self.parts.store.give_back(match_id).await {
            Ok(tickets) => tickets,
            Err(error) => {
                self.store_failed(&error);
                Vec::new()
            }
        };
        for ticket in tickets {
            self.wait_again(match_id, &ticket).await;
        }
    }

    /// A ticket waits again, unless one of its members has left in the meantime.
    async fn wait_again(&mut self, match_id: MatchId, ticket: &Arc<Ticket>) {
        let (staying, left): (Vec<PlayerId>, Vec<PlayerId>) = ticket
            .members
            .iter()
            .map(|member| member.player)
            .partition(|id| {
                self.roster
                    .player(*id)
                    .is_some_and(|player| player.is_placed_by(match_id))
            });
        if !left.is_empty()
            && let Err(error) = self.parts.store.remove(ticket.id).await
        {
            self.store_failed(&error);
        }
        for id in staying {
            if !left.is_empty() {
                self.gather_again(id);
            } else if let Some(queued) = self.queued_mut(id) {
                queued.placing = None;
                self.touch(id);
            }
        }
    }

    /// News of a syncd node.
    pub(super) fn heard(&mut self, news: News) {
        let now = self.clock.now();
        match news {
            News::Open {
                node,
                connection,
                rooms,
                ended,
            } => {
                // First, so that a match whose end nobody told does not count as lost.
                for ended in ended {
                    self.room_ended(&ended);
                }
                let view = NodeView {
                    connection,
                    rooms,
                    gone_since: None,
                };
                self.matches.nodes.insert(node.clone(), view);
                self.reconcile(&node);
            }
            News::Gone { node } => {
                let view = self.matches.nodes.entry(node).or_default();
                view.gone_since = Some(now);
            }
            News::Ended(ended) => self.room_ended(&ended),
        }
    }

    /// A room ended, as far as it is news.
    fn room_ended(&mut self, ended: &RoomEnded) {
        let RoomEnded { room, match_id, .. } = *ended;
        let ending = ending(&ended.reason);
        if let Some(placement) = self.matches.placing.get_mut(&match_id) {
            if !placement.ended.contains(&(room, ending)) {
                placement.ended.push((room, ending));
            }
            return;
        }
        // A room that was asked for and given up may end, too: its match has another.
        let running = self.matches.running.get(&match_id);
        if running.is_some_and(|running| running.room == room) {
            self.end_match(match_id, ending);
        }
    }

    fn reconcile(&mut self, node: &NodeId) {
        for match_id in self.matches.lost_on(node) {
            self.end_match(match_id, Ending::Lost);
        }
    }

    /// Ends matches that nothing will be heard of any more: older than their room tickets, or on a
    /// node that has been out of reach for too long.
    pub(super) fn expire_matches(&mut self, now: Timestamp) {
        let placing = self.config().placing.clone();
        while let Some((since, match_id)) = self.matches.by_age.front().copied() {
            let ended = !self.matches.running.contains_key(&match_id);
            if !ended && now.since(since) < placing.ticket_lifetime {
                break;
            }
            self.matches.by_age.pop_front();
            self.end_match(match_id, Ending::Lost);
        }
        let given_up = |view: &NodeView| {
            view.gone_since
                .is_some_and(|since| now.since(since) >= placing.lost_after)
        };
        let nodes = &self.matches.nodes;
        let lost: Vec<MatchId> = if nodes.values().any(given_up) {
            self.matches
                .running
                .iter()
                .filter(|(_, running)| nodes.get(&running.node).is_some_and(given_up))
                .map(|(match_id, _)| *match_id)
                .collect()
        } else {
            Vec::new()
        };
        for match_id in lost {
            self.end_match(match_id, Ending::Lost);
        }
    }

    fn end_match(&mut self, match_id: MatchId, ending: Ending) {
        let Some(running) = self.matches.running.remove(&match_id) else {
            return;
        };
        tracing::info!(r#match = %match_id, room = %running.room, ?ending, "match ended");
        if ending == Ending::Lost {
            self.metrics.of(&running.mode).lost.increment(1);
        }
        let event = MatchEvent::Ended {
            match_id,
            room: running.room,
            reason: ending,
        };
        for id in running.players {
            let Some(player) = self.roster.player_mut(id) else {
                continue;
            };
            if player
                .playing()
                .is_some_and(|playing| playing.match_id == match_id)
            {
                player.activity = Activity::Idle;
                self.notify(id, &event);
            }
        }
    }

    /// The player leaves the match for good and may queue again. The match goes on without.
    pub(super) fn abandon_match(&mut self, id: PlayerId) {
        if let Some(player) = self.roster.player_mut(id)
            && let Some(playing) = player.playing()
        {
            let match_id = playing.match_id;
            player.activity = Activity::Idle;
            if let Some(running) = self.matches.running.get_mut(&match_id) {
                running.players.retain(|player| *player != id);
            }
        }
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
