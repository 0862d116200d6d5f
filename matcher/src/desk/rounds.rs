//! Rounds: matches are formed, their tickets claimed, and rooms looked for. On each tick, and in
//! between, as soon as tickets came, at most every [`PACE`].

use std::sync::Arc;
use std::time::Duration;

use protocol::id::{MatchId, TicketId};
use protocol::time::Timestamp;
use rpc::pb;
use tokio::time::Instant;
use tracing::Instrument;

use super::Desk;
use super::ask::{Away, answer_within};
use super::calls::Reply;
use super::settling::Placement;
use crate::config::{AcceptRule, Config, Mode, ModeName, Role};
use crate::faults;
use crate::pairing::{Limits, Proposal, Seated};
use crate::placing::{self, Order, Outcome};
use crate::store::{Question, Wanted};
use crate::ticket::Member;

/// Shortest time from one round to the next. What comes meanwhile is matched, claimed and asked
/// about together.
const PACE: Duration = Duration::from_millis(10);

/// Searches of one round in one mode: some tens of milliseconds at worst.
const SEARCHES: usize = 1_000;

/// Matches that one call claims.
const CLAIMS: usize = 128;

/// Matches whose tickets the store is being asked for.
#[derive(Debug)]
pub(super) struct Claiming {
    mode: ModeName,
    asked: Vec<(MatchId, Proposal)>,
    /// Those that are asked for next.
    rest: Vec<(MatchId, Proposal)>,
}

impl Desk {
    /// There is something to match. When the next round is to be.
    pub(super) fn want_round(&mut self) {
        if self.next_round.is_none() {
            let soonest = self.last_round + PACE;
            self.next_round = Some(soonest.max(Instant::now()));
        }
    }

    /// One round over all modes, or over those that have something to do.
    pub(super) async fn round(&mut self, now: Timestamp, over: Over) {
        self.next_round = None;
        let config = self.config();
        for (name, mode) in &config.modes {
            let due = self.queues.view(name).queue.next_try();
            if over == Over::All || due.is_some_and(|at| at <= now) {
                self.round_of(&config, name, mode, now).await;
            }
        }
        self.last_round = Instant::now();
    }

    async fn round_of(&mut self, config: &Config, name: &ModeName, mode: &Mode, now: Timestamp) {
        if self.queues.view(name).is_behind(now) && self.follow(name, now).await.is_err() {
            return;
        }
        let queue = &self.queues.view(name).queue;
        let (tickets, players) = (queue.len(), queue.players());
        self.sizes
            .insert(name.clone(), u32::try_from(players).unwrap_or(u32::MAX));
        let metrics = self.metrics.of(name);
        metrics.tickets.set(tickets as f64);
        metrics.queued.set(players as f64);

        let most = self.matches.free(config.placing.at_once);
        let closed = self.parts.drain.is_draining()
            || self.pauses.get(name).is_some_and(|pause| pause.holds(now))
            || !self.parts.nodes.any_usable();
        if closed || most == 0 || self.claiming.is_some() {
            return; // tickets age on
        }
        let limits = Limits {
            matches: most,
            searches: SEARCHES,
        };
        let queue = &mut self.queues.view(name).queue;
        let proposals = queue.pass(mode, now, limits);
        if queue.next_try().is_some_and(|at| at <= now) {
            self.want_round(); // the pass did not come to everything
        }
        let proposals: Vec<(MatchId, Proposal)> = proposals
            .into_iter()
            .map(|proposal| (MatchId(rand::random()), proposal))
            .collect();
        if !proposals.is_empty() {
            self.claim(name.clone(), proposals, now);
        }
    }

    /// Asks for the tickets of matches, as many as one call claims.
    fn claim(&mut self, mode: ModeName, mut proposals: Vec<(MatchId, Proposal)>, now: Timestamp) {
        let Ok(limit) = self.patience() else {
            return self.let_wait(&mode, proposals, now);
        };
        let rest = proposals.split_off(proposals.len().min(CLAIMS));
        let rule = self.config.modes.get(&mode).and_then(|mode| mode.accept);
        let wanted: Vec<Wanted> = proposals
            .iter()
            .map(|(match_id, proposal)| Wanted {
                match_id: *match_id,
                tickets: ids(proposal),
                ask: rule.map(|rule| question(rule, proposal)),
            })
            .collect();
        let (claimant, claim_for) = (self.incarnation(), self.config.placing.claim_for);
        let store = Arc::clone(&self.parts.store);
        self.call(async move {
            faults::BEFORE_CLAIM.pass();
            let claim = store.claim(&wanted, &claimant, claim_for);
            let granted = answer_within(limit, "claim", claim).await;
            faults::AFTER_CLAIM.pass();
            Reply::Claimed(granted)
        });
        self.claiming = Some(Claiming {
            mode,
            asked: proposals,
            rest,
        });
    }

