//! Finds homes for channels that have none. Pure: what is known of nodes and placements goes in,
//! orders come out, time is an argument.
//!
//! A match channel's home is the player's owner among the matchers. A room channel's home is
//! where the room's placement says; the node that is known from the ticket, or that the last node
//! pointed at, is tried without asking. With static origins there are no placements, and that
//! node is the only home.
//!
//! A room that is watched has as many homes as there are nodes: all gateways choose the same one,
//! so that it is shown once for all, and the next if that does not know the room.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::Incarnation;
use protocol::id::{Generation, NodeId, PlayerId, RoomId};
use protocol::time::Timestamp;

use super::lobby::{Cause, Seat, Spell};
use super::matchers::{chosen, owner};
use crate::outbox::LinkId;

/// How often the placement of a room without a home is asked for.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Rooms in one question.
const ASK_ROOMS: usize = 1_000;

/// A node that did not have the room is asked again after this: it is being handed over, or
/// claimed.
const BOUNCE_PAUSE: Duration = Duration::from_millis(75);

/// After this long of that, the room counts as gone.
const BOUNCE_LIMIT: Duration = Duration::from_secs(10);

/// A node whose queue is full is tried again after this.
const FULL_PAUSE: Duration = Duration::from_millis(100);

/// Longest that somebody who comes into a room for the first time waits for an answer.
const JOIN_LIMIT: Duration = Duration::from_secs(5);

/// So many nodes are asked to show a room. With one store for all the first knows; without one,
/// or while nodes are upgraded, others may know better.
const STAGES_TRIED: usize = 8;

/// What is told of a channel that has no home for other reasons than a broken link.
const MOVED: &str = "moved";
const UNREACHABLE: &str = "node_unreachable";

/// The search for homes. `T` is what a caller knows a channel by.
#[derive(Debug)]
pub(super) struct Routing<T> {
    by_placement: bool,
    nodes: Nodes,
    waiting: BTreeMap<Seat, Waiting<T>>,
    /// No question before this.
    ask_at: Timestamp,
}

/// The nodes that are linked now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Nodes {
    /// The matchers that players are shared out over, by name.
    pub(super) matchers: Vec<(NodeId, LinkId)>,
    /// The nodes that run rooms.
    pub(super) rooms: BTreeMap<NodeId, (Generation, LinkId)>,
    /// Those of them that show rooms to who watches, by name.
    pub(super) stages: Vec<(NodeId, LinkId)>,
}

/// A channel that needs a home.
#[derive(Debug, Clone)]
pub(super) struct Case<T> {
    pub(super) who: T,
    pub(super) wish: Wish,
    pub(super) spell: Spell,
    pub(super) cause: Cause,
    /// Whether the client waits for as long as it takes.
    pub(super) is_standing: bool,
}

/// What a channel is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    Match(PlayerId),
    Room {
        room: RoomId,
        /// The node that its ticket names.
        named: NodeId,
    },
    /// A room without a seat in it.
    Watch(RoomId),
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Order<T> {
    /// Attach it there; the search goes on until the node answers.
    Attach(T, LinkId, Spell),
    /// It has no home and is given up.
    Refuse(T, Why),
    /// Tell the client that the channel is away.
    TellLost(T, &'static str),
}

/// Why a channel is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Nobody runs the room.
    Over,
    /// A node has the room by its placement, and does not know it.
    Unknown,
    /// No node can show it.
    NotShown,
    /// There is no answer in time.
    TooLate,
}

#[derive(Debug)]
struct Waiting<T> {
    who: T,
    wish: Wish,
    spell: Spell,
    is_standing: bool,
    /// What the client has to hear of it, first of all.
    news: Option<&'static str>,
    /// Where the last node said that the room is.
    hint: Option<Incarnation>,
    not_before: Timestamp,
    asked_at: Option<Timestamp>,
    answer: Option<Answer>,
}

/// What the placements say of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    At(Incarnation),
    Nowhere,
    /// The store does not answer.
    Silence,
}

enum Verdict {
    Attach(LinkId),
    Refuse(Why),
    Wait,
}

impl<T: Clone> Routing<T> {
    /// Nobody waits. Without placements, rooms stay where their tickets say.
    pub(super) fn new(by_placement: bool) -> Self {
        Self {
            by_placement,
            nodes: Nodes::default(),
            waiting: BTreeMap::new(),
            ask_at: Timestamp::default(),
        }
    }

    /// How many channels wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The room that has waited longest for a node, and for how long.
    pub(super) fn longest(&self, now: Timestamp) -> Option<(RoomId, Duration)> {
        let rooms = self.waiting.values().filter_map(|waiting| {
            let since = waiting.spell.since?;
            Some((waiting.room()?, now.since(since)))
        });
        rooms.max_by_key(|(_, waited)| *waited)
    }

