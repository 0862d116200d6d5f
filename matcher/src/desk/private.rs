//! Private rooms: who is in one, and the match of one that begins.
//!
//! A room is in the store, so any matcher serves any of its members; each asks on every tick where
//! its own stand, and tells them what is new. When the leader begins, the room's members and the bots
//! that fill it are claimed like the tickets of any other match, and go its way.

use std::sync::Arc;

use protocol::control::{
    ErrorCode, ErrorMessage, PrivateKick, PrivateMember, PrivateOpen, PrivateState, ServerMessage,
};
use protocol::id::{MatchId, PlayerId, TicketId};
use protocol::time::Timestamp;

use super::Desk;
use super::ask::Away;
use super::leaving::Leave;
use super::player::Activity;
use super::queue::{RETRY_MS, already_in_match, out_of_reach};
use super::wish::find_mode;
use crate::config::{Mode, ModeName};
use crate::event::{Leaving, MatchEvent};
use crate::pairing;
use crate::store::{
    Changed, Entered, Entering, PrivateChange, PrivateRoom, Removed, Standing, Start,
};
use crate::ticket::{Member, PartyCode, Ticket};

/// Letters of an invite code: those that are not taken for each other.
const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// Length of an invite code: 40 bits.
const CODE_LENGTH: usize = 8;

/// Lengths of codes that are looked for, in bytes.
const CODE_LENGTHS: std::ops::RangeInclusive<usize> = 4..=32;

impl Desk {
    /// A player opens a private room.
    pub(super) async fn open_private(
        &mut self,
        id: PlayerId,
        open: &PrivateOpen,
    ) -> Result<(), ErrorMessage> {
        let config = self.config();
        let (name, mode) = find_mode(&config, &open.mode)?;
        let code = PartyCode::new(&fresh_code());
        let most = mode.players.max;
        self.come_to_private(id, code, Some((name.clone(), most)))
            .await
    }

    /// A player comes to a private room by its code.
    pub(super) async fn join_private(
        &mut self,
        id: PlayerId,
        code: &str,
    ) -> Result<(), ErrorMessage> {
        let code = code.trim().to_ascii_uppercase();
        if !CODE_LENGTHS.contains(&code.len()) {
            return Err(unknown().field("code"));
        }
        self.come_to_private(id, PartyCode::new(&code), None).await
    }

    async fn come_to_private(
        &mut self,
        id: PlayerId,
        code: PartyCode,
        open: Option<(ModeName, u8)>,
    ) -> Result<(), ErrorMessage> {
        let now = self.clock.now();
        let Some(player) = self.roster.player(id) else {
            return Ok(());
        };
        if player.bot {
            let text = "bots come to no private room by themselves";
            return Err(ErrorMessage::new(ErrorCode::OutOfOrder, text));
        }
        if self.parts.drain.is_draining() {
            return Err(out_of_reach());
        }
        match &player.activity {
            Activity::Playing(_) => return Err(already_in_match("you are in a match")),
            Activity::Queued(queued) if queued.placing.is_some() => {
                return Err(already_in_match("a match is being made").retry_after_ms(RETRY_MS));
            }
            Activity::Private(room) if room.code == code => {
                self.tell_private(id);
                return Ok(());
            }
            Activity::Queued(_) => self.leave_queue(id, None, Leave::Asked).await,
            Activity::Private(_) => self.leave_private(id, None, Leave::Asked).await,
            Activity::Idle => {}
        }
        self.flush_ends().await;
        if self.settle_up(id).await.is_err() {
            return Err(out_of_reach());
        }
        match self.enter_private(id, code, open).await {
            Ok(Entered::In(room)) => {
                self.take_up(id, &Standing::Private(room), now);
                self.tell_private(id);
                Ok(())
            }
            Ok(Entered::Kept(standing)) => {
                self.learn(id, standing, true, now).await;
                Err(already_in_match("you are elsewhere"))
            }
            Ok(Entered::Unknown | Entered::SentAway) => Err(unknown().field("code")),
            Ok(Entered::Full) => {
                let text = "the private room is full";
                Err(ErrorMessage::new(ErrorCode::PrivateFull, text).field("code"))
            }
            Ok(Entered::StoreFull) => {
                self.is_full();
                Err(out_of_reach())
            }
            Err(Away) => {
                self.set_unsettled(id, super::player::Unsettled::Queue);
                Err(out_of_reach())
            }
        }
    }

