//! Matches that ask their players before they begin.
//!
//! The matcher that holds a match's claim asks those who are here; others learn of the question from
//! the store, as they learn of everything. Answers go into the store, where the match's matcher
//! counts them, on each tick and whenever one comes to itself. If it dies, its claim runs out and
//! everyone waits again.

use std::sync::Arc;
use std::time::Duration;

use protocol::control::{ErrorCode, ErrorMessage};
use protocol::id::{MatchId, PlayerId};
use protocol::time::Timestamp;

use super::Desk;
use super::ask::Away;
use super::player::{Activity, Proposed};
use super::queue::out_of_reach;
use crate::config::{AcceptRule, ModeName};
use crate::event::{Leaving, MatchEvent};
use crate::store::{Acceptance, Answered, CoolDown};

/// Matches that one call asks for.
const BATCH: usize = 64;

impl Desk {
    /// Asks a player, if here, whether they take part in a match.
    pub(super) fn propose(&mut self, id: PlayerId, match_id: MatchId, within: Duration) {
        let until = self.clock.now() + within;
        let before = self.proposed(id);
        if let Some(queued) = self.queued_mut(id) {
            queued.proposed = Some(Proposed {
                match_id,
                until,
                accepted: false,
            });
        }
        self.tell_proposal(id, before);
    }

    /// The match that asks a player.
    pub(super) fn proposed(&self, id: PlayerId) -> Option<Proposed> {
        self.roster.player(id)?.queued()?.proposed
    }

    /// Tells a player that a match asks, or that the one before does not any more.
    pub(super) fn tell_proposal(&mut self, id: PlayerId, before: Option<Proposed>) {
        let now = self.clock.now();
        let after = self.proposed(id);
        let match_of = |proposed: Option<Proposed>| proposed.map(|proposed| proposed.match_id);
        if match_of(before) == match_of(after) {
            return;
        }
        if let Some(Proposed { match_id, .. }) = before {
            self.notify(id, &MatchEvent::Off { match_id });
        }
        let queued = self.roster.player(id).and_then(|player| player.queued());
        let mode = queued.map(|queued| queued.wish.mode.clone());
        if let (Some(proposed), Some(mode)) = (after.filter(|one| !one.accepted), mode) {
            let left = proposed.until.since(now).as_millis();
            let event = MatchEvent::Proposed {
                match_id: proposed.match_id,
                mode: &mode,
                within_ms: u64::try_from(left).unwrap_or(u64::MAX),
            };
            self.notify(id, &event);
        }
    }

    /// A player says whether they take part.
    pub(super) async fn answer_match(
        &mut self,
        id: PlayerId,
        match_id: MatchId,
        accepts: bool,
    ) -> Result<(), ErrorMessage> {
        let queued = self.roster.player(id).and_then(|player| player.queued());
        let Some(mode) = queued.map(|queued| queued.wish.mode.clone()) else {
            return Err(unknown());
        };
        let (store, cool_down) = (Arc::clone(&self.parts.store), self.cool_down(&mode));
        let answer = store.answer(id, match_id, accepts, cool_down);
        match self.ask("answer", answer).await {
            Ok(Answered::Accepted) => {
                if let Some(queued) = self.queued_mut(id)
                    && let Some(proposed) = &mut queued.proposed
                {
                    proposed.accepted = true;
                }
                if self.matches.asking.contains(&match_id) {
                    self.check(&mode, &[match_id]).await;
                }
                Ok(())
            }
            Ok(Answered::Declined(_)) => {
                if let Some(player) = self.roster.player_mut(id) {
                    player.activity = Activity::Idle;
                }
                self.tell_left(id, Some(Leaving::Declined));
                if self.matches.asking.contains(&match_id) {
                    self.call_off(match_id);
                }
                Ok(())
            }
            Ok(Answered::Unknown) => Err(unknown()),
            Err(Away) => Err(out_of_reach()),
        }
    }

    /// Counts the answers to the matches that ask.
    pub(super) async fn check_acceptance(&mut self, _now: Timestamp) {
        if self.matches.asking.is_empty() {
            return;
        }
        let modes: Vec<ModeName> = self.config.modes.keys().cloned().collect();
        let asking: Vec<MatchId> = self.matches.asking.iter().copied().collect();
        for mode in modes {
            let of_mode = |one: &&MatchId| {
                let placement = self.matches.placing.get(*one);
                placement.is_some_and(|placement| placement.mode == mode)
            };
            let asking: Vec<MatchId> = asking.iter().filter(of_mode).copied().collect();
            for matches in asking.chunks(BATCH) {
                self.check(&mode, matches).await;
            }
        }
    }

    async fn check(&mut self, mode: &ModeName, matches: &[MatchId]) {
        let (store, cool_down) = (Arc::clone(&self.parts.store), self.cool_down(mode));
        let acceptance = store.acceptance(matches, cool_down);
        let Ok(acceptance) = self.ask("acceptance", acceptance).await else {
            return; // asked again on the next tick
        };
        let config = self.config();
        for (match_id, acceptance) in matches.iter().zip(acceptance) {
            match acceptance {
                Acceptance::Open => {}
                Acceptance::Complete => {
                    self.matches.asking.remove(match_id);
                    let placement = self.matches.placing.get_mut(match_id);
                    if let Some(order) = placement.and_then(|placement| placement.order.take()) {
                        self.look_for_room(&config, order);
                    }
                }
                Acceptance::Off => self.call_off(*match_id),
            }
        }
    }

    /// A match does not come about. What became of its players, the next tick finds.
    fn call_off(&mut self, match_id: MatchId) {
        self.matches.asking.remove(&match_id);
        if let Some(placement) = self.matches.placing.remove(&match_id) {
            tracing::info!(r#match = %match_id, mode = %placement.mode, "not everyone accepted");
            self.metrics.of(&placement.mode).declined.increment(1);
        }
    }

    /// How long who does not accept is kept out.
    fn cool_down(&self, mode: &ModeName) -> CoolDown {
        let rule = self.config.modes.get(mode).and_then(|mode| mode.accept);
        let AcceptRule {
            cool_down,
            cool_down_most,
            ..
        } = rule.unwrap_or_default();
        CoolDown {
            first: cool_down,
            most: cool_down_most,
        }
    }
}

/// What to tell who declined a match of late, and may not queue yet.
pub(super) fn cooling_down(left: Duration) -> ErrorMessage {
    let text = "you did not accept a match; wait a while before you queue again";
    let millis = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    ErrorMessage::new(ErrorCode::CoolingDown, text).retry_after_ms(millis.max(1))
}

fn unknown() -> ErrorMessage {
    let text = "that match does not ask you, or not any more";
    ErrorMessage::new(ErrorCode::MatchUnknown, text).field("match")
}
