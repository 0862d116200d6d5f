//! Receipts: by one a client brings back its ticket, with its age, when no matcher and no store
//! knows it any more.
//!
//! A receipt is of a ticket of one player, and brings back a ticket of that very name. The store has
//! a name once, and remembers those that are gone for [`REMEMBERED`]; a receipt is good for less than
//! that from when it was signed, so it cannot bring back what was left or matched since. Only a store
//! that lost this as well lets that happen, once.

use std::time::Duration;

use protocol::control::{ErrorCode, ErrorMessage};
use protocol::id::{PlayerId, TicketId};
use protocol::time::Timestamp;
use rpc::token::{Receipt, Signer, TokenError};

use super::player::Queued;
use crate::config::ModeName;
use crate::store::REMEMBERED;

/// Who waits for less gets none: most tickets are matched by then.
const FIRST_AFTER: Duration = Duration::from_secs(2);

/// How often a client that waits gets another one.
const EVERY: Duration = Duration::from_secs(30);

/// How long each is good for: shorter than [`REMEMBERED`] by more than clocks differ.
const LIFETIME: Duration = REMEMBERED.saturating_sub(Duration::from_secs(15));

/// A ticket that is brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Brought {
    pub(super) ticket: TicketId,
    pub(super) since: Timestamp,
}

/// A receipt for who waits, if it is time for one.
pub(super) fn due(
    signer: &Signer,
    id: PlayerId,
    queued: &mut Queued,
    now: Timestamp,
) -> Option<String> {
    let ticket = queued.ticket.as_ref()?;
    let due = queued
        .receipt_at
        .unwrap_or(ticket.enqueued_at + FIRST_AFTER);
    if now < due || ticket.members.len() != 1 {
        return None;
    }
    queued.receipt_at = Some(now + EVERY);
    let receipt = Receipt {
        player: id,
        ticket: ticket.id,
        mode: ticket.mode.to_string(),
        since: ticket.enqueued_at.0,
    };
    Some(signer.sign(receipt, LIFETIME))
}

/// What a receipt brings back to `player`, who joins `mode` alone.
pub(super) fn read(
    signer: &Signer,
    receipt: &str,
    player: PlayerId,
    mode: &ModeName,
    now: Timestamp,
) -> Result<Brought, ErrorMessage> {
    let refused = |code, text: &str| {
        let text = format!("{text}; you queue as if you had none");
        Err(ErrorMessage::new(code, text).field("receipt"))
    };
    match signer.check::<Receipt>(receipt) {
        Ok(receipt) if receipt.player != player => {
            refused(ErrorCode::TokenInvalid, "this receipt is another player's")
        }
        Ok(receipt) if receipt.mode != mode.as_str() => {
            refused(ErrorCode::BadField, "this receipt is of another mode")
        }
        Ok(receipt) => Ok(Brought {
            ticket: receipt.ticket,
            since: Timestamp(receipt.since).min(now),
        }),
        Err(error @ TokenError::Expired) => refused(ErrorCode::TokenExpired, &error.to_string()),
        Err(error @ TokenError::Invalid) => refused(ErrorCode::TokenInvalid, &error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> Signer {
        Signer::new(&[7; 32]).unwrap()
    }

    fn receipt() -> Receipt {
        Receipt {
            player: PlayerId(1),
            ticket: TicketId(2),
            mode: "race".to_owned(),
            since: 5_000_000,
        }
    }

    fn reading(text: &str) -> Result<Brought, (ErrorCode, Option<String>)> {
        let mode = "race".parse().unwrap();
        let brought = read(&signer(), text, PlayerId(1), &mode, Timestamp(9_000_000));
        brought.map_err(|error| (error.code, error.field))
    }

    #[test]
    fn a_receipt_is_good_for_its_own_player_mode_and_deployment() {
        let sign = |receipt| signer().sign(receipt, LIFETIME);
        let brought = reading(&sign(receipt())).unwrap();
        assert_eq!(
            (brought.ticket, brought.since),
            (TicketId(2), Timestamp(5_000_000))
        );
        let field = || Some("receipt".to_owned());
        let others = Receipt {
            player: PlayerId(3),
            ..receipt()
        };
        assert_eq!(
            reading(&sign(others)),
            Err((ErrorCode::TokenInvalid, field()))
        );
        let duel = Receipt {
            mode: "duel".to_owned(),
            ..receipt()
        };
        assert_eq!(reading(&sign(duel)), Err((ErrorCode::BadField, field())));
        let foreign = Signer::new(&[8; 32]).unwrap().sign(receipt(), LIFETIME);
        assert_eq!(reading(&foreign), Err((ErrorCode::TokenInvalid, field())));
        assert_eq!(reading("forged"), Err((ErrorCode::TokenInvalid, field())));
    }

    #[test]
    fn a_receipt_ages_nobody_into_the_future() {
        let late = Receipt {
            since: u64::MAX,
            ..receipt()
        };
        let brought = reading(&signer().sign(late, LIFETIME)).unwrap();
        assert_eq!(brought.since, Timestamp(9_000_000));
    }
}
