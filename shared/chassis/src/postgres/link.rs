//! A connection in the pool, and what bb8 has to know of it.

use std::sync::Arc;
use std::time::Duration;

use bb8::ManageConnection;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use super::config::Login;
use super::dial::{DialError, Dialled, dial};
use super::limiter::{Seat, Socket};
use super::pool::Shared;
use crate::backoff::Backoff;

/// A connection that is logged in.
pub(super) struct Link {
    pub(super) client: Client,
    /// A statement is being answered: one that is dropped like this is cancelled.
    pub(super) is_busy: bool,
    /// A transaction is open: one that is dropped like this is not used again.
    pub(super) is_open: bool,
    pub(super) idle_since: Instant,
    /// Set by whoever looks through the idle ones.
    pub(super) is_due: bool,
    generation: u64,
    born: Instant,
    /// By which its lifetime is stretched, so that those born together do not die together.
    stretch: f64,
    seat: Seat,
    given_up: Arc<Notify>,
}

impl Link {
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.seat.leave();
        if self.is_busy {
            self.given_up.notify_one();
        }
    }
}

/// Makes connections of one generation: with one login.
pub(super) struct Dialler {
    pub(super) shared: Arc<Shared>,
    pub(super) login: Arc<Login>,
    pub(super) generation: u64,
}

/// How long to wait after a failure.
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(1);

impl Dialler {
    /// Connects once.
    pub(super) async fn connect_on(&self, socket: Socket) -> Result<Link, DialError> {
        let outcome = dial(Arc::clone(&self.login), socket).await;
        if !matches!(outcome, Err(DialError::Displaced)) {
            self.shared.meters.connected(outcome.is_ok());
        }
        let Dialled {
            client,
            seat,
            given_up,
        } = outcome?;
        Ok(Link {
            client,
            is_busy: false,
            is_open: false,
            idle_since: Instant::now(),
            is_due: false,
            generation: self.generation,
            born: Instant::now(),
            stretch: rand::random_range(0.9..=1.1),
            seat,
            given_up,
        })
    }

    /// Connects as soon as there may be one more connection, and until it works: callers bring
    /// the deadline.
    async fn connect_for_pool(&self) -> Result<Link, DialError> {
        let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY);
        loop {
            let one_of_few = self.shared.logins.acquire().await;
            let socket = self.shared.limiter.socket().await;
            if self.shared.is_replaced(self.generation) {
                return Err(DialError::Replaced);
            }
            let connected = self.connect_on(socket).await;
            drop(one_of_few);
            match connected {
                // The pool may have shrunk meanwhile.
                Ok(link) if link.seat.leave_if_over() => drop(link),
                Ok(link) => {
                    self.shared.reached();
                    return Ok(link);
                }
                Err(DialError::Displaced) => {}
                Err(error) => {
                    self.shared.failed(error);
                    sleep(backoff.next()).await;
                }
            }
        }
    }
}

impl ManageConnection for Dialler {
    type Connection = Link;
    type Error = DialError;

    /// Ends at once when the generation is replaced.
    async fn connect(&self) -> Result<Link, DialError> {
        tokio::select! {
            () = self.shared.replaced(self.generation) => Err(DialError::Replaced),
            connected = self.connect_for_pool() => connected,
        }
    }

    /// Never asked: a statement on a dead connection says so sooner.
    async fn is_valid(&self, _: &mut Link) -> Result<(), DialError> {
        Ok(())
    }

    /// Asked whenever a connection comes back: here it is decided which are closed.
    fn has_broken(&self, link: &mut Link) -> bool {
        let lifetime = self.shared.limits().max_lifetime.mul_f64(link.stretch);
        let is_due = link.is_due
            || link.is_busy
            || link.is_open
            || link.is_closed()
            || self.shared.is_replaced(link.generation)
            || link.born.elapsed() >= lifetime;
        if is_due {
            link.seat.leave();
        }
        is_due || link.seat.leave_if_over()
    }
}
