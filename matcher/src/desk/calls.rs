//! Calls to the ticket store that the desk does not wait for: those that come in crowds.
//!
//! Where newcomers stand, who joins, which tickets are claimed, and which matches are over: of each
//! kind one call is under way, and what comes meanwhile goes into the next one. So the busier the
//! store is, the more each call does, and the desk works on while Redis does.
//!
//! What is under way about a player is not seen by what comes after it: mail of such a player waits
//! in the [`hall`](super::hall).

use std::future::Future;

use tracing::Instrument;

use super::Desk;
use super::ask::Answer;
use crate::store::{Added, Gathered, Standing};

/// What came of a call.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Where those stand who are asked about.
    Standings(Answer<Vec<Standing>>),
    /// What came of those who join, alone and to parties.
    Joined(Option<Answer<Vec<Added>>>, Option<Answer<Vec<Gathered>>>),
    /// Which matches have their tickets.
    Claimed(Answer<Vec<bool>>),
    /// Whether the store has heard which matches are over.
    Ended(Answer<()>),
}

impl Desk {
    /// Makes a call, whose reply comes back to the desk.
    pub(super) fn call(&self, call: impl Future<Output = Reply> + Send + 'static) {
        let replies = self.replies.clone();
        let call = async move {
            // An error means that the desk has ended.
            let _ = replies.send(call.await).await;
        };
        let span = tracing::info_span!("store");
        self.parts.drain.spawn("store", call.instrument(span));
    }

    /// A reply has come.
    pub(super) async fn replied(&mut self, reply: Reply) {
        match reply {
            Reply::Standings(answer) => {
                let standings = self.heed(answer);
                self.let_in(standings).await;
            }
            Reply::Joined(added, gathered) => {
                let added = added.map(|answer| self.heed(answer));
                let gathered = gathered.map(|answer| self.heed(answer));
                self.have_joined(added, gathered).await;
                self.open_doors().await;
            }
            Reply::Claimed(answer) => {
                let granted = self.heed(answer);
                self.have_claimed(granted).await;
            }
            Reply::Ended(answer) => {
                let heard = self.heed(answer);
                self.have_ended(heard);
            }
        }
        self.go_on().await;
    }

    /// Begins the calls that are to be made, as far as none of their kind is under way.
    pub(super) async fn go_on(&mut self) {
        self.ask_about_newcomers().await;
        self.flush_joins().await;
        self.tell_ends();
    }
}
