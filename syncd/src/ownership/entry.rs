//! What is written in a journal: entries, one for each tick of a worker, and checkpoints of rooms.
//!
//! An entry says which rooms begin with the tick or stand still from it on, and every command that
//! rooms of the worker took before it; that the tick was taken at all is said by the entry being
//! there. So a room is restored from its checkpoint by taking, for each later entry of its worker,
//! the entry's commands for it and a step.
//!
//! Both begin with the version of their form. A journal is read by builds with the same
//! simulation; one that does not know the form leaves the room to others.

use std::collections::BTreeMap;

use bytes::Bytes;
use engine::{Estate, Seq};
use protocol::id::RoomId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::game::RestoreError;
use crate::games::Games;
use crate::room::{Command, Room};

/// The form that this build writes.
const FORM: u8 = 1;

/// Index of a worker, in a journal.
pub type WorkerNumber = u16;

/// Why what is written cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is of a later release.
    #[error("form {0} is not known; this build knows {FORM}")]
    Form(u8),
    /// It is damaged.
    #[error("damaged")]
    Damaged(#[source] postcard::Error),
    /// It ends too early.
    #[error("cut off")]
    Short,
    /// The room in it is none that this build can go on with.
    #[error("the room cannot be restored")]
    Room(#[source] RestoreError),
    /// Entries between the checkpoint and those that are there are missing.
    #[error("entries after {0:?} are missing")]
    Missing(Seq),
    /// There is no checkpoint of the room.
    #[error("no checkpoint of the room")]
    NoCheckpoint,
    /// The game panicked while it was run again.
    #[error("the game panicked")]
    Panicked,
}

#[derive(Debug, Serialize, Deserialize)]
enum Record {
    Begin(RoomId),
    Rest(RoomId),
    /// So many commands of a room follow.
    Commands(RoomId, u32),
}

/// What a room took since the last entry, as it will be in the next.
#[derive(Debug, Default)]
pub struct Commands {
    count: u32,
    bytes: Vec<u8>,
}

impl Commands {
    /// The room takes one more.
    pub fn push(&mut self, command: &Command) {
        put(&mut self.bytes, command);
        self.count += 1;
    }
}

/// Gathers what goes into the next entry.
#[derive(Debug)]
pub struct EntryWriter {
    worker: WorkerNumber,
    buffer: Vec<u8>,
}

impl EntryWriter {
    /// Entries of `worker`.
    pub fn new(worker: WorkerNumber) -> Self {
        let mut writer = Self {
            worker,
            buffer: Vec::new(),
        };
        writer.start();
        writer
    }

    /// A room takes its first step here with the coming tick.
    pub fn begin(&mut self, room: RoomId) {
        put(&mut self.buffer, &Record::Begin(room));
    }

    /// A room takes no step here from the coming tick on, until it begins again.
    pub fn rest(&mut self, room: RoomId) {
        put(&mut self.buffer, &Record::Rest(room));
    }

    /// What a room took, which is none afterwards.
    pub fn commands(&mut self, room: RoomId, commands: &mut Commands) {
        let count = std::mem::take(&mut commands.count);
        if count > 0 {
            put(&mut self.buffer, &Record::Commands(room, count));
            self.buffer.append(&mut commands.bytes);
        }
    }

    /// The entry of the tick; the next one is empty.
    pub fn finish(&mut self) -> Bytes {
        let entry = Bytes::copy_from_slice(&self.buffer);
        self.start();
        entry
    }

    fn start(&mut self) {
        self.buffer.clear();
        self.buffer.push(FORM);
        self.buffer.extend(self.worker.to_le_bytes());
    }
}

fn put(buffer: &mut Vec<u8>, value: &impl Serialize) {
    let taken = std::mem::take(buffer);
    *buffer = postcard::to_extend(value, taken).expect("a vector takes plain data");
}

fn take<T: DeserializeOwned>(rest: &mut &[u8]) -> Result<T, ReadError> {
    let (value, left) = postcard::take_from_bytes(rest).map_err(ReadError::Damaged)?;
    *rest = left;
    Ok(value)
}

/// A room's checkpoint as it is in a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The last entry that has gone into it; of a room that takes no step any more, the last there
    /// could be.
    pub at: Seq,
    /// The worker that steps the room; `None` until it begins, which an entry says.
    pub worker: Option<WorkerNumber>,
    /// [`Room::checkpoint`].
    pub room: Bytes,
}

const HEAD: usize = 1 + 8 + 1 + 2;

impl Stored {
    /// A room that takes no step any more: no entry is about it.
    pub fn parked(room: Bytes) -> Self {
        Self {
            at: Seq(u64::MAX),
            worker: None,
            room,
        }
    }

