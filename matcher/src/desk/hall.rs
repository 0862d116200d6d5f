//! Mail that waits for what the store says about a player: where a newcomer stands, or what came of
//! joining a queue. It is handled then, in the order in which it came.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::id::{PlayerId, SessionId};
use rpc::inbound::Inbound;

use super::Desk;
use super::ask::{Away, answer_within};
use super::calls::Reply;
use super::player::Player;
use super::standing::BATCH;
use crate::grpc::Mail;
use crate::store::{Asked, Standing};

/// Mail that waits at most. While the hall is full the desk takes no more.
const MOST: usize = 4096;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Hall {
    mail: Vec<Mail>,
    /// Whose mail that is.
    players: BTreeSet<PlayerId>,
    /// Of whom, by the sessions that come with it.
    sessions: BTreeMap<SessionId, PlayerId>,
    /// Those whom the store is to be asked about, and those whom it is being asked about.
    newcomers: BTreeSet<PlayerId>,
    asked: BTreeSet<PlayerId>,
}

impl Hall {
    /// Whether more mail can wait.
    pub(super) fn has_room(&self) -> bool {
        self.mail.len() < MOST
    }

    fn enter(&mut self, player: PlayerId, mail: Mail) {
        if let Inbound::Attach(request) = &mail.inbound {
            self.sessions.insert(request.claim.session, player);
        }
        self.players.insert(player);
        self.mail.push(mail);
    }

    /// Everything that waits.
    fn empty(&mut self) -> Vec<Mail> {
        self.players.clear();
        self.sessions.clear();
        std::mem::take(&mut self.mail)
    }
}

impl Desk {
    /// Handles mail now, or later.
    pub(super) async fn receive(&mut self, mail: Mail) {
        let player = match &mail.inbound {
            Inbound::Attach(request) => Some(request.player),
            Inbound::Detach { session, .. }
            | Inbound::Ack { session, .. }
            | Inbound::Text { session, .. } => {
                let waiting = self.hall.sessions.get(session).copied();
                waiting.or_else(|| self.roster.of_session(*session))
            }
            Inbound::Input { .. } => None,
        };
        match player {
            Some(player) if self.hall.players.contains(&player) || self.is_joining(player) => {
                self.hall.enter(player, mail);
            }
            Some(player) if matches!(mail.inbound, Inbound::Attach(_)) && !self.is_here(player) => {
                self.hall.newcomers.insert(player);
                self.hall.enter(player, mail);
            }
            _ => self.handle(mail, None).await,
        }
    }

    fn is_here(&self, player: PlayerId) -> bool {
        self.roster.player(player).is_some_and(Player::is_here)
    }

    /// Asks where newcomers stand: one call for all of them. Of those who are here, the desk knows.
    pub(super) async fn ask_about_newcomers(&mut self) {
        if !self.hall.asked.is_empty() || self.hall.newcomers.is_empty() {
            return;
        }
        while self.hall.asked.len() < BATCH
            && let Some(player) = self.hall.newcomers.pop_first()
        {
            self.hall.asked.insert(player);
        }
        let asked: Vec<Asked> = self
            .hall
            .asked
            .iter()
            .map(|player| Asked {
                player: *player,
                is_here: true,
            })
            .collect();
        let Ok(limit) = self.patience() else {
            return self.let_in(Err(Away)).await;
        };
        let (store, sighting) = (Arc::clone(&self.parts.store), self.sighting());
        self.call(async move {
            let standing = store.standing(&asked, &sighting);
            Reply::Standings(answer_within(limit, "standing", standing).await)
        });
    }

    /// The store has said where newcomers stand, or nothing.
    pub(super) async fn let_in(&mut self, standings: Result<Vec<Standing>, Away>) {
        let mut asked = std::mem::take(&mut self.hall.asked);
        let standings = standings.unwrap_or_default();
        let mut standings: BTreeMap<PlayerId, Standing> =
            asked.iter().copied().zip(standings).collect();
        for mail in self.hall.empty() {
            match &mail.inbound {
                Inbound::Attach(request) if asked.remove(&request.player) => {
                    let standing = standings.remove(&request.player);
                    self.handle(mail, standing).await;
                }
                _ => self.receive(mail).await,
            }
        }
    }

    /// Something has been found out about somebody.
    pub(super) async fn open_doors(&mut self) {
        for mail in self.hall.empty() {
            self.receive(mail).await;
        }
    }
}
