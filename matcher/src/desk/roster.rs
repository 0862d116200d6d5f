//! The players that the desk knows, by id and by session, when each of them is due, and who of them
//! has a place in the ticket store.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use protocol::id::{PlayerId, SessionId};
use protocol::time::Timestamp;
use rpc::origin::StreamId;

use super::player::{Activity, Player, Presence};
use crate::config::Config;

/// All players.
#[derive(Debug, Default)]
pub(super) struct Roster {
    players: BTreeMap<PlayerId, Entry>,
    sessions: HashMap<SessionId, PlayerId>,
    timers: BTreeSet<(Timestamp, PlayerId)>,
    /// Who wait, or left unsettled.
    waiting: Turns,
    playing: Turns,
    /// Those of the first whose place may change without a word in a queue's feed.
    urgent: BTreeSet<PlayerId>,
    /// Those whose ticket a feed says was taken.
    marked: BTreeSet<PlayerId>,
}

/// Players of whom some have their turn, again and again.
#[derive(Debug, Default)]
struct Turns {
    players: BTreeSet<PlayerId>,
    /// The last whose turn it was.
    last: Option<PlayerId>,
}

#[derive(Debug)]
struct Entry {
    player: Player,
    due: Option<Timestamp>,
}

impl Roster {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.players.len()
    }

    /// A player.
    pub(super) fn player(&self, id: PlayerId) -> Option<&Player> {
        self.players.get(&id).map(|entry| &entry.player)
    }

    /// A player, to change. Call [`reschedule`](Self::reschedule) afterwards.
    pub(super) fn player_mut(&mut self, id: PlayerId) -> Option<&mut Player> {
        self.players.get_mut(&id).map(|entry| &mut entry.player)
    }

    /// The player whose session this is, if it is attached by `stream`: what comes by any other
    /// stream is left over from before.
    pub(super) fn attached(&self, session: SessionId, stream: StreamId) -> Option<PlayerId> {
        let id = *self.sessions.get(&session)?;
        let player = self.player(id)?;
        (player.line() == Some((stream, session))).then_some(id)
    }

    /// The player whose session this is.
    pub(super) fn of_session(&self, session: SessionId) -> Option<PlayerId> {
        self.sessions.get(&session).copied()
    }

    /// Enters a player who is not known.
    pub(super) fn insert(&mut self, player: Player) {
        let entry = Entry { player, due: None };
        self.players.insert(entry.player.id, entry);
    }

    /// `session` is the player's from now on, and no other.
    pub(super) fn bind(&mut self, id: PlayerId, before: Option<SessionId>, session: SessionId) {
        if let Some(before) = before {
            self.sessions.remove(&before);
        }
        self.sessions.insert(session, id);
    }

    /// Forgets a player.
    pub(super) fn remove(&mut self, id: PlayerId) {
        if let Some(entry) = self.players.remove(&id) {
            self.sessions.remove(&entry.player.claim().session);
            if let Some(due) = entry.due {
                self.timers.remove(&(due, id));
            }
        }
        self.waiting.players.remove(&id);
        self.playing.players.remove(&id);
        self.urgent.remove(&id);
    }

    /// Brings the player's deadline up to date, and what the player is counted among.
    pub(super) fn reschedule(&mut self, id: PlayerId, config: &Config) {
        let Some(entry) = self.players.get_mut(&id) else {
            return;
        };
        let activity = &entry.player.activity;
        let waits = matches!(activity, Activity::Queued(_) | Activity::Private(_))
            || entry.player.unsettled.is_some();
        let plays = matches!(activity, Activity::Playing(_));
        let urgent = entry.player.unsettled.is_some() || entry.player.is_between();
        for (set, belongs) in [
            (&mut self.waiting.players, waits),
            (&mut self.playing.players, plays),
            (&mut self.urgent, urgent),
        ] {
            match belongs {
                true => set.insert(id),
                false => set.remove(&id),
            };
        }
        let due = entry.player.due_at(config);
        if due == entry.due {
            return;
        }
        if let Some(before) = entry.due {
            self.timers.remove(&(before, id));
        }
        entry.due = due;
        if let Some(due) = due {
            self.timers.insert((due, id));
        }
    }

    /// Those whose deadline has come, earliest first.
    pub(super) fn due(&self, now: Timestamp) -> Vec<PlayerId> {
        self.timers
            .range(..=(now, PlayerId(u64::MAX)))
            .map(|(_, id)| *id)
            .collect()
    }

    /// Those who have to be asked for now; besides, of those who wait, the next whose turn it is:
    /// one part in `parts`, or `few` if that is more.
    pub(super) fn next_waiting(&mut self, parts: usize, few: usize) -> BTreeSet<PlayerId> {
        let mut next = std::mem::take(&mut self.marked);
        next.retain(|id| self.waiting.players.contains(id));
        next.extend(&self.urgent);
        next.extend(self.waiting.next(parts, few));
        next
    }

    /// Of those who play, the next whose turn it is, likewise.
    pub(super) fn next_playing(&mut self, parts: usize) -> Vec<PlayerId> {
        self.playing.next(parts, 1)
    }

    /// A player is to be asked for soon.
    pub(super) fn mark(&mut self, id: PlayerId) {
        if self.players.contains_key(&id) {
            self.marked.insert(id);
        }
    }

    /// Those who are attached by `stream`.
    pub(super) fn attached_by(&self, stream: StreamId) -> Vec<PlayerId> {
        self.players
            .values()
            .filter(|entry| entry.player.presence == Presence::Attached(stream))
            .map(|entry| entry.player.id)
            .collect()
    }

    /// Whether some client that can be reached has events to acknowledge.
    pub(super) fn any_unsettled(&self) -> bool {
        self.players
            .values()
            .any(|entry| entry.player.line().is_some() && !entry.player.log.is_settled())
    }

    /// Everyone.
    pub(super) fn ids(&self) -> Vec<PlayerId> {
        self.players.keys().copied().collect()
    }
}

impl Turns {
    fn next(&mut self, parts: usize, few: usize) -> Vec<PlayerId> {
        let count = self.players.len().div_ceil(parts.max(1)).max(few);
        let from = self.last.map_or(0, |last| last.0.saturating_add(1));
        let next: Vec<PlayerId> = self
            .players
            .range(PlayerId(from)..)
            .take(count)
            .copied()
            .collect();
        // At the end of the row it begins anew.
        self.last = next.last().copied().filter(|_| next.len() == count);
        next
    }
}
