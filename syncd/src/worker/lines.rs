//! The gateways' streams, as one worker sees them, with what is gathered for each.

use std::collections::BTreeMap;

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
pub(crate) struct Lines(BTreeMap<StreamId, Line>);

#[derive(Debug)]
struct Line {
    link: Link,
    batch: Batch,
}

impl Lines {
    /// What is gathered for a stream, which is known from now on.
    pub(crate) fn batch(&mut self, link: &Link) -> &mut Batch {
        let line = self.0.entry(link.id()).or_insert_with(|| Line {
            link: link.clone(),
            batch: Batch::new(),
        });
        &mut line.batch
    }

    /// What is gathered for a stream, if it is there.
    pub(crate) fn batch_of(&mut self, stream: StreamId) -> Option<&mut Batch> {
        self.0.get_mut(&stream).map(|line| &mut line.batch)
    }

    /// Sends each stream what is gathered for it.
    pub(crate) fn send(&mut self) {
        for line in self.0.values_mut() {
            line.link.send(std::mem::take(&mut line.batch));
        }
    }

    /// Forgets streams that ended, and gives them.
    pub(crate) fn take_ended(&mut self) -> Vec<StreamId> {
        let ended = self.0.extract_if(.., |_, line| line.link.is_ended());
        ended.map(|(stream, _)| stream).collect()
    }
}
