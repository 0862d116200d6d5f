//! Notices that a file has changed.
//!
//! By looking once a second at what is in it, not by the kernel's notifications: those do not
//! come for files that are mounted over a network, and are of the wrong file where a name is a
//! link that is moved, as Kubernetes does it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

const LOOK: Duration = Duration::from_secs(1);

/// The times that a file changes.
#[derive(Debug)]
pub struct Changes {
    file: Option<PathBuf>,
    /// What was told last.
    told: Option<Vec<u8>>,
    /// What the last look found.
    seen: Option<Vec<u8>>,
    look: Interval,
}

impl Changes {
    /// Of `file` as it is now; without one there are none.
    pub fn of(file: Option<&Path>) -> Self {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let now = file.and_then(|file| std::fs::read(file).ok());
        Self {
            file: file.map(Path::to_owned),
            told: now.clone(),
            seen: now,
            look,
        }
    }

    /// Waits until what is in the file has changed, and then not for a second, so that whoever
    /// writes it is done. A file that is not there has not changed. Cancel safe.
    pub async fn next(&mut self) {
        let Some(file) = &self.file else {
            return std::future::pending().await;
        };
        loop {
            self.look.tick().await;
            let read = file.clone();
            let read = tokio::task::spawn_blocking(move || std::fs::read(read).ok()).await;
            let Ok(now) = read else {
                continue;
            };
            let is_calm = now == self.seen;
            self.seen = now;
            if is_calm && self.seen.is_some() && self.seen != self.told {
                self.told.clone_from(&self.seen);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_once_when_it_is_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("settings");
        std::fs::write(&file, "one").expect("written");
        let mut changes = Changes::of(Some(&file));
        assert!(changes.next().now_or_never().is_none());
        std::fs::remove_file(&file).expect("removed");
        assert!(
            tokio::time::timeout(LOOK * 3, changes.next())
                .await
                .is_err()
        );
        std::fs::write(&file, "two").expect("written");
        let told = tokio::time::timeout(LOOK * 5, changes.next()).await;
        assert!(told.is_ok());
        let again = tokio::time::timeout(LOOK * 3, changes.next()).await;
        assert!(again.is_err(), "once");
    }
}
