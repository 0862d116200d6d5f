//! Which attachment of a player counts, decided at the origin.
//!
//! Attachments come through many gateways, any of which may be late: frozen and woken, or with a
//! queue that drains after the client has gone elsewhere. No clock is compared. Attempts of one
//! client are ordered by the number that the client gave them; of two clients, the one whose
//! session came last wins, and a session that lost does not win its player back by a resume.

use std::collections::VecDeque;

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

/// Sessions that an origin remembers to have been displaced. Over it the oldest is forgotten, and
/// counts as never seen if it ever comes back.
const FORMER: usize = 8;

/// Who holds a player's place at an origin: the attachment that counts, or was the last to count,
/// and the sessions that lost the place before.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Holder {
    current: Option<Claim>,
    /// At most [`FORMER`], the oldest first; the current session is never among them.
    former: VecDeque<SessionId>,
}

impl Holder {
    /// The attachment that counts, or was the last to count.
    pub fn current(&self) -> Option<&Claim> {
        self.current.as_ref()
    }

    /// Decides between the attachment that counts and a new one. Nothing changes.
    ///
    /// A session that was never seen here counts as a login even if it says that it resumes: the
    /// connection that logged in may have died before this origin heard of it.
    pub fn judge(&self, new: &Claim) -> Verdict {
        let Some(current) = &self.current else {
            return Verdict::Accept;
        };
        if current.session == new.session || current.instance == new.instance {
            return match new.attempt >= current.attempt {
                true => Verdict::Accept,
                false => Verdict::Stale,
            };
        }
        // A session logs in once: the login of one that has lost is a late repeat of it.
        match self.former.contains(&new.session) {
            true => Verdict::Replaced,
            false => Verdict::Accept,
        }
    }

    /// Makes `claim` the attachment that counts, and gives the one before it.
    pub fn accept(&mut self, claim: Claim) -> Option<Claim> {
        let before = self.current.replace(claim);
        self.former.retain(|session| *session != claim.session);
        if let Some(before) = before.filter(|before| before.session != claim.session) {
            if self.former.len() == FORMER {
                self.former.pop_front();
            }
            self.former.push_back(before.session);
        }
        before
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

    fn held_by(claims: &[Claim]) -> Holder {
        let mut holder = Holder::default();
        for claim in claims {
            assert_eq!(holder.judge(claim), Verdict::Accept);
            holder.accept(*claim);
        }
        holder
    }

    #[test]
    fn a_late_attach_of_the_same_client_is_stale() {
        let holder = held_by(&[claim(1, 1, 3, false)]);
        assert_eq!(holder.judge(&claim(1, 1, 2, false)), Verdict::Stale);
        assert_eq!(holder.judge(&claim(2, 1, 1, true)), Verdict::Stale);
        assert_eq!(holder.judge(&claim(1, 1, 3, false)), Verdict::Accept);
        assert_eq!(holder.judge(&claim(1, 1, 4, false)), Verdict::Accept);
    }

    #[test]
    fn the_last_login_wins_and_the_loser_cannot_come_back() {
        let holder = held_by(&[claim(1, 1, 5, true), claim(2, 2, 1, true)]);
        assert_eq!(holder.judge(&claim(1, 1, 6, false)), Verdict::Replaced);
        // Its login, repeated by a gateway that never heard the answer.
        assert_eq!(holder.judge(&claim(1, 1, 5, true)), Verdict::Replaced);
        assert_eq!(holder.judge(&claim(3, 1, 6, true)), Verdict::Accept);
    }

    #[test]
    fn a_login_whose_first_connection_was_never_seen_counts_when_it_resumes() {
        let holder = held_by(&[claim(1, 1, 5, true)]);
        assert_eq!(holder.judge(&claim(2, 2, 2, false)), Verdict::Accept);
        let holder = held_by(&[claim(1, 1, 5, true), claim(2, 2, 2, false)]);
        assert_eq!(holder.judge(&claim(1, 1, 6, false)), Verdict::Replaced);
    }

    #[test]
    fn every_session_of_a_client_that_lost_has_lost() {
        let holder = held_by(&[
            claim(1, 1, 1, true),
            claim(2, 1, 2, true),
            claim(3, 3, 1, true),
        ]);
        assert_eq!(holder.judge(&claim(1, 1, 1, true)), Verdict::Replaced);
        assert_eq!(holder.judge(&claim(2, 1, 3, false)), Verdict::Replaced);
    }

    #[test]
    fn a_client_that_falls_back_to_its_earlier_session_has_not_lost_it() {
        // The answer to its second login was lost, so it resumes what it knows.
        let holder = held_by(&[
            claim(1, 1, 1, true),
            claim(2, 1, 2, true),
            claim(1, 1, 3, false),
        ]);
        assert_eq!(holder.judge(&claim(1, 1, 4, false)), Verdict::Accept);
    }

    #[test]
    fn the_memory_of_losers_is_bounded_and_the_oldest_is_forgotten() {
        let count = FORMER as u64 + 2;
        let claims: Vec<Claim> = (1..=count).map(|n| claim(n, n, 1, true)).collect();
        let holder = held_by(&claims);
        assert_eq!(holder.former.len(), FORMER);
        assert_eq!(holder.judge(&claim(2, 2, 2, false)), Verdict::Replaced);
        assert_eq!(holder.judge(&claim(1, 1, 2, false)), Verdict::Accept);
    }
}
