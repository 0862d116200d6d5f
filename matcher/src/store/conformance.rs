//! The contract of [`TicketStore`], for every store there is or will be.
//!
//! Each check leaves the store empty, as far as calls show. Panics say what is broken. Time is
//! tokio's for a store in memory and real for one on a server; no check waits for more than a
//! second or so of it.

mod accept;
mod expiry;
mod feeds;
mod matches;
mod parties;
mod private;
mod races;
mod tickets;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::{BoxFuture, Incarnation};
use protocol::id::{Generation, MatchId, PlayerId, RoomId, TicketId};
use protocol::time::Timestamp;
use tokio::time::Instant;

use super::{
    Added, Asked, EndedMatch, Ending, Expected, Gather, Gathered, MatchRecord, Removed, Settling,
    Sighting, Spot, Standing, TicketStore, Wanted,
};
use crate::config::{ModeName, Region, Role};
use crate::ticket::{Attributes, Member, PartyCode, Ticket};

/// Longest that a check waits for something to happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// Shorter than any check takes on a store that works.
const LONG: Duration = Duration::from_secs(60);

/// Runs every check over `store`, which is empty and holds at least five hundred players.
pub async fn all(store: Arc<dyn TicketStore>) {
    let checks = [
        tickets::checks(),
        parties::checks(),
        matches::checks(),
        accept::checks(),
        private::checks(),
        expiry::checks(),
        races::checks(),
        feeds::checks(),
    ];
    for check in checks.into_iter().flatten() {
        check(Arc::clone(&store)).await;
        for mode in ["race", "duel"] {
            let left = Checked(&*store).waiting(mode).await;
            assert!(left.is_empty(), "a check left tickets behind: {left:?}");
        }
    }
}

/// A check. Names of tickets, matches and rooms are not used again by another one.
type Check = fn(Arc<dyn TicketStore>) -> BoxFuture<'static, ()>;

/// Names checks of the module that it is used in.
macro_rules! checks {
    ($($name:ident),+ $(,)?) => {
        /// The checks of this module.
        pub(super) fn checks() -> Vec<super::Check> {
            vec![$(|store| Box::pin(async move { $name(super::Checked(&*store)).await })),+]
        }
    };
}
use checks;

/// A ticket for the checks.
pub fn ticket(id: u64, mode: &str, players: &[u64], enqueued_at: u64) -> Ticket {
    Ticket {
        id: TicketId(id),
        mode: self::mode(mode),
        members: players.iter().copied().map(member).collect(),
        party: None,
        private: None,
        regions: BTreeMap::new(),
        version: None,
        attributes: BTreeMap::new(),
        enqueued_at: Timestamp(enqueued_at),
    }
}

/// How a matcher sees players, for the checks: for a minute.
pub fn sighting(by: &str) -> Sighting {
    Sighting {
        by: incarnation(by),
        grace: LONG,
    }
}

/// All tickets that wait for `mode`, by age.
pub async fn waiting(store: &dyn TicketStore, mode: &ModeName) -> Vec<Arc<Ticket>> {
    let mut waiting = BTreeMap::new();
    let mut from = Some(0);
    while let Some(next) = from {
        let page = store.scan(mode, next).await.expect("the store answers");
        let tickets = page.tickets.into_iter();
        waiting.extend(tickets.map(|ticket| (ticket.age(), ticket)));
        from = page.next;
    }
    waiting.into_values().collect()
}

fn incarnation(name: &str) -> Incarnation {
    Incarnation {
        node: name.parse().expect("a good name"),
        generation: Generation(1),
    }
}

fn mode(name: &str) -> ModeName {
    name.parse().expect("a good name")
}

fn member(player: u64) -> Member {
    Member {
        player: PlayerId(player),
        name: format!("player {player}"),
        rating: 1500,
        deviation: 0,
        roles: Vec::new(),
        bot: false,
    }
}

fn regions(latencies: &[(&str, u32)]) -> BTreeMap<Region, u32> {
    latencies
        .iter()
        .map(|(name, latency)| (name.parse().expect("a good name"), *latency))
        .collect()
}

fn roles(names: &[&str]) -> Vec<Role> {
    let parsed = names.iter().map(|name| name.parse());
    parsed.map(|role| role.expect("a good name")).collect()
}

fn attributes(values: &[(&str, &str)]) -> Attributes {
    let parsed = values.iter().map(|(name, value)| {
        let (name, value) = (name.parse(), value.parse());
        (name.expect("a good name"), value.expect("a good value"))
    });
    parsed.collect()
}

/// A member for the checks: of a party for races of this size. The party's ticket, if this one
/// completes it, has the member's number.
fn gather(code: &str, size: u8, player: u64) -> Gather {
    Gather {
        code: PartyCode::new(code),
        mode: mode("race"),
        size,
        member: member(player),
        regions: BTreeMap::new(),
        version: None,
        attributes: BTreeMap::new(),
        since: Timestamp(player),
        ticket: TicketId(player),
        enqueued_at: Timestamp(1000 + player),
    }
}

/// A match for the checks, of tickets of one player each that bear the player's number.
fn record(match_id: u64, tickets: &[u64]) -> MatchRecord {
    MatchRecord {
        id: MatchId(match_id),
        mode: mode("race"),
        room: RoomId(match_id),
        node: "syncd-1".parse().expect("a good name"),
        players: tickets.iter().copied().map(member).collect(),
        tickets: tickets.iter().copied().map(TicketId).collect(),
        began_at: Timestamp(77),
    }
}

