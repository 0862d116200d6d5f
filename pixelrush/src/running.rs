//! Services at work, until they have drained.

use tokio::task::JoinHandle;

/// Services at work.
pub(crate) struct Running {
    tasks: Vec<JoinHandle<()>>,
    /// Answers until the very end.
    _admin: AbortOnDrop,
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Running {
    pub(crate) fn new(tasks: Vec<JoinHandle<()>>, admin: JoinHandle<()>) -> Self {
        Self {
            tasks,
            _admin: AbortOnDrop(admin),
        }
    }

    /// Waits until every service has drained.
    pub(crate) async fn finished(self) {
        for task in self.tasks {
            // One that panicked has said so.
            let _ = task.await;
        }
    }
}
