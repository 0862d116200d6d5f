//! Those who join a queue, alone or with a party: what came in one turn of the desk goes to the store
//! together. Nothing else is done about a player in between.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::control::{ErrorMessage, ServerMessage};
use protocol::id::PlayerId;
use protocol::time::Timestamp;
use rpc::inbound::Inbound;

use super::Desk;
use super::accepting::cooling_down;
use super::ask::Away;
use super::party::mismatch;
use super::player::{Player, Unsettled, Wish};
use super::queue::out_of_reach;
use super::receipts::Brought;
use super::wish::{coming, solo};
use crate::grpc::Mail;
use crate::store::{Added, Gather, Gathered, Standing};
use crate::ticket::Ticket;

/// Tickets, or members of parties, that one call adds.
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
    entry: Entry,
    at: Timestamp,
}

#[derive(Debug)]
enum Entry {
    Alone(Arc<Ticket>),
    Party(Box<Gather>),
}

/// What the store says of one who joins; `None`: it does not answer.
type Answers<T> = Vec<Option<T>>;

impl Joins {
    /// A player joins, maybe with an old ticket.
    pub(super) fn enter(
        &mut self,
        player: &Player,
        wish: Wish,
        brought: Option<Brought>,
        at: Timestamp,
    ) {
        self.players.insert(player.id);
        let entry = match &wish.party {
            None => Entry::Alone(Arc::new(solo(player, &wish, brought, at))),
            Some(party) => Entry::Party(Box::new(coming(player, &wish, party, at, at))),
        };
        self.joins.push(Join {
            player: player.id,
            entry,
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
        let (mut tickets, mut gather) = (Vec::new(), Vec::new());
        for join in &joins {
            match &join.entry {
                Entry::Alone(ticket) => tickets.push(Arc::clone(ticket)),
                Entry::Party(one) => gather.push(Gather::clone(one)),
            }
        }
        let mut added = self.add_tickets(&tickets).await.into_iter();
        let mut gathered = self.gather_members(&gather).await.into_iter();
        for join in joins {
            let (id, at) = (join.player, join.at);
            let answer = match &join.entry {
                Entry::Alone(ticket) => {
                    let ticket = Arc::clone(ticket);
                    self.added(join, &ticket, added.next().flatten()).await
                }
                Entry::Party(_) => self.gathered(join, gathered.next().flatten()).await,
            };
            match answer {
                Ok(()) => self.send_queue_state(id, at),
                Err(error) => self.refuse_join(id, error),
            }
            self.touch(id);
        }
    }

    async fn add_tickets(&mut self, tickets: &[Arc<Ticket>]) -> Answers<Added> {
        if tickets.is_empty() {
            return Vec::new();
        }
        let (store, sighting) = (Arc::clone(&self.parts.store), self.sighting());
        let added = self.ask("add", store.add(tickets, &sighting)).await;
        added.map_or_else(
            |Away| vec![None; tickets.len()],
            |added| added.into_iter().map(Some).collect(),
        )
    }

    async fn gather_members(&mut self, gather: &[Gather]) -> Answers<Gathered> {
        if gather.is_empty() {
            return Vec::new();
        }
        let (store, sighting) = (Arc::clone(&self.parts.store), self.sighting());
        let gathered = self.ask("gather", store.gather(gather, &sighting)).await;
        gathered.map_or_else(
            |Away| vec![None; gather.len()],
            |gathered| gathered.into_iter().map(Some).collect(),
        )
    }

    async fn added(
        &mut self,
        join: Join,
        ticket: &Arc<Ticket>,
        added: Option<Added>,
    ) -> Result<(), ErrorMessage> {
        match added {
            Some(Added::Waiting) => {
                self.has_joined(join.player, ticket, join.at);
                Ok(())
            }
            Some(Added::Full) => Err(self.turned_away(join.player)),
            Some(Added::Cooling(left)) => Err(cooling_down(left)),
            // It may have worked, and must not stay so: the client is told that it did not.
            None => Err(self.in_vain(join.player)),
            // Somebody stands somewhere already: that is looked into one by one.
            Some(Added::Kept(_) | Added::Gone) => {
                self.enter_queue(join.player, join.wish, join.at).await
            }
        }
    }

    async fn gathered(
        &mut self,
        join: Join,
        gathered: Option<Gathered>,
    ) -> Result<(), ErrorMessage> {
        match gathered {
            Some(Gathered::Gathering(gathering)) => {
                self.take_up(join.player, &Standing::Gathering(gathering), join.at);
                Ok(())
            }
            Some(Gathered::Complete(ticket)) => {
                self.has_joined(join.player, &ticket, join.at);
                Ok(())
            }
            Some(Gathered::Mismatch(disagreement)) => Err(mismatch(disagreement)),
            Some(Gathered::Cooling(left)) => Err(cooling_down(left)),
            Some(Gathered::Full) => Err(self.turned_away(join.player)),
            None => Err(self.in_vain(join.player)),
            Some(Gathered::Kept(_)) => self.enter_queue(join.player, join.wish, join.at).await,
        }
    }

    fn turned_away(&mut self, id: PlayerId) -> ErrorMessage {
        self.is_full();
        self.in_vain(id)
    }

    fn in_vain(&mut self, id: PlayerId) -> ErrorMessage {
        self.set_unsettled(id, Unsettled::Queue);
        out_of_reach()
    }

    pub(super) fn refuse_join(&mut self, id: PlayerId, error: ErrorMessage) {
        let line = self.roster.player(id).and_then(Player::line);
        if let Some((stream, session)) = line
            && let Some(batch) = self.outbox.to(stream)
        {
            let error = error.re("queue.join");
            batch.text(session, ServerMessage::Error(error).to_text());
        }
    }
}
