//! Where tickets are: waiting, or claimed by one match, or gone. Never two of these.
//!
//! Any number of matchers work the same queues over one store, and any of them may die or freeze
//! at any step. Hence everything that one of them holds has an end: a claim that is not renewed is
//! given back, and a player whom no matcher has seen for a while loses the place. What a matcher
//! finds to be so is so: it acts on what a call answers, not on what it remembers.
//!
//! The embedded engine is [`memory::MemoryStore`]. A store on Redis keeps the same promise by one
//! script for each call, and has to pass [`conformance`]; pairing is the same over both.

pub mod conformance;
pub mod feed;
pub mod memory;
pub mod private;
pub mod record;
pub mod redis;
pub mod standing;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::{BoxFuture, EngineError, Incarnation};
use protocol::id::{MatchId, PlayerId, RoomId, TicketId};
use protocol::time::Timestamp;

use crate::config::{ModeName, Region};
use crate::ticket::{Attributes, Member, PartyCode, Ticket, Version};

pub use crate::event::Ending;
pub use feed::{Change, Cursor, Fed, Page};
pub use memory::MemoryStore;
pub use private::{Changed, Entered, Entering, PrivateChange, PrivateMember, PrivateRoom, Start};
pub use record::MatchRecord;
pub use redis::RedisStore;
pub use standing::{Asked, Asking, Expected, Found, Gathering, Sighting, Spot, Standing};

/// How long a store remembers the names of tickets that are gone and of rooms that ended, so that
/// a matcher which has not heard of it does not bring them back. Longer than a matcher is behind:
/// one that was frozen catches up before it brings anything back.
pub const REMEMBERED: Duration = Duration::from_secs(120);

/// How long who does not accept is kept out, in a row of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoolDown {
    /// After the first one. It doubles from there.
    pub first: Duration,
    /// The longest. After so much time from the end of one on, the row begins anew.
    pub most: Duration,
}

/// What came of [`TicketStore::answer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// The player has accepted.
    Accepted,
    /// The player has declined and is nowhere, for so long in no queue; the match is off, and its
    /// other tickets wait again.
    Declined(Duration),
    /// The match does not ask the player, or not any more.
    Unknown,
}

/// How the question of a match stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// Answers are missing.
    Open,
    /// Everyone has accepted.
    Complete,
    /// The match is off: its tickets wait again, without those who did not accept in time.
    Off,
}

/// What came of one ticket of [`TicketStore::add`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// It waits.
    Waiting,
    /// Nothing was added: this is where one of its members stands. The ticket itself, if it is
    /// there already.
    Kept(Standing),
    /// A ticket of this name was there and is gone.
    Gone,
    /// Nothing was added: one of its members has declined a match, and is kept out for so long.
    Cooling(Duration),
    /// The store has as many players as it takes.
    Full,
}

/// A member who comes to a party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gather {
    /// The party. It begins with its first member.
    pub code: PartyCode,
    /// What it wants to play.
    pub mode: ModeName,
    /// Members wanted.
    pub size: u8,
    /// Who comes.
    pub member: Member,
    /// Where the member can play; empty: anywhere.
    pub regions: BTreeMap<Region, u32>,
    /// The build that the member plays, if that matters: all of a party have the same.
    pub version: Option<Version>,
    /// What to meet others by: likewise.
    pub attributes: Attributes,
    /// Since when the member waits.
    pub since: Timestamp,
    /// Name of the party's ticket, if this member completes it.
    pub ticket: TicketId,
    /// When that ticket's wait begins.
    pub enqueued_at: Timestamp,
}

/// What came of one member of [`TicketStore::gather`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gathered {
    /// Others are waited for.
    Gathering(Gathering),
    /// The party is complete: its ticket waits.
    Complete(Arc<Ticket>),
    /// The member stands elsewhere, and did not come.
    Kept(Standing),
    /// The member has declined a match, is kept out for so long, and did not come.
    Cooling(Duration),
    /// The member does not fit in, and did not come.
    Mismatch(Disagreement),
    /// The store has as many players as it takes.
    Full,
}

/// What a party's members disagree about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disagreement {
    /// What to play.
    Mode,
    /// How many they are.
    Size,
    /// Whether there is a place left.
    Full,
    /// Which build they play.
    Version,
    /// What they want to meet others by.
    Attributes,
    /// Where to play: they have no region in common.
    Regions,
}

