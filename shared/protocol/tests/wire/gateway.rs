//! A gateway: the server's [`Link`] on each socket, and otherwise a post office. All that it
//! keeps is who is here and what it asked of the origins.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use protocol::attach::Claim;
use protocol::close::CloseCode;
use protocol::control::{
    ChannelAttached, ChannelLost, ClientMessage, Hello, ServerMessage, Welcome,
};
use protocol::frame::Frame;
use protocol::id::{Channel, PlayerId, Position, SessionId};
use protocol::link::{Link, LinkConfig, LinkEvent, Pace};
use protocol::log::Attach;
use protocol::time::Timestamp;
use serde_json::Value;
use serde_json::value::RawValue;

use super::origin::{FromOrigin, ToOrigin};
use super::pipe::{Message, Wire};
use super::world::{Fault, World};

const LINK: LinkConfig = LinkConfig {
    idle: Pace {
        interval: Duration::from_secs(25),
        silence: Duration::from_secs(60),
    },
    active: Pace {
        interval: Duration::from_millis(400),
        silence: Duration::from_secs(3),
    },
};

/// A gateway that hears nothing of an origin for this long links anew.
pub(super) const STREAM_SILENCE: Duration = Duration::from_secs(1);

const RELINK: Duration = Duration::from_millis(50);

/// What travels between client and gateway.
#[derive(Debug, Clone)]
pub(super) enum Ws {
    Open,
    Text(String),
    Binary(Bytes),
    Closed(Option<u16>),
}

impl Message for Ws {
    fn is_frame(&self) -> bool {
        matches!(self, Self::Binary(_))
    }

    fn closed() -> Self {
        Self::Closed(None)
    }
}

/// Between a client and a gateway.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) gateway: usize,
    pub(super) wire: Wire<Ws, Ws>,
}

#[derive(Debug, Default)]
pub(super) struct Gateway {
    pub(super) frozen_since: Option<Timestamp>,
    pub(super) links: BTreeMap<u64, Link>,
    /// The newest socket of the session, by the attempt that its hello named.
    current: Option<u64>,
    /// The newest attempt that was seen here.
    attempt: u32,
    pub(super) uplinks: [Uplink; Channel::COUNT],
}

/// A gateway's way to an origin.
#[derive(Debug, Default)]
pub(super) struct Uplink {
    pub(super) stream: Option<u64>,
    pub(super) relink_at: Timestamp,
    request: Option<Request>,
}

#[derive(Debug, Clone)]
struct Request {
    claim: Claim,
    mode: Attach,
    answered: bool,
}

impl Uplink {
    /// Whether to open a stream, now or later.
    pub(super) fn wants_stream(&self) -> bool {
        self.stream.is_none() && self.request.is_some()
    }
}

impl World {
    pub(super) fn gateway_hears(&mut self, id: u64, message: Ws) {
        let gateway = self.sockets[&id].gateway;
        let now = self.now;
        match message {
            Ws::Open => {
                let link = Link::server(LINK, now);
                self.gateways[gateway].links.insert(id, link);
                self.send_down(id, Ws::Open);
            }
            Ws::Text(text) => {
                let Some(link) = self.gateways[gateway].links.get_mut(&id) else {
                    return;
                };
                link.handle_heard(now);
                match ClientMessage::parse(&text) {
                    Ok(ClientMessage::Hello(hello)) => self.greet(id, &hello),
                    other => panic!("the client said {other:?}"),
                }
            }
            Ws::Binary(bytes) => self.gateway_hears_frame(id, &bytes),
            Ws::Closed(_) => self.hang_up(id, None),
        }
        self.pump_link(id);
    }

