//! The gateways' streams, as one worker sees them, with what is gathered for each.

use std::collections::{BTreeMap, VecDeque};

use engine::Seq;
use protocol::id::RoomId;
use rpc::batch::Batch;
use rpc::origin::{GatewayStream, StreamId};
use tokio_util::sync::CancellationToken;

/// A gateway's stream.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    gateway: GatewayStream,
    ended: CancellationToken,
}

impl Link {
    /// A stream that has ended once `ended` is cancelled.
    pub(crate) fn new(gateway: GatewayStream, ended: CancellationToken) -> Self {
        Self { gateway, ended }
    }

    pub(crate) fn id(&self) -> StreamId {
        self.gateway.id()
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Sends at once, for those who are no worker.
    pub(crate) fn send(&self, batch: Batch) {
        self.gateway.send(batch);
    }
}

/// Streams by id.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    by_id: BTreeMap<StreamId, Line>,
    /// What is reliable waits until its tick is written down.
    holds: bool,
}

#[derive(Debug)]
struct Line {
    link: Link,
    batch: Batch,
    /// Of the tick under way.
    reliable: Batch,
    /// Of ticks that are not written down yet. Bounded by the journal's limit, at which rooms
    /// stand still.
    held: VecDeque<(Seq, Batch)>,
}

impl Lines {
    /// No streams. With `holds` what is reliable waits to be [released](Self::release).
    pub(crate) fn new(holds: bool) -> Self {
        Self {
            by_id: BTreeMap::new(),
            holds,
        }
    }

    /// What is gathered for a stream, which is known from now on, to say something of `room`, or
    /// of none.
    pub(crate) fn batch(&mut self, link: &Link, room: Option<RoomId>) -> &mut Batch {
        let line = self.by_id.entry(link.id()).or_insert_with(|| Line {
            link: link.clone(),
            batch: Batch::new(),
            reliable: Batch::new(),
            held: VecDeque::new(),
        });
        line.batch.speak_of(room.unwrap_or(RoomId(0)));
        &mut line.batch
    }

    /// What is gathered for a stream, if it is there, to say something of `room`.
    pub(crate) fn batch_of(&mut self, stream: StreamId, room: RoomId) -> Option<&mut Batch> {
        let line = self.by_id.get_mut(&stream)?;
        line.batch.speak_of(room);
        Some(&mut line.batch)
    }

    /// The same, for what must not be told before it is written down.
    pub(crate) fn reliable_of(&mut self, stream: StreamId, room: RoomId) -> Option<&mut Batch> {
        let line = self.by_id.get_mut(&stream)?;
        let batch = match self.holds {
            true => &mut line.reliable,
            false => &mut line.batch,
        };
        batch.speak_of(room);
        Some(batch)
    }

    /// Whether anything reliable was said in this tick.
    pub(crate) fn are_urgent(&self) -> bool {
        self.by_id.values().any(|line| !line.reliable.is_empty())
    }

    /// What is reliable of this tick waits for the entry `seq`.
    pub(crate) fn hold(&mut self, seq: Seq) {
        for line in self.by_id.values_mut() {
            if !line.reliable.is_empty() {
                let reliable = std::mem::take(&mut line.reliable);
                line.held.push_back((seq, reliable));
            }
        }
    }

    /// Sends what waited for entries up to `confirmed`.
    pub(crate) fn release(&mut self, confirmed: Seq) {
        for line in self.by_id.values_mut() {
            let mut free = Batch::new();
            while let Some((_, batch)) = line.held.pop_front_if(|(seq, _)| *seq <= confirmed) {
                free.append(batch);
            }
            line.link.send(free);
        }
    }

    /// Drops what waits: it is of rooms that are somebody else's.
    pub(crate) fn drop_held(&mut self) {
        for line in self.by_id.values_mut() {
            line.held.clear();
            line.reliable = Batch::new();
        }
    }

    /// Sends each stream what is gathered for it.
    pub(crate) fn send(&mut self) {
        for line in self.by_id.values_mut() {
            line.link.send(std::mem::take(&mut line.batch));
        }
    }

    /// Forgets streams that ended, and gives them.
    pub(crate) fn take_ended(&mut self) -> Vec<StreamId> {
        let ended = self.by_id.extract_if(.., |_, line| line.link.is_ended());
        ended.map(|(stream, _)| stream).collect()
    }
}
