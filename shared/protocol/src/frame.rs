//! Binary frames: a kind byte, then a bit-packed body. Bits are packed as in [`crate::bits`].
//!
//! | kind | frame | body |
//! | --- | --- | --- |
//! | 1 | ping | beat, acks |
//! | 2 | pong | beat |
//! | 3 | ack | acks |
//! | 4 | input | epoch 32, offset var, snapshot tick var, first var, count 4, width 6, count × width |
//! | 5 | snapshot | tick var, distance var, processed var, durable lag var, queued 4, align, body |
//! | 6 | event | channel 1, align, epoch 32, offset var, align, payload |
//!
//! beat = time 32, echo 32, hold 16; acks = count 2, then for each: channel 1, resend 1, epoch 32,
//! offset var.

use bytes::Bytes;

use crate::bits::{BitReader, BitWriter, BitsError};
use crate::id::{Channel, Epoch, InputSeq, Offset, Tick};

const PING: u8 = 1;
const PONG: u8 = 2;
const ACK: u8 = 3;
const INPUT: u8 = 4;
const SNAPSHOT: u8 = 5;
const EVENT: u8 = 6;

/// A binary frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A heartbeat that wants an answer.
    Ping(Beat, Acks),
    /// The answer to one.
    Pong(Beat),
    /// Acknowledgement on its own, when no heartbeat or input is due.
    Ack(Acks),
    /// A player's input, from client to room.
    Input(InputFrame),
    /// A room's state, from room to client. Not reliable: the newest one counts.
    Snapshot(Snapshot),
    /// A reliable event, from origin to client.
    Event(Event),
}

/// Clock readings that let both sides measure the round trip (the LSR and DLSR of RFC 3550).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Beat {
    /// The sender's clock, in milliseconds modulo 2^32.
    pub time: u32,
    /// The `time` of the last beat that the sender got; 0 if none.
    pub echo: u32,
    /// How long ago the sender got it, in milliseconds; `u16::MAX` if longer.
    pub hold: u16,
}

/// "I have everything up to here" for one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ack {
    /// Which channel.
    pub channel: Channel,
    /// Its history.
    pub epoch: Epoch,
    /// The last event that took effect.
    pub offset: Offset,
    /// An event is missing behind it: send again from there.
    pub resend: bool,
}

/// At most one [`Ack`] for each channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Acks([Option<Ack>; Channel::COUNT]);

impl Acks {
    /// Adds one, in place of an earlier one for the same channel.
    pub fn set(&mut self, ack: Ack) {
        self.0[ack.channel.index()] = Some(ack);
    }

    /// Takes out the one for `channel`.
    pub fn remove(&mut self, channel: Channel) {
        self.0[channel.index()] = None;
    }

    /// Those present, in channel order.
    pub fn iter(&self) -> impl Iterator<Item = Ack> + use<> {
        self.0.into_iter().flatten()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

/// Steps of input. Every step has the same width, which the game fixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputFrame {
    /// History of the room channel that this input belongs to.
    pub epoch: Epoch,
    /// The last event of the room channel that took effect: acknowledgement rides on input.
    pub offset: Offset,
    /// The newest snapshot that arrived, which later ones may be encoded against.
    pub snapshot: Tick,
    /// Number of the first step.
    pub first: InputSeq,
    /// The steps.
    pub steps: Steps,
}

/// 1 to 15 steps of 1 to 32 bits each, held inline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steps {
    width: u8,
    len: u8,
    values: [u32; Self::MAX],
}

impl Steps {
    /// Most steps in one frame.
    pub const MAX: usize = 15;

    /// No steps yet, of `width` bits each (1 to 32).
    pub fn new(width: u8) -> Self {
        debug_assert!((1..=32).contains(&width));
        Self {
            width,
            len: 0,
            values: [0; Self::MAX],
        }
    }

    /// Adds a step, cut to the width. Gives `false` if there is no room.
    pub fn push(&mut self, step: u32) -> bool {
        if self.is_full() {
            return false;
        }
        self.values[usize::from(self.len)] = step & mask(self.width);
        self.len += 1;
        true
    }

    /// The steps in order.
    pub fn as_slice(&self) -> &[u32] {
        &self.values[..usize::from(self.len)]
    }

    /// Bits of one step.
    pub fn width(&self) -> u8 {
        self.width
    }

    /// Whether no more fit.
    pub fn is_full(&self) -> bool {
        usize::from(self.len) == Self::MAX
    }
}

fn mask(width: u8) -> u32 {
    ((1u64 << width) - 1) as u32
}

