//! What the desk knows of one player.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use protocol::attach::{Claim, Holder};
use protocol::id::{Channel, Epoch, MatchId, PlayerId, RoomId, SessionId};
use protocol::log::{EventLog, LogLimits};
use protocol::time::Timestamp;
use rpc::inbound::AttachRequest;
use rpc::origin::StreamId;
use serde_json::json;

use super::party::PartyWish;
use super::rating::Ratings;
use crate::config::{Config, Mode, ModeName, Region, Role};
use crate::store::{Found, PrivateRoom};
use crate::ticket::{Attributes, Member, Ticket, Version};

/// A match brings a handful of events. At either bound the history is given up and the client
/// closed, so that it resumes with whole state.
const LOG_LIMITS: LogLimits = LogLimits {
    events: 64,
    bytes: 16 * 1024,
};

/// A player, connected or not.
#[derive(Debug)]
pub(super) struct Player {
    pub(super) id: PlayerId,
    pub(super) name: String,
    pub(super) bot: bool,
    pub(super) ratings: Ratings,
    /// Which attachment counts, or was the last to count. There is always one.
    pub(super) holder: Holder,
    pub(super) presence: Presence,
    pub(super) log: EventLog,
    pub(super) activity: Activity,
    /// What the store has yet to hear of a player who is idle.
    pub(super) unsettled: Option<Unsettled>,
    /// The last match that was left for good: a store that forgot so is told again.
    pub(super) left: Option<MatchId>,
    /// When the client is told next how the queue stands.
    pub(super) next_state: Timestamp,
}

/// Whether a player can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// By this stream.
    Attached(StreamId),
    /// Not since then.
    Away(Timestamp),
}

/// What a player left while the store was away, or joined in vain and may be on all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsettled {
    /// The queue.
    Queue,
    /// This match.
    Match(MatchId),
}

/// What a player does.
#[derive(Debug)]
pub(super) enum Activity {
    /// Nothing.
    Idle,
    /// Waits for a match.
    Queued(Queued),
    /// Is in a private room.
    Private(PrivateRoom),
    /// Is in a match.
    Playing(Playing),
}

/// A wait for a match.
#[derive(Debug, Clone)]
pub(super) struct Queued {
    pub(super) wish: Wish,
    /// Since when.
    pub(super) since: Timestamp,
    /// `None` while the party gathers.
    pub(super) ticket: Option<Arc<Ticket>>,
    /// The match that has claimed the ticket and looks for a room.
    pub(super) placing: Option<MatchId>,
    /// That match asks whether the player takes part.
    pub(super) proposed: Option<Proposed>,
    /// Members present and wanted, while the party gathers.
    pub(super) fill: Option<(u8, u8)>,
    /// When the client is given the next receipt; `None`: it has had none.
    pub(super) receipt_at: Option<Timestamp>,
    /// What the estimate was at first.
    pub(super) expected: Option<Duration>,
}

impl Queued {
    /// Whether the place is one that no queue's feed tells of: in a party that gathers, or between
    /// queue and match.
    pub(super) fn is_between(&self) -> bool {
        self.ticket.is_none() || self.placing.is_some()
    }
}

/// A match that asks whether a player takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Proposed {
    pub(super) match_id: MatchId,
    /// Until then.
    pub(super) until: Timestamp,
    /// The player has said yes.
    pub(super) accepted: bool,
}

impl Proposed {
    /// What a ticket says of it.
    pub(super) fn of(found: &Found, now: Timestamp) -> Option<Self> {
        let asking = found.asking?;
        Some(Self {
            match_id: found.claimed_by?,
            until: now + asking.left,
            accepted: asking.accepted,
        })
    }
}

/// What a player wants to play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) mode: ModeName,
    pub(super) regions: BTreeMap<Region, u32>,
    pub(super) party: Option<PartyWish>,
    /// If the mode keeps builds apart.
    pub(super) version: Option<Version>,
    pub(super) attributes: Attributes,
    /// The player's own, if the mode has roles.
    pub(super) roles: Vec<Role>,
}

/// A match that a player is in.
#[derive(Debug)]
pub(super) struct Playing {
    pub(super) match_id: MatchId,
    pub(super) mode: ModeName,
    pub(super) room: RoomId,
    /// The player's, if the mode has roles.
    pub(super) role: Option<Role>,
    /// The room ticket.
    pub(super) ticket: String,
}

impl Player {
    /// A player who is about to be attached.
    pub(super) fn new(request: &AttachRequest, now: Timestamp) -> Self {
        let mut holder = Holder::default();
        holder.accept(request.claim);
        Self {
            id: request.player,
            name: request.name.clone(),
            bot: request.bot,
            ratings: Ratings::new((request.rating, request.deviation)),
            holder,
            presence: Presence::Away(now),
            log: EventLog::new(Channel::Match, fresh_epoch(), LOG_LIMITS),
            activity: Activity::Idle,
            unsettled: None,
            left: None,
            next_state: now,
        }
    }

