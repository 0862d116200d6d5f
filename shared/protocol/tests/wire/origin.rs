//! An origin: the log of one player, and for the room the player's queue of inputs.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use protocol::attach::{Claim, Holder, Verdict};
use protocol::close::CloseCode;
use protocol::frame::{Ack, Frame, InputFrame, Snapshot, SnapshotHead};
use protocol::id::{Channel, Epoch, InputSeq, Position, Tick};
use protocol::input::{InputQueue, InputRange};
use protocol::log::{Attach, EventLog, LogLimits};
use protocol::random::Random;

use super::pipe::{Message, Wire};
use super::world::{Fault, World};

const INPUT_LIMIT: usize = 40;

/// What a gateway says to an origin.
#[derive(Debug, Clone)]
pub(super) enum ToOrigin {
    Hello,
    Attach(Claim, Attach),
    Ack(Ack),
    Input(InputFrame),
    Closed,
}

/// What an origin says to a gateway.
#[derive(Debug, Clone)]
pub(super) enum FromOrigin {
    Attached {
        attempt: u32,
        position: Position,
        recovered: bool,
        state: Option<u64>,
        processed: Option<InputSeq>,
    },
    Frame(Bytes),
    Close {
        attempt: u32,
        code: CloseCode,
    },
    Closed,
}

impl Message for ToOrigin {
    fn is_frame(&self) -> bool {
        matches!(self, Self::Ack(_) | Self::Input(_))
    }

    fn closed() -> Self {
        Self::Closed
    }
}

impl Message for FromOrigin {
    fn is_frame(&self) -> bool {
        matches!(self, Self::Frame(_))
    }

    fn closed() -> Self {
        Self::Closed
    }
}

/// Between a gateway and an origin.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) gateway: usize,
    pub(super) channel: Channel,
    pub(super) wire: Wire<ToOrigin, FromOrigin>,
}

#[derive(Debug)]
pub(super) struct Origin {
    channel: Channel,
    pub(super) log: EventLog,
    limits: LogLimits,
    /// How many events there were, in all histories.
    pub(super) made: u64,
    pub(super) overflows: u32,
    holder: Holder,
    /// The stream that the attachment that counts came over, while it is there.
    stream: Option<u64>,
    /// The newest stream of each gateway.
    newest: BTreeMap<usize, u64>,
    pub(super) inputs: InputQueue,
    /// Every step that was applied, in order.
    pub(super) applied: Vec<u32>,
    tick: Tick,
    /// The room at its last snapshots, the oldest first: that one is what a crash falls back to.
    saved: VecDeque<Saved>,
    /// The last step that was ever applied or reported in this history.
    most: InputSeq,
    /// How many snapshots what is durable lags behind.
    durable_after: usize,
    /// Whether the room says on an attach what it has of the inputs.
    tells_processed: bool,
}

/// What a crash falls back to.
#[derive(Debug, Clone)]
struct Saved {
    inputs: InputQueue,
    applied: usize,
}

impl Origin {
    pub(super) fn new(channel: Channel, limits: LogLimits, random: &mut Random) -> Self {
        let inputs = InputQueue::new(INPUT_LIMIT);
        Self {
            saved: VecDeque::from([Saved {
                inputs: inputs.clone(),
                applied: 0,
            }]),
            most: InputSeq(0),
            durable_after: 1 + random.below(30) as usize,
            tells_processed: random.below(4) > 0,
            channel,
            log: EventLog::new(channel, Epoch(1), limits),
            limits,
            made: 0,
            overflows: 0,
            holder: Holder::default(),
            stream: None,
            newest: BTreeMap::new(),
            inputs,
            applied: Vec::new(),
            tick: Tick(0),
        }
    }

    fn save(&mut self) {
        self.most = self.most.max(self.inputs.processed());
        self.saved.push_back(Saved {
            inputs: self.inputs.clone(),
            applied: self.applied.len(),
        });
        if self.saved.len() > self.durable_after {
            self.saved.pop_front();
        }
    }

