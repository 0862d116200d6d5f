//! The task that keeps tapes: what games took in, to be run again.

use std::sync::Arc;
use std::time::Duration;

use chassis::backoff::Backoff;
use chassis::telemetry::Chain;
use engine::{Segment, Tapes};
use protocol::id::RoomId;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// Pieces that may wait for the store: of 500 rooms, half a minute's.
pub(crate) const WAITING: usize = 16 * 1024;

/// Longest that one attempt may take, and a piece altogether.
const ATTEMPT: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(60);

/// Keeps what comes until every sender is gone.
pub(crate) async fn keep(
    tapes: Arc<dyn Tapes>,
    mut pieces: mpsc::Receiver<(RoomId, Segment)>,
    keep_for: Duration,
) {
    while let Some((room, segment)) = pieces.recv().await {
        if keep_for.is_zero() {
            continue;
        }
        let began = Instant::now();
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        loop {
            match timeout(ATTEMPT, tapes.append(room, &segment, keep_for)).await {
                Ok(Ok(())) => break,
                Ok(Err(error)) => {
                    tracing::debug!(%room, error = %Chain(&error), "a piece of a tape is not kept yet");
                }
                Err(_) => tracing::debug!(%room, "keeping a piece of a tape timed out"),
            }
            if began.elapsed() >= PATIENCE {
                tracing::warn!(%room, "a piece of a tape is given up; the tape has a hole");
                break;
            }
            tokio::time::sleep(backoff.next()).await;
        }
    }
}