    /// The store has given matches their tickets, or not.
    pub(super) async fn have_claimed(&mut self, granted: Result<Vec<bool>, Away>) {
        let Some(claiming) = self.claiming.take() else {
            return;
        };
        let now = self.clock.now();
        let Claiming {
            mode: name,
            asked,
            rest,
        } = claiming;
        self.want_round();
        let Ok(granted) = granted else {
            // Maybe they are claimed: then the feed says so, and the claims run out.
            self.let_wait(&name, asked, now);
            return self.let_wait(&name, rest, now);
        };
        let config = self.config();
        // Without the mode the claims run out, and then everyone is told.
        let mode = config.modes.get(&name);
        let mut refused = Vec::new();
        for ((match_id, proposal), granted) in asked.into_iter().zip(granted) {
            if !granted {
                self.metrics.claims_refused.increment(1);
                refused.extend(ids(&proposal));
            } else if let Some(mode) = mode {
                self.begin_placing(&config, &name, mode, match_id, &proposal);
            }
        }
        if !refused.is_empty() {
            // Some of them are not there any more. What players have to do with that, turns find
            // out; if the store does not answer, the queue is read anew.
            let _ = self.enter_found(&name, &refused, now).await;
        }
        if !rest.is_empty() {
            self.claim(name, rest, now);
        }
    }

    /// Tickets that are not claimed go on waiting.
    fn let_wait(&mut self, mode: &ModeName, proposals: Vec<(MatchId, Proposal)>, now: Timestamp) {
        let view = self.queues.view(mode);
        for seated in proposals.into_iter().flat_map(|(_, one)| one.tickets) {
            view.enter(seated.ticket, now);
        }
    }

    pub(super) fn begin_placing(
        &mut self,
        config: &Config,
        name: &ModeName,
        mode: &Mode,
        match_id: MatchId,
        proposal: &Proposal,
    ) {
        let tickets = proposal.tickets.iter();
        let players: Vec<Member> = tickets.clone().flat_map(members).collect();
        let tickets: Vec<TicketId> = tickets.map(|seat| seat.ticket.id).collect();
        for member in &players {
            if let Some(queued) = self.queued_mut(member.player) {
                queued.placing = Some(match_id);
            }
            self.touch(member.player);
        }
        let order = Order {
            match_id,
            mode: name.clone(),
            game: mode.game.clone(),
            settings: settings(mode),
            watching: watching(mode),
            region: proposal.region.clone(),
            seats: seats(proposal),
        };
        let spread = proposal.spread;
        // Who begins a private match is there.
        let Some(rule) = mode.accept.filter(|_| !proposal.is_private()) else {
            let placement = Placement::new(name.clone(), players, tickets, spread, None);
            self.matches.begin_placing(match_id, placement);
            self.look_for_room(config, order);
            return;
        };
        for member in players.iter().filter(|member| !member.bot) {
            self.propose(member.player, match_id, rule.within);
        }
        let placement = Placement::new(name.clone(), players, tickets, spread, Some(order));
        self.matches.begin_placing(match_id, placement);
    }

    /// Looks for the room of a match whose players are there.
    pub(super) fn look_for_room(&self, config: &Config, order: Order) {
        let match_id = order.match_id;
        let span = tracing::info_span!("placing", r#match = %match_id, mode = %order.mode);
        let nodes = self.parts.nodes.clone();
        let placing = config.placing.clone();
        let outcomes = self.outcomes.clone();
        let search = async move {
            let room = placing::place(&nodes, order, &placing).await;
            faults::AFTER_ROOM.pass();
            // An error means that the desk has ended.
            let _ = outcomes.send(Outcome { match_id, room }).await;
        };
        self.parts.drain.spawn("placing", search.instrument(span));
    }
}

/// Which modes a round goes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    All,
    /// Those with tickets that are to be tried.
    Due,
}

fn question(rule: AcceptRule, proposal: &Proposal) -> Question {
    let members = proposal
        .tickets
        .iter()
        .flat_map(|seat| &seat.ticket.members);
    let bots = members.filter(|member| member.bot);
    Question {
        within: rule.within,
        willing: bots.map(|member| member.player).collect(),
    }
}

fn ids(proposal: &Proposal) -> Vec<TicketId> {
    proposal.tickets.iter().map(|seat| seat.ticket.id).collect()
}

/// The members of a ticket as they play: each with the role that they were given.
fn members(seat: &Seated) -> impl Iterator<Item = Member> + '_ {
    let members = seat.ticket.members.iter().enumerate();
    members.map(|(place, member)| Member {
        roles: seat.roles.get(place).cloned().into_iter().collect(),
        ..member.clone()
    })
}

fn watching(mode: &Mode) -> pb::Watching {
    pb::Watching {
        forbidden: !mode.watch,
        delay_ms: u32::try_from(mode.watch_delay.as_millis()).unwrap_or(u32::MAX),
    }
}

fn settings(mode: &Mode) -> String {
    if mode.settings.is_empty() {
        return String::new();
    }
    serde_json::to_string(&mode.settings).expect("a JSON object has string keys")
}

fn seats(proposal: &Proposal) -> Vec<pb::Seat> {
    let seats = proposal.tickets.iter().flat_map(|seat| {
        members(seat).map(|member| pb::Seat {
            player: member.player.0,
            role: member
                .roles
                .first()
                .map_or_else(String::new, Role::to_string),
            name: member.name,
            bot: member.bot,
            team: u32::from(seat.team),
            rating: member.rating,
        })
    });
    seats.collect()
}
