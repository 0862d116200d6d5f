//! The stream that each gateway is heard by.
//!
//! A gateway has one stream at a time and numbers them. What an older one still holds, in a
//! socket or in a queue here, was said before the newer one's attaches and would undo them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{GatewayStream, StreamId};
use crate::pb;

/// Where a stream stands among those of its gateway: by process, then by count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StreamOrder {
    incarnation: u64,
    link: u64,
}

/// Live streams by gateway. Never iterated. As many as there are gateways: a stream that ends
/// takes its entry along.
#[derive(Debug, Default)]
pub(super) struct LiveStreams(Mutex<HashMap<Arc<str>, Live>>);

/// The stream that counts.
#[derive(Debug)]
pub(super) struct Live {
    id: StreamId,
    order: StreamOrder,
    reset: CancellationToken,
    ended: CancellationToken,
}

/// A stream's entry. To be dropped when nothing more of the stream can be handled.
#[derive(Debug)]
pub(super) struct Place {
    streams: Arc<LiveStreams>,
    node: Arc<str>,
    id: StreamId,
    ended: CancellationToken,
}

impl StreamOrder {
    pub(super) fn of(hello: &pb::GatewayHello) -> Self {
        Self {
            incarnation: hello.incarnation,
            link: hello.link,
        }
    }

    /// Whether a stream that comes now was opened before one that is there. Who does not number
    /// its streams opens them in the order in which they come.
    fn is_before(self, live: Self) -> bool {
        self.incarnation != 0 && self < live
    }
}

impl LiveStreams {
    /// Makes `gateway` the live stream of its node, and gives the one that was.
    ///
    /// # Errors
    /// Where the live stream stands, if that is the newer one.
    pub(super) fn enter(
        streams: &Arc<Self>,
        gateway: &GatewayStream,
        order: StreamOrder,
    ) -> Result<(Place, Option<Live>), StreamOrder> {
        let ended = CancellationToken::new();
        let live = Live {
            id: gateway.id,
            order,
            reset: gateway.reset.clone(),
            ended: ended.clone(),
        };
        let older = match streams.0.lock().entry(gateway.node.clone()) {
            Entry::Occupied(entry) if order.is_before(entry.get().order) => {
                return Err(entry.get().order);
            }
            Entry::Occupied(mut entry) => Some(entry.insert(live)),
            Entry::Vacant(entry) => {
                entry.insert(live);
                None
            }
        };
        let place = Place {
            streams: streams.clone(),
            node: gateway.node.clone(),
            id: gateway.id,
            ended,
        };
        Ok((place, older))
    }
}

impl Live {
    /// Ends the stream, and waits until nothing more of it can be handled.
    pub(super) async fn reset(self) {
        self.reset.cancel();
        self.ended.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut streams = self.streams.0.lock();
        if streams
            .get(&self.node)
            .is_some_and(|live| live.id == self.id)
        {
            streams.remove(&self.node);
        }
        drop(streams);
        self.ended.cancel();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const FIRST: StreamOrder = StreamOrder {
        incarnation: 1,
        link: 1,
    };
    const SECOND: StreamOrder = StreamOrder {
        incarnation: 1,
        link: 2,
    };

    #[test]
    fn a_newer_stream_waits_until_the_older_one_has_given_up_its_place() {
        let streams = Arc::default();
        let (one, _sent) = GatewayStream::detached(1);
        let (two, _sent) = GatewayStream::detached(2);
        let (old, before) = LiveStreams::enter(&streams, &one, FIRST).unwrap();
        assert!(before.is_none());
        let (new, before) = LiveStreams::enter(&streams, &two, SECOND).unwrap();
        let mut resetting = std::pin::pin!(before.unwrap().reset());
        assert!(resetting.as_mut().now_or_never().is_none());
        assert!(one.reset.is_cancelled() && !two.reset.is_cancelled());
        drop(old);
        assert!(resetting.now_or_never().is_some());
        assert!(LiveStreams::enter(&streams, &one, FIRST).is_err());
        drop(new);
        assert!(streams.0.lock().is_empty());
    }
}
