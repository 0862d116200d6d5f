//! Tapes in Redis: a stream for each room, whose ids are ticks.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use protocol::id::{RoomId, Tick};

use super::leases::millis;
use super::{Call, Redis, Script};
use crate::tapes::{Segment, Tapes};
use crate::{BoxFuture, EngineError};

static APPEND: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("lua/tape_append.lua")));

/// How many segments one read takes.
const PIECE: usize = 32;

/// Tapes in Redis.
pub struct RedisTapes {
    redis: Redis,
}

impl RedisTapes {
    /// Tapes in `redis`.
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    fn key(&self, room: RoomId) -> String {
        self.redis.key(&room.to_string(), "tape")
    }

    async fn read_now(&self, room: RoomId, after: Tick) -> Result<Vec<Segment>, EngineError> {
        let operation = "reading a tape";
        let damaged = || EngineError::Damaged {
            operation,
            detail: "a segment that cannot be read".to_owned(),
        };
        let key = self.key(room);
        let mut segments = Vec::new();
        let mut reached = after;
        loop {
            let call = Call::command("XRANGE", &key)
                .arg(format!("({}-1", reached.0))
                .arg("+")
                .arg("COUNT")
                .arg(PIECE);
            type Entry = (String, (String, Bytes));
            let piece: Vec<Entry> = self.redis.run(operation, call).await?;
            let count = piece.len();
            for (id, (_, bytes)) in piece {
                let until = id.split_once('-').and_then(|(tick, _)| tick.parse().ok());
                reached = Tick(until.ok_or_else(damaged)?);
                segments.push(Segment {
                    until: reached,
                    bytes,
                });
            }
            if count < PIECE {
                return Ok(segments);
            }
        }
    }
}

impl Tapes for RedisTapes {
    fn append<'a>(
        &'a self,
        room: RoomId,
        segment: &'a Segment,
        keep: Duration,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let call = APPEND
                .on(&[self.key(room)])
                .arg(segment.until.0)
                .arg(&segment.bytes[..])
                .arg(millis(keep));
            self.redis.run("writing a tape", call).await
        })
    }

    fn read(&self, room: RoomId, after: Tick) -> BoxFuture<'_, Result<Vec<Segment>, EngineError>> {
        Box::pin(self.read_now(room, after))
    }
}
