//! The queue for connections: served in the order in which callers came.
//!
//! A turn is a permit of a fair semaphore. When the pool shrinks, permits that nobody holds are
//! forgotten at once, and those that are held are a debt, paid as they come back. When it grows,
//! the debt is paid first.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Turns to hold a connection.
#[derive(Debug)]
pub(super) struct Turns {
    semaphore: Arc<Semaphore>,
    size: Mutex<Size>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    /// How many may hold one.
    pub(super) max: u32,
    /// How many more than that still do.
    pub(super) debt: u32,
}

/// The right to hold one connection.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Turns>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Turns {
    pub(super) fn new(max: u32) -> Arc<Self> {
        Arc::new(Self {
            semaphore: Arc::new(Semaphore::new(max as usize)),
            size: Mutex::new(Size { max, debt: 0 }),
        })
    }

    /// Waits for a turn. Cancel safe: who gives up loses its place.
    pub(super) async fn turn(self: &Arc<Self>) -> Turn {
        let permit = Arc::clone(&self.semaphore).acquire_owned().await;
        Turn {
            turns: Arc::clone(self),
            permit: Some(permit.expect("the semaphore is never closed")),
        }
    }

    pub(super) fn size(&self) -> Size {
        *self.size.lock()
    }

    pub(super) fn resize(&self, max: u32) {
        let mut size = self.size.lock();
        if max >= size.max {
            let more = max - size.max;
            let paid = more.min(size.debt);
            size.debt -= paid;
            self.semaphore.add_permits((more - paid) as usize);
        } else {
            let fewer = size.max - max;
            let forgotten = self.semaphore.forget_permits(fewer as usize);
            // It forgets at most what it was asked to.
            size.debt += fewer - u32::try_from(forgotten).unwrap_or(fewer);
        }
        size.max = max;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let permit = self.permit.take();
        let mut size = self.turns.size.lock();
        if size.debt > 0 {
            size.debt -= 1;
            permit.into_iter().for_each(OwnedSemaphorePermit::forget);
        } else {
            // Under the lock, or a resize between could count it as held.
            drop(permit);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn take(turns: &Arc<Turns>) -> Option<Turn> {
        turns.turn().now_or_never()
    }

    #[test]
    fn a_debt_is_paid_by_those_who_come_back_before_anyone_else_has_a_turn() {
        let turns = Turns::new(3);
        let mut held: Vec<Turn> = (0..3).filter_map(|_| take(&turns)).collect();
        turns.resize(1);
        assert_eq!(turns.size(), Size { max: 1, debt: 2 });
        held.truncate(1);
        assert_eq!(turns.size(), Size { max: 1, debt: 0 });
        assert!(take(&turns).is_none(), "one is held, one may be");
        held.clear();
        assert!(take(&turns).is_some());
    }

    #[test]
    fn growing_pays_the_debt_first() {
        let turns = Turns::new(4);
        let held: Vec<Turn> = (0..4).filter_map(|_| take(&turns)).collect();
        turns.resize(1);
        turns.resize(5);
        assert_eq!(turns.size(), Size { max: 5, debt: 0 });
        let fifth = take(&turns);
        assert!(fifth.is_some() && take(&turns).is_none());
        drop((held, fifth));
        let all: Vec<Turn> = std::iter::from_fn(|| take(&turns)).collect();
        assert_eq!(all.len(), 5);
    }

    #[test]
    fn turns_are_given_in_the_order_of_asking() {
        let turns = Turns::new(1);
        let held = take(&turns);
        let mut first = Box::pin(turns.turn());
        let mut second = Box::pin(turns.turn());
        assert!((&mut first).now_or_never().is_none());
        assert!((&mut second).now_or_never().is_none());
        drop(held);
        assert!((&mut second).now_or_never().is_none());
        assert!(first.now_or_never().is_some());
    }
}