    fn greet(&mut self, id: u64, hello: &Hello) {
        let gateway = self.sockets[&id].gateway;
        if hello.attempt < self.gateways[gateway].attempt {
            // It was under way while the client came by another connection.
            self.hang_up(id, Some(CloseCode::Superseded));
            return;
        }
        self.gateways[gateway].attempt = hello.attempt;
        if let Some(older) = self.gateways[gateway].current.replace(id) {
            self.hang_up(older, Some(CloseCode::Superseded));
        }
        let session = match &hello.resume {
            Some(session) => session.parse().unwrap(),
            None => SessionId(self.random.next_u64()),
        };
        let welcome = Welcome {
            v: protocol::VERSION,
            session,
            player: PlayerId(1),
            name: "Ada".to_owned(),
            resume: session.to_string(),
            resumed: hello.resume.is_some(),
            node: format!("gateway-{gateway}"),
            heartbeat_ms: 25_000,
            active_heartbeat_ms: 400,
            deadline_ms: 60_000,
            server_time_ms: 0,
        };
        self.send_down(id, Ws::Text(ServerMessage::Welcome(welcome).to_text()));
        let claim = Claim {
            session,
            instance: hello.instance,
            attempt: hello.attempt,
            login: hello.resume.is_none(),
        };
        for channel in Channel::ALL {
            let mode = hello.have.of(channel).map_or(Attach::Fresh, Attach::Resume);
            let request = Request {
                claim,
                mode,
                answered: false,
            };
            let uplink = &mut self.gateways[gateway].uplinks[channel.index()];
            uplink.request = Some(request);
            if let Some(stream) = uplink.stream {
                self.send_to_origin(stream, ToOrigin::Attach(claim, mode));
            }
        }
    }

    fn gateway_hears_frame(&mut self, id: u64, bytes: &Bytes) {
        let gateway = self.sockets[&id].gateway;
        let frame = Frame::decode(bytes).expect("the client sends good frames");
        let Some(link) = self.gateways[gateway].links.get_mut(&id) else {
            return;
        };
        link.handle_frame(self.now, &frame);
        if self.gateways[gateway].current != Some(id) {
            return;
        }
        if let (Frame::Input(input), Some(stream)) = (
            frame,
            self.gateways[gateway].uplinks[Channel::Room.index()].stream,
        ) {
            self.send_to_origin(stream, ToOrigin::Input(input));
        }
    }

    /// Sends what a link owes, passes on what it learned.
    pub(super) fn pump_link(&mut self, id: u64) {
        let (now, gateway) = (self.now, self.sockets[&id].gateway);
        loop {
            let Some(link) = self.gateways[gateway].links.get_mut(&id) else {
                return;
            };
            if let Some(frame) = link.poll_transmit(now) {
                self.send_down(id, Ws::Binary(frame.encode().into()));
                continue;
            }
            match link.poll_event() {
                Some(LinkEvent::Acked(ack)) => {
                    let uplink = &self.gateways[gateway].uplinks[ack.channel.index()];
                    let current = self.gateways[gateway].current == Some(id);
                    if let (Some(stream), true) = (uplink.stream, current) {
                        self.send_to_origin(stream, ToOrigin::Ack(ack));
                    }
                }
                Some(LinkEvent::Silent) => {
                    self.hang_up(id, Some(CloseCode::HeartbeatTimeout));
                    return;
                }
                None => return,
            }
        }
    }

    /// A socket is over, for the client or for the gateway.
    fn hang_up(&mut self, id: u64, code: Option<CloseCode>) {
        let Some(socket) = self.sockets.get_mut(&id) else {
            return;
        };
        let gateway = &mut self.gateways[socket.gateway];
        gateway.links.remove(&id);
        if let Some(code) = code {
            socket.wire.send_down(Ws::Closed(Some(code.code())));
        }
        socket.wire.close_far();
        if gateway.current == Some(id) {
            gateway.current = None;
            for uplink in &mut gateway.uplinks {
                uplink.request = None;
            }
        }
    }