    fn snapshot(&mut self) -> Snapshot {
        self.tick.0 += 1;
        let processed = self.inputs.processed();
        let durable = self
            .saved
            .front()
            .map_or(processed, |saved| saved.inputs.processed());
        self.save();
        Snapshot {
            head: SnapshotHead {
                tick: self.tick,
                distance: 0,
                processed,
                durable_lag: processed.0 - durable.0,
                queued: self.inputs.queued().min(15) as u8,
            },
            body: Bytes::new(),
        }
    }
}

impl Origin {
    fn processed_to_tell(&self, fault: Option<Fault>) -> Option<InputSeq> {
        match fault {
            // As if nothing had been undone.
            Some(Fault::FallBackUntold) => Some(self.most),
            _ => self.tells_processed.then(|| self.inputs.processed()),
        }
    }
}

impl World {
    /// The room's node dies, and another one goes on from what is durable. Events are durable
    /// before they leave, so that none is undone.
    pub(super) fn take_over_room(&mut self) {
        let origin = &mut self.origins[Channel::Room.index()];
        if let Some(saved) = origin.saved.front().cloned() {
            origin.inputs = saved.inputs;
            origin.applied.truncate(saved.applied);
            origin.saved.clear();
            origin.save();
            self.work.take_overs += 1;
        }
        let of_room =
            |(id, stream): (&u64, &Stream)| (stream.channel == Channel::Room).then_some(*id);
        let streams: Vec<u64> = self.streams.iter().filter_map(of_room).collect();
        streams.into_iter().for_each(|id| self.drop_stream(id));
    }

    pub(super) fn origin_hears(&mut self, id: u64, message: ToOrigin) -> Result<(), String> {
        let channel = self.streams[&id].channel;
        let attached = self.origins[channel.index()].stream == Some(id);
        match message {
            ToOrigin::Hello => self.fence(id),
            ToOrigin::Attach(claim, mode) => self.attach(id, claim, mode),
            ToOrigin::Ack(ack) if attached => {
                let now = self.now;
                self.origins[channel.index()].log.handle_ack(now, ack);
            }
            ToOrigin::Input(input) if attached => self.take_input(channel, &input)?,
            ToOrigin::Ack(_) | ToOrigin::Input(_) => {}
            ToOrigin::Closed => self.drop_stream(id),
        }
        self.pump_origin(channel);
        Ok(())
    }

    /// A gateway has one stream to an origin: what an older one still holds is not heard, for it
    /// was said before.
    fn fence(&mut self, id: u64) {
        let (gateway, channel) = (self.streams[&id].gateway, self.streams[&id].channel);
        if self.fault == Some(Fault::OldStreamCounts) {
            return;
        }
        let newest = self.origins[channel.index()]
            .newest
            .entry(gateway)
            .or_insert(id);
        if *newest > id {
            self.drop_stream(id);
            return;
        }
        let older = std::mem::replace(newest, id);
        if older != id && self.streams.contains_key(&older) {
            self.drop_stream(older);
        }
    }

    /// A stream is over, for the origin at least.
    pub(super) fn drop_stream(&mut self, id: u64) {
        let stream = self.streams.get_mut(&id).expect("a stream that is open");
        stream.wire.close_far();
        let origin = &mut self.origins[stream.channel.index()];
        if origin.stream == Some(id) {
            origin.stream = None;
        }
    }

    fn attach(&mut self, id: u64, claim: Claim, mode: Attach) {
        let channel = self.streams[&id].channel;
        let epoch = Epoch(self.random.next_u64() as u32 | 1);
        let origin = &mut self.origins[channel.index()];
        let verdict = origin.holder.judge(&claim);
        if verdict != Verdict::Accept && self.fault != Some(Fault::StaleAttachCounts) {
            self.work.stale += 1;
            let code = CloseCode::Superseded;
            let close = FromOrigin::Close {
                attempt: claim.attempt,
                code,
            };
            self.send_to_gateway(id, close);
            return;
        }
        let attached = origin.log.attach(mode, epoch);
        if !attached.recovered && self.fault != Some(Fault::InputNumbersSurvive) {
            origin.inputs = InputQueue::new(INPUT_LIMIT);
            origin.saved.clear();
            origin.most = InputSeq(0);
            origin.save();
        }
        let before = origin.holder.accept(claim);
        let elsewhere = origin.stream.replace(id).filter(|stream| *stream != id);
        let answer = FromOrigin::Attached {
            attempt: claim.attempt,
            position: attached.position,
            recovered: attached.recovered,
            state: (!attached.recovered).then_some(origin.made),
            processed: origin.processed_to_tell(self.fault),
        };
        self.work.attaches += 1;
        self.send_to_gateway(id, answer);
        if let (Some(stream), Some(before)) = (elsewhere, before)
            && before.attempt != claim.attempt
        {
            let (attempt, code) = (before.attempt, CloseCode::Superseded);
            self.send_to_gateway(stream, FromOrigin::Close { attempt, code });
        }
    }

