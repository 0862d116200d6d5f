//! What comes into a room from outside.

use protocol::attach::Claim;
use protocol::control::Data;
use protocol::frame::{Ack, InputFrame};
use protocol::id::{Epoch, PlayerId};
use protocol::log;
use serde::{Deserialize, Serialize};

use crate::game::Seat;

/// One thing from outside. A journal of these, with the ticks that they came after, is a room's
/// whole history; nothing else may change a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A player comes, or comes back.
    Attach(Attach),
    /// A player's connection is lost.
    Detach {
        /// Whose.
        seat: Seat,
        /// Which connection.
        attempt: u32,
    },
    /// A player leaves for good.
    Leave {
        /// Whose.
        seat: Seat,
        /// By which connection.
        attempt: u32,
    },
    /// A player has received events.
    Ack {
        /// Whose.
        seat: Seat,
        /// Up to where.
        ack: Ack,
    },
    /// A player's input.
    Input {
        /// Whose.
        seat: Seat,
        /// As it came.
        #[serde(with = "input_frame")]
        input: InputFrame,
    },
    /// A player says something.
    Say {
        /// Who.
        seat: Seat,
        /// To whom; `None`: to all.
        to: Option<Seat>,
        /// What.
        #[serde(with = "data_text")]
        data: Data,
    },
}

/// A player comes, or comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// The player.
    pub player: PlayerId,
    /// By which connection.
    pub claim: Claim,
    /// With what it has.
    pub mode: log::Attach,
    /// Names the new history if the old one cannot be continued: the caller draws it, because a
    /// room has no randomness of its own.
    pub epoch: Epoch,
}

/// What was said is kept as text: raw JSON would bind a journal to JSON.
mod data_text {
    use protocol::control::Data;
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(data: &Data, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(data.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Data, D::Error> {
        let text = String::deserialize(deserializer)?;
        Data::parse(&text).map_err(D::Error::custom)
    }
}

/// An input is kept as its frame: the wire's own form is compact and versioned.
mod input_frame {
    use bytes::Bytes;
    use protocol::frame::{Frame, InputFrame};
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(
        input: &InputFrame,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&Frame::Input(*input).encode())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<InputFrame, D::Error> {
        let bytes = Bytes::from(Vec::<u8>::deserialize(deserializer)?);
        match Frame::decode(&bytes) {
            Ok(Frame::Input(input)) => Ok(input),
            Ok(_) => Err(D::Error::custom("expected an input frame")),
            Err(error) => Err(D::Error::custom(error)),
        }
    }
}

#[cfg(test)]
mod tests;