/// What came of [`TicketStore::remove`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// The player waited, and does not any more.
    Gone,
    /// A match has the ticket. The player gets no seat of it, and is nowhere once it is decided.
    Claimed(MatchId),
    /// Another matcher has seen the player since, and so the place is kept.
    Kept,
    /// The player waits nowhere.
    Unknown,
}

/// The tickets that a match wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The match.
    pub match_id: MatchId,
    /// Its tickets.
    pub tickets: Vec<TicketId>,
    /// Whether their players are to be asked first.
    pub ask: Option<Question>,
}

/// Whom a match asks whether they take part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// How long the players have.
    pub within: Duration,
    /// Those who need not be asked.
    pub willing: Vec<PlayerId>,
}

/// A match that has its room, for [`TicketStore::settle`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settling {
    /// The match.
    pub record: Arc<MatchRecord>,
    /// How long it lasts at most.
    pub lifetime: Duration,
}

/// What came of [`TicketStore::restore`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restored {
    /// The match was not there, and is again.
    Restored,
    /// It is there: who has no place in it has left it.
    Stands,
    /// It has ended.
    Ended(Ending),
}

/// A match whose room ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedMatch {
    /// The match.
    pub match_id: MatchId,
    /// The room. A match that has another one goes on.
    pub room: RoomId,
    /// Why.
    pub ending: Ending,
}

/// What a [`TicketStore::sweep`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Matches whose claims ran out: their tickets wait again.
    pub claims: usize,
    /// Players whom nobody had seen for long enough: they have lost their places.
    pub players: usize,
}

