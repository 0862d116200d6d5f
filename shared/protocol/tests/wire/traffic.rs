//! What travels arrives, or something happens to it.

use std::time::Duration;

use protocol::time::Timestamp;

use super::gateway::{Gateway, STREAM_SILENCE, Socket, Ws};
use super::origin::Stream;
use super::pipe::{Mischief, disturb};
use super::schedule::Step;
use super::world::World;

/// An origin that hears nothing of a gateway for this long ends its stream.
const GATEWAY_SILENCE: Duration = Duration::from_secs(5);

/// One direction of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pipe {
    ToGateway(u64),
    ToClient(u64),
    ToOrigin(u64),
    FromOrigin(u64),
}

impl World {
    /// Pipes with something in them that is heard at the other end.
    pub(super) fn pipes(&self) -> Vec<Pipe> {
        let awake = |gateway: usize| self.gateways[gateway].frozen_since.is_none();
        let mut pipes = Vec::new();
        for (id, socket) in &self.sockets {
            if !socket.wire.up.is_empty() && awake(socket.gateway) {
                pipes.push(Pipe::ToGateway(*id));
            }
            if !socket.wire.down.is_empty() {
                pipes.push(Pipe::ToClient(*id));
            }
        }
        for (id, stream) in &self.streams {
            if !stream.wire.up.is_empty() {
                pipes.push(Pipe::ToOrigin(*id));
            }
            if !stream.wire.down.is_empty() && awake(stream.gateway) {
                pipes.push(Pipe::FromOrigin(*id));
            }
        }
        pipes
    }

    pub(super) fn deliver_all(&mut self) -> Result<(), String> {
        for _ in 0..20_000 {
            let mut pipes = self.pipes();
            pipes.retain(|pipe| !self.stalled.contains(pipe));
            if pipes.is_empty() {
                return Ok(());
            }
            for pipe in pipes {
                self.deliver(pipe)?;
            }
        }
        Err("messages beget messages without end".to_owned())
    }

    pub(super) fn deliver(&mut self, pipe: Pipe) -> Result<(), String> {
        match pipe {
            Pipe::ToGateway(id) => {
                let socket = self.sockets.get_mut(&id);
                if let Some(message) = socket.and_then(|socket| socket.wire.up.pop_front()) {
                    self.gateway_hears(id, message);
                }
            }
            Pipe::ToClient(id) => {
                let socket = self.sockets.get_mut(&id);
                let message = socket.and_then(|socket| socket.wire.down.pop_front());
                if let (Some(message), true) = (message, self.client.socket == Some(id)) {
                    if matches!(message, Ws::Closed(_)) {
                        self.sockets
                            .get_mut(&id)
                            .expect("just heard")
                            .wire
                            .close_near();
                    }
                    let outputs = self.client.hear(self.now, message)?;
                    self.obey_client(outputs);
                }
            }
            Pipe::ToOrigin(id) => {
                let stream = self.streams.get_mut(&id);
                if let Some(message) = stream.and_then(|stream| stream.wire.up.pop_front()) {
                    self.origin_hears(id, message)?;
                }
            }
            Pipe::FromOrigin(id) => {
                let stream = self.streams.get_mut(&id);
                if let Some(message) = stream.and_then(|stream| stream.wire.down.pop_front()) {
                    self.gateway_hears_origin(id, message);
                }
            }
        }
        Ok(())
    }

    pub(super) fn disturb(&mut self, pipe: usize, index: usize, mischief: Mischief) {
        let pipes = self.pipes();
        if pipes.is_empty() {
            return;
        }
        match pipes[pipe % pipes.len()] {
            Pipe::ToGateway(id) => disturb(&mut self.socket(id).wire.up, index, mischief),
            Pipe::ToClient(id) => disturb(&mut self.socket(id).wire.down, index, mischief),
            Pipe::ToOrigin(id) => disturb(&mut self.stream(id).wire.up, index, mischief),
            Pipe::FromOrigin(id) => disturb(&mut self.stream(id).wire.down, index, mischief),
        }
    }

    fn socket(&mut self, id: u64) -> &mut Socket {
        self.sockets.get_mut(&id).expect("listed")
    }

    fn stream(&mut self, id: u64) -> &mut Stream {
        self.streams.get_mut(&id).expect("listed")
    }

    pub(super) fn break_socket(&mut self, step: Step) {
        let now = self.now;
        let socket = self.client.socket.and_then(|id| self.sockets.get_mut(&id));
        match (socket, step) {
            (Some(socket), Step::CutSocket) => socket.wire.cut(),
            (Some(socket), _) => socket.wire.hole(now),
            (None, _) => {}
        }
    }

    pub(super) fn break_stream(&mut self, index: usize, step: Step) {
        let now = self.now;
        let count = self.streams.len().max(1);
        let stream = self.streams.values_mut().nth(index % count);
        match (stream, step) {
            (Some(stream), Step::CutStream(_)) => stream.wire.cut(),
            (Some(stream), _) => stream.wire.hole(now),
            (None, _) => {}
        }
    }

    /// What the dead gateway sent still arrives; what it was sent is gone.
    pub(super) fn replace(&mut self, gateway: usize) {
        for socket in self
            .sockets
            .values_mut()
            .filter(|socket| socket.gateway == gateway)
        {
            socket.wire.close_far();
        }
        for stream in self
            .streams
            .values_mut()
            .filter(|stream| stream.gateway == gateway)
        {
            stream.wire.close_near();
        }
        self.gateways[gateway] = Gateway::default();
    }

    /// Both ends of a stream beat: whoever hears nothing for long enough gives it up.
    pub(super) fn notice_silence(&mut self) {
        let now = self.now;
        let over = |since: Option<Timestamp>, limit: Duration| {
            since.is_some_and(|since| now.since(since) >= limit)
        };
        let ids: Vec<u64> = self.streams.keys().copied().collect();
        for id in ids {
            let stream = &self.streams[&id];
            let frozen = self.gateways[stream.gateway].frozen_since;
            let (wire, hole) = (&stream.wire, stream.wire.hole_since);
            let far = over(hole, GATEWAY_SILENCE) || over(frozen, GATEWAY_SILENCE);
            let near = over(hole, STREAM_SILENCE) && frozen.is_none();
            let (far, near) = (
                far && wire.far_open && wire.up.is_empty(),
                near && wire.near_open,
            );
            if far {
                self.drop_stream(id);
            }
            if near {
                self.stream_lost(id);
            }
        }
    }
}
