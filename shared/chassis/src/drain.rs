//! Leaving in order. Whoever works on something holds a guard; a drain tells everyone to finish
//! and waits, up to a deadline, until the last guard is gone.
//!
//! The order is the caller's: turn unready, stop accepting, tell clients, wait for the guards.

use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::Instrument;

/// The drain of a process or of one service in it. Clones are the same drain.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    begun: CancellationToken,
    working: TaskTracker,
}

/// Work that a drain waits for; dropping it says that the work is done.
#[derive(Debug)]
pub struct DrainGuard {
    _token: TaskTrackerToken,
}

/// The deadline of a drain passed while work was going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{count} tasks or sessions were still at work when the drain's deadline passed")]
pub struct Stragglers {
    /// How many guards were still held.
    pub count: usize,
}

impl Drain {
    /// A drain that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins the drain. Beginning twice is beginning once.
    pub fn begin(&self) {
        self.working.close();
        self.begun.cancel();
    }

    /// Whether the drain has begun.
    pub fn is_draining(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Waits until the drain begins. Cancel safe.
    pub async fn started(&self) {
        self.begun.cancelled().await;
    }

    /// A guard that the drain waits for. One may be taken while draining, too: work often ends
    /// by way of a little more work.
    pub fn guard(&self) -> DrainGuard {
        DrainGuard {
            _token: self.working.token(),
        }
    }

    /// How many guards and tasks are held now.
    pub fn held(&self) -> usize {
        self.working.len()
    }

    /// Waits until the drain has begun and every guard is gone, for at most `deadline` from now.
    ///
    /// # Errors
    /// [`Stragglers`] if some were still held then.
    pub async fn finished(&self, deadline: Duration) -> Result<(), Stragglers> {
        let waited = tokio::time::timeout(deadline, self.working.wait()).await;
        waited.map_err(|_| Stragglers {
            count: self.working.len(),
        })
    }

    /// Spawns a task that holds a guard, inside a span that carries its name. A panic in it is
    /// logged once as an ERROR and counted (`task_panics_total`); the task then counts as done.
    ///
    /// A span costs some hundred bytes: tasks of which there are thousands, such as idle
    /// connections, take a [`guard`](Self::guard) and spawn themselves.
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let guarded = async move {
            // What the future held is dropped with it, so nobody sees a state broken half way,
            // except through locks, and those of parking_lot do not poison either.
            if AssertUnwindSafe(future).catch_unwind().await.is_err() {
                metrics::counter!("task_panics_total", "task" => name).increment(1);
                tracing::error!(task = name, "a task panicked");
            }
        };
        self.working
            .spawn(guarded.instrument(tracing::info_span!("task", task = name)))
    }

    /// Takes SIGTERM and SIGINT over, at once. The future begins the drain at the first of them
    /// and is done at the second, when the caller should exit without waiting any longer.
    ///
    /// # Errors
    /// The system refused the handlers.
    pub fn signals(&self) -> io::Result<impl Future<Output = ()> + Send + use<>> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let drain = self.clone();
        Ok(async move {
            for times in 1..=2 {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                tracing::info!(signal = name, times, "signal received");
                drain.begin();
            }
        })
    }
}

/// The times that somebody asks for a reload.
#[derive(Debug)]
pub struct Reloads([Signal; 2]);

/// Takes SIGHUP and SIGUSR1 over, at once: both mean the same.
///
/// # Errors
/// The system refused the handler.
pub fn reloads() -> io::Result<Reloads> {
    let hangup = signal(SignalKind::hangup())?;
    Ok(Reloads([hangup, signal(SignalKind::user_defined1())?]))
}

impl Reloads {
    /// Waits for the next signal. Several that arrive while nobody waits count as one: a reload
    /// reads what is there now. Cancel safe.
    pub async fn next(&mut self) {
        let [hangup, user] = &mut self.0;
        let asked = tokio::select! {
            asked = hangup.recv() => asked,
            asked = user.recv() => asked,
        };
        if asked.is_none() {
            // The runtime is shutting down: there is no next one.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_drain_is_finished_when_the_last_guard_is_dropped() {
        let drain = Drain::new();
        let guard = drain.guard();
        drain.begin();
        let late = drain.guard();
        drop(guard);
        let stragglers = drain.finished(Duration::from_secs(5)).await;
        assert_eq!(stragglers, Err(Stragglers { count: 1 }));
        drop(late);
        assert_eq!(drain.finished(Duration::from_secs(5)).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_told_that_the_drain_has_started_and_waited_for() {
        let drain = Drain::new();
        let told = drain.clone();
        drain.spawn("worker", async move { told.started().await });
        assert!(!drain.is_draining());
        assert_eq!(drain.held(), 1);
        drain.begin();
        assert_eq!(drain.finished(Duration::from_secs(1)).await, Ok(()));
    }

    #[tokio::test]
    async fn a_panic_in_a_task_ends_only_that_task() {
        let drain = Drain::new();
        let task = drain.spawn("doomed", async { panic!("expected by the test") });
        assert!(
            task.await.is_ok(),
            "the panic is consumed where it is logged"
        );
        drain.begin();
        assert_eq!(drain.finished(Duration::from_secs(5)).await, Ok(()));
    }

    fn raise(signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::getpid(), signal).expect("raise");
    }

    #[tokio::test]
    async fn the_first_signal_drains_and_the_second_asks_to_exit_now() {
        let drain = Drain::new();
        let exit_now = tokio::spawn(drain.signals().expect("handlers"));
        raise(rustix::process::Signal::TERM);
        drain.started().await;
        assert!(!exit_now.is_finished());
        raise(rustix::process::Signal::INT);
        exit_now.await.expect("second signal");
    }

    #[tokio::test]
    async fn a_hangup_asks_for_a_reload_and_so_does_a_user_signal() {
        let mut reloads = reloads().expect("handler");
        for signal in [rustix::process::Signal::HUP, rustix::process::Signal::USR1] {
            raise(signal);
            reloads.next().await;
        }
    }

    #[tokio::test]
    async fn a_drain_is_not_finished_before_it_begins() {
        let drain = Drain::new();
        assert!(drain.finished(Duration::ZERO).await.is_err());
    }
}