    async fn enter_private(
        &mut self,
        id: PlayerId,
        code: PartyCode,
        open: Option<(ModeName, u8)>,
    ) -> Result<Entered, Away> {
        let Some(player) = self.roster.player(id) else {
            return Ok(Entered::Unknown);
        };
        // Who comes by a code learns the mode by coming; nobody is matched by a rating here.
        let member = match &open {
            Some((mode, _)) => player.member(mode, &[]),
            None => player.stated(),
        };
        let entering = Entering { code, open, member };
        let (store, sighting) = (Arc::clone(&self.parts.store), self.sighting());
        let entered = store.enter_private(&entering, &sighting);
        self.ask("enter_private", entered).await
    }

    /// The store does not know the private room of a player who is here: it is opened again, by
    /// whoever comes first. A player who was sent away, or whose room went on, is told.
    pub(super) async fn bring_private_back(&mut self, id: PlayerId, now: Timestamp) {
        let player = self.roster.player(id);
        let Some(Activity::Private(room)) = player.map(|player| &player.activity) else {
            return;
        };
        let (code, open) = (room.code.clone(), Some((room.mode.clone(), room.most)));
        match self.enter_private(id, code, open).await {
            Ok(Entered::In(room)) => {
                self.take_up(id, &Standing::Private(room), now);
                self.tell_private(id);
            }
            Ok(Entered::Kept(standing)) => self.take_up(id, &standing, now),
            Ok(Entered::StoreFull) | Err(Away) => {}
            Ok(Entered::Unknown | Entered::SentAway | Entered::Full) => {
                self.take_up(id, &Standing::Nothing, now);
                self.notify(id, &private_left(Leaving::SentAway));
            }
        }
    }

    /// A private room stands otherwise than its member was told.
    pub(super) fn learn_private(&mut self, id: PlayerId, room: &PrivateRoom, now: Timestamp) {
        let player = self.roster.player(id);
        let activity = player.map(|player| &player.activity);
        if matches!(activity, Some(Activity::Private(known)) if known == room) {
            return;
        }
        self.take_up(id, &Standing::Private(room.clone()), now);
        self.tell_private(id);
    }

    /// A member is ready, or is not any more, or sends another one away.
    pub(super) async fn change_private(
        &mut self,
        id: PlayerId,
        change: PrivateChange,
    ) -> Result<(), ErrorMessage> {
        let store = Arc::clone(&self.parts.store);
        let changed = self.ask("change_private", store.change_private(id, change));
        match changed.await {
            Ok(Changed::Room(room)) => {
                let now = self.clock.now();
                self.learn_private(id, &room, now);
                Ok(())
            }
            Ok(Changed::NotThere) => Err(unknown()),
            Ok(Changed::NotLeader) => Err(not_leader()),
            Err(Away) => Err(out_of_reach()),
        }
    }

    /// The leader sends a member away.
    pub(super) async fn send_away(
        &mut self,
        id: PlayerId,
        kick: PrivateKick,
    ) -> Result<(), ErrorMessage> {
        self.change_private(id, PrivateChange::SendAway(kick.player))
            .await
    }

    /// A player leaves a private room, if in one.
    pub(super) async fn leave_private(
        &mut self,
        id: PlayerId,
        told: Option<Leaving>,
        leave: Leave,
    ) {
        let Some(player) = self.roster.player_mut(id) else {
            return;
        };
        if !matches!(player.activity, Activity::Private(_)) {
            return;
        }
        player.activity = Activity::Idle;
        let (store, this) = (Arc::clone(&self.parts.store), self.incarnation());
        let unseen_by = (leave == Leave::Unseen).then_some(&this);
        match self.ask("remove", store.remove(id, unseen_by)).await {
            Ok(Removed::Kept) => {}
            Ok(_) => self.tell_left_private(id, told),
            Err(Away) => {
                self.set_unsettled(id, super::player::Unsettled::Queue);
                self.tell_left_private(id, told);
            }
        }
        self.touch(id);
    }

    fn tell_left_private(&mut self, id: PlayerId, told: Option<Leaving>) {
        if let Some(leaving) = told {
            self.notify(id, &private_left(leaving));
        }
    }

