//! Where one channel of one connection is attached. The connection sends by it, and the router
//! points it at another node when the channel's home is elsewhere.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::control::ErrorMessage;
use protocol::frame::Ack;
use protocol::id::{Channel, NodeId, PlayerId, RoomId, SessionId};
use protocol::log::Attach;
use rpc::inbound::AttachRequest;

use super::lobby::Spell;
use super::node::{NodeLink, QueueFull};
use crate::outbox::{Item, LinkId, Outbox, Source};

/// A channel of a connection. A connection that goes to another room has another one.
#[derive(Debug)]
pub(crate) struct Binding {
    /// As the client asked for it.
    request: AttachRequest,
    /// Of a room: where it began, as its ticket says.
    named: Option<NodeId>,
    outbox: Arc<Outbox>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// None while the channel has no home.
    link: Option<NodeLink>,
    /// The link by which the attach was answered last.
    answered: Option<LinkId>,
    /// Of a room: the node behind that link.
    home: Option<NodeId>,
    /// The search for a home that has not ended with an answer yet.
    spell: Option<Box<Spell>>,
    /// Nobody wants it any more.
    over: bool,
}

/// Why an item was not queued for the channel's node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SendError {
    /// There is none just now.
    Homeless,
    /// It has too much to do.
    Full,
}

impl Binding {
    /// The match channel.
    pub(crate) fn to_match(request: AttachRequest, outbox: Arc<Outbox>) -> Arc<Self> {
        Self::new(request, None, outbox)
    }

    /// The channel of the room in `request`, which began on `named`.
    pub(crate) fn to_room(request: AttachRequest, named: NodeId, outbox: Arc<Outbox>) -> Arc<Self> {
        Self::new(request, Some(named), outbox)
    }

    /// The channel of the room in `request`, to be watched.
    pub(crate) fn to_watch(request: AttachRequest, outbox: Arc<Outbox>) -> Arc<Self> {
        Self::new(request, None, outbox)
    }

    fn new(request: AttachRequest, named: Option<NodeId>, outbox: Arc<Outbox>) -> Arc<Self> {
        Arc::new(Self {
            request,
            named,
            outbox,
            state: Mutex::default(),
        })
    }

    pub(crate) fn channel(&self) -> Channel {
        match self.request.room {
            Some(_) => Channel::Room,
            None => Channel::Match,
        }
    }

    /// Whether it is of a room in which the player has no seat: any node can show it.
    pub(crate) fn is_watch(&self) -> bool {
        self.request.watch.is_some()
    }