/// A room's state for one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// What differs from client to client.
    pub head: SnapshotHead,
    /// The game's part, which clients with the same baseline share.
    pub body: Bytes,
}

/// The part of a snapshot that differs from client to client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SnapshotHead {
    /// The step after which this is the state.
    pub tick: Tick,
    /// How many ticks back the baseline of `body` lies; 0: `body` is whole.
    pub distance: u32,
    /// The last of the client's inputs that the state contains.
    pub processed: InputSeq,
    /// How many of those are not yet safe from a crash of the room's node.
    pub durable_lag: u32,
    /// Inputs of this client that wait at the room, at most 15 are told.
    pub queued: u8,
}

impl SnapshotHead {
    /// The tick of the baseline, if there is one.
    pub fn baseline(&self) -> Option<Tick> {
        (self.distance > 0).then(|| Tick(self.tick.0.saturating_sub(self.distance)))
    }

    /// The head's bytes, kind byte first: `body` follows as it is.
    pub fn encode(&self) -> Vec<u8> {
        let mut bits = BitWriter::with_capacity(12);
        bits.bits(u32::from(SNAPSHOT), 8);
        bits.var(self.tick.0);
        bits.var(self.distance);
        bits.var(self.processed.0);
        bits.var(self.durable_lag);
        bits.bits(u32::from(self.queued.min(15)), 4);
        bits.finish()
    }
}

/// A reliable event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Whose.
    pub channel: Channel,
    /// The channel's history.
    pub epoch: Epoch,
    /// Its place there.
    pub offset: Offset,
    /// What happened: a JSON object in UTF-8.
    pub payload: Bytes,
}

/// Why a binary frame cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Nothing in it.
    #[error("a binary frame is empty; it starts with a kind byte")]
    Empty,
    /// The first byte is no kind.
    #[error("binary frame kind {0} is unknown; kinds are 1 to 6")]
    UnknownKind(u8),
    /// The body is not what the kind says.
    #[error("binary frame of kind {kind}: field {field} {source}")]
    Field {
        /// The frame's kind.
        kind: u8,
        /// The field at fault, as `docs/PROTOCOL.md` names it.
        field: &'static str,
        /// What is wrong with it.
        source: FieldError,
    },
}

/// What is wrong with a field of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// Its bits cannot be read.
    #[error(transparent)]
    Bits(#[from] BitsError),
    /// Its value is not allowed.
    #[error("is out of range")]
    Range,
}

impl Frame {
    /// The frame's bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ping(beat, acks) => {
                let mut bits = start(PING, 24);
                put_beat(&mut bits, beat);
                put_acks(&mut bits, acks);
                bits.finish()
            }
            Self::Pong(beat) => {
                let mut bits = start(PONG, 11);
                put_beat(&mut bits, beat);
                bits.finish()
            }
            Self::Ack(acks) => {
                let mut bits = start(ACK, 16);
                put_acks(&mut bits, acks);
                bits.finish()
            }
            Self::Input(input) => input.encode(),
            Self::Snapshot(snapshot) => {
                let mut bytes = snapshot.head.encode();
                bytes.extend_from_slice(&snapshot.body);
                bytes
            }
            Self::Event(event) => event.encode(),
        }
    }

    /// Reads a frame. Allocates nothing: what is of variable length is a slice of `bytes`.
    ///
    /// # Errors
    /// [`FrameError`], with the field at fault.
    pub fn decode(bytes: &Bytes) -> Result<Self, FrameError> {
        let kind = *bytes.first().ok_or(FrameError::Empty)?;
        let mut fields = Fields {
            kind,
            bits: BitReader::new(&bytes[1..]),
        };
        Ok(match kind {
            PING => Self::Ping(fields.beat()?, fields.acks()?),
            PONG => Self::Pong(fields.beat()?),
            ACK => Self::Ack(fields.acks()?),
            INPUT => Self::Input(fields.input()?),
            SNAPSHOT => {
                let head = fields.head()?;
                Self::Snapshot(Snapshot {
                    head,
                    body: fields.rest(bytes),
                })
            }
            EVENT => {
                let channel = fields.channel()?;
                fields.bits("padding", 7)?;
                let epoch = Epoch(fields.bits("epoch", 32)?);
                let offset = Offset(fields.var("offset")?);
                Self::Event(Event {
                    channel,
                    epoch,
                    offset,
                    payload: fields.rest(bytes),
                })
            }
            unknown => return Err(FrameError::UnknownKind(unknown)),
        })
    }
}

