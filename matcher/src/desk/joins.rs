//! Those who join a queue alone, as almost everyone does: the tickets of one turn of the desk go to
//! the store together. Nothing else is done about a player in between.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::control::{ErrorMessage, ServerMessage};
use protocol::id::PlayerId;
use protocol::time::Timestamp;
use rpc::inbound::Inbound;

use super::Desk;
use super::ask::Away;
use super::player::{Player, Unsettled, Wish};
use super::queue::{out_of_reach, solo};
use crate::grpc::Mail;
use crate::store::Added;
use crate::ticket::Ticket;

/// Tickets that one call adds.
const BATCH: usize = 128;

/// Joins of one turn, in the order in which they came. A turn is bounded, and so is this.
#[derive(Debug, Default)]
pub(super) struct Joins {
    joins: Vec<Join>,
    players: BTreeSet<PlayerId>,
}

#[derive(Debug)]
struct Join {
    player: PlayerId,
    wish: Wish,
    ticket: Arc<Ticket>,
    at: Timestamp,
}

impl Joins {
    /// A player joins.
    pub(super) fn enter(&mut self, player: &Player, wish: Wish, at: Timestamp) {
        self.players.insert(player.id);
        self.joins.push(Join {
            player: player.id,
            ticket: Arc::new(solo(player, &wish, at)),
            wish,
            at,
        });
    }

    fn has(&self, player: PlayerId) -> bool {
        self.players.contains(&player)
    }

    fn take(&mut self) -> Vec<Join> {
        self.players.clear();
        std::mem::take(&mut self.joins)
    }
}

impl Desk {
    /// Before mail is handled: whoever it is of has to have joined.
    pub(super) async fn flush_joins_before(&mut self, mail: &Mail) {
        if self.joins.joins.is_empty() {
            return;
        }
        let player = match &mail.inbound {
            Inbound::Attach(request) => Some(request.player),
            Inbound::Detach { session, .. }
            | Inbound::Ack { session, .. }
            | Inbound::Text { session, .. } => self.roster.of_session(*session),
            Inbound::Input { .. } => None,
        };
        if player.is_some_and(|player| self.joins.has(player)) {
            self.flush_joins().await;
        }
    }

    /// Puts the tickets into the store.
    pub(super) async fn flush_joins(&mut self) {
        let mut joins = self.joins.take();
        if joins.is_empty() {
            return;
        }
        // What ended before, the store has to know first.
        self.flush_ends().await;
        while !joins.is_empty() {
            let rest = joins.split_off(joins.len().min(BATCH));
            self.add(joins).await;
            joins = rest;
        }
    }

    async fn add(&mut self, joins: Vec<Join>) {
        let tickets: Vec<_> = joins.iter().map(|join| Arc::clone(&join.ticket)).collect();
        let (store, sighting) = (Arc::clone(&self.parts.store), self.sighting());
        let added = self.ask("add", store.add(&tickets, &sighting)).await;
        let added = match added {
            Ok(added) => added.into_iter().map(Some).collect(),
            Err(Away) => vec![None; joins.len()],
        };
        for (join, added) in joins.into_iter().zip(added) {
            let (id, at) = (join.player, join.at);
            let answer = self.added(join, added).await;
            match answer {
                Ok(()) => self.send_queue_state(id, at),
                Err(error) => self.refuse_join(id, error),
            }
            self.touch(id);
        }
    }

    async fn added(&mut self, join: Join, added: Option<Added>) -> Result<(), ErrorMessage> {
        match added {
            Some(Added::Waiting) => {
                self.has_joined(join.player, &join.ticket, join.at);
                Ok(())
            }
            Some(Added::Full) => {
                self.is_full();
                Err(self.in_vain(join.player))
            }
            // It may have worked, and must not stay so: the client is told that it did not.
            None => Err(self.in_vain(join.player)),
            // Somebody stands somewhere already: that is looked into one by one.
            Some(Added::Kept(_) | Added::Gone) => {
                self.enter_queue(join.player, join.wish, join.at).await
            }
        }
    }

    fn in_vain(&mut self, id: PlayerId) -> ErrorMessage {
        self.set_unsettled(id, Unsettled::Queue);
        out_of_reach()
    }

    fn refuse_join(&mut self, id: PlayerId, error: ErrorMessage) {
        let line = self.roster.player(id).and_then(Player::line);
        if let Some((stream, session)) = line
            && let Some(batch) = self.outbox.to(stream)
        {
            let error = error.re("queue.join");
            batch.text(session, ServerMessage::Error(error).to_text());
        }
    }
}
