//! Leaving queues, and what the store has yet to hear of it.

use std::sync::Arc;

use protocol::id::PlayerId;

use super::Desk;
use super::ask::Away;
use super::player::{Activity, Unsettled};
use crate::event::Leaving;
use crate::store::Removed;

/// How a player leaves a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// The client says so.
    Asked,
    /// By this matcher's judgement: it does not count if another one has seen the player since.
    Unseen,
}

impl Desk {
    /// Takes a player out of the queue, if in one. `told`: the event for the client. The other
    /// members of a party gather again.
    pub(super) async fn leave_queue(&mut self, id: PlayerId, told: Option<Leaving>, leave: Leave) {
        let Some(player) = self.roster.player_mut(id) else {
            return;
        };
        let Some(queued) = player.queued() else {
            return;
        };
        let ticket = queued.ticket.clone();
        player.activity = Activity::Idle;
        let store = Arc::clone(&self.parts.store);
        let this = self.incarnation();
        let unseen_by = match leave {
            Leave::Asked => None,
            Leave::Unseen => Some(&this),
        };
        match self.ask("remove", store.remove(id, unseen_by)).await {
            // The player is at another matcher, which tells what there is to tell.
            Ok(Removed::Kept) => {}
            // Of a claimed ticket, the match goes on without.
            Ok(Removed::Gone) => {
                if let Some(ticket) = ticket {
                    self.queues.went(&ticket);
                }
                self.tell_left(id, told);
            }
            Ok(Removed::Unknown | Removed::Claimed(_)) => {
                self.tell_left(id, told);
            }
            Err(Away) => {
                self.set_unsettled(id, Unsettled::Queue);
                self.tell_left(id, told);
            }
        }
        self.touch(id);
    }

    pub(super) fn tell_left(&mut self, id: PlayerId, told: Option<Leaving>) {
        if let Some(leaving) = told {
            self.notify(id, &leaving.event());
        }
    }

    pub(super) fn set_unsettled(&mut self, id: PlayerId, unsettled: Unsettled) {
        if let Some(player) = self.roster.player_mut(id) {
            player.unsettled = Some(unsettled);
        }
        self.touch(id);
    }

    /// Tells the store what a player has left, if it has not heard.
    pub(super) async fn settle_up(&mut self, id: PlayerId) -> Result<(), Away> {
        let unsettled = self.roster.player(id).and_then(|player| player.unsettled);
        let store = Arc::clone(&self.parts.store);
        match unsettled {
            None => return Ok(()),
            Some(Unsettled::Match(match_id)) => {
                self.ask("depart", store.depart(id, match_id)).await?;
            }
            Some(Unsettled::Queue) => {
                let this = self.incarnation();
                self.ask("remove", store.remove(id, Some(&this))).await?;
            }
        }
        if let Some(player) = self.roster.player_mut(id) {
            player.unsettled = None;
        }
        self.touch(id);
        Ok(())
    }

    /// A wait has lasted too long. A party's members have all waited for as long.
    pub(super) async fn time_out(&mut self, id: PlayerId) {
        let Some(queued) = self.roster.player(id).and_then(|player| player.queued()) else {
            return;
        };
        let mode = queued.wish.mode.clone();
        let reason = if self.config().modes.contains_key(&mode) {
            Leaving::Timeout
        } else {
            Leaving::ModeGone
        };
        self.metrics.of(&mode).timeouts.increment(1);
        self.leave_queue(id, Some(reason), Leave::Unseen).await;
    }
}
