//! Those who join a queue, alone or with a party: what comes while a call to the store is under way
//! goes into the next one. Nothing else is done about a player in between.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use protocol::control::{ErrorMessage, ServerMessage};
use protocol::id::PlayerId;
use protocol::time::Timestamp;

use super::Desk;
use super::accepting::cooling_down;
use super::ask::{Away, answer_within};
use super::calls::Reply;
use super::party::mismatch;
use super::player::{Player, Unsettled, Wish};
use super::queue::out_of_reach;
use super::receipts::Brought;
use super::wish::{coming, solo};
use crate::store::{Added, Gather, Gathered, Standing};
use crate::ticket::Ticket;

/// Tickets and members of parties that one call adds.
const BATCH: usize = 256;

/// Who joins. Each is a player who is here, once.
#[derive(Debug, Default)]
pub(super) struct Joins {
    /// In the order in which they came.
    waiting: VecDeque<Join>,
    /// Those whom the store is being asked about.
    under_way: Vec<Join>,
    /// All of them.
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
        self.waiting.push_back(Join {
            player: player.id,
            entry,
            wish,
            at,
        });
    }
}

impl Desk {
    /// Whether the store is to be asked, or is being asked, to let a player join.
    pub(super) fn is_joining(&self, player: PlayerId) -> bool {
        self.joins.players.contains(&player)
    }

    /// Puts the next tickets into the store.
    pub(super) async fn flush_joins(&mut self) {
        if !self.joins.under_way.is_empty() || self.joins.waiting.is_empty() {
            return;
        }
        if self.matches.has_unheard_ends() {
            // What ended before, the store has to know first.
            self.flush_ends().await;
        }
        let Joins {
            waiting, under_way, ..
        } = &mut self.joins;
        under_way.extend(waiting.drain(..waiting.len().min(BATCH)));
        let (mut tickets, mut gather) = (Vec::new(), Vec::new());
        for join in under_way {
            match &join.entry {
                Entry::Alone(ticket) => tickets.push(Arc::clone(ticket)),
                Entry::Party(one) => gather.push(Gather::clone(one)),
            }
        }
        let Ok(limit) = self.patience() else {
            self.have_joined(None, None).await;
            return self.open_doors().await;
        };
        let (store, sighting) = (Arc::clone(&self.parts.store), self.sighting());
        self.call(async move {
            let add = async {
                let add = store.add(&tickets, &sighting);
                match tickets.is_empty() {
                    true => None,
                    false => Some(answer_within(limit, "add", add).await),
                }
            };
            let gather = async {
                let come = store.gather(&gather, &sighting);
                match gather.is_empty() {
                    true => None,
                    false => Some(answer_within(limit, "gather", come).await),
                }
            };
            let (added, gathered) = tokio::join!(add, gather);
            Reply::Joined(added, gathered)
        });
    }

    /// The store has let them join, or not; `None`: it was not asked.
    pub(super) async fn have_joined(
        &mut self,
        added: Option<Result<Vec<Added>, Away>>,
        gathered: Option<Result<Vec<Gathered>, Away>>,
    ) {
        let mut added = added.and_then(Result::ok).unwrap_or_default().into_iter();
        let gathered = gathered.and_then(Result::ok).unwrap_or_default();
        let mut gathered = gathered.into_iter();
        for join in std::mem::take(&mut self.joins.under_way) {
            let (id, at) = (join.player, join.at);
            self.joins.players.remove(&id);
            let answer = match &join.entry {
                Entry::Alone(ticket) => {
                    let ticket = Arc::clone(ticket);
                    self.added(join, &ticket, added.next()).await
                }
                Entry::Party(_) => self.gathered(join, gathered.next()).await,
            };
            match answer {
                Ok(()) => self.send_queue_state(id, at),
                Err(error) => self.refuse_join(id, error),
            }
            self.touch(id);
        }
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
            // No answer. It may have worked, and must not stay so: the client is told that it did not.
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
