//! What was told to anybody, and whether it is one history.
//!
//! - I1: within an epoch of a room an offset has one payload, and nobody sees a gap.
//! - I2: an input that was told durable is in the final history, once, unless the epoch changed.
//! - I3: a match has one result; another one is reported only of a history that was broken.
//! - I4: the ticks whose effects were let go are one chain in each epoch, whoever owned the room;
//!   and nobody is shown an older owner's state after a newer one's.
//! - I5: rooms go on, and what nobody needs goes (checked by the world).

use std::collections::{BTreeMap, HashMap};

use engine::Incarnation;
use protocol::id::RoomId;

use crate::losses::Loss;
use crate::toy::SEATS;
use crate::wire::Report;

/// A broken invariant.
#[derive(Debug, Clone)]
pub(crate) struct Violation {
    pub(crate) invariant: &'static str,
    pub(crate) what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// What became of a room.
#[derive(Debug, Default)]
pub(crate) struct Story {
    /// Its creation was answered: players know it.
    pub(crate) is_told: bool,
    pub(crate) result: Option<Report>,
    /// It may be lost, for this reason.
    pub(crate) lost: Option<Loss>,
    /// The epoch that it has or had last.
    pub(crate) epoch: u64,
    /// Its epoch was renewed so often.
    pub(crate) renewals: u32,
}

/// How often something happened.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) rooms: u64,
    pub(crate) takeovers: u64,
    pub(crate) handovers: u64,
    pub(crate) seals: u64,
    pub(crate) unreadable: u64,
    pub(crate) suspect: u64,
    pub(crate) renewed: u64,
    pub(crate) repairs: u64,
    /// Rooms that might be lost, by reason, and those of them that were.
    pub(crate) gone_before: u64,
    pub(crate) gone_since: u64,
    pub(crate) lost: u64,
    pub(crate) broken: u64,
    pub(crate) losses_of_store: u64,
    pub(crate) leaked: u64,
    pub(crate) events: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) violation: Option<Violation>,
    pub(crate) stories: BTreeMap<RoomId, Story>,
    pub(crate) counts: Counts,
    /// The store has lost something: histories may have to be broken.
    pub(crate) may_break: bool,
    payloads: HashMap<(RoomId, u64, u64), u64>,
    chain: HashMap<(RoomId, u64, u64), Link>,
    /// By room, seat and epoch.
    durable: BTreeMap<(RoomId, usize, u64), u64>,
}

/// A tick whose effects were let go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) before: u64,
    pub(crate) after: u64,
}

impl Counts {
    /// Adds what another world counted.
    pub(crate) fn add(&mut self, other: &Self) {
        let Self {
            rooms,
            takeovers,
            handovers,
            seals,
            unreadable,
            suspect,
            renewed,
            repairs,
            gone_before,
            gone_since,
            lost,
            broken,
            losses_of_store,
            leaked,
            events,
        } = other;
        self.rooms += rooms;
        self.takeovers += takeovers;
        self.handovers += handovers;
        self.seals += seals;
        self.unreadable += unreadable;
        self.suspect += suspect;
        self.renewed += renewed;
        self.repairs += repairs;
        self.gone_before += gone_before;
        self.gone_since += gone_since;
        self.lost += lost;
        self.broken += broken;
        self.losses_of_store += losses_of_store;
        self.leaked += leaked;
        self.events += events;
    }

    /// What did not happen at all, of what many worlds are to show.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let expected = [
            ("takeovers", self.takeovers),
            ("hand-overs", self.handovers),
            ("suspect journals", self.suspect),
            ("histories that begin anew", self.renewed),
            ("repairs", self.repairs),
            ("losses of the store", self.losses_of_store),
        ];
        let missing = expected.into_iter().filter(|(_, count)| *count == 0);
        missing.map(|(what, _)| what).collect()
    }
}

impl History {
    pub(crate) fn violate(&mut self, invariant: &'static str, what: String) {
        self.violation.get_or_insert(Violation { invariant, what });
    }