    /// The attachment that counts, or was the last to count.
    pub(super) fn claim(&self) -> &Claim {
        let current = self.holder.current();
        current.expect("a player is known by an attach that was accepted")
    }

    /// The player on a ticket for `mode`, for these roles.
    pub(super) fn member(&self, mode: &ModeName, roles: &[Role]) -> Member {
        let (rating, deviation) = self.ratings.of(mode);
        Member {
            rating,
            deviation,
            roles: roles.to_vec(),
            ..self.stated()
        }
    }

    /// The player, as the login states.
    pub(super) fn stated(&self) -> Member {
        let (rating, deviation) = self.ratings.stated();
        Member {
            player: self.id,
            name: self.name.clone(),
            rating,
            deviation,
            roles: Vec::new(),
            bot: self.bot,
        }
    }

    /// Where the player is attached, and as which session.
    pub(super) fn line(&self) -> Option<(StreamId, SessionId)> {
        match self.presence {
            Presence::Attached(stream) => Some((stream, self.claim().session)),
            Presence::Away(_) => None,
        }
    }

    pub(super) fn queued(&self) -> Option<&Queued> {
        match &self.activity {
            Activity::Queued(queued) => Some(queued),
            _ => None,
        }
    }

    pub(super) fn queued_mut(&mut self) -> Option<&mut Queued> {
        match &mut self.activity {
            Activity::Queued(queued) => Some(queued),
            _ => None,
        }
    }

    pub(super) fn playing(&self) -> Option<&Playing> {
        match &self.activity {
            Activity::Playing(playing) => Some(playing),
            _ => None,
        }
    }

    /// Whether the player can be reached.
    pub(super) fn is_here(&self) -> bool {
        matches!(self.presence, Presence::Attached(_))
    }

    /// Whether this match has claimed the player's ticket.
    pub(super) fn is_placed_by(&self, match_id: MatchId) -> bool {
        self.queued()
            .is_some_and(|queued| queued.placing == Some(match_id))
    }

    /// Whether the place is one that no queue's feed tells of.
    pub(super) fn is_between(&self) -> bool {
        match &self.activity {
            Activity::Queued(queued) => queued.is_between(),
            Activity::Private(_) => true,
            Activity::Idle | Activity::Playing(_) => false,
        }
    }

    /// The channel's whole state, as JSON.
    pub(super) fn state(&self, now: Timestamp) -> String {
        let queue = self.queued().map(|queued| {
            let waited = now.since(queued.since);
            let mut state = json!({
                "mode": queued.wish.mode,
                "waiting_ms": u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
            });
            if let Some(proposed) = &queued.proposed {
                let left = proposed.until.since(now);
                state["proposed"] = json!({
                    "match": proposed.match_id,
                    "left_ms": u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
                    "accepted": proposed.accepted,
                });
            }
            state
        });
        let playing = self.playing().map(|playing| {
            let mut found = json!({
                "match": playing.match_id,
                "mode": playing.mode,
                "room": playing.room,
                "ticket": playing.ticket,
            });
            if let Some(role) = &playing.role {
                found["role"] = json!(role);
            }
            found
        });
        let mut state = json!({ "queue": queue, "match": playing });
        if let Activity::Private(room) = &self.activity {
            state["private"] = json!(super::private::state_of(room));
        }
        state.to_string()
    }

    /// When this player's wait has lasted for as long as the mode allows. Bots wait for ever, and
    /// so does who has been claimed: that ends by itself.
    pub(super) fn times_out_at(&self, config: &Config) -> Option<Timestamp> {
        let queued = self.queued()?;
        if self.bot || queued.placing.is_some() {
            return None;
        }
        // A mode that is gone has no time left to wait.
        let timeout = config.modes.get(&queued.wish.mode).map(mode_timeout);
        Some(queued.since + timeout.unwrap_or_default())
    }

    /// When something is to be done about a player who is away: give up the place in the queue,
    /// or forget the record.
    pub(super) fn gone_at(&self, config: &Config) -> Option<Timestamp> {
        let Presence::Away(since) = self.presence else {
            return None;
        };
        match &self.activity {
            Activity::Playing(_) => None,
            Activity::Private(_) => Some(since + config.grace),
            Activity::Queued(queued) => queued.placing.is_none().then(|| since + config.grace),
            Activity::Idle if self.log.is_settled() && self.unsettled.is_none() => {
                Some(since + config.grace)
            }
            Activity::Idle => Some(since + config.forget_after.max(config.grace)),
        }
    }

    /// When the desk has to look at this player next.
    pub(super) fn due_at(&self, config: &Config) -> Option<Timestamp> {
        let attached = self.line().is_some();
        let resend = self.log.poll_timeout().filter(|_| attached);
        let state = (attached && self.queued().is_some()).then_some(self.next_state);
        [
            resend,
            state,
            self.times_out_at(config),
            self.gone_at(config),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

fn mode_timeout(mode: &Mode) -> Duration {
    mode.timeout
}

/// A name for a new history: never 0.
pub(super) fn fresh_epoch() -> Epoch {
    Epoch(rand::random_range(1..=u32::MAX))
}