/// A store that is expected to answer, with short names for what checks say to it.
#[derive(Clone, Copy)]
struct Checked<'a>(&'a dyn TicketStore);

impl Checked<'_> {
    async fn add(self, ticket: Ticket) -> Added {
        self.add_for(ticket, &sighting("matcher-1")).await
    }

    async fn add_for(self, ticket: Ticket, sighting: &Sighting) -> Added {
        let added = self.0.add(&[Arc::new(ticket)], sighting).await;
        let added = added.expect("the store answers");
        assert_eq!(added.len(), 1);
        added.into_iter().next().expect("one")
    }

    /// Tickets of one player each, of the same number, by age.
    async fn add_all(self, ids: impl IntoIterator<Item = u64>) {
        for id in ids {
            assert_eq!(
                self.add(ticket(id, "race", &[id], id)).await,
                Added::Waiting
            );
        }
    }

    async fn gather(self, gather: &Gather) -> Gathered {
        let gather = std::slice::from_ref(gather);
        let gathered = self.0.gather(gather, &sighting("matcher-1")).await;
        let gathered = gathered.expect("the store answers");
        assert_eq!(gathered.len(), 1);
        gathered.into_iter().next().expect("one")
    }

    async fn remove(self, player: u64) -> Removed {
        let removed = self.0.remove(PlayerId(player), None).await;
        removed.expect("the store answers")
    }

    async fn remove_all(self, players: impl IntoIterator<Item = u64>) {
        for player in players {
            assert_eq!(self.remove(player).await, Removed::Gone, "{player}");
        }
    }

    async fn waiting(self, name: &str) -> Vec<u64> {
        let mode = mode(name);
        let waiting = waiting(self.0, &mode).await;
        waiting.iter().map(|ticket| ticket.id.0).collect()
    }

    async fn claim_for(self, wanted: &[(u64, &[u64])], claim_for: Duration) -> Vec<bool> {
        let wanted: Vec<Wanted> = wanted
            .iter()
            .map(|(match_id, tickets)| Wanted {
                match_id: MatchId(*match_id),
                tickets: tickets.iter().copied().map(TicketId).collect(),
                ask: None,
            })
            .collect();
        let claimant = incarnation("matcher-1");
        let granted = self.0.claim(&wanted, &claimant, claim_for).await;
        granted.expect("the store answers")
    }

    async fn claim(self, wanted: &[(u64, &[u64])]) -> Vec<bool> {
        self.claim_for(wanted, LONG).await
    }

    async fn give_back(self, match_id: u64) {
        let given_back = self.0.give_back(MatchId(match_id)).await;
        given_back.expect("the store answers");
    }

    async fn settle(self, record: &MatchRecord) -> bool {
        self.settle_for(record, LONG).await
    }

    async fn settle_for(self, record: &MatchRecord, lifetime: Duration) -> bool {
        let settling = Settling {
            record: Arc::new(record.clone()),
            lifetime,
        };
        let settled = self.0.settle(&[settling]).await;
        settled.expect("the store answers")[0]
    }

    async fn end(self, match_id: u64, room: u64) {
        let ended = EndedMatch {
            match_id: MatchId(match_id),
            room: RoomId(room),
            ending: Ending::Finished,
        };
        let ended = self.0.end(&[ended]).await;
        ended.expect("the store answers");
    }

    async fn standing(self, player: u64) -> Standing {
        self.look(player, false, "matcher-1").await
    }

    async fn look(self, player: u64, is_here: bool, by: &str) -> Standing {
        let asked = Asked {
            player: PlayerId(player),
            is_here,
        };
        let standing = self.0.standing(&[asked], &sighting(by)).await;
        let mut standing = standing.expect("the store answers");
        assert_eq!(standing.len(), 1);
        standing.remove(0)
    }

    /// Whether the store has news of a player who is expected there.
    async fn has_moved(self, player: u64, at: Spot) -> bool {
        let asked = Asked {
            player: PlayerId(player),
            is_here: true,
        };
        let expected = Expected {
            asked,
            at: Some(at),
        };
        let moved = self.0.moved(&[expected], &sighting("matcher-1")).await;
        let moved = moved.expect("the store answers");
        assert_eq!(moved.len(), 1);
        match &moved[0] {
            Some(standing) => {
                assert!(!at.is(standing), "{standing:?} is where it is expected");
                assert_eq!(*standing, self.standing(player).await);
                true
            }
            None => {
                assert!(at.is(&self.standing(player).await));
                false
            }
        }
    }

    /// The player's ticket and the match that has it.
    async fn found(self, player: u64) -> Option<(u64, Option<u64>)> {
        match self.standing(player).await {
            Standing::Ticket(found) => Some((
                found.ticket.id.0,
                found.claimed_by.map(|match_id| match_id.0),
            )),
            _ => None,
        }
    }

    /// The match that the player is in.
    async fn playing(self, player: u64) -> Option<u64> {
        match self.standing(player).await {
            Standing::Match(record) => Some(record.id.0),
            _ => None,
        }
    }

    async fn is_nowhere(self, player: u64) -> bool {
        self.standing(player).await == Standing::Nothing
    }

    /// Sweeps until `wanted`.
    async fn sweep_until<F>(self, what: &str, wanted: impl Fn() -> F)
    where
        F: Future<Output = bool>,
    {
        let since = Instant::now();
        while !wanted().await {
            assert!(since.elapsed() < PATIENCE, "{what} does not come about");
            self.0.sweep().await.expect("the store answers");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
