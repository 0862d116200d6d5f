//! How many sockets to Postgres there may be, and are.
//!
//! A socket counts from before it is connected until Postgres has closed its end, so that the
//! count here is never below what Postgres counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Counts sockets against a target that may change.
#[derive(Debug)]
pub(super) struct Limiter {
    counts: Mutex<Counts>,
    changed: Notify,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    /// How many there may be.
    pub(super) target: u32,
    /// How many there are: being connected, in use, idle, being closed.
    pub(super) open: u32,
    /// How many of those are to be closed.
    pub(super) leaving: u32,
}

/// One socket, in the hand of the task that drives it, dropped when it is closed at both ends.
#[derive(Debug)]
pub(super) struct Socket {
    limiter: Arc<Limiter>,
    leaving: Arc<AtomicBool>,
}

/// The same socket in the hand of whoever decides that it has to go.
#[derive(Debug)]
pub(super) struct Seat {
    limiter: Arc<Limiter>,
    leaving: Arc<AtomicBool>,
}

impl Limiter {
    pub(super) fn new(target: u32) -> Arc<Self> {
        Arc::new(Self {
            counts: Mutex::new(Counts {
                target,
                open: 0,
                leaving: 0,
            }),
            changed: Notify::new(),
        })
    }

    pub(super) fn set_target(&self, target: u32) {
        self.counts.lock().target = target;
        self.changed.notify_waiters();
    }

    pub(super) fn counts(&self) -> Counts {
        *self.counts.lock()
    }

    /// Waits until there may be one more socket. Cancel safe.
    pub(super) async fn socket(self: &Arc<Self>) -> Socket {
        self.when(|| self.try_socket()).await
    }

    /// One more socket, if there may be one.
    pub(super) fn try_socket(self: &Arc<Self>) -> Option<Socket> {
        let mut counts = self.counts.lock();
        if counts.open >= counts.target {
            return None;
        }
        counts.open += 1;
        Some(Socket {
            limiter: Arc::clone(self),
            leaving: Arc::default(),
        })
    }

    /// Waits until there are no more sockets than there may be. Cancel safe.
    pub(super) async fn fits(&self) {
        let fits = || {
            let counts = self.counts();
            (counts.open <= counts.target).then_some(())
        };
        self.when(fits).await;
    }

    async fn when<T>(&self, mut holds: impl FnMut() -> Option<T>) -> T {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Before looking, so that a change after the look is not missed.
            changed.as_mut().enable();
            if let Some(found) = holds() {
                return found;
            }
            changed.await;
        }
    }
}

impl Socket {
    pub(super) fn seat(&self) -> Seat {
        Seat {
            limiter: Arc::clone(&self.limiter),
            leaving: Arc::clone(&self.leaving),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        {
            let mut counts = self.limiter.counts.lock();
            counts.open -= 1;
            if self.leaving.swap(true, Ordering::Relaxed) {
                counts.leaving -= 1;
            }
        }
        self.limiter.changed.notify_waiters();
    }
}

impl Seat {
    /// This socket will be closed.
    pub(super) fn leave(&self) {
        let mut counts = self.limiter.counts.lock();
        if !self.leaving.swap(true, Ordering::Relaxed) {
            counts.leaving += 1;
        }
    }

    /// This socket will be closed if there are too many, not counting those that are going
    /// already. Says whether it is going.
    pub(super) fn leave_if_over(&self) -> bool {
        let mut counts = self.limiter.counts.lock();
        if self.leaving.load(Ordering::Relaxed) {
            return true;
        }
        let over = counts.open - counts.leaving > counts.target;
        if over {
            self.leaving.store(true, Ordering::Relaxed);
            counts.leaving += 1;
        }
        over
    }

    /// Waits until there are so many that this socket has to go.
    pub(super) async fn displaced(&self) {
        let displaced = || self.leave_if_over().then_some(());
        self.limiter.when(displaced).await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn sockets(limiter: &Arc<Limiter>, number: u32) -> Vec<Socket> {
        let one = |_| limiter.try_socket().expect("there may be one more");
        (0..number).map(one).collect()
    }

    #[test]
    fn only_as_many_leave_as_there_are_too_many() {
        let limiter = Limiter::new(5);
        let open = sockets(&limiter, 5);
        assert!(limiter.try_socket().is_none());
        limiter.set_target(3);
        let going: Vec<bool> = open.iter().map(|one| one.seat().leave_if_over()).collect();
        assert_eq!(going, [true, true, false, false, false]);
        assert!(open[0].seat().leave_if_over(), "one that goes still goes");
        drop(open);
        let counts = limiter.counts();
        assert_eq!((counts.open, counts.leaving), (0, 0));
    }

    #[test]
    fn one_that_leaves_counts_until_it_is_closed() {
        let limiter = Limiter::new(1);
        let only = sockets(&limiter, 1).remove(0);
        only.seat().leave();
        assert!(limiter.try_socket().is_none());
        let seat = only.seat();
        drop(only);
        seat.leave();
        assert_eq!(limiter.counts().leaving, 0, "it is gone already");
        assert!(limiter.try_socket().is_some());
    }

    #[test]
    fn waiting_ends_with_a_free_socket_and_with_a_higher_target() {
        let limiter = Limiter::new(1);
        let first = sockets(&limiter, 1);
        let mut waiting = Box::pin(limiter.socket());
        assert!((&mut waiting).now_or_never().is_none());
        drop(first);
        let second = waiting.now_or_never().expect("free");
        let mut waiting = Box::pin(limiter.socket());
        assert!((&mut waiting).now_or_never().is_none());
        limiter.set_target(2);
        assert!(waiting.now_or_never().is_some());
        drop(second);
    }
}
