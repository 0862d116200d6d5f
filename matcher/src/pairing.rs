//! Which tickets make a match. Pure: no clock, no store, no chance.
//!
//! A [`Queue`] is kept in memory, and a pass over it does work for what changed and for what became
//! possible, not for what waits. A ticket is *tried* when it comes, and again as its windows widen
//! (`retry`), until they have reached their caps and no deadline is ahead. To try it is to look
//! for a match with it in it: each older ticket that it could meet, oldest first, then the ticket
//! itself, becomes the *anchor* of a search among those that are younger. So an anchor is always
//! the oldest of its match, and whoever waits longest is served first by who comes. The search is
//! exact within [`NEAREST`]: after a pass that tried every ticket, none of those that are left can
//! be matched.
//!
//! What makes a match:
//! - Every two tickets of people are within each other's rating window (`window`). Bots have
//!   no window: they play with anyone.
//! - All are of one version and have the same attributes (`groups`), bots apart.
//! - One region is near enough for all tickets that measured, by each one's own limit (`regions`).
//! - Parties are whole, and teams are of equal size (`packing`); the split has the smallest
//!   difference in rating (`teams`).
//! - In a mode with roles, each team can be given as many of each as it says, everyone playing what
//!   they take; bots play anything (`roles`).
//! - It is full of people; or its oldest ticket has waited long enough to begin short-handed, or
//!   with bots.
//!
//! Of the matches that an anchor could have, the one with most people wins, then the fullest, then
//! the one with the smallest spread of ratings, then the nearest region, then the oldest tickets.
//!
//! The order in which tickets were put into the queue does not matter. docs/adr/0003 and 0012 have
//! the reasons.

mod groups;
mod packing;
mod queue;
mod regions;
mod retry;
mod roles;
mod search;
mod teams;
mod window;

#[cfg(test)]
mod incremental;
#[cfg(test)]
mod properties;

use std::sync::Arc;

use protocol::time::Timestamp;

use crate::config::{Mode, Region, Role};
use crate::ticket::Ticket;

pub use queue::{Limits, Queue};

/// Neighbours in rating that the search for one anchor looks at: those whose rating is nearest.
/// It bounds the work in a crowded queue, where a match among the nearest is the rule.
pub const NEAREST: usize = 64;

/// A match that could be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Its tickets: people by age, then bots by age.
    pub tickets: Vec<Seated>,
    /// Where it should be played; `None`: anywhere.
    pub region: Option<Region>,
    /// Difference between the highest and the lowest rating among tickets of people.
    pub spread: u32,
}

impl Proposal {
    /// Whether it is of a private room.
    pub fn is_private(&self) -> bool {
        self.tickets
            .iter()
            .any(|seated| seated.ticket.private.is_some())
    }
}

/// A ticket in a match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seated {
    /// Which.
    pub ticket: Arc<Ticket>,
    /// Its team, from 1; 0 in a mode without teams.
    pub team: u8,
    /// The role of each of its members, in a mode with roles; else none.
    pub roles: Vec<Role>,
}

/// Proposes at most `most` matches out of the tickets that wait for `mode`. No ticket is in two.
pub fn pair(mode: &Mode, waiting: &[Arc<Ticket>], now: Timestamp, most: usize) -> Vec<Proposal> {
    let mut queue = Queue::default();
    for ticket in waiting {
        queue.insert(Arc::clone(ticket), now);
    }
    let limits = Limits {
        matches: most,
        searches: usize::MAX,
    };
    queue.pass(mode, now, limits)
}

/// The match of a private room, whose members, each on a ticket, fill the teams of `mode` together
/// with these bots, whatever their ratings.
pub fn of_private(mode: &Mode, members: Vec<Arc<Ticket>>, bots: Vec<Arc<Ticket>>) -> Proposal {
    let ratings = || members.iter().map(|ticket| ticket.rating());
    let spread = match (ratings().min(), ratings().max()) {
        (Some(lowest), Some(highest)) => highest.abs_diff(lowest),
        _ => 0,
    };
    let tickets: Vec<Arc<Ticket>> = members.into_iter().chain(bots).collect();
    let players = u8::try_from(tickets.len()).expect("at most MAX_MATCH");
    Proposal {
        tickets: search::seat(mode, tickets, players / mode.teams),
        region: None,
        spread,
    }
}
