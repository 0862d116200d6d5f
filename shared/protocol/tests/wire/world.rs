//! The world: virtual time, what travels, and the promises.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use protocol::id::Channel;
use protocol::log::LogLimits;
use protocol::random::Random;
use protocol::session::Output;
use protocol::time::Timestamp;

use super::client::Client;
use super::gateway::{Gateway, Socket, Ws};
use super::origin::{Origin, Stream, ToOrigin};
use super::pipe::Wire;
use super::schedule::Step;
use super::traffic::Pipe;

/// A mistake made on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    ClientRepeats,
    StaleAttachCounts,
    OldStreamCounts,
    LogForgetsOnSend,
    InputsRepeat,
    InputNumbersSurvive,
    AnswersMixed,
    FallBackUntold,
}

/// How much was done of what should come to an end.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) events: u64,
    pub(super) inputs: u64,
    pub(super) texts: u64,
    pub(super) attaches: u64,
    pub(super) connects: u64,
    pub(super) stale: u64,
    pub(super) lost_ranges: u64,
    pub(super) take_overs: u64,
}

/// What schedules came by.
#[derive(Debug, Default)]
pub(super) struct Seen {
    resends: bool,
    stale: bool,
    lost_ranges: bool,
    overflows: bool,
    applied: bool,
    reconnects: bool,
    take_overs: bool,
}

impl Seen {
    pub(super) fn add(&mut self, other: &Self) {
        self.resends |= other.resends;
        self.stale |= other.stale;
        self.lost_ranges |= other.lost_ranges;
        self.overflows |= other.overflows;
        self.applied |= other.applied;
        self.reconnects |= other.reconnects;
        self.take_overs |= other.take_overs;
    }

    pub(super) fn all(&self) -> bool {
        let seen = [self.resends, self.stale, self.lost_ranges];
        let more = [self.overflows, self.applied, self.reconnects];
        let all = seen.into_iter().chain(more).chain([self.take_overs]);
        all.min() == Some(true)
    }
}

/// The room steps, and the client sends its inputs, this often.
const STEP: Duration = Duration::from_millis(50);

/// By then every silence has been noticed that anybody waits for.
const FOUND_OUT: Duration = Duration::from_secs(6);

/// Everything must be at rest this long after the last fault.
const REST: Duration = Duration::from_secs(90);

pub(super) struct World {
    pub(super) now: Timestamp,
    pub(super) random: Random,
    pub(super) fault: Option<Fault>,
    pub(super) client: Client,
    pub(super) gateways: [Gateway; 2],
    pub(super) origins: [Origin; Channel::COUNT],
    pub(super) sockets: BTreeMap<u64, Socket>,
    pub(super) streams: BTreeMap<u64, Stream>,
    pub(super) work: Work,
    pub(super) stalled: VecDeque<Pipe>,
    next_id: u64,
    next_step: Timestamp,
}

impl World {
    pub(super) fn new(seed: u64, limits: LogLimits, fault: Option<Fault>) -> Self {
        let mut random = Random::new(seed);
        Self {
            now: Timestamp(0),
            client: Client::new(random.next_u64(), fault),
            origins: Channel::ALL.map(|channel| Origin::new(channel, limits, &mut random)),
            random,
            fault,
            gateways: Default::default(),
            sockets: BTreeMap::new(),
            streams: BTreeMap::new(),
            work: Work::default(),
            stalled: VecDeque::new(),
            next_id: 0,
            next_step: Timestamp(0),
        }
    }