    pub(super) fn open_stream(&mut self, gateway: usize, channel: Channel) {
        let id = self.new_stream(gateway, channel);
        self.send_to_origin(id, ToOrigin::Hello);
        let uplink = &mut self.gateways[gateway].uplinks[channel.index()];
        uplink.stream = Some(id);
        if let Some(Request {
            claim,
            mode,
            answered,
        }) = uplink.request
        {
            // One that was answered goes on from what the client acknowledged.
            let mode = if answered { Attach::Continue } else { mode };
            let login = claim.login && !answered;
            self.send_to_origin(id, ToOrigin::Attach(Claim { login, ..claim }, mode));
        }
    }

    /// The gateway takes a stream for dead.
    pub(super) fn stream_lost(&mut self, id: u64) {
        let stream = self.streams.get_mut(&id).expect("a stream that is open");
        let (gateway, channel) = (stream.gateway, stream.channel);
        stream.wire.close_near();
        let uplink = &mut self.gateways[gateway].uplinks[channel.index()];
        if uplink.stream != Some(id) {
            return;
        }
        uplink.stream = None;
        uplink.relink_at = self.now + RELINK;
        if uplink.request.is_some() {
            let lost = ChannelLost {
                ch: channel,
                reason: "node_gone".to_owned(),
            };
            self.tell(gateway, ServerMessage::ChannelLost(lost));
        }
    }

    pub(super) fn gateway_hears_origin(&mut self, id: u64, message: FromOrigin) {
        let (gateway, channel) = (self.streams[&id].gateway, self.streams[&id].channel);
        match message {
            FromOrigin::Frame(frame) => {
                // What comes before the answer was meant for an earlier connection. The client
                // would acknowledge it, and then what it said it has would be too old to ask
                // for again.
                let request = &self.gateways[gateway].uplinks[channel.index()].request;
                let answered = request.as_ref().is_some_and(|request| request.answered);
                if let (Some(socket), true) = (self.gateways[gateway].current, answered) {
                    self.send_down(socket, Ws::Binary(frame));
                }
            }
            FromOrigin::Attached {
                attempt,
                position,
                recovered,
                state,
                processed,
            } => {
                if self.is_meant(gateway, channel, attempt) {
                    let state = serde_json::json!({"n": state, "processed": processed});
                    self.pass_on_attached(gateway, channel, position, recovered, &state);
                }
            }
            FromOrigin::Close { attempt, code } => {
                if self.is_meant(gateway, channel, attempt)
                    && let Some(socket) = self.gateways[gateway].current
                {
                    self.hang_up(socket, Some(code));
                }
            }
            FromOrigin::Closed => self.stream_lost(id),
        }
    }

    /// An answer to an earlier connection's attach says nothing about the present one.
    fn is_meant(&self, gateway: usize, channel: Channel, attempt: u32) -> bool {
        let request = &self.gateways[gateway].uplinks[channel.index()].request;
        request.as_ref().is_some_and(|request| {
            request.claim.attempt == attempt || self.fault == Some(Fault::AnswersMixed)
        })
    }

    fn pass_on_attached(
        &mut self,
        gateway: usize,
        channel: Channel,
        position: Position,
        recovered: bool,
        state: &Value,
    ) {
        if let Some(request) = &mut self.gateways[gateway].uplinks[channel.index()].request {
            request.answered = true;
        }
        let state = Some(RawValue::from_string(state.to_string()).expect("it is JSON"));
        let attached = ChannelAttached {
            ch: channel,
            epoch: position.epoch,
            offset: position.offset,
            recovered,
            state,
        };
        self.tell(gateway, ServerMessage::Channel(attached));
        let now = self.now;
        if let Some(socket) = self.gateways[gateway].current
            && channel == Channel::Room
            && let Some(link) = self.gateways[gateway].links.get_mut(&socket)
        {
            link.set_active(now, true);
        }
    }

    fn tell(&mut self, gateway: usize, message: ServerMessage) {
        if let Some(socket) = self.gateways[gateway].current {
            self.send_down(socket, Ws::Text(message.to_text()));
        }
    }

    fn send_down(&mut self, id: u64, message: Ws) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            self.work.texts += u64::from(matches!(message, Ws::Text(_)));
            socket.wire.send_down(message);
        }
    }
}
