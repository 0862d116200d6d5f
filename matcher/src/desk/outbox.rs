//! What is to be sent, gathered by stream: one message a stream for all that one turn of the desk
//! brought about.

use std::collections::BTreeMap;
use std::sync::Weak;

use rpc::batch::Batch;
use rpc::origin::{GatewayStream, StreamId};

/// The gateways' streams and what waits for each. A turn of the desk is bounded, so this is.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    lines: BTreeMap<StreamId, Line>,
}

#[derive(Debug)]
struct Line {
    gateway: GatewayStream,
    alive: Weak<()>,
    batch: Batch,
}

impl Outbox {
    /// Makes a stream known.
    pub(super) fn open(&mut self, gateway: GatewayStream, alive: Weak<()>) {
        self.lines.entry(gateway.id()).or_insert_with(|| Line {
            gateway,
            alive,
            batch: Batch::new(),
        });
    }

    /// What is to be sent on a stream; `None` if it has ended.
    pub(super) fn to(&mut self, stream: StreamId) -> Option<&mut Batch> {
        self.lines.get_mut(&stream).map(|line| &mut line.batch)
    }

    /// Sends everything.
    pub(super) fn flush(&mut self) {
        for line in self.lines.values_mut() {
            line.gateway.send(std::mem::take(&mut line.batch));
        }
    }

    /// Forgets the streams that have ended, and gives them.
    pub(super) fn sweep(&mut self) -> Vec<StreamId> {
        let ended: Vec<StreamId> = self
            .lines
            .iter()
            .filter(|(_, line)| line.alive.strong_count() == 0)
            .map(|(stream, _)| *stream)
            .collect();
        for stream in &ended {
            self.lines.remove(stream);
        }
        ended
    }
}