    /// The leader begins the match.
    pub(super) async fn start_private(&mut self, id: PlayerId) -> Result<(), ErrorMessage> {
        let config = self.config();
        let now = self.clock.now();
        let player = self.roster.player(id);
        let Some(Activity::Private(room)) = player.map(|player| &player.activity) else {
            return Err(unknown());
        };
        let room = room.clone();
        if room.leader() != Some(id) {
            return Err(not_leader());
        }
        let Some(mode) = config.modes.get(&room.mode) else {
            let text = "this mode is not offered any more";
            return Err(ErrorMessage::new(ErrorCode::ModeUnknown, text));
        };
        if !room.is_ready() {
            return Err(not_ready("somebody is not ready"));
        }
        let bots = self.bots_for(&room, mode)?;
        if !self.parts.nodes.any_usable() {
            return Err(out_of_reach());
        }
        let match_id = MatchId(rand::random());
        let tickets: Vec<Arc<Ticket>> = room
            .members
            .iter()
            .map(|one| Arc::new(ticket(&room, &one.member, now)))
            .collect();
        let start = Start {
            code: room.code.clone(),
            match_id,
            bots: bots.iter().map(|bot| bot.id).collect(),
            tickets: tickets.clone(),
        };
        let (store, claimant) = (Arc::clone(&self.parts.store), self.incarnation());
        let claim_for = config.placing.claim_for;
        let started = store.start_private(&start, &claimant, claim_for);
        match self.ask("start_private", started).await {
            Ok(true) => {}
            Ok(false) => return Err(not_ready("the room has just changed; try again")),
            Err(Away) => return Err(out_of_reach()),
        }
        for ticket in &bots {
            self.queues.went(ticket);
        }
        for one in &tickets {
            let player = one.members[0].player;
            let found = crate::store::Found {
                claimed_by: Some(match_id),
                ..crate::store::Found::waiting(Arc::clone(one))
            };
            if self.roster.player(player).is_some() {
                self.take_up(player, &Standing::Ticket(found), now);
            }
        }
        let proposal = pairing::of_private(mode, tickets, bots);
        self.begin_placing(&config, &room.mode, mode, match_id, &proposal);
        Ok(())
    }

    /// The bots that fill a room as far as its mode wants: none if the members do by themselves.
    fn bots_for(
        &mut self,
        room: &PrivateRoom,
        mode: &Mode,
    ) -> Result<Vec<Arc<Ticket>>, ErrorMessage> {
        let people = room.members.len();
        let waiting = match mode.bots {
            true => self
                .queues
                .view(&room.mode)
                .queue
                .bots(usize::from(mode.players.max)),
            false => Vec::new(),
        };
        let sizes = (mode.players.min..=mode.players.max).rev();
        let mut sizes = sizes
            .filter(|size| size.is_multiple_of(mode.teams))
            .map(usize::from);
        let size = sizes.find(|size| (people..=people + waiting.len()).contains(size));
        let Some(size) = size else {
            let text = format!(
                "a match of this mode has {} to {} players in {} equal teams, and there are {people} \
                 people and {} bots",
                mode.players.min,
                mode.players.max,
                mode.teams,
                waiting.len()
            );
            return Err(not_ready(&text));
        };
        Ok(waiting.into_iter().take(size - people).collect())
    }

    /// Tells a member how the private room stands.
    pub(super) fn tell_private(&mut self, id: PlayerId) {
        let Some(player) = self.roster.player(id) else {
            return;
        };
        let (Some((stream, session)), Activity::Private(room)) = (player.line(), &player.activity)
        else {
            return;
        };
        let state = ServerMessage::PrivateState(state_of(room));
        if let Some(batch) = self.outbox.to(stream) {
            batch.text(session, state.to_text());
        }
    }
}

/// A private room, as its members are told.
pub(super) fn state_of(room: &PrivateRoom) -> PrivateState {
    let members = room.members.iter().map(|one| PrivateMember {
        player: one.member.player,
        name: one.member.name.clone(),
        ready: one.ready,
    });
    PrivateState {
        code: room.code.as_str().to_owned(),
        mode: room.mode.to_string(),
        most: room.most,
        members: members.collect(),
    }
}

fn private_left(leaving: Leaving) -> MatchEvent<'static> {
    MatchEvent::PrivateLeft { reason: leaving }
}

fn ticket(room: &PrivateRoom, member: &Member, now: Timestamp) -> Ticket {
    Ticket {
        id: TicketId(rand::random()),
        mode: room.mode.clone(),
        members: vec![member.clone()],
        party: None,
        private: Some(room.code.clone()),
        regions: std::collections::BTreeMap::new(),
        version: None,
        attributes: std::collections::BTreeMap::new(),
        enqueued_at: now,
    }
}

fn fresh_code() -> String {
    let letter = |_| char::from(LETTERS[rand::random_range(0..LETTERS.len())]);
    (0..CODE_LENGTH).map(letter).collect()
}

fn unknown() -> ErrorMessage {
    let text = "there is no such private room, or not any more";
    ErrorMessage::new(ErrorCode::PrivateUnknown, text)
}

fn not_leader() -> ErrorMessage {
    ErrorMessage::new(
        ErrorCode::NotLeader,
        "only who leads the private room does that",
    )
}

fn not_ready(text: &str) -> ErrorMessage {
    ErrorMessage::new(ErrorCode::NotReady, text)
}
