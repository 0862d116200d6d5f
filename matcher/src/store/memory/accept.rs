//! Matches that ask their players, and players who are kept out, in the memory store.

use std::collections::BTreeSet;
use std::time::Duration;

use protocol::id::{MatchId, PlayerId};
use tokio::time::Instant;

use super::state::{Spot, State};
use crate::store::{Acceptance, Answered, Asking, CoolDown, Question};

/// A question to the players of a claimed match.
#[derive(Debug, Clone)]
pub(super) struct Asks {
    until: Instant,
    accepted: BTreeSet<PlayerId>,
}

/// A player who declined of late.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusals {
    in_a_row: u32,
    kept_out_until: Instant,
    forgotten_at: Instant,
}

/// Who does not take part.
struct Unwilling {
    silent: Vec<PlayerId>,
    gone: Vec<PlayerId>,
}

impl Unwilling {
    fn is_nobody(&self) -> bool {
        self.silent.is_empty() && self.gone.is_empty()
    }
}

impl Asks {
    pub(super) fn new(question: &Question, now: Instant) -> Self {
        Self {
            until: now + question.within,
            accepted: question.willing.iter().copied().collect(),
        }
    }

    /// As a player sees it.
    pub(super) fn of(&self, player: PlayerId, now: Instant) -> Asking {
        Asking {
            left: self.until.saturating_duration_since(now),
            accepted: self.accepted.contains(&player),
        }
    }
}

impl State {
    /// How much longer a player is kept out of queues.
    pub(super) fn cooling(&self, player: PlayerId, now: Instant) -> Option<Duration> {
        let refusals = self.refusals.get(&player)?;
        let left = refusals.kept_out_until.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    pub(super) fn answer(
        &mut self,
        player: PlayerId,
        match_id: MatchId,
        accepts: bool,
        cool_down: CoolDown,
        now: Instant,
    ) -> Answered {
        let place = self.places.get(&player).filter(|place| !place.left);
        let on_it = place.is_some_and(|place| match &place.spot {
            Spot::Ticket(id) => self.is_claimed_by(*id, match_id),
            _ => false,
        });
        let asks = self.asks_of(match_id).filter(|_| on_it);
        let Some(asks) = asks else {
            return Answered::Unknown;
        };
        if accepts {
            if asks.until <= now && !asks.accepted.contains(&player) {
                return Answered::Unknown;
            }
            asks.accepted.insert(player);
            return Answered::Accepted;
        }
        if self.unwilling(match_id).is_nobody() {
            return Answered::Unknown; // it is being made already
        }
        let pause = self.keep_out(player, cool_down, now);
        self.mark_left(player);
        self.give_back(match_id, now);
        Answered::Declined(pause)
    }

    pub(super) fn acceptance(
        &mut self,
        match_id: MatchId,
        cool_down: CoolDown,
        now: Instant,
    ) -> Acceptance {
        let Some(until) = self.asks_of(match_id).map(|asks| asks.until) else {
            return Acceptance::Off;
        };
        let unwilling = self.unwilling(match_id);
        if unwilling.is_nobody() {
            return Acceptance::Complete;
        }
        if unwilling.gone.is_empty() && now < until {
            return Acceptance::Open;
        }
        for player in unwilling.gone {
            self.keep_out(player, cool_down, now);
        }
        if now >= until {
            for player in unwilling.silent {
                self.keep_out(player, cool_down, now);
                self.mark_left(player);
            }
        }
        self.give_back(match_id, now);
        Acceptance::Off
    }

    /// Forgets who has not declined for long enough.
    pub(super) fn sweep_refusals(&mut self, now: Instant) {
        self.refusals.retain(|_, one| one.forgotten_at > now);
    }

    fn unwilling(&self, match_id: MatchId) -> Unwilling {
        let (mut silent, mut gone) = (Vec::new(), Vec::new());
        let accepted = self.claim_asks(match_id).map(|asks| &asks.accepted);
        for ticket in self.claimed(match_id) {
            for member in &ticket.members {
                let player = member.player;
                let place = self.places.get(&player);
                let is_there =
                    place.is_some_and(|place| !place.left && place.spot == Spot::Ticket(ticket.id));
                if !is_there {
                    gone.push(player);
                } else if !accepted.is_some_and(|accepted| accepted.contains(&player)) {
                    silent.push(player);
                }
            }
        }
        Unwilling { silent, gone }
    }

    fn keep_out(&mut self, player: PlayerId, cool_down: CoolDown, now: Instant) -> Duration {
        let before = self.refusals.get(&player);
        let before = before.filter(|refusals| refusals.forgotten_at > now);
        let in_a_row = before.map_or(0, |refusals| refusals.in_a_row) + 1;
        let times = 2_u32.saturating_pow((in_a_row - 1).min(30));
        let pause = cool_down.first.saturating_mul(times).min(cool_down.most);
        let refusals = Refusals {
            in_a_row,
            kept_out_until: now + pause,
            forgotten_at: now + pause + cool_down.most,
        };
        self.refusals.insert(player, refusals);
        pause
    }
}