    pub(super) fn set_nodes(&mut self, nodes: Nodes) {
        self.nodes = nodes;
    }

    /// A channel needs a home; a later one of the same seat takes the place of an earlier one.
    pub(super) fn enter(&mut self, now: Timestamp, seat: Seat, case: Case<T>) {
        let mut waiting = Waiting {
            who: case.who,
            wish: case.wish,
            spell: case.spell,
            is_standing: case.is_standing,
            news: None,
            hint: None,
            not_before: now,
            asked_at: None,
            answer: None,
        };
        waiting.spell.since.get_or_insert(now);
        match case.cause {
            Cause::Asked => {}
            Cause::Full => waiting.not_before = now + FULL_PAUSE,
            Cause::Lost(reason) => waiting.news = Some(reason),
            Cause::Rehomed => waiting.news = Some(MOVED),
            Cause::Moved(to) => {
                waiting.bounce(now);
                waiting.hint = to;
            }
            Cause::Unknown(by) => {
                waiting.bounce(now);
                if let Wish::Watch(_) = waiting.wish {
                    waiting.spell.without.push(by.node.clone());
                }
                waiting.spell.refuse(now, by);
            }
        }
        self.waiting.insert(seat, waiting);
    }

    /// Forgets those who are not wanted any more.
    pub(super) fn retain(&mut self, is_wanted: impl Fn(&Seat, &T) -> bool) {
        self.waiting
            .retain(|seat, waiting| is_wanted(seat, &waiting.who));
    }

    /// The rooms whose placements are to be asked for now: at once, then every so often.
    pub(super) fn rooms_to_ask(&mut self, now: Timestamp) -> Vec<RoomId> {
        if !self.by_placement || now < self.ask_at {
            return Vec::new();
        }
        let due = |waiting: &Waiting<T>| waiting.asked_at.is_none_or(|at| at + ASK_EVERY <= now);
        let rooms: BTreeSet<RoomId> = self
            .waiting
            .values()
            .filter(|waiting| due(waiting))
            .filter_map(Waiting::room)
            .take(ASK_ROOMS)
            .collect();
        for waiting in self.waiting.values_mut() {
            if waiting.room().is_some_and(|room| rooms.contains(&room)) {
                waiting.asked_at = Some(now);
            }
        }
        rooms.into_iter().collect()
    }

    /// The placements answered for one room that was asked for.
    pub(super) fn answer(&mut self, room: RoomId, answer: &Answer) {
        for waiting in self.waiting.values_mut() {
            if waiting.room() == Some(room) && waiting.asked_at.is_some() {
                waiting.answer = Some(answer.clone());
            }
        }
    }

    /// The placements failed: they are left alone until then.
    pub(super) fn ask_not_before(&mut self, at: Timestamp) {
        self.ask_at = at;
    }

    /// What is to be done now.
    pub(super) fn poll(&mut self, now: Timestamp) -> Vec<Order<T>> {
        let mut orders = Vec::new();
        let mut settled = Vec::new();
        for (seat, waiting) in &mut self.waiting {
            let verdict = waiting.verdict(now, &self.nodes, self.by_placement);
            let waits = matches!(verdict, Verdict::Wait) && waiting.not_before <= now;
            let news = waiting.news.take().or(waits.then(|| waiting.reason()));
            if let Some(reason) = news.filter(|_| !waiting.spell.told) {
                orders.push(Order::TellLost(waiting.who.clone(), reason));
                waiting.spell.told = true;
            }
            orders.push(match verdict {
                Verdict::Wait => continue,
                Verdict::Attach(link) => {
                    Order::Attach(waiting.who.clone(), link, waiting.spell.clone())
                }
                Verdict::Refuse(why) => Order::Refuse(waiting.who.clone(), why),
            });
            settled.push(*seat);
        }
        for seat in settled {
            self.waiting.remove(&seat);
        }
        orders
    }

    /// When there is something to do next, if nothing happens before. While the placements are
    /// being asked, the next question does not count.
    pub(super) fn poll_timeout(&self, now: Timestamp, is_asking: bool) -> Option<Timestamp> {
        let asks = self.by_placement && !is_asking;
        let next = self.waiting.values().filter_map(|waiting| {
            let asked_at = waiting.asked_at.unwrap_or_default();
            let ask = (asks && waiting.room().is_some())
                .then(|| (asked_at + ASK_EVERY).max(self.ask_at).max(now));
            let pauses = [
                Some(waiting.not_before),
                waiting.again_at(),
                waiting.deadline(),
            ];
            let pauses = pauses.into_iter().flatten().filter(|at| now < *at);
            pauses.chain(ask).min()
        });
        next.min()
    }
}