    fn take_input(&mut self, channel: Channel, input: &InputFrame) -> Result<(), String> {
        let now = self.now;
        let origin = &mut self.origins[channel.index()];
        let ack = Ack {
            channel,
            epoch: input.epoch,
            offset: input.offset,
            resend: false,
        };
        origin.log.handle_ack(now, ack);
        if input.epoch != origin.log.epoch() {
            return Ok(());
        }
        if self.fault == Some(Fault::InputsRepeat) {
            for step in input.steps.as_slice() {
                self.apply(channel, *step)?;
            }
        }
        let origin = &mut self.origins[channel.index()];
        if let Some(lost) = origin.inputs.accept(input.first, input.steps.as_slice()) {
            self.work.lost_ranges += 1;
            self.emit(channel, Some(lost));
        }
        Ok(())
    }

    /// One step of the room: an input, and a snapshot to whoever is there.
    pub(super) fn room_step(&mut self) -> Result<(), String> {
        let origin = &mut self.origins[Channel::Room.index()];
        if let Some(step) = origin.inputs.take()
            && self.fault != Some(Fault::InputsRepeat)
        {
            self.apply(Channel::Room, step)?;
        }
        let origin = &mut self.origins[Channel::Room.index()];
        let frame = Frame::Snapshot(origin.snapshot()).encode();
        if let Some(stream) = origin.stream {
            self.send_to_gateway(stream, FromOrigin::Frame(frame.into()));
        }
        Ok(())
    }

    fn apply(&mut self, channel: Channel, step: u32) -> Result<(), String> {
        let applied = &mut self.origins[channel.index()].applied;
        if let Some(last) = applied.last().filter(|last| **last >= step) {
            return Err(format!("input {step} was applied after {last}"));
        }
        applied.push(step);
        Ok(())
    }

    pub(super) fn emit(&mut self, channel: Channel, lost: Option<InputRange>) {
        let origin = &mut self.origins[channel.index()];
        origin.made += 1;
        let number = origin.made;
        let payload = match lost {
            None => format!("{{\"e\":\"made\",\"n\":{number}}}"),
            Some(InputRange { from, to }) => {
                format!("{{\"e\":\"inputs.lost\",\"from\":{from},\"to\":{to},\"n\":{number}}}")
            }
        };
        if origin.log.append(payload.into()).is_err() {
            origin.overflows += 1;
            assert!(origin.log.is_settled() && origin.limits.events < 100);
            if let (Some(stream), Some(claim)) = (origin.stream.take(), origin.holder.current()) {
                let (attempt, code) = (claim.attempt, CloseCode::SlowConsumer);
                self.send_to_gateway(stream, FromOrigin::Close { attempt, code });
            }
        }
        self.pump_origin(channel);
    }

    pub(super) fn pump_origin(&mut self, channel: Channel) {
        let now = self.now;
        loop {
            let origin = &mut self.origins[channel.index()];
            let Some(stream) = origin.stream else { return };
            let Some(event) = origin.log.poll_transmit(now) else {
                return;
            };
            if self.fault == Some(Fault::LogForgetsOnSend) {
                let ack = Ack {
                    channel: origin.channel,
                    epoch: event.epoch,
                    offset: event.offset,
                    resend: false,
                };
                origin.log.handle_ack(now, ack);
            }
            self.work.events += 1;
            self.send_to_gateway(stream, FromOrigin::Frame(event.encode().into()));
        }
    }

    fn send_to_gateway(&mut self, stream: u64, message: FromOrigin) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.wire.send_down(message);
        }
    }
}
