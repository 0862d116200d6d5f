//! The task that reads one tape, as far as it reaches, and goes on reading while it grows.

use std::sync::Arc;
use std::time::Duration;

use chassis::backoff::Backoff;
use chassis::telemetry::Chain;
use engine::{Engine, EngineError, Segment};
use protocol::id::{RoomId, Tick};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::ShowId;
use super::stage::Mail;
use crate::host::Host;

/// How often a tape is looked at: pieces come once a second.
const LOOK_EVERY: Duration = Duration::from_millis(400);

/// Longest that the store may take to answer.
const ATTEMPT: Duration = Duration::from_secs(1);

/// A tape without a new piece for this long: is there still somebody who plays it?
const DOUBT_AFTER: Duration = Duration::from_secs(5);

/// Without anybody who has the room for this long nothing more comes. Longer than a takeover.
const LOST_AFTER: Duration = Duration::from_secs(30);

/// What is found on a tape.
#[derive(Debug)]
pub(crate) enum News {
    /// The next pieces.
    Pieces(Vec<Segment>, Instant),
    /// There is no such room, or nothing is left of it.
    Unknown,
    /// Nothing more will come.
    Lost,
}

/// A reader.
pub(super) struct Reel {
    pub(super) engine: Engine,
    pub(super) host: Arc<Host>,
    pub(super) show: ShowId,
    pub(super) room: RoomId,
    pub(super) stage: mpsc::Sender<Mail>,
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("the store does not answer within {ATTEMPT:?}")]
    Silent,
    #[error("the tape cannot be read")]
    Store(#[source] EngineError),
}

impl Reel {
    /// Reads until nothing more can come, or the stage is gone. Dropping it ends it.
    pub(super) async fn run(self) {
        let mut reached = Tick(0);
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        let mut grown = Instant::now();
        // When somebody had the room last.
        let mut had = Instant::now();
        loop {
            match self.read(reached).await {
                Ok(pieces) => {
                    backoff.reset();
                    let now = Instant::now();
                    if let Some(last) = pieces.last() {
                        (reached, grown, had) = (last.until, now, now);
                        if !self.tell(News::Pieces(pieces, now)).await {
                            return;
                        }
                    } else if reached == Tick(0) || now - grown >= DOUBT_AFTER {
                        match self.is_played().await {
                            Ok(true) => had = now,
                            Ok(false) if reached == Tick(0) => {
                                self.tell(News::Unknown).await;
                                return;
                            }
                            Ok(false) if now - had >= LOST_AFTER => {
                                self.tell(News::Lost).await;
                                return;
                            }
                            Ok(false) | Err(_) => {}
                        }
                    }
                    sleep(LOOK_EVERY).await;
                }
                Err(error) => {
                    tracing::debug!(room = %self.room, error = %Chain(&error), "no look at a tape");
                    sleep(backoff.next()).await;
                }
            }
        }
    }

    async fn read(&self, after: Tick) -> Result<Vec<Segment>, ReadError> {
        match timeout(ATTEMPT, self.engine.tapes.read(self.room, after)).await {
            Ok(read) => read.map_err(ReadError::Store),
            Err(_) => Err(ReadError::Silent),
        }
    }

    /// Whether some node has the room.
    async fn is_played(&self) -> Result<bool, ReadError> {
        if self.host.worker_of(self.room).is_some() {
            return Ok(true);
        }
        if !self.engine.is_shared && self.host.tenure().is_none() {
            return Ok(false);
        }
        let room = [self.room];
        let found = self.engine.placements.find(&room);
        match timeout(ATTEMPT, found).await {
            Ok(Ok(found)) => Ok(found.into_iter().flatten().next().is_some()),
            Ok(Err(error)) => Err(ReadError::Store(error)),
            Err(_) => Err(ReadError::Silent),
        }
    }

    async fn tell(&self, news: News) -> bool {
        let show = self.show;
        self.stage.send(Mail::Tape { show, news }).await.is_ok()
    }
}
