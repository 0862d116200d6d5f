//! What an origin receives from a gateway, parsed once at the edge of the service.

use std::time::Duration;

use bytes::Bytes;
use protocol::attach::Claim;
use protocol::frame::{Ack, Frame, InputFrame};
use protocol::id::{Channel, Epoch, InstanceId, Offset, PlayerId, Position, RoomId, SessionId};
use protocol::log::Attach;

use crate::pb;
use crate::pb::to_origin_item::Item;

/// One thing that a gateway says of one session.
#[derive(Debug, Clone)]
pub enum Inbound {
    /// A client comes to the channel.
    Attach(AttachRequest),
    /// A client's connection ended.
    Detach {
        /// Whose.
        session: SessionId,
        /// Of which connection.
        attempt: u32,
        /// For good, rather than by a lost connection.
        leave: bool,
    },
    /// A client has everything up to here.
    Ack {
        /// Whose.
        session: SessionId,
        /// Up to where; its channel is the origin's own.
        ack: Ack,
    },
    /// A control message that the gateway has parsed before.
    Text {
        /// Whose.
        session: SessionId,
        /// As it came.
        text: String,
    },
    /// Steps of input.
    Input {
        /// Whose.
        session: SessionId,
        /// As the gateway checked it.
        input: InputFrame,
    },
}

/// A client comes to a channel.
#[derive(Debug, Clone)]
pub struct AttachRequest {
    /// Who, and by which connection.
    pub claim: Claim,
    /// The player.
    pub player: PlayerId,
    /// The player's name.
    pub name: String,
    /// Whether it is a bot of ours.
    pub bot: bool,
    /// The player's rating, as the login said.
    pub rating: i32,
    /// How uncertain it is, in rating points: 0 if nothing is known of that.
    pub deviation: u32,
    /// How it comes.
    pub mode: Attach,
    /// The room to attach to; `None` at a matcher.
    pub room: Option<RoomId>,
    /// Without a seat in that room, to be shown what happens there so much later.
    pub watch: Option<Duration>,
}

/// Why an item is not one that this build can take. Items of later releases are among them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InboundError {
    /// An item of a kind that this build does not know, or none.
    #[error("item is of no known kind")]
    Unknown,
    /// An attach without a known mode.
    #[error("attach of {0} has no known mode")]
    Mode(SessionId),
    /// A frame that is no input.
    #[error("input of {0} is no input frame")]
    Input(SessionId),
}

impl Inbound {
    /// Parses one item; `None` for those that are the stream's own (hello, beat). `channel` is
    /// the origin's.
    ///
    /// # Errors
    /// [`InboundError`]: log it and go on with the next item.
    pub fn parse(item: Item, channel: Channel) -> Result<Option<Self>, InboundError> {
        Ok(Some(match item {
            Item::Hello(_) | Item::Beat(_) => return Ok(None),
            Item::Attach(attach) => Self::Attach(AttachRequest::parse(attach)?),
            Item::Detach(detach) => Self::Detach {
                session: SessionId(detach.session),
                attempt: detach.attempt,
                leave: detach.leave,
            },
            Item::Ack(ack) => Self::Ack {
                session: SessionId(ack.session),
                ack: Ack {
                    channel,
                    epoch: Epoch(ack.epoch),
                    offset: Offset(ack.offset),
                    resend: ack.resend,
                },
            },
            Item::Text(text) => Self::Text {
                session: SessionId(text.session),
                text: text.text,
            },
            Item::Input(input) => {
                let session = SessionId(input.session);
                Self::Input {
                    session,
                    input: input_frame(session, &input.frame)?,
                }
            }
        }))
    }
}

fn input_frame(session: SessionId, bytes: &Bytes) -> Result<InputFrame, InboundError> {
    match Frame::decode(bytes) {
        Ok(Frame::Input(input)) => Ok(input),
        _ => Err(InboundError::Input(session)),
    }
}

impl AttachRequest {
    fn parse(attach: pb::Attach) -> Result<Self, InboundError> {
        let session = SessionId(attach.session);
        let position = Position {
            epoch: Epoch(attach.epoch),
            offset: Offset(attach.offset),
        };
        let mode = match attach.mode() {
            pb::AttachMode::Fresh => Attach::Fresh,
            pb::AttachMode::Resume => Attach::Resume(position),
            pb::AttachMode::Continue => Attach::Continue,
            pb::AttachMode::Unspecified => return Err(InboundError::Mode(session)),
        };
        let room = attach
            .watch
            .as_ref()
            .map_or(attach.room, |watch| watch.room);
        Ok(Self {
            claim: Claim {
                session,
                instance: InstanceId(attach.instance),
                attempt: attach.attempt,
                login: attach.login,
            },
            player: PlayerId(attach.player),
            name: attach.name,
            bot: attach.bot,
            rating: attach.rating,
            deviation: attach.deviation,
            mode,
            room: (room != 0).then_some(RoomId(room)),
            watch: attach.watch.map(|watch| millis(watch.delay_ms)),
        })
    }

    /// The message that a gateway sends for it.
    pub fn to_item(&self) -> pb::ToOriginItem {
        let (mode, position) = match self.mode {
            Attach::Fresh => (pb::AttachMode::Fresh, None),
            Attach::Resume(position) => (pb::AttachMode::Resume, Some(position)),
            Attach::Continue => (pb::AttachMode::Continue, None),
        };
        let room = self.room.map_or(0, |room| room.0);
        let watch = self.watch.map(|delay| pb::Watch {
            room,
            delay_ms: u32::try_from(delay.as_millis()).unwrap_or(u32::MAX),
        });
        let attach = pb::Attach {
            session: self.claim.session.0,
            player: self.player.0,
            instance: self.claim.instance.0,
            attempt: self.claim.attempt,
            login: self.claim.login,
            mode: mode.into(),
            epoch: position.map_or(0, |position| position.epoch.0),
            offset: position.map_or(0, |position| position.offset.0),
            name: self.name.clone(),
            bot: self.bot,
            rating: self.rating,
            deviation: self.deviation,
            // Whoever does not know of watching is not to take it for an attach to a seat.
            room: if watch.is_some() { 0 } else { room },
            watch,
        };
        pb::ToOriginItem {
            item: Some(Item::Attach(attach)),
        }
    }
}

fn millis(millis: u32) -> Duration {
    Duration::from_millis(u64::from(millis))
}
