//! Which attachment of a player counts, decided at the origin.
//!
//! Attachments come through many gateways, any of which may be late: frozen and woken, or with a
//! queue that drains after the client has gone elsewhere. No clock is compared. Attempts of one
//! client are ordered by the number that the client gave them; of two clients, the one that
//! logged in last wins, and a session that lost can never win its player back by a resume.

use crate::id::{InstanceId, SessionId};

/// Who attaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Claim {
    /// The session.
    pub session: SessionId,
    /// The running client.
    pub instance: InstanceId,
    /// The client's connection, counted from 1.
    pub attempt: u32,
    /// Whether this connection logged in anew, rather than resumed.
    pub login: bool,
}

/// What becomes of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It counts from now on; the one before it, if of another session, is replaced.
    Accept,
    /// The same client has been seen on a later connection: close this one as superseded.
    Stale,
    /// The player has logged in elsewhere since: close this one as replaced.
    Replaced,
}

/// Decides between the attachment that counts and a new one.
pub fn judge(current: Option<&Claim>, new: &Claim) -> Verdict {
    let Some(current) = current else {
        return Verdict::Accept;
    };
    if current.session == new.session || current.instance == new.instance {
        return if new.attempt >= current.attempt {
            Verdict::Accept
        } else {
            Verdict::Stale
        };
    }
    if new.login {
        Verdict::Accept
    } else {
        Verdict::Replaced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(session: u64, instance: u64, attempt: u32, login: bool) -> Claim {
        Claim {
            session: SessionId(session),
            instance: InstanceId(instance),
            attempt,
            login,
        }
    }

    #[test]
    fn a_late_attach_of_the_same_client_is_stale() {
        let current = claim(1, 1, 3, false);
        assert_eq!(
            judge(Some(&current), &claim(1, 1, 2, false)),
            Verdict::Stale
        );
        assert_eq!(judge(Some(&current), &claim(2, 1, 1, true)), Verdict::Stale);
        assert_eq!(
            judge(Some(&current), &claim(1, 1, 3, false)),
            Verdict::Accept
        );
        assert_eq!(
            judge(Some(&current), &claim(1, 1, 4, false)),
            Verdict::Accept
        );
    }

    #[test]
    fn the_last_login_wins_and_the_loser_cannot_resume() {
        let first = claim(1, 1, 5, true);
        let second = claim(2, 2, 1, true);
        assert_eq!(judge(Some(&first), &second), Verdict::Accept);
        assert_eq!(
            judge(Some(&second), &claim(1, 1, 6, false)),
            Verdict::Replaced
        );
    }
}
