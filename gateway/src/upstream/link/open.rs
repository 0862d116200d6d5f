//! Opens the stream to a node, up to its hello.

use std::sync::atomic::Ordering;

use protocol::id::Generation;
use rpc::pb;
use rpc::pb::from_origin_item::Item as FromItem;
use rpc::pb::origin_client::OriginClient;
use rpc::pb::to_origin_item::Item as ToItem;
use rpc::transport::MAX_RPC_MESSAGE;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::Streaming;
use tonic::transport::Channel;

use super::{CONNECT, LinkError, LinkSource, LinkTarget};

/// Batches on their way into the transport.
const BATCHES: usize = 32;

/// A stream to a node that has said hello.
#[derive(Debug)]
pub(super) struct Open {
    /// For single calls.
    pub(super) calls: Channel,
    pub(super) outbound: mpsc::Sender<pb::ToOrigin>,
    pub(super) inbound: Streaming<pb::FromOrigin>,
    pub(super) node: String,
    pub(super) generation: Generation,
    pub(super) build: String,
    /// What came behind the hello.
    pub(super) rest: Vec<pb::FromOriginItem>,
}

/// Opens a stream.
pub(super) async fn open(target: LinkTarget, source: LinkSource) -> Result<Open, LinkError> {
    let open = match timeout(CONNECT, try_open(&target, &source)).await {
        Ok(opened) => opened?,
        Err(_) => return Err(LinkError::NoAnswer),
    };
    let Some(wanted) = target.generation else {
        return Ok(open);
    };
    // Addresses are given out again.
    if open.node != target.node.as_str() {
        return Err(LinkError::Other(open.node));
    }
    if open.generation < wanted {
        let found = open.generation;
        return Err(LinkError::Older { found, wanted });
    }
    Ok(open)
}

async fn try_open(target: &LinkTarget, source: &LinkSource) -> Result<Open, LinkError> {
    let failed = |status| LinkError::Call(Box::new(status));
    let connecting = target.endpoint.connect(CONNECT);
    let channel = connecting.await.map_err(LinkError::Connect)?;
    let mut client = OriginClient::new(channel.clone())
        .max_decoding_message_size(MAX_RPC_MESSAGE)
        .max_encoding_message_size(MAX_RPC_MESSAGE);
    let (outbound, batches) = mpsc::channel(BATCHES);
    let hello = ToItem::Hello(pb::GatewayHello {
        node: source.gateway.to_string(),
        build: env!("CARGO_PKG_VERSION").to_owned(),
        incarnation: source.incarnation,
        link: source.streams.fetch_add(1, Ordering::Relaxed) + 1,
    });
    let items = vec![pb::ToOriginItem { item: Some(hello) }];
    outbound
        .try_send(pb::ToOrigin { items })
        .expect("a new queue has room");
    let response = client.link(stream(batches)).await.map_err(failed)?;
    let mut inbound = response.into_inner();
    let first = inbound.message().await.map_err(failed)?;
    let mut items = first.unwrap_or_default().items.into_iter();
    let Some(FromItem::Hello(hello)) = items.next().and_then(|item| item.item) else {
        return Err(LinkError::NoHello);
    };
    Ok(Open {
        calls: channel,
        outbound,
        inbound,
        node: hello.node,
        generation: Generation(hello.generation),
        build: hello.build,
        rest: items.collect(),
    })
}

fn stream(
    mut batches: mpsc::Receiver<pb::ToOrigin>,
) -> impl futures_util::Stream<Item = pb::ToOrigin> + Send + 'static {
    futures_util::stream::poll_fn(move |cx| batches.poll_recv(cx))
}
