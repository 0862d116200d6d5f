//! What a session asks for and what it tells.

use std::time::Duration;

use crate::close::CloseCode;
use crate::control::{
    ChannelAttached, ChannelClosed, ChannelLost, ErrorMessage, EventCounts, EventSeat,
    EventsListed, GoAway, PrivateState, QueueState, Welcome,
};
use crate::frame::{Event, Snapshot};
use crate::input::InputRange;

/// What to do with the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Open a WebSocket to the address with this index, in place of any other.
    Connect {
        /// 0 to one less than the number of addresses.
        address: usize,
    },
    /// Send a text message.
    Text(String),
    /// Send a binary message.
    Binary(Vec<u8>),
    /// Close the WebSocket with this code.
    Close(CloseCode),
    /// Abandon the connection without waiting for its peer.
    Drop,
}

/// What a client should know.
#[derive(Debug, Clone)]
pub enum SessionEvent {
    /// Logged in, or resumed.
    Welcome(Welcome),
    /// A channel stands; with `recovered: false` its `state` replaces all that was known. For the
    /// room: forget the snapshots before it.
    Channel(ChannelAttached),
    /// A reliable event took effect: told once, in order.
    Event(Event),
    /// A newer state of the room.
    Snapshot(Snapshot),
    /// How the queue stands.
    QueueState(QueueState),
    /// Which events there are.
    EventsListed(EventsListed),
    /// How many seats of an event are free; never older than what was told before.
    EventCounts(EventCounts),
    /// How the private room stands that the player is in.
    Private(PrivateState),
    /// How the player stands in an event.
    EventSeat(EventSeat),
    /// The connection was lost; the session goes on by itself.
    Lost {
        /// The close code, if there was one.
        code: Option<u16>,
    },
    /// It is back, with the room if there was one.
    Restored {
        /// From the last message before to the first that counts after.
        freeze: Duration,
    },
    /// The origin of a channel is out of the gateway's reach for now.
    ChannelLost(ChannelLost),
    /// A channel ended.
    ChannelClosed(ChannelClosed),
    /// The gateway is going away.
    GoAway(GoAway),
    /// The server refused something.
    Refused(ErrorMessage),
    /// Inputs that this client gives up: too old to keep, or of a history that is gone.
    InputsGivenUp(InputRange),
    /// The server sent what cannot be read.
    Malformed(String),
    /// The session is over.
    Ended(Ended),
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// This client closed it.
    ByUs,
    /// The server said not to come back, with this code.
    Closed(Option<u16>),
    /// The token is of no use any more: [`super::Session::log_in`] with a new one goes on.
    LoginNeeded(Option<u16>),
}
