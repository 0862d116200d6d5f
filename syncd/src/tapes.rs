//! The task that keeps tapes: what games took in, to be run again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chassis::backoff::Backoff;
use chassis::telemetry::Chain;
use engine::{Segment, Tapes};
use futures_util::{StreamExt, stream};
use protocol::id::RoomId;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// Pieces that may wait for the store: of 500 rooms, half a minute's.
pub(crate) const WAITING: usize = 16 * 1024;

/// Longest that one attempt may take, and a piece altogether.
const ATTEMPT: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(60);

/// Rooms that are written at once.
const AT_ONCE: usize = 128;

/// Pieces that come within this time are written together.
const GATHER: Duration = Duration::from_millis(250);

/// Longest that the pieces of a node that stops are waited for.
const LAST: Duration = Duration::from_secs(1);

/// Keeps what comes until `stop`, and then what has come by then.
pub(crate) async fn keep(
    tapes: Arc<dyn Tapes>,
    mut pieces: mpsc::Receiver<(RoomId, Segment)>,
    keep_for: Duration,
    stop: CancellationToken,
) {
    let mut batch = Vec::new();
    let going = async {
        while pieces.recv_many(&mut batch, WAITING).await > 0 {
            tokio::time::sleep(GATHER).await;
            take_waiting(&mut pieces, &mut batch);
            // What is being kept when the node stops stays in the batch until it is.
            keep_all(&*tapes, &batch, keep_for).await;
            batch.clear();
        }
    };
    if stop.run_until_cancelled(going).await.is_none() {
        take_waiting(&mut pieces, &mut batch);
        let last = keep_all(&*tapes, &batch, keep_for);
        if timeout(LAST, last).await.is_err() {
            tracing::warn!("the last pieces of tapes are not kept");
        }
    }
}

fn take_waiting(
    pieces: &mut mpsc::Receiver<(RoomId, Segment)>,
    batch: &mut Vec<(RoomId, Segment)>,
) {
    while let Ok(piece) = pieces.try_recv() {
        batch.push(piece);
    }
}

/// A room's in order, all rooms' at once, so many of them: over one connection they go in a few
/// writes.
async fn keep_all(tapes: &dyn Tapes, batch: &[(RoomId, Segment)], keep_for: Duration) {
    if keep_for.is_zero() {
        return;
    }
    let mut rooms: BTreeMap<RoomId, Vec<&Segment>> = BTreeMap::new();
    for (room, segment) in batch {
        rooms.entry(*room).or_default().push(segment);
    }
    stream::iter(rooms)
        .for_each_concurrent(AT_ONCE, |(room, segments)| async move {
            for segment in segments {
                keep_one(tapes, room, segment, keep_for).await;
            }
        })
        .await;
}

async fn keep_one(tapes: &dyn Tapes, room: RoomId, segment: &Segment, keep_for: Duration) {
    let began = Instant::now();
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
    loop {
        match timeout(ATTEMPT, tapes.append(room, segment, keep_for)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => {
                tracing::debug!(%room, error = %Chain(&error), "a piece of a tape is not kept yet");
            }
            Err(_) => tracing::debug!(%room, "keeping a piece of a tape timed out"),
        }
        if began.elapsed() >= PATIENCE {
            tracing::warn!(%room, "a piece of a tape is given up; the tape has a hole");
            return;
        }
        tokio::time::sleep(backoff.next()).await;
    }
}