impl<T> Waiting<T> {
    fn room(&self) -> Option<RoomId> {
        match &self.wish {
            Wish::Match(_) | Wish::Watch(_) => None,
            Wish::Room { room, .. } => Some(*room),
        }
    }

    /// The node that was tried does not have the room. One step is followed at once; what leads
    /// round in circles is followed slowly.
    fn bounce(&mut self, now: Timestamp) {
        self.spell.bounces += 1;
        if self.spell.bounces > 1 {
            self.not_before = now + BOUNCE_PAUSE;
        }
    }

    fn reason(&self) -> &'static str {
        match self.spell.bounces {
            0 => UNREACHABLE,
            _ => MOVED,
        }
    }

    /// When a newcomer is told that there is no answer.
    fn deadline(&self) -> Option<Timestamp> {
        let since = self.spell.since.filter(|_| !self.is_standing)?;
        let is_of_room = !matches!(self.wish, Wish::Match(_));
        is_of_room.then(|| since + JOIN_LIMIT)
    }

    /// When a node that does not know the room is asked again.
    fn again_at(&self) -> Option<Timestamp> {
        let refused = self.spell.refused.as_ref()?;
        Some(refused.last + BOUNCE_PAUSE)
    }

    fn verdict(&self, now: Timestamp, nodes: &Nodes, by_placement: bool) -> Verdict {
        let found = match &self.wish {
            Wish::Match(player) => match owner(&nodes.matchers, *player) {
                Some(link) => Verdict::Attach(link),
                None => Verdict::Wait,
            },
            Wish::Watch(room) => self.by_number(nodes, *room),
            Wish::Room { named, .. } if by_placement => self.by_placement(now, nodes, named),
            Wish::Room { named, .. } => self.by_name(nodes, named),
        };
        match found {
            Verdict::Attach(_) if now < self.not_before => Verdict::Wait,
            Verdict::Wait if self.deadline().is_some_and(|deadline| deadline <= now) => {
                Verdict::Refuse(Why::TooLate)
            }
            found => found,
        }
    }

    fn by_number(&self, nodes: &Nodes, room: RoomId) -> Verdict {
        let without = &self.spell.without;
        let stages = nodes.stages.iter();
        let left = stages.filter(|(node, _)| !without.contains(node));
        match chosen(left, room.0) {
            Some(_) if without.len() >= STAGES_TRIED => Verdict::Refuse(Why::NotShown),
            Some((_, link)) => Verdict::Attach(*link),
            None if without.is_empty() => Verdict::Wait,
            None => Verdict::Refuse(Why::NotShown),
        }
    }

    fn by_name(&self, nodes: &Nodes, named: &NodeId) -> Verdict {
        let home = self.hint.as_ref().map_or(named, |hint| &hint.node);
        match nodes.rooms.get(home) {
            Some((_, link)) => Verdict::Attach(*link),
            None => Verdict::Wait,
        }
    }

    fn by_placement(&self, now: Timestamp, nodes: &Nodes, named: &NodeId) -> Verdict {
        if let Some(link) = self.hint.as_ref().and_then(|hint| nodes.linked(hint)) {
            return Verdict::Attach(link);
        }
        match &self.answer {
            Some(Answer::At(owner)) => match nodes.linked(owner) {
                Some(link) => self.at_owner(now, owner, link),
                None => Verdict::Wait,
            },
            Some(Answer::Nowhere) => Verdict::Refuse(Why::Over),
            // Where it began is better than nothing.
            Some(Answer::Silence) if self.spell.refused.is_none() => self.by_name(nodes, named),
            Some(Answer::Silence) | None => Verdict::Wait,
        }
    }

    /// The owner may have said already that it does not have the room: while it is handed over or
    /// claimed, that changes.
    fn at_owner(&self, now: Timestamp, owner: &Incarnation, link: LinkId) -> Verdict {
        let refused = self.spell.refused.as_ref();
        match refused.filter(|refused| refused.by == *owner) {
            Some(refused) if refused.first + BOUNCE_LIMIT <= now => Verdict::Refuse(Why::Unknown),
            Some(refused) if now < refused.last + BOUNCE_PAUSE => Verdict::Wait,
            _ => Verdict::Attach(link),
        }
    }
}

impl Nodes {
    /// The link to exactly this incarnation of a node that runs rooms, if it is up.
    fn linked(&self, incarnation: &Incarnation) -> Option<LinkId> {
        let (generation, link) = self.rooms.get(&incarnation.node)?;
        (*generation == incarnation.generation).then_some(*link)
    }
}

#[cfg(test)]
mod tests;