    pub(super) fn step(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Emit(channel, count) => {
                (0..count).for_each(|_| self.emit(channel, None));
            }
            Step::Push(count) => {
                for _ in 0..count {
                    self.client.push()?;
                }
            }
            Step::Deliver(index, count) => {
                let pipes = self.pipes();
                if !pipes.is_empty() {
                    let pipe = pipes[index % pipes.len()];
                    for _ in 0..count {
                        self.deliver(pipe)?;
                    }
                }
            }
            Step::Stall(index) => {
                let pipes = self.pipes();
                if !pipes.is_empty() {
                    self.stalled.push_back(pipes[index % pipes.len()]);
                }
            }
            Step::Release => drop(self.stalled.pop_front()),
            Step::Wait(millis) => self.pass(Duration::from_millis(millis.into()), false)?,
            Step::Run(millis) => self.pass(Duration::from_millis(millis.into()), true)?,
            Step::Disturb(pipe, index, mischief) => self.disturb(pipe, index, mischief),
            Step::CutSocket | Step::HoleSocket => self.break_socket(step),
            Step::CutStream(index) | Step::HoleStream(index) => self.break_stream(index, step),
            Step::TakeOver => self.take_over_room(),
            Step::Replace(gateway) => self.replace(gateway),
            Step::Freeze(gateway) => {
                let now = self.now;
                self.gateways[gateway].frozen_since.get_or_insert(now);
            }
            Step::Wake(gateway) => self.gateways[gateway].frozen_since = None,
        }
        self.obey_clock()
    }

    /// The faults stop; what they left behind is still to be found out by silence.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        for gateway in &mut self.gateways {
            gateway.frozen_since = None;
        }
        self.stalled.clear();
        self.pass(FOUND_OUT, true)?;
        let deadline = self.now + REST;
        while let Some(why) = self.unrest() {
            if self.now >= deadline {
                return Err(format!("no rest: {why}"));
            }
            self.pass(Duration::from_millis(200), true)?;
        }
        let room = &self.origins[Channel::Room.index()];
        if let Some(step) = self.client.forgotten(&room.applied) {
            return Err(format!("input {step} is neither applied nor reported"));
        }
        for channel in Channel::ALL {
            let restarts = self.client.restarts[channel.index()];
            let overflows = self.origins[channel.index()].overflows;
            if restarts > 1 + overflows {
                return Err(format!("{channel:?} started over {restarts} times"));
            }
        }
        Ok(())
    }

    /// At rest nothing is sent again, attached again or said again.
    pub(super) fn stay_quiet(&mut self) -> Result<(), String> {
        let before = self.work;
        self.pass(Duration::from_secs(6), true)?;
        if self.work == before {
            Ok(())
        } else {
            Err(format!("busy at rest: {before:?}, then {:?}", self.work))
        }
    }

    pub(super) fn seen(&self) -> Seen {
        let made: u64 = self.origins.iter().map(|origin| origin.made).sum();
        Seen {
            resends: self.work.events > made,
            stale: self.work.stale > 0,
            lost_ranges: self.work.lost_ranges > 0,
            overflows: self.origins.iter().any(|origin| origin.overflows > 0),
            applied: !self.origins[Channel::Room.index()].applied.is_empty(),
            reconnects: self.work.connects > 2,
            take_overs: self.work.take_overs > 0,
        }
    }

    fn unrest(&self) -> Option<String> {
        let session = &self.client.session;
        if !session.is_live() || !session.is_in_room() {
            return Some("the client is not in its room".to_owned());
        }
        for channel in Channel::ALL {
            let origin = &self.origins[channel.index()];
            let seen = self.client.seen(channel);
            if seen != origin.made || !origin.log.is_settled() {
                let (made, log) = (origin.made, &origin.log);
                return Some(format!("{channel:?}: {seen} of {made} events, {log:?}"));
            }
        }
        let waiting = self.origins[Channel::Room.index()].inputs.queued();
        let unsettled = session.inputs().unsettled().count();
        (waiting + unsettled > 0).then(|| format!("inputs: {waiting} wait, {unsettled} unsettled"))
    }

    fn pass(&mut self, time: Duration, deliver: bool) -> Result<(), String> {
        let until = self.now + time;
        let mut at_once = 0;
        loop {
            if deliver {
                self.deliver_all()?;
            }
            let next = self.next_deadline();
            if next > until {
                self.now = until;
                return Ok(());
            }
            at_once = if next > self.now { 0 } else { at_once + 1 };
            if at_once > 100 {
                return Err(format!("busy: a deadline at {next:?} does not pass"));
            }
            self.now = self.now.max(next);
            self.obey_clock()?;
        }
    }

    fn next_deadline(&self) -> Timestamp {
        let client = self.client.session.poll_timeout();
        let logs = self
            .origins
            .iter()
            .filter_map(|origin| origin.log.poll_timeout());
        let awake = self
            .gateways
            .iter()
            .filter(|gateway| gateway.frozen_since.is_none());
        let links = awake.clone().flat_map(|gateway| gateway.links.values());
        let uplinks = awake.flat_map(|gateway| &gateway.uplinks);
        let relinks = uplinks
            .filter(|uplink| uplink.wants_stream())
            .map(|uplink| uplink.relink_at);
        links
            .filter_map(|link| link.poll_timeout())
            .chain(relinks)
            .chain(client)
            .chain(logs)
            .fold(self.next_step, Timestamp::min)
    }

    /// Lets everybody act on the deadlines that have come.
    fn obey_clock(&mut self) -> Result<(), String> {
        let now = self.now;
        let outputs = self.client.handle_timeout(now)?;
        self.obey_client(outputs);
        self.notice_silence();
        for gateway in 0..self.gateways.len() {
            self.obey_gateway_clock(gateway);
        }
        for channel in Channel::ALL {
            self.origins[channel.index()].log.handle_timeout(now);
            self.pump_origin(channel);
        }
        if self.next_step <= now {
            self.next_step = now + STEP;
            self.room_step()?;
            let outputs = self.client.flush(now)?;
            self.obey_client(outputs);
        }
        self.sockets.retain(|_, socket| !socket.wire.is_over());
        self.streams.retain(|_, stream| !stream.wire.is_over());
        Ok(())
    }

    fn obey_gateway_clock(&mut self, index: usize) {
        let (now, gateway) = (self.now, &mut self.gateways[index]);
        if gateway.frozen_since.is_some() {
            return;
        }
        gateway
            .links
            .values_mut()
            .for_each(|link| link.handle_timeout(now));
        let ids: Vec<u64> = gateway.links.keys().copied().collect();
        ids.into_iter().for_each(|id| self.pump_link(id));
        for channel in Channel::ALL {
            let uplink = &self.gateways[index].uplinks[channel.index()];
            if uplink.wants_stream() && uplink.relink_at <= now {
                self.open_stream(index, channel);
            }
        }
    }

    pub(super) fn obey_client(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Connect { address } => {
                    self.drop_socket();
                    self.work.connects += 1;
                    let id = self.new_id();
                    let mut wire = Wire::new();
                    wire.send_up(Ws::Open);
                    self.sockets.insert(
                        id,
                        Socket {
                            gateway: address,
                            wire,
                        },
                    );
                    self.client.socket = Some(id);
                }
                Output::Text(text) => self.send_up(Ws::Text(text)),
                Output::Binary(bytes) => {
                    // Kind 4 is input.
                    self.work.inputs += u64::from(bytes[0] == 4);
                    self.send_up(Ws::Binary(bytes.into()));
                }
                Output::Close(_) | Output::Drop => self.drop_socket(),
            }
        }
    }

    fn send_up(&mut self, message: Ws) {
        let socket = self.client.socket.and_then(|id| self.sockets.get_mut(&id));
        if let Some(socket) = socket {
            socket.wire.send_up(message);
        }
    }

    fn drop_socket(&mut self) {
        let socket = self
            .client
            .socket
            .take()
            .and_then(|id| self.sockets.get_mut(&id));
        if let Some(socket) = socket {
            socket.wire.close_near();
        }
    }

    pub(super) fn new_stream(&mut self, gateway: usize, channel: Channel) -> u64 {
        let id = self.new_id();
        let wire = Wire::new();
        self.streams.insert(
            id,
            Stream {
                gateway,
                channel,
                wire,
            },
        );
        id
    }

    pub(super) fn send_to_origin(&mut self, stream: u64, message: ToOrigin) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.wire.send_up(message);
        }
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}