    /// As bytes.
    pub fn encode(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(HEAD + self.room.len());
        bytes.push(FORM);
        bytes.extend(self.at.0.to_le_bytes());
        bytes.push(u8::from(self.worker.is_some()));
        bytes.extend(self.worker.unwrap_or_default().to_le_bytes());
        bytes.extend(&self.room);
        bytes.into()
    }

    /// Out of bytes.
    ///
    /// # Errors
    /// [`ReadError::Form`], [`ReadError::Short`].
    pub fn decode(bytes: &Bytes) -> Result<Self, ReadError> {
        match bytes.first() {
            None => return Err(ReadError::Short),
            Some(&FORM) => {}
            Some(form) => return Err(ReadError::Form(*form)),
        }
        let head: &[u8; HEAD] = bytes.first_chunk().ok_or(ReadError::Short)?;
        let at = u64::from_le_bytes(*head[1..].first_chunk().ok_or(ReadError::Short)?);
        let worker = WorkerNumber::from_le_bytes([head[10], head[11]]);
        Ok(Self {
            at: Seq(at),
            worker: (head[9] != 0).then_some(worker),
            room: bytes.slice(HEAD..),
        })
    }
}

/// A dead node's journal, read once for all of its rooms.
#[derive(Debug)]
pub struct Remains {
    checkpoints: BTreeMap<RoomId, Bytes>,
    ticks: Vec<Tick>,
}

#[derive(Debug)]
struct Tick {
    seq: Seq,
    worker: WorkerNumber,
    begun: Vec<RoomId>,
    rested: Vec<RoomId>,
    commands: BTreeMap<RoomId, Vec<Command>>,
}

impl Remains {
    /// Reads an estate.
    ///
    /// # Errors
    /// The first entry that cannot be read: nothing after it can be trusted.
    pub fn read(estate: &Estate) -> Result<Self, ReadError> {
        let ticks = estate
            .entries
            .iter()
            .map(|(seq, entry)| Tick::read(*seq, entry))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            checkpoints: estate.checkpoints.iter().cloned().collect(),
            ticks,
        })
    }

    /// A room as it was after the last entry.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn restore(&self, games: &Games, room: RoomId) -> Result<Room, ReadError> {
        let bytes = self.checkpoints.get(&room);
        let stored = Stored::decode(bytes.ok_or(ReadError::NoCheckpoint)?)?;
        let mut restored = Room::restore(games, &stored.room).map_err(ReadError::Room)?;
        let later = self.ticks.partition_point(|tick| tick.seq <= stored.at);
        let later = &self.ticks[later..];
        if later
            .first()
            .is_some_and(|tick| tick.seq != stored.at.next())
        {
            return Err(ReadError::Missing(stored.at));
        }
        let run = std::panic::AssertUnwindSafe(|| run(&mut restored, stored.worker, later));
        std::panic::catch_unwind(run).map_err(|_| ReadError::Panicked)?;
        restored.hang_up();
        Ok(restored)
    }
}

/// Takes a room through the ticks of its worker.
fn run(room: &mut Room, mut worker: Option<WorkerNumber>, ticks: &[Tick]) {
    let id = room.id();
    let mut told = Vec::new();
    for tick in ticks {
        if worker == Some(tick.worker) && tick.rested.contains(&id) {
            worker = None;
        }
        if worker.is_none() && tick.begun.contains(&id) {
            worker = Some(tick.worker);
        }
        if worker != Some(tick.worker) {
            continue;
        }
        for command in tick.commands.get(&id).into_iter().flatten() {
            room.apply(command.clone());
        }
        room.step(&mut told);
        told.clear(); // told before, or told again when the players are back
    }
}

impl Tick {
    fn read(seq: Seq, entry: &Bytes) -> Result<Self, ReadError> {
        let (form, rest) = entry.split_first().ok_or(ReadError::Short)?;
        if *form != FORM {
            return Err(ReadError::Form(*form));
        }
        let (worker, mut rest) = rest.split_first_chunk().ok_or(ReadError::Short)?;
        let mut tick = Self {
            seq,
            worker: WorkerNumber::from_le_bytes(*worker),
            begun: Vec::new(),
            rested: Vec::new(),
            commands: BTreeMap::new(),
        };
        while !rest.is_empty() {
            match take(&mut rest)? {
                Record::Begin(room) => tick.begun.push(room),
                Record::Rest(room) => tick.rested.push(room),
                Record::Commands(room, count) => {
                    let commands = tick.commands.entry(room).or_default();
                    for _ in 0..count {
                        commands.push(take(&mut rest)?);
                    }
                }
            }
        }
        Ok(tick)
    }
}
