//! Clients: what a player's page says and hears, through a gateway.

use protocol::attach::Claim;
use protocol::control::{ErrorMessage, QueueState, ServerMessage};
use protocol::frame::{Event, Frame};
use protocol::id::{Epoch, InstanceId, Offset, PlayerId, Position, SessionId};
use protocol::log::Attach;
use rpc::inbound::AttachRequest;
use rpc::pb;
use rpc::pb::from_origin_item::Item as FromItem;
use rpc::pb::to_origin_item::Item as ToItem;
use serde_json::Value;

use crate::gateway::Gateway;

/// A client. Its session and instance have the player's number.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) request: AttachRequest,
}

/// What an attach was answered with.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) recovered: bool,
    pub(crate) position: Position,
    pub(crate) state: Value,
}

impl Client {
    pub(crate) fn new(player: u64) -> Self {
        Self {
            request: AttachRequest {
                claim: Claim {
                    session: SessionId(player),
                    instance: InstanceId(player),
                    attempt: 1,
                    login: true,
                },
                player: PlayerId(player),
                name: format!("player {player}"),
                bot: false,
                rating: 1500,
                deviation: 0,
                mode: Attach::Fresh,
                room: None,
                watch: None,
            },
        }
    }

    pub(crate) fn bot(player: u64) -> Self {
        let mut client = Self::new(player);
        client.request.bot = true;
        client
    }

    pub(crate) fn rated(mut self, rating: i32) -> Self {
        self.request.rating = rating;
        self
    }

    /// The same player, logged in on another device.
    pub(crate) fn second_login(&self) -> Self {
        let mut other = self.clone();
        other.request.claim = Claim {
            session: SessionId(self.session() + 1_000),
            instance: InstanceId(self.session() + 1_000),
            attempt: 1,
            login: true,
        };
        other
    }

    /// The same client on its next connection.
    pub(crate) fn reconnecting(&self, mode: Attach) -> Self {
        let mut next = self.clone();
        next.request.claim.attempt += 1;
        next.request.claim.login = false;
        next.request.mode = mode;
        next
    }

    pub(crate) fn session(&self) -> u64 {
        self.request.claim.session.0
    }

    pub(crate) fn player(&self) -> PlayerId {
        self.request.player
    }

    pub(crate) async fn attach(&self, gateway: &Gateway) -> Attached {
        gateway.attach(&self.request).await;
        gateway
            .next(self.session(), "attached", |item| match item {
                FromItem::Attached(attached) => {
                    assert_eq!(attached.attempt, self.request.claim.attempt);
                    Some(Attached {
                        recovered: attached.recovered,
                        position: Position {
                            epoch: Epoch(attached.epoch),
                            offset: Offset(attached.offset),
                        },
                        state: serde_json::from_str(&attached.state).unwrap(),
                    })
                }
                _ => None,
            })
            .await
    }

    pub(crate) async fn say(&self, gateway: &Gateway, text: &str) {
        let text = pb::ClientText {
            session: self.session(),
            text: text.to_owned(),
        };
        gateway.send(ToItem::Text(text)).await;
    }

    /// Joins a queue, and waits until the matcher says that it knows.
    pub(crate) async fn join(&self, gateway: &Gateway, mode: &str) -> QueueState {
        let text = format!(r#"{{"t":"queue.join","mode":"{mode}"}}"#);
        self.say(gateway, &text).await;
        self.queue_state(gateway).await
    }

    /// Waits for the answer to a `queue.join`. Gives whether the player is in the queue.
    pub(crate) async fn is_queued(&self, gateway: &Gateway) -> bool {
        let wanted = |item: &FromItem| match server_message(item)? {
            ServerMessage::QueueState(_) => Some(true),
            ServerMessage::Error(_) => Some(false),
            _ => None,
        };
        gateway.next(self.session(), "answer", wanted).await
    }

    pub(crate) async fn queue_state(&self, gateway: &Gateway) -> QueueState {
        let wanted = |item: &FromItem| match server_message(item)? {
            ServerMessage::QueueState(state) => Some(state),
            _ => None,
        };
        gateway.next(self.session(), "queue.state", wanted).await
    }

    /// The next `queue.state` that is yet to come.
    pub(crate) async fn queue_state_now(&self, gateway: &Gateway) -> QueueState {
        gateway.forget(self.session());
        self.queue_state(gateway).await
    }

    pub(crate) async fn error(&self, gateway: &Gateway) -> ErrorMessage {
        let wanted = |item: &FromItem| match server_message(item)? {
            ServerMessage::Error(error) => Some(error),
            _ => None,
        };
        gateway.next(self.session(), "error", wanted).await
    }

    /// The next event, acknowledged to nobody.
    pub(crate) async fn event(&self, gateway: &Gateway) -> (Event, Value) {
        gateway
            .next(self.session(), "event", |item| {
                let FromItem::Event(event) = item else {
                    return None;
                };
                let Ok(Frame::Event(event)) = Frame::decode(&event.frame) else {
                    panic!("no event frame");
                };
                let body = serde_json::from_slice(&event.payload).unwrap();
                Some((event, body))
            })
            .await
    }

    /// The next event, acknowledged. It must be of type `kind`.
    pub(crate) async fn take(&self, gateway: &Gateway, kind: &str) -> Value {
        let (event, body) = self.event(gateway).await;
        assert_eq!(body["e"], kind, "{body}");
        self.acknowledge(gateway, &event).await;
        body
    }

    pub(crate) async fn acknowledge(&self, gateway: &Gateway, event: &Event) {
        let ack = pb::Ack {
            session: self.session(),
            epoch: event.epoch.0,
            offset: event.offset.0,
            resend: false,
        };
        gateway.send(ToItem::Ack(ack)).await;
    }

    pub(crate) async fn detach(&self, gateway: &Gateway, leave: bool) {
        let detach = pb::Detach {
            session: self.session(),
            attempt: self.request.claim.attempt,
            leave,
        };
        gateway.send(ToItem::Detach(detach)).await;
    }

    /// The code that a connection of the session is closed with.
    pub(crate) async fn closed(&self, gateway: &Gateway) -> u32 {
        self.closed_connection(gateway).await.1
    }

    /// Which connection of the session is closed, and with which code.
    pub(crate) async fn closed_connection(&self, gateway: &Gateway) -> (u32, u32) {
        let wanted = |item: &FromItem| match item {
            FromItem::Closed(closed) => Some((closed.attempt, closed.code)),
            _ => None,
        };
        gateway.next(self.session(), "close", wanted).await
    }
}

fn server_message(item: &FromItem) -> Option<ServerMessage> {
    match item {
        FromItem::Text(text) => ServerMessage::parse(&text.text).unwrap(),
        _ => None,
    }
}