impl InputFrame {
    fn encode(&self) -> Vec<u8> {
        let mut bits = start(INPUT, 16 + 4 * usize::from(self.steps.len));
        bits.bits(self.epoch.0, 32);
        bits.var(self.offset.0);
        bits.var(self.snapshot.0);
        bits.var(self.first.0);
        bits.bits(u32::from(self.steps.len), 4);
        bits.bits(u32::from(self.steps.width), 6);
        for step in self.steps.as_slice() {
            bits.bits(*step, u32::from(self.steps.width));
        }
        bits.finish()
    }
}

impl Event {
    /// The frame's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bits = start(EVENT, 12 + self.payload.len());
        bits.bits(self.channel.index() as u32, 1);
        bits.align();
        bits.bits(self.epoch.0, 32);
        bits.var(self.offset.0);
        bits.bytes(&self.payload);
        bits.finish()
    }
}

fn start(kind: u8, capacity: usize) -> BitWriter {
    let mut bits = BitWriter::with_capacity(capacity);
    bits.bits(u32::from(kind), 8);
    bits
}

fn put_beat(bits: &mut BitWriter, beat: &Beat) {
    bits.bits(beat.time, 32);
    bits.bits(beat.echo, 32);
    bits.bits(u32::from(beat.hold), 16);
}

fn put_acks(bits: &mut BitWriter, acks: &Acks) {
    bits.bits(acks.iter().count() as u32, 2);
    for ack in acks.iter() {
        bits.bits(ack.channel.index() as u32, 1);
        bits.bit(ack.resend);
        bits.bits(ack.epoch.0, 32);
        bits.var(ack.offset.0);
    }
}

/// Reads fields and says which one is at fault.
struct Fields<'a> {
    kind: u8,
    bits: BitReader<'a>,
}

impl Fields<'_> {
    fn error(&self, field: &'static str, source: FieldError) -> FrameError {
        FrameError::Field {
            kind: self.kind,
            field,
            source,
        }
    }

    fn bits(&mut self, field: &'static str, width: u32) -> Result<u32, FrameError> {
        self.bits
            .bits(width)
            .map_err(|error| self.error(field, error.into()))
    }

    fn var(&mut self, field: &'static str) -> Result<u32, FrameError> {
        self.bits
            .var()
            .map_err(|error| self.error(field, error.into()))
    }

    fn channel(&mut self) -> Result<Channel, FrameError> {
        Ok(Channel::ALL[self.bits("channel", 1)? as usize])
    }

    fn beat(&mut self) -> Result<Beat, FrameError> {
        Ok(Beat {
            time: self.bits("time", 32)?,
            echo: self.bits("echo", 32)?,
            hold: self.bits("hold", 16)? as u16,
        })
    }

    fn acks(&mut self) -> Result<Acks, FrameError> {
        let count = self.bits("count", 2)?;
        if count as usize > Channel::COUNT {
            return Err(self.error("count", FieldError::Range));
        }
        let mut acks = Acks::default();
        for _ in 0..count {
            acks.set(Ack {
                channel: self.channel()?,
                resend: self.bits("resend", 1)? == 1,
                epoch: Epoch(self.bits("epoch", 32)?),
                offset: Offset(self.var("offset")?),
            });
        }
        Ok(acks)
    }

    fn input(&mut self) -> Result<InputFrame, FrameError> {
        let epoch = Epoch(self.bits("epoch", 32)?);
        let offset = Offset(self.var("offset")?);
        let snapshot = Tick(self.var("snapshot")?);
        let first = InputSeq(self.var("first")?);
        let count = self.bits("count", 4)?;
        let width = self.bits("width", 6)?;
        if first.0 == 0 || first.0.checked_add(count).is_none() {
            return Err(self.error("first", FieldError::Range));
        }
        if count == 0 {
            return Err(self.error("count", FieldError::Range));
        }
        if !(1..=32).contains(&width) {
            return Err(self.error("width", FieldError::Range));
        }
        let mut steps = Steps::new(width as u8);
        for _ in 0..count {
            steps.push(self.bits("steps", width)?);
        }
        Ok(InputFrame {
            epoch,
            offset,
            snapshot,
            first,
            steps,
        })
    }

    fn head(&mut self) -> Result<SnapshotHead, FrameError> {
        Ok(SnapshotHead {
            tick: Tick(self.var("tick")?),
            distance: self.var("distance")?,
            processed: InputSeq(self.var("processed")?),
            durable_lag: self.var("durable_lag")?,
            queued: self.bits("queued", 4)? as u8,
        })
    }

    fn rest(&mut self, whole: &Bytes) -> Bytes {
        let start = 1 + self.bits.byte_position();
        whole.slice(start.min(whole.len())..)
    }
}

#[cfg(test)]
mod tests;
