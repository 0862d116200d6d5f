//! A gateway: one stream to the matcher, and what it brought for each session.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rpc::inbound::AttachRequest;
use rpc::pb;
use rpc::pb::from_origin_item::Item as FromItem;
use rpc::pb::origin_client::OriginClient;
use rpc::pb::to_origin_item::Item as ToItem;
use rpc::transport::Endpoint;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

/// Longer than anything in the matcher takes.
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) struct Gateway {
    outbound: mpsc::Sender<pb::ToOrigin>,
    inbox: Arc<Inbox>,
    /// Cut when the gateway is dropped: its stream ends.
    cut: CancellationToken,
}

#[derive(Default)]
struct Inbox {
    items: Mutex<HashMap<u64, VecDeque<FromItem>>>,
    came: Notify,
}

impl Gateway {
    pub(crate) async fn open(endpoint: Endpoint, name: &str) -> Self {
        let channel = endpoint.connect(Duration::from_secs(1)).await.unwrap();
        let (outbound, receiver) = mpsc::channel(64);
        let hello = ToItem::Hello(pb::GatewayHello {
            node: name.to_owned(),
            build: "test".to_owned(),
            ..pb::GatewayHello::default()
        });
        outbound.send(message(hello)).await.unwrap();
        let stream = OriginClient::new(channel)
            .link(ReceiverStream::new(receiver))
            .await
            .unwrap()
            .into_inner();
        let inbox = Arc::new(Inbox::default());
        let cut = CancellationToken::new();
        tokio::spawn(
            cut.clone()
                .run_until_cancelled_owned(read(stream, Arc::clone(&inbox))),
        );
        tokio::spawn(
            cut.clone()
                .run_until_cancelled_owned(beat(outbound.clone())),
        );
        Self {
            outbound,
            inbox,
            cut,
        }
    }

    pub(crate) async fn attach(&self, request: &AttachRequest) {
        let item = request.to_item().item.unwrap();
        self.send(item).await;
    }

    pub(crate) async fn send(&self, item: ToItem) {
        self.outbound.send(message(item)).await.unwrap();
    }

    /// The first item for `session` that `wanted` takes; those before it are dropped.
    pub(crate) async fn next<T>(
        &self,
        session: u64,
        what: &str,
        mut wanted: impl FnMut(&FromItem) -> Option<T>,
    ) -> T {
        let search = async {
            loop {
                let came = self.inbox.came.notified();
                while let Some(item) = self.take(session) {
                    if let Some(found) = wanted(&item) {
                        return found;
                    }
                }
                came.await;
            }
        };
        match timeout(PATIENCE, search).await {
            Ok(found) => found,
            Err(_) => panic!("no {what} for session {session}"),
        }
    }

    /// Drops what came for `session` and was not looked at.
    pub(crate) fn forget(&self, session: u64) {
        self.inbox.items.lock().remove(&session);
    }

    fn take(&self, session: u64) -> Option<FromItem> {
        self.inbox.items.lock().get_mut(&session)?.pop_front()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.cut.cancel();
    }
}

fn message(item: ToItem) -> pb::ToOrigin {
    pb::ToOrigin {
        items: vec![pb::ToOriginItem { item: Some(item) }],
    }
}

async fn beat(outbound: mpsc::Sender<pb::ToOrigin>) {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    loop {
        interval.tick().await;
        if outbound
            .send(message(ToItem::Beat(pb::Beat {})))
            .await
            .is_err()
        {
            return;
        }
    }
}

async fn read(mut stream: tonic::Streaming<pb::FromOrigin>, inbox: Arc<Inbox>) {
    while let Ok(Some(message)) = stream.message().await {
        let mut items = inbox.items.lock();
        for item in message.items.into_iter().filter_map(|item| item.item) {
            if let Some(session) = session_of(&item) {
                items.entry(session).or_default().push_back(item);
            }
        }
        drop(items);
        inbox.came.notify_waiters();
    }
}

fn session_of(item: &FromItem) -> Option<u64> {
    match item {
        FromItem::Attached(attached) => Some(attached.session),
        FromItem::Refused(refused) => Some(refused.session),
        FromItem::Event(event) => Some(event.session),
        FromItem::Text(text) => Some(text.session),
        FromItem::Closed(closed) => Some(closed.session),
        FromItem::Moved(moved) => Some(moved.session),
        FromItem::Hello(_) | FromItem::Fanout(_) | FromItem::Beat(_) => None,
    }
}
