//! Tapes in memory.

use std::collections::BTreeMap;
use std::future::ready;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::id::{RoomId, Tick};
use tokio::time::Instant;

use crate::tapes::{Segment, Tapes};
use crate::{BoxFuture, EngineError};

/// Tapes in memory. Those whose time is over go when another one is written.
#[derive(Debug, Default)]
pub struct MemoryTapes {
    tapes: Mutex<BTreeMap<RoomId, Tape>>,
}

#[derive(Debug)]
struct Tape {
    segments: BTreeMap<Tick, Bytes>,
    keep_until: Instant,
}

impl MemoryTapes {
    /// There is none.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Tapes for MemoryTapes {
    fn append<'a>(
        &'a self,
        room: RoomId,
        segment: &'a Segment,
        keep: Duration,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        let now = Instant::now();
        let mut tapes = self.tapes.lock();
        if !tapes.contains_key(&room) {
            tapes.retain(|_, tape| tape.keep_until > now);
        }
        let tape = tapes.entry(room).or_insert_with(|| Tape {
            segments: BTreeMap::new(),
            keep_until: now,
        });
        let reaches = tape.segments.last_key_value().map(|(until, _)| *until);
        if reaches < Some(segment.until) {
            tape.segments.insert(segment.until, segment.bytes.clone());
        }
        tape.keep_until = now + keep;
        Box::pin(ready(Ok(())))
    }

    fn read(&self, room: RoomId, after: Tick) -> BoxFuture<'_, Result<Vec<Segment>, EngineError>> {
        let tapes = self.tapes.lock();
        let tape = tapes.get(&room);
        let tape = tape.filter(|tape| tape.keep_until > Instant::now());
        let segments = tape.map(|tape| {
            let later = tape.segments.range(Tick(after.0.saturating_add(1))..);
            let segment = |(until, bytes): (&Tick, &Bytes)| Segment {
                until: *until,
                bytes: bytes.clone(),
            };
            later.map(segment).collect()
        });
        Box::pin(ready(Ok(segments.unwrap_or_default())))
    }
}