/// Tickets, parties and matches of all modes. A call answers within a deadline of the store's own;
/// after [`EngineError::Deadline`] whether it took effect is unknown, and repeating it is harmless.
/// Deadlines of claims and sightings are on the store's clock.
pub trait TicketStore: Send + Sync + 'static {
    /// Lets each of `tickets` wait, unless one of its members stands somewhere already. Its members
    /// count as seen. Answers are in the order of `tickets`, each of which is added or not by
    /// itself. Some hundreds at most in one call.
    fn add<'a>(
        &'a self,
        tickets: &'a [Arc<Ticket>],
        sighting: &'a Sighting,
    ) -> BoxFuture<'a, Result<Vec<Added>, EngineError>>;

    /// Members come to parties, one after another. Whoever completes one makes its ticket in the
    /// same step. Answers are in the order of `gather`. Some hundreds at most in one call.
    fn gather<'a>(
        &'a self,
        gather: &'a [Gather],
        sighting: &'a Sighting,
    ) -> BoxFuture<'a, Result<Vec<Gathered>, EngineError>>;

    /// Somebody comes to a private room, or opens one. Asked twice it is the same.
    fn enter_private<'a>(
        &'a self,
        entering: &'a Entering,
        sighting: &'a Sighting,
    ) -> BoxFuture<'a, Result<Entered, EngineError>>;

    /// A member of a private room changes it.
    fn change_private(
        &self,
        player: PlayerId,
        change: PrivateChange,
    ) -> BoxFuture<'_, Result<Changed, EngineError>>;

    /// The match of a private room begins: its tickets are claimed, as by [`claim`](Self::claim),
    /// together with those of the bots, or nothing is. It is not if the room is not as `start` has
    /// it, or not ready, or if a bot's ticket does not wait. If the match is given back, its members
    /// are in the room again; once it is settled, the room is over.
    fn start_private<'a>(
        &'a self,
        start: &'a Start,
        claimant: &'a Incarnation,
        claim_for: Duration,
    ) -> BoxFuture<'a, Result<bool, EngineError>>;

    /// Takes a player out of the queue, or of a private room: the ticket is gone, and the others of a party gather
    /// again. With `unseen_by`, only if this matcher was the last to see the player, or nobody
    /// has for the grace time.
    fn remove<'a>(
        &'a self,
        player: PlayerId,
        unseen_by: Option<&'a Incarnation>,
    ) -> BoxFuture<'a, Result<Removed, EngineError>>;

    /// Where the [feed](feed) of a queue ends now: what happens from here on, it tells.
    fn feed_end<'a>(&'a self, mode: &'a ModeName) -> BoxFuture<'a, Result<Cursor, EngineError>>;

    /// What happened to a queue since `since`. `None`: the store cannot tell, and the queue has to
    /// be read anew.
    fn feed<'a>(
        &'a self,
        mode: &'a ModeName,
        since: &'a Cursor,
    ) -> BoxFuture<'a, Result<Option<Fed>, EngineError>>;

    /// A part of the tickets that wait for `mode`; `from` is 0 at first, then what the page before
    /// says. A ticket that waits throughout is on some page, maybe on two; one that comes or goes
    /// meanwhile may be, and the feed tells.
    fn scan<'a>(
        &'a self,
        mode: &'a ModeName,
        from: u64,
    ) -> BoxFuture<'a, Result<Page, EngineError>>;

    /// Those of `tickets` that wait, in whichever queue. Some hundreds at most in one call.
    fn find<'a>(
        &'a self,
        tickets: &'a [TicketId],
    ) -> BoxFuture<'a, Result<Vec<Arc<Ticket>>, EngineError>>;

    /// Claims tickets for matches of `claimant` for `claim_for`: for each match all that it wants,
    /// or none. Gives whether it got them, in the order of `wanted`.
    fn claim<'a>(
        &'a self,
        wanted: &'a [Wanted],
        claimant: &'a Incarnation,
        claim_for: Duration,
    ) -> BoxFuture<'a, Result<Vec<bool>, EngineError>>;

    /// Holds the claims of these matches for `claim_for` from now, as far as they have not been
    /// given back.
    fn renew<'a>(
        &'a self,
        matches: &'a [MatchId],
        claim_for: Duration,
    ) -> BoxFuture<'a, Result<(), EngineError>>;

    /// A player takes part in a match that asks, or does not.
    fn answer<'a>(
        &'a self,
        player: PlayerId,
        match_id: MatchId,
        accepts: bool,
        cool_down: CoolDown,
    ) -> BoxFuture<'a, Result<Answered, EngineError>>;

    /// How the questions of these matches stand, in their order. Those that are off are over: who
    /// did not accept in time, or left the queue instead, is kept out.
    fn acceptance<'a>(
        &'a self,
        matches: &'a [MatchId],
        cool_down: CoolDown,
    ) -> BoxFuture<'a, Result<Vec<Acceptance>, EngineError>>;

    /// Each of these matches stands: its tickets are gone, and the players on them who have not
    /// left are in it. Gives whether it does, in the order of `settling`; a repeated call finds the
    /// same. It does not if the claim was given back, or if the room has ended. Durable as far as
    /// the store is. Some hundreds at most in one call.
    fn settle<'a>(
        &'a self,
        settling: &'a [Settling],
    ) -> BoxFuture<'a, Result<Vec<bool>, EngineError>>;

    /// The match failed: its tickets wait again, each with its old age. Those of which a member
    /// has left are gone, and the others of such a party gather again.
    fn give_back(&self, match_id: MatchId) -> BoxFuture<'_, Result<(), EngineError>>;

    /// Says again that a match runs, to a store that may have lost it. What is left of its tickets
    /// is gone; players who stand elsewhere stay there.
    fn restore<'a>(
        &'a self,
        record: &'a MatchRecord,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Restored, EngineError>>;

    /// These matches are over: their players are nowhere. Those that are not there need nothing.
    fn end<'a>(&'a self, ended: &'a [EndedMatch]) -> BoxFuture<'a, Result<(), EngineError>>;

    /// A player leaves a match for good; it goes on without.
    fn depart(&self, player: PlayerId, match_id: MatchId)
    -> BoxFuture<'_, Result<(), EngineError>>;

    /// Where each player stands, in the order of `asked`.
    fn standing<'a>(
        &'a self,
        asked: &'a [Asked],
        sighting: &'a Sighting,
    ) -> BoxFuture<'a, Result<Vec<Standing>, EngineError>>;

    /// As [`standing`](Self::standing), but for those who are where they are expected to be: `None`.
    fn moved<'a>(
        &'a self,
        expected: &'a [Expected],
        sighting: &'a Sighting,
    ) -> BoxFuture<'a, Result<Vec<Option<Standing>>, EngineError>> {
        Box::pin(async move {
            let asked: Vec<Asked> = expected.iter().map(|one| one.asked).collect();
            let standings = self.standing(&asked, sighting).await?;
            let news = |(one, standing): (&Expected, Standing)| {
                let is_as_expected = one.at.is_some_and(|at| at.is(&standing));
                (!is_as_expected).then_some(standing)
            };
            Ok(expected.iter().zip(standings).map(news).collect())
        })
    }

    /// Gives claims back that ran out, and removes players whom nobody has seen for the grace
    /// time; some hundreds at most in one call. For every matcher to call about once a second.
    fn sweep(&self) -> BoxFuture<'_, Result<Swept, EngineError>>;
}
