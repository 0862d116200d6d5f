//! A room that is as simple as a room can be and still tells when its history is not one: its
//! state is a chain of hashes over its ticks and over every command in order.

use bytes::Bytes;
use engine::{Estate, Seq};
use protocol::id::RoomId;

/// Seats of a room, each with one observer.
pub(crate) const SEATS: usize = 2;

/// An input of an observer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) room: RoomId,
    pub(crate) seat: usize,
    pub(crate) number: u64,
}

/// The room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Toy {
    pub(crate) id: RoomId,
    pub(crate) epoch: u64,
    pub(crate) tick: u64,
    pub(crate) length: u64,
    pub(crate) hash: u64,
    /// The last input taken of each seat.
    pub(crate) cursors: [u64; SEATS],
    /// Events of this epoch, by offset.
    pub(crate) events: Vec<u64>,
    /// An input was taken twice, or left out.
    pub(crate) is_torn: bool,
}

impl Toy {
    pub(crate) fn new(id: RoomId, epoch: u64, length: u64) -> Self {
        Self {
            id,
            epoch,
            tick: 0,
            length,
            hash: mix(id.0, length),
            cursors: [0; SEATS],
            events: Vec::new(),
            is_torn: false,
        }
    }

    /// Takes an input. Who calls has seen to it that it is the next one: that is what is tried.
    pub(crate) fn apply(&mut self, command: &Command) {
        let cursor = &mut self.cursors[command.seat];
        self.is_torn |= *cursor + 1 != command.number;
        *cursor = command.number;
        self.hash = mix(self.hash, command.number << 8 | command.seat as u64);
    }

    /// Goes one tick on.
    pub(crate) fn step(&mut self) {
        if self.is_over() {
            return;
        }
        self.tick += 1;
        self.hash = mix(self.hash, self.tick);
        if self.hash.is_multiple_of(3) || self.is_over() {
            self.events.push(self.hash);
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.tick >= self.length
    }

    /// What came before must not be continued.
    pub(crate) fn renew(&mut self, epoch: u64) {
        self.epoch = epoch;
        self.events.clear();
    }
}

fn mix(state: u64, with: u64) -> u64 {
    let mut z = state.rotate_left(5) ^ with.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 27)
}

/// What a worker writes down at a tick. Its rooms step with it, without being named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) worker: u64,
    /// Rooms whose first step here this is.
    pub(crate) begun: Vec<RoomId>,
    /// Rooms that take no step from this entry on.
    pub(crate) rest: Vec<RoomId>,
    pub(crate) commands: Vec<Command>,
}

impl Entry {
    pub(crate) fn encode(&self) -> Bytes {
        let mut words = vec![self.worker, self.begun.len() as u64, self.rest.len() as u64];
        words.extend(self.begun.iter().chain(&self.rest).map(|room| room.0));
        for command in &self.commands {
            words.extend([command.room.0, command.seat as u64, command.number]);
        }
        bytes(&words)
    }

    fn decode(bytes: &Bytes) -> Self {
        let words = words(bytes);
        let (begun, rest) = (words[1] as usize, words[2] as usize);
        let rooms: Vec<RoomId> = words[3..3 + begun + rest]
            .iter()
            .map(|id| RoomId(*id))
            .collect();
        let command = |command: &[u64]| Command {
            room: RoomId(command[0]),
            seat: command[1] as usize,
            number: command[2],
        };
        Self {
            worker: words[0],
            begun: rooms[..begun].to_vec(),
            rest: rooms[begun..].to_vec(),
            commands: words[3 + begun + rest..].chunks(3).map(command).collect(),
        }
    }
}

/// A room's checkpoint: the last entry that has gone into it, and the worker that steps it, if it
/// has begun.
pub(crate) fn encode(at: Seq, worker: Option<u64>, room: &Toy) -> Bytes {
    let mut words = vec![
        at.0,
        worker.map_or(0, |worker| worker + 1),
        room.id.0,
        room.epoch,
        room.tick,
        room.length,
        room.hash,
        u64::from(room.is_torn),
    ];
    words.extend(room.cursors);
    words.extend(&room.events);
    bytes(&words)
}

pub(crate) fn decode(bytes: &Bytes) -> (Seq, Option<u64>, Toy) {
    let words = words(bytes);
    let mut cursors = [0; SEATS];
    cursors.copy_from_slice(&words[8..8 + SEATS]);
    let room = Toy {
        id: RoomId(words[2]),
        epoch: words[3],
        tick: words[4],
        length: words[5],
        hash: words[6],
        is_torn: words[7] != 0,
        cursors,
        events: words[8 + SEATS..].to_vec(),
    };
    (Seq(words[0]), words[1].checked_sub(1), room)
}

/// A room as it was after the last entry of a journal; `None` if the journal does not tell.
pub(crate) fn restore(estate: &Estate, id: RoomId) -> Option<Toy> {
    let (_, checkpoint) = estate.checkpoints.iter().find(|(room, _)| *room == id)?;
    let (at, mut worker, mut room) = decode(checkpoint);
    let later = estate.entries.iter().skip_while(|(seq, _)| *seq <= at);
    let mut expected = at.next();
    for (seq, entry) in later {
        if *seq != expected {
            return None;
        }
        expected = seq.next();
        let entry = Entry::decode(entry);
        if entry.begun.contains(&id) {
            worker = Some(entry.worker);
        }
        if entry.rest.contains(&id) {
            worker = None;
        }
        if worker == Some(entry.worker) {
            let commands = entry.commands.iter();
            commands
                .filter(|command| command.room == id)
                .for_each(|command| room.apply(command));
            room.step();
        }
    }
    Some(room)
}

fn bytes(words: &[u64]) -> Bytes {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.into()
}

fn words(bytes: &Bytes) -> Vec<u64> {
    let word = |word: &[u8]| u64::from_le_bytes(word.try_into().expect("eight bytes"));
    bytes.chunks(8).map(word).collect()
}