    pub(crate) fn story(&mut self, room: RoomId) -> &mut Story {
        self.stories.entry(room).or_default()
    }

    /// The effects of a tick were let go.
    pub(crate) fn released(
        &mut self,
        room: RoomId,
        epoch: u64,
        tick: u64,
        link: Link,
        who: &Incarnation,
    ) {
        if let Some(known) = self.chain.get(&(room, epoch, tick))
            && *known != link
        {
            let what =
                format!("{who} let go of tick {tick} of {room}, which was another one before");
            return self.violate("I4", what);
        }
        let before = tick
            .checked_sub(1)
            .and_then(|tick| self.chain.get(&(room, epoch, tick)));
        if before.is_some_and(|before| before.after != link.before) {
            let what =
                format!("{who} let go of tick {tick} of {room}, which does not follow the last");
            return self.violate("I4", what);
        }
        self.chain.insert((room, epoch, tick), link);
    }

    /// A room has another history from now on.
    pub(crate) fn renewed(&mut self, room: RoomId, epoch: u64) {
        self.counts.renewed += 1;
        self.broken(room);
        let story = self.story(room);
        story.renewals += 1;
        story.epoch = epoch;
    }

    /// A room has another owner.
    pub(crate) fn adopted(&mut self, room: RoomId, epoch: u64) {
        let story = self.story(room);
        if story.epoch != epoch {
            story.epoch = epoch;
            story.renewals += 1;
            self.broken(room);
        }
    }

    fn broken(&mut self, room: RoomId) {
        if !self.may_break {
            let what = format!("the history of {room} is broken though the store lost nothing");
            self.violate("I2", what);
        }
    }

    /// An observer takes an event.
    pub(crate) fn seen(&mut self, room: RoomId, epoch: u64, offset: u64, payload: u64) {
        let known = *self
            .payloads
            .entry((room, epoch, offset))
            .or_insert(payload);
        if known != payload {
            let what =
                format!("event {offset} of {room} in epoch {epoch:x} was seen with two payloads");
            self.violate("I1", what);
        }
    }

    /// An observer was told that its input is durable.
    pub(crate) fn durable(&mut self, room: RoomId, seat: usize, epoch: u64, number: u64) {
        let told = self.durable.entry((room, seat, epoch)).or_default();
        *told = number.max(*told);
    }

    /// A result reaches where results are kept.
    pub(crate) fn record(&mut self, report: &Report) {
        if report.is_torn {
            let what = format!("{} took an input twice or not at all", report.room);
            self.violate("I2", what);
        }
        let story = self.story(report.room);
        let Some(known) = &story.result else {
            story.result = Some(report.clone());
            return;
        };
        if known.hash != report.hash && known.epoch == report.epoch {
            let what = format!("{} was reported with two results", report.room);
            self.violate("I3", what);
        }
    }

    /// What can be said at the end.
    pub(crate) fn close(&mut self) {
        let told = self.stories.iter().filter(|(_, story)| story.is_told);
        let mut missing = None;
        for (room, story) in told {
            self.counts.rooms += 1;
            self.counts.broken += u64::from(story.renewals > 0);
            self.counts.gone_before += u64::from(story.lost == Some(Loss::GoneBefore));
            self.counts.gone_since += u64::from(story.lost == Some(Loss::GoneSince));
            let Some(result) = &story.result else {
                self.counts.lost += 1;
                if story.lost.is_none() {
                    missing = Some(("I5", format!("{room} never came to its end")));
                }
                continue;
            };
            for seat in 0..SEATS {
                let told = self.durable.get(&(*room, seat, result.epoch));
                if told.is_some_and(|told| *told > result.cursors[seat]) {
                    let what = format!("an input of {room} that was durable is not in its history");
                    missing = Some(("I2", what));
                }
            }
        }
        if let Some((invariant, what)) = missing {
            self.violate(invariant, what);
        }
    }
}
