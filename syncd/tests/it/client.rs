//! A client as a gateway shows it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use protocol::attach::Claim;
use protocol::frame::{Frame, InputFrame, Steps};
use protocol::id::{
    Epoch, InputSeq, InstanceId, Offset, PlayerId, Position, RoomId, SessionId, Tick,
};
use protocol::log::Attach;
use protocol::snapshot::{Schema, View, decode};
use rpc::inbound::AttachRequest;
use rpc::pb;
use rpc::pb::from_origin_item::Item;
use rpc::pb::to_origin_item::Item as ToItem;
use serde_json::Value;

use crate::fake::Gateway;

/// A client behind a gateway. Player, session and instance have the same number.
pub(crate) struct Client {
    pub(crate) number: u64,
    pub(crate) attempt: u32,
    pub(crate) login: bool,
    pub(crate) position: Position,
    pub(crate) schema: Option<Schema>,
    pub(crate) state: Value,
    pub(crate) views: BTreeMap<u32, View>,
    pub(crate) newest: u32,
    /// Body lengths, in order.
    pub(crate) bodies: Vec<usize>,
    pub(crate) processed: u32,
    pub(crate) durable: u32,
    /// Payloads of events that took effect.
    pub(crate) events: Vec<String>,
    next: u32,
}

impl Client {
    pub(crate) fn new(number: u64) -> Self {
        Self {
            number,
            attempt: 0,
            login: true,
            position: Position {
                epoch: Epoch(0),
                offset: Offset(0),
            },
            schema: None,
            state: Value::Null,
            views: BTreeMap::new(),
            newest: 0,
            bodies: Vec::new(),
            processed: 0,
            durable: 0,
            events: Vec::new(),
            next: 1,
        }
    }

    pub(crate) fn request(&mut self, room: u64, mode: Attach) -> AttachRequest {
        self.attempt += 1;
        AttachRequest {
            claim: Claim {
                session: SessionId(self.number),
                instance: InstanceId(self.number),
                attempt: self.attempt,
                login: std::mem::take(&mut self.login),
            },
            player: PlayerId(self.number),
            name: format!("P{}", self.number),
            bot: false,
            rating: 1500,
            deviation: 0,
            mode,
            room: Some(RoomId(room)),
            watch: None,
        }
    }

    /// Asks to watch a room.
    pub(crate) async fn ask_to_watch(&mut self, gateway: &Gateway, room: u64, delay: Duration) {
        let mut request = self.request(room, Attach::Fresh);
        request.watch = Some(delay);
        gateway.send(request.to_item().item.unwrap()).await;
    }

    /// The same, and waits for the answer.
    pub(crate) async fn watch(&mut self, gateway: &mut Gateway, room: u64, delay: Duration) {
        self.ask_to_watch(gateway, room, delay).await;
        let attached = gateway.attached(self.number).await;
        assert!(!attached.recovered, "a watcher goes on from nothing");
        assert_eq!((attached.attempt, attached.room), (self.attempt, room));
        self.take_attached(&attached);
    }

    /// Attaches, and waits for the answer.
    pub(crate) async fn attach(&mut self, gateway: &mut Gateway, room: u64, mode: Attach) -> bool {
        let request = self.request(room, mode);
        gateway.send(request.to_item().item.unwrap()).await;
        let attached = gateway.attached(self.number).await;
        assert_eq!(attached.attempt, self.attempt);
        self.take_attached(&attached);
        attached.recovered
    }

    pub(crate) fn take_attached(&mut self, attached: &pb::Attached) {
        if !attached.recovered {
            self.position = Position {
                epoch: Epoch(attached.epoch),
                offset: Offset(attached.offset),
            };
            self.next = 1;
        }
        self.newest = 0;
        self.state = serde_json::from_str(&attached.state).unwrap();
        let schema = serde_json::from_value(self.state["schema"].clone());
        self.schema = Some(schema.unwrap());
    }

    /// Sends three steps of input.
    pub(crate) async fn input(&mut self, gateway: &Gateway, bits: u32) {
        let mut steps = Steps::new(8);
        (0..3).for_each(|_| assert!(steps.push(bits)));
        let input = InputFrame {
            epoch: self.position.epoch,
            offset: self.position.offset,
            snapshot: Tick(self.newest),
            first: InputSeq(self.next),
            steps,
        };
        self.next += 3;
        let frame = Frame::Input(input).encode();
        let session = self.number;
        gateway
            .send(ToItem::Input(pb::ClientInput {
                session,
                frame: frame.into(),
            }))
            .await;
    }

    /// Acknowledges the events that it has.
    pub(crate) async fn acknowledge(&self, gateway: &Gateway) {
        let ack = pb::Ack {
            session: self.number,
            epoch: self.position.epoch.0,
            offset: self.position.offset.0,
            resend: false,
        };
        gateway.send(ToItem::Ack(ack)).await;
    }

    /// Takes what is for this client; `true` for a snapshot.
    pub(crate) fn take(&mut self, item: &Item) -> bool {
        match item {
            Item::Event(event) if event.session == self.number => {
                let Ok(Frame::Event(event)) = Frame::decode(&event.frame) else {
                    panic!("an event frame");
                };
                assert_eq!(event.epoch, self.position.epoch);
                if event.offset.0 == self.position.offset.0 + 1 {
                    self.position.offset = event.offset;
                    let text = String::from_utf8(event.payload.to_vec());
                    self.events.push(text.unwrap());
                }
                false
            }
            Item::Fanout(fanout) => {
                let own = |target: &&pb::Target| target.session == self.number;
                let Some(target) = fanout.targets.iter().find(own) else {
                    return false;
                };
                let frame = [&target.head[..], &fanout.body[..]].concat();
                let Ok(Frame::Snapshot(snapshot)) = Frame::decode(&Bytes::from(frame)) else {
                    panic!("a snapshot frame");
                };
                let baseline = snapshot.head.baseline().map(|tick| &self.views[&tick.0]);
                let schema = self.schema.as_ref().expect("attached first");
                let view = decode(schema, baseline, &snapshot.body).unwrap();
                self.newest = snapshot.head.tick.0;
                self.processed = snapshot.head.processed.0;
                self.durable = self.processed - snapshot.head.durable_lag;
                self.bodies.push(snapshot.body.len());
                self.views.insert(self.newest, view);
                true
            }
            _ => false,
        }
    }

    /// Takes items until the next snapshot.
    pub(crate) async fn snapshot(&mut self, gateway: &mut Gateway) {
        while !self.take(&gateway.next().await) {}
    }

    pub(crate) fn view(&self) -> &View {
        &self.views[&self.newest]
    }
}
