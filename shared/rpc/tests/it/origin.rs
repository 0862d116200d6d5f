//! An origin that writes down what it hears and can be held up, and a gateway's end of a stream.

use std::sync::Arc;
use std::time::Duration;

use protocol::id::{Channel, Generation};
use rpc::inbound::Inbound;
use rpc::origin::{GatewayStream, Origin, OriginIdentity, OriginStream, service};
use rpc::pb;
use rpc::pb::from_origin_item::Item as FromItem;
use rpc::pb::origin_client::OriginClient;
use rpc::pb::to_origin_item::Item as ToItem;
use rpc::transport::{Endpoint, Incoming, memory};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the origin heard, in order. Texts are named by the gateway that sent them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A text began to be handled.
    Begun(String),
    /// A text was handled.
    Done(String),
    /// A stream's handler is gone.
    Dropped(String),
}

/// An origin that runs, and what it heard.
pub(crate) struct Rig {
    endpoint: Endpoint,
    heard: mpsc::UnboundedReceiver<Heard>,
    held: watch::Sender<bool>,
}

struct Recorder {
    heard: mpsc::UnboundedSender<Heard>,
    held: watch::Receiver<bool>,
}

struct RecorderStream {
    node: String,
    heard: mpsc::UnboundedSender<Heard>,
    held: watch::Receiver<bool>,
}

impl Rig {
    pub(crate) fn start() -> Self {
        let (connector, incoming) = memory();
        let (heard, receiver) = mpsc::unbounded_channel();
        let (held, is_held) = watch::channel(false);
        let recorder = Recorder {
            heard,
            held: is_held,
        };
        let identity = OriginIdentity {
            node: "origin-1".parse().unwrap(),
            generation: std::sync::Arc::new(|| Generation(1)),
            channel: Channel::Match,
            build: "test",
        };
        let service = service(identity, Arc::new(recorder), CancellationToken::new());
        let routes = tonic::service::Routes::new(service);
        tokio::spawn(Incoming::Memory(incoming).serve(routes, std::future::pending()));
        Self {
            endpoint: Endpoint::Memory(connector),
            heard: receiver,
            held,
        }
    }

    /// From now on what is handled does not come to an end, until this is called with `false`.
    pub(crate) fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// What the origin hears next.
    pub(crate) async fn heard(&mut self) -> Heard {
        timeout(PATIENCE, self.heard.recv()).await.unwrap().unwrap()
    }

    /// Opens a stream of the gateway `node`.
    pub(crate) async fn open(&self, node: &str, order: (u64, u64)) -> Result<Link, Status> {
        let channel = self.endpoint.connect(PATIENCE).await.unwrap();
        let (to, outgoing) = mpsc::channel(16);
        let hello = ToItem::Hello(pb::GatewayHello {
            node: node.to_owned(),
            build: "test".to_owned(),
            incarnation: order.0,
            link: order.1,
        });
        to.send(message(hello)).await.unwrap();
        let mut client = OriginClient::new(channel);
        let opening = client.link(ReceiverStream::new(outgoing));
        let from = timeout(PATIENCE, opening).await.unwrap()?.into_inner();
        let link = Link { to, from };
        Ok(link)
    }
}

/// A gateway's end of a stream.
pub(crate) struct Link {
    to: mpsc::Sender<pb::ToOrigin>,
    from: Streaming<pb::FromOrigin>,
}

impl Link {
    pub(crate) async fn say(&self, text: &str) {
        let text = pb::ClientText {
            session: 1,
            text: text.to_owned(),
        };
        self.to.send(message(ToItem::Text(text))).await.unwrap();
    }

    /// Waits until the origin ends the stream.
    pub(crate) async fn ended(&mut self) {
        let reading = async { while let Ok(Some(_)) = self.from.message().await {} };
        timeout(PATIENCE, reading).await.unwrap();
    }

    /// Waits for the origin's next beat: the stream lives.
    pub(crate) async fn beats(&mut self) {
        let reading = async {
            loop {
                let message = self.from.message().await.unwrap().unwrap();
                let mut items = message.items.into_iter().filter_map(|item| item.item);
                if items.any(|item| matches!(item, FromItem::Beat(_))) {
                    return;
                }
            }
        };
        timeout(PATIENCE, reading).await.unwrap();
    }
}

impl Origin for Recorder {
    type Stream = RecorderStream;

    fn open(&self, gateway: GatewayStream) -> RecorderStream {
        RecorderStream {
            node: gateway.node().to_owned(),
            heard: self.heard.clone(),
            held: self.held.clone(),
        }
    }
}

impl OriginStream for RecorderStream {
    async fn handle(&mut self, inbound: Inbound) {
        let Inbound::Text { text, .. } = inbound else {
            panic!("only texts are sent");
        };
        let _ = self.heard.send(Heard::Begun(text.clone()));
        self.held.wait_for(|held| !held).await.unwrap();
        let _ = self.heard.send(Heard::Done(text));
    }
}

impl Drop for RecorderStream {
    fn drop(&mut self) {
        let _ = self.heard.send(Heard::Dropped(self.node.clone()));
    }
}

fn message(item: ToItem) -> pb::ToOrigin {
    pb::ToOrigin {
        items: vec![pb::ToOriginItem { item: Some(item) }],
    }
}
