//! Rounds: on each tick, matches are formed, their tickets claimed, and rooms looked for.

use std::sync::Arc;

use protocol::id::{MatchId, TicketId};
use protocol::time::Timestamp;
use rpc::pb;
use tracing::Instrument;

use super::Desk;
use super::settling::Placement;
use crate::config::{Config, Mode, ModeName};
use crate::pairing::{self, Proposal};
use crate::placing::{self, Order, Outcome};
use crate::store::Wanted;
use crate::ticket::Member;

impl Desk {
    /// One round over all modes.
    pub(super) async fn round(&mut self, now: Timestamp) {
        let config = self.config();
        for (name, mode) in &config.modes {
            self.round_of(&config, name, mode, now).await;
        }
    }

    async fn round_of(&mut self, config: &Config, name: &ModeName, mode: &Mode, now: Timestamp) {
        let store = Arc::clone(&self.parts.store);
        let Ok(waiting) = self.ask("waiting", store.waiting(name)).await else {
            return;
        };
        let players: usize = waiting.iter().map(|ticket| ticket.members.len()).sum();
        let size = u32::try_from(players).unwrap_or(u32::MAX);
        self.sizes.insert(name.clone(), size);
        let metrics = self.metrics.of(name);
        metrics.tickets.set(waiting.len() as f64);
        metrics.queued.set(players as f64);

        let most = config
            .placing
            .at_once
            .saturating_sub(self.matches.placing());
        let closed = self.parts.drain.is_draining()
            || self.pauses.get(name).is_some_and(|pause| pause.holds(now))
            || !self.parts.nodes.any_usable();
        if closed || most == 0 {
            return; // tickets age on
        }
        let proposals: Vec<(MatchId, Proposal)> = pairing::pair(mode, &waiting, now, most)
            .into_iter()
            .map(|proposal| (MatchId(rand::random()), proposal))
            .collect();
        if proposals.is_empty() {
            return;
        }
        let wanted: Vec<Wanted> = proposals
            .iter()
            .map(|(match_id, proposal)| Wanted {
                match_id: *match_id,
                tickets: proposal.tickets.iter().map(|seat| seat.ticket.id).collect(),
            })
            .collect();
        // If the answer is lost, so are the claims, and they run out.
        let (claimant, claim_for) = (self.incarnation(), config.placing.claim_for);
        let claim = store.claim(&wanted, &claimant, claim_for);
        let Ok(granted) = self.ask("claim", claim).await else {
            return;
        };
        for ((match_id, proposal), granted) in proposals.into_iter().zip(granted) {
            if granted {
                self.look_for_room(config, name, mode, match_id, &proposal);
            } else {
                self.metrics.claims_refused.increment(1);
            }
        }
    }

    fn look_for_room(
        &mut self,
        config: &Config,
        name: &ModeName,
        mode: &Mode,
        match_id: MatchId,
        proposal: &Proposal,
    ) {
        let tickets = proposal.tickets.iter();
        let players: Vec<Member> = tickets
            .clone()
            .flat_map(|seat| seat.ticket.members.clone())
            .collect();
        let tickets: Vec<TicketId> = tickets.map(|seat| seat.ticket.id).collect();
        for member in &players {
            if let Some(queued) = self.queued_mut(member.player) {
                queued.placing = Some(match_id);
            }
            self.touch(member.player);
        }
        let placement = Placement::new(name.clone(), players, tickets, proposal.spread);
        self.matches.begin_placing(match_id, placement);

        let order = Order {
            match_id,
            mode: name.clone(),
            game: mode.game.clone(),
            settings: settings(mode),
            watching: watching(mode),
            region: proposal.region.clone(),
            seats: seats(proposal),
        };
        let nodes = self.parts.nodes.clone();
        let placing = config.placing.clone();
        let outcomes = self.outcomes.clone();
        let search = async move {
            let room = placing::place(&nodes, order, &placing).await;
            // An error means that the desk has ended.
            let _ = outcomes.send(Outcome { match_id, room }).await;
        };
        let span = tracing::info_span!("placing", r#match = %match_id, mode = %name);
        self.parts.drain.spawn("placing", search.instrument(span));
    }
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
        seat.ticket.members.iter().map(|member| pb::Seat {
            player: member.player.0,
            name: member.name.clone(),
            bot: member.bot,
            team: u32::from(seat.team),
            rating: member.rating,
        })
    });
    seats.collect()
}