    /// The message that asked for it.
    pub(crate) fn asked_by(&self) -> &'static str {
        match self.channel() {
            Channel::Match => "hello",
            Channel::Room if self.is_watch() => "room.watch",
            Channel::Room => "room.join",
        }
    }

    pub(crate) fn session(&self) -> SessionId {
        self.request.claim.session
    }

    /// Which connection of the session.
    pub(crate) fn attempt(&self) -> u32 {
        self.request.claim.attempt
    }

    pub(crate) fn player(&self) -> PlayerId {
        self.request.player
    }

    pub(crate) fn room(&self) -> Option<RoomId> {
        self.request.room
    }

    /// Of a room: the node where it was last, as far as is known here.
    pub(crate) fn last_home(&self) -> Option<NodeId> {
        let home = self.state.lock().home.clone();
        home.or_else(|| self.named.clone())
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Whether the client has, or says that it has, something of the channel already: then it
    /// waits for it as long as it takes.
    pub(crate) fn is_standing(&self) -> bool {
        self.request.mode != Attach::Fresh || self.state.lock().answered.is_some()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state.lock().over
    }

    /// Whether the channel is attached by this link, or about to be.
    pub(crate) fn is_at(&self, link: LinkId) -> bool {
        let state = self.state.lock();
        state.link.as_ref().is_some_and(|here| here.id() == link)
    }

    /// Points the channel at a node. Items that are sent from now on go there, behind the attach.
    pub(crate) fn attach_at(
        self: &Arc<Self>,
        link: &NodeLink,
        spell: Spell,
    ) -> Result<(), QueueFull> {
        let mut state = self.state.lock();
        if state.over {
            return Ok(());
        }
        self.outbox.expect_answer(Source {
            link: link.id(),
            channel: self.channel(),
            room: self.room(),
        });
        state.spell = Some(Box::new(spell));
        let queued = link.attach(self.clone());
        state.link = queued.is_ok().then(|| link.clone());
        if queued.is_err() {
            self.outbox.expect_nothing(self.channel());
        }
        queued
    }

    /// The attach to send by `link`. Of a channel that stood, one goes on from what the client
    /// acknowledged, and is no login any more. A room's history moves with the room; a matcher
    /// knows nothing of what the client had from another one.
    pub(crate) fn request(&self, link: LinkId) -> AttachRequest {
        let mut request = self.request.clone();
        if let Some(answered) = self.state.lock().answered {
            request.claim.login = false;
            let knows = self.channel() == Channel::Room || answered == link;
            request.mode = match knows {
                true => Attach::Continue,
                false => Attach::Fresh,
            };
        }
        request
    }

    /// The node by `link` answered the attach: a search for a home has ended.
    pub(crate) fn set_answered(&self, link: LinkId) {
        let mut state = self.state.lock();
        state.answered = Some(link);
        state.spell = None;
        if let (Channel::Room, Some(link)) = (self.channel(), &state.link)
            && state.home.as_ref() != Some(link.node())
        {
            state.home = Some(link.node().clone());
        }
    }

    /// The channel's home is not behind `link` any more. Gives the search that begins or goes on,
    /// if the channel was there and is still wanted.
    pub(crate) fn leave_link(&self, link: LinkId) -> Option<Spell> {
        let mut state = self.state.lock();
        if state.over || state.link.as_ref().is_none_or(|here| here.id() != link) {
            return None;
        }
        state.link = None;
        self.outbox.expect_nothing(self.channel());
        Some(state.spell.take().map(|spell| *spell).unwrap_or_default())
    }

    /// The connection has nothing more to do with the channel: `leave` says whether for good.
    pub(crate) fn end(&self, leave: bool) {
        let link = {
            let mut state = self.state.lock();
            if std::mem::replace(&mut state.over, true) {
                return;
            }
            self.outbox.expect_nothing(self.channel());
            state.link.take()
        };
        if let Some(link) = link {
            link.detach(self.session(), self.attempt(), leave);
        }
    }

    /// The node has ended the channel, and knows.
    pub(crate) fn set_over(&self) {
        let mut state = self.state.lock();
        state.over = true;
        state.link = None;
    }

    /// The channel has no home, and will have none: tells the client.
    pub(crate) fn refuse(&self, error: &ErrorMessage) {
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.over, true) {
            return;
        }
        let error = serde_json::to_string(error).expect("an error has string keys only");
        self.outbox.expect_nothing(self.channel());
        let re = self.asked_by();
        self.outbox.reliable(Item::Refused { re, error });
    }

    /// Tells the client that the channel is away for a while.
    pub(crate) fn tell_lost(&self, reason: &'static str) {
        let channel = self.channel();
        self.outbox.reliable(Item::Lost { channel, reason });
    }

    pub(crate) fn text(&self, text: String) -> Result<(), SendError> {
        match &self.state.lock().link {
            None => Err(SendError::Homeless),
            Some(link) => link
                .text(self.session(), text)
                .map_err(|QueueFull| SendError::Full),
        }
    }

    /// What is said while there is no home comes again.
    pub(crate) fn ack(&self, ack: Ack) {
        if let Some(link) = &self.state.lock().link {
            link.ack(self.session(), ack);
        }
    }

    /// Likewise.
    pub(crate) fn input(&self, frame: Bytes) {
        if let Some(link) = &self.state.lock().link {
            link.input(self.session(), frame);
        }
    }
}
