//! Wishes for a party.

use protocol::control::{ErrorCode, ErrorMessage, PartyRef};

use crate::config::Mode;
use crate::store::Disagreement;
use crate::ticket::PartyCode;

/// Lengths of a code, in characters.
const CODE_LENGTH: std::ops::RangeInclusive<usize> = 4..=32;

/// A wish for a party, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartyWish {
    pub(super) code: PartyCode,
    pub(super) size: u8,
}

impl PartyWish {
    /// Checks a party for `mode`.
    pub(super) fn parse(party: &PartyRef, mode: &Mode) -> Result<Self, ErrorMessage> {
        let refused = |field: &str, message: String| {
            Err(ErrorMessage::new(ErrorCode::BadField, message).field(field))
        };
        if !CODE_LENGTH.contains(&party.code.chars().count()) {
            let (min, max) = (CODE_LENGTH.start(), CODE_LENGTH.end());
            let message = format!("a party's code has {min} to {max} characters");
            return refused("party.code", message);
        }
        let most = mode.largest_team();
        if !(2..=most).contains(&party.size) {
            let message = if most < 2 {
                "this mode has no parties".to_owned()
            } else {
                format!("a party in this mode has 2 to {most} members")
            };
            return refused("party.size", message);
        }
        Ok(Self {
            code: PartyCode::new(&party.code),
            size: party.size,
        })
    }
}

/// What to tell who does not fit in.
pub(super) fn mismatch(disagreement: Disagreement) -> ErrorMessage {
    let (field, message) = match disagreement {
        Disagreement::Mode => ("mode", "the party gathers for another mode"),
        Disagreement::Size => ("party.size", "the party gathers with another size"),
        Disagreement::Full => ("party.code", "the party is full"),
        Disagreement::Version => ("version", "the party plays another version of the game"),
        Disagreement::Attributes => ("attributes", "the party gathers with other attributes"),
        Disagreement::Regions => ("regions", "the party's members have no region in common"),
    };
    ErrorMessage::new(ErrorCode::PartyMismatch, message).field(field)
}
