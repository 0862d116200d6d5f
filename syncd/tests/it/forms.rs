//! What this build writes of rooms, and what it reads of those before it: journals and tapes.
//!
//! `tests/forms/N` holds a journal and a tape as the N-th forms of both are, and digests of what
//! comes of them. Two releases that run beside each other read each other's (docs/OPERATIONS.md).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use engine::{Estate, Seq};
use protocol::attach::Claim;
use protocol::control::Data;
use protocol::frame::{Ack, InputFrame, Steps};
use protocol::id::{
    Channel, Epoch, InputSeq, InstanceId, MatchId, Offset, PlayerId, Position, RoomId, SessionId,
    Tick,
};
use protocol::log;
use protocol::snapshot::View;
use sha2::{Digest, Sha256};
use syncd::game::{Seat, SeatSetup, Setup};
use syncd::games::Games;
use syncd::ownership::entry::{Commands, EntryWriter, Remains, Stored, WorkerNumber};
use syncd::replay::Replay;
use syncd::room::{Attach, Command, Output, Room, RoomSetup, Rules};

/// Names the new directory, and has it written.
const RECORD: &str = "PIXELRUSH_RECORD_FORMS";

const CHANGED: &str = "the form changed, or a game did. If a form did: raise FORM or FORMAT \
    (ownership/entry.rs, room/checkpoint.rs, room/tape.rs) and keep reading the one before. If a \
    game did: raise its version; journals and tapes of the one before are for builds before, so \
    their directories go. Then record the next directory by \
    `PIXELRUSH_RECORD_FORMS=<number> cargo test -p pixelrush-syncd --test it forms::`";

const GAMES: [(RoomId, &str, &str); 2] = [
    (
        RoomId(1),
        "race",
        r#"{"laps":1,"countdown":"500ms","join_wait":"500ms"}"#,
    ),
    (RoomId(2), "relay", r#"{"minutes":1}"#),
];
const SEATS: u16 = 3;
const WORKER: WorkerNumber = 3;
const TICKS: u64 = 150;
/// The relay's checkpoint is of this entry; the race's is of before the first.
const CHECKPOINT: u64 = 65;
/// The relay stands still in these entries.
const RESTS: std::ops::Range<u64> = 140..145;

/// One directory.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Forms {
    estate: Estate,
    /// By last tick.
    tape: Vec<(u64, Bytes)>,
    /// By what they are of.
    digests: BTreeMap<String, String>,
}

impl Forms {
    /// As this build writes them.
    fn record() -> Self {
        let mut rooms = GAMES.map(|(id, game, settings)| room(id, game, settings));
        let mut writer = EntryWriter::new(WORKER);
        let mut checkpoints: Vec<(RoomId, Bytes)> = Vec::new();
        let (mut entries, mut tape) = (Vec::new(), Vec::new());
        checkpoints.push((rooms[0].id(), stored(Seq(0), None, &rooms[0])));
        for seq in 1..=TICKS {
            for room in &mut rooms {
                let rests = room.game() == "relay";
                match seq {
                    1 => writer.begin(room.id()),
                    _ if rests && seq == RESTS.start => writer.rest(room.id()),
                    _ if rests && seq == RESTS.end => writer.begin(room.id()),
                    _ => {}
                }
                if rests && RESTS.contains(&seq) {
                    continue;
                }
                let mut taken = Commands::default();
                for command in commands(seq) {
                    taken.push(&command);
                    room.apply(command);
                }
                writer.commands(room.id(), &mut taken);
                let mut out = Vec::new();
                room.step(&mut out);
                tape.extend(out.into_iter().filter_map(|output| match output {
                    Output::Segment { until, bytes } => Some((u64::from(until.0), bytes)),
                    _ => None,
                }));
            }
            entries.push((Seq(seq), writer.finish()));
            if seq == CHECKPOINT {
                checkpoints.push((rooms[1].id(), stored(Seq(seq), Some(WORKER), &rooms[1])));
            }
        }
        let mut forms = Self {
            estate: Estate {
                checkpoints,
                entries,
            },
            tape,
            digests: BTreeMap::new(),
        };
        forms.digests = forms.run();
        for mut room in rooms {
            room.hang_up();
            let game = room.game();
            let digest = digest_of(room);
            assert_eq!(
                forms.digests[game], digest,
                "{game} as it was is as it is restored"
            );
        }
        forms
    }

    /// Restores and replays; gives digests of what comes of it.
    fn run(&self) -> BTreeMap<String, String> {
        let games = Games::default();
        let remains = Remains::read(&self.estate).unwrap_or_else(|error| fail(&error));
        let mut digests = BTreeMap::new();
        for (id, game, _) in GAMES {
            let room = remains
                .restore(&games, id)
                .unwrap_or_else(|error| fail(&error));
            digests.insert(game.to_owned(), digest_of(room));
        }
        let mut replay: Option<Replay> = None;
        let mut text = String::new();
        for (_, segment) in &self.tape {
            match &mut replay {
                None => replay = Some(Replay::new(&games, segment).unwrap_or_else(|e| fail(&e))),
                Some(replay) => replay.push(segment).unwrap_or_else(|error| fail(&error)),
            }
        }
        let mut replay = replay.expect("a tape has a segment");
        let mut events = Vec::new();
        while replay.step(&mut events) {
            tell_view(&mut text, replay.tick(), &replay.view());
        }
        assert_eq!(replay.diverged(), None, "{CHANGED}");
        digests.insert("tape".to_owned(), sha(&text));
        digests
    }

    fn read(from: &Path) -> Self {
        let mut forms = Self {
            estate: Estate::default(),
            tape: Vec::new(),
            digests: BTreeMap::new(),
        };
        for name in ["journal", "tape", "digests"] {
            let text = std::fs::read_to_string(from.join(name)).unwrap();
            for line in text.lines() {
                let [kind, number, bytes] = line.split(' ').collect::<Vec<_>>()[..] else {
                    panic!("{name}: {line}");
                };
                match kind {
                    "checkpoint" => {
                        let room = RoomId(number.parse().unwrap());
                        forms.estate.checkpoints.push((room, unhex(bytes)));
                    }
                    "entry" => {
                        let seq = Seq(number.parse().unwrap());
                        forms.estate.entries.push((seq, unhex(bytes)));
                    }
                    "segment" => forms.tape.push((number.parse().unwrap(), unhex(bytes))),
                    _ => drop(forms.digests.insert(number.to_owned(), bytes.to_owned())),
                }
            }
        }
        forms
    }

    fn write(&self, to: &Path) {
        std::fs::create_dir(to).expect("a directory that is not there: what is released stays");
        let checkpoints = self.estate.checkpoints.iter();
        let mut journal: String = checkpoints
            .map(|(room, bytes)| format!("checkpoint {} {}\n", room.0, hex(bytes)))
            .collect();
        for (seq, bytes) in &self.estate.entries {
            writeln!(journal, "entry {} {}", seq.0, hex(bytes)).unwrap();
        }
        let segments = self.tape.iter();
        let tape: String = segments
            .map(|(until, bytes)| format!("segment {until} {}\n", hex(bytes)))
            .collect();
        let digests = self.digests.iter();
        let digests: String = digests
            .map(|(of, digest)| format!("digest {of} {digest}\n"))
            .collect();
        for (name, text) in [("journal", journal), ("tape", tape), ("digests", digests)] {
            std::fs::write(to.join(name), text).unwrap();
        }
    }

    /// The numbers that begin entries, stored checkpoints, the checkpoints in them, and segments.
    fn numbers(&self) -> [u8; 4] {
        let stored = &self.estate.checkpoints[0].1;
        let entry = &self.estate.entries[0].1;
        let room = Stored::decode(stored)
            .unwrap_or_else(|error| fail(&error))
            .room;
        [entry[0], stored[0], room[0], self.tape[0].1[0]]
    }
}

fn fail(error: &dyn std::error::Error) -> ! {
    let source = error.source().map(ToString::to_string);
    panic!("{error} {source:?}: {CHANGED}");
}

/// The directories, by number.
fn all() -> BTreeMap<u32, PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forms");
    let found = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse().ok();
    found
        .map(|path| (number(&path).expect("a number"), path))
        .collect()
}

fn room(id: RoomId, game: &str, settings: &str) -> Room {
    let seat = |number: u16| SeatSetup {
        player: PlayerId(u64::from(number)),
        name: format!("P{number}"),
        bot: number == 1,
        team: u32::from(number % 2),
        rating: 1500 + i32::from(number),
    };
    let setup = RoomSetup {
        room: id,
        match_id: MatchId(id.0 + 100),
        watch_delay: Some(5),
        mode: game.to_owned(),
        game: Setup {
            seed: 7,
            seats: (0..SEATS).map(seat).collect(),
            settings: settings.to_owned(),
        },
        rules: Rules {
            snapshot_every: 3,
            snapshot_phase: 1,
            snapshot_bytes: 400,
            input_limit: 30,
            hold_ticks: 15,
            linger_ticks: 120,
            abandon_ticks: 300,
        },
    };
    Room::new(Games::default().find(game).unwrap(), setup).unwrap()
}

fn stored(at: Seq, worker: Option<WorkerNumber>, room: &Room) -> Bytes {
    let room = room.checkpoint().into();
    Stored { at, worker, room }.encode()
}

/// What a room takes before a tick: every kind of command, and an input of every other tick.
fn commands(tick: u64) -> Vec<Command> {
    let said = |text: &str| Data::parse(text).unwrap();
    let mut commands = match tick {
        1 => vec![
            attach(0, 1, log::Attach::Fresh),
            attach(1, 1, log::Attach::Fresh),
        ],
        20 => vec![attach(2, 1, log::Attach::Fresh)],
        40 => vec![Command::Say {
            seat: Seat(0),
            to: None,
            data: said(r#"{"all":[1,2.5,"three"]}"#),
        }],
        41 => vec![Command::Say {
            seat: Seat(1),
            to: Some(Seat(2)),
            data: said(r#""to one""#),
        }],
        60 => vec![Command::Ack {
            seat: Seat(0),
            ack: Ack {
                channel: Channel::Room,
                epoch: Epoch(1),
                offset: Offset(1),
                resend: true,
            },
        }],
        70 => vec![Command::Detach {
            seat: Seat(1),
            attempt: 1,
        }],
        90 => vec![attach(1, 2, log::Attach::Resume(begun(Epoch(2))))],
        100 => vec![attach(0, 2, log::Attach::Continue)],
        120 => vec![Command::Leave {
            seat: Seat(2),
            attempt: 1,
        }],
        _ => Vec::new(),
    };
    if tick.is_multiple_of(2) && tick > 30 {
        commands.extend([0, 1].map(|seat| input(seat, tick)));
    }
    commands
}

fn attach(seat: u16, attempt: u32, mode: log::Attach) -> Command {
    let number = u64::from(seat);
    Command::Attach(Attach {
        player: PlayerId(number),
        claim: Claim {
            session: SessionId(number + 10),
            instance: InstanceId(number + 20),
            attempt,
            login: attempt == 1,
        },
        mode,
        epoch: Epoch(u32::from(seat) + attempt),
    })
}

fn begun(epoch: Epoch) -> Position {
    Position {
        epoch,
        offset: Offset(0),
    }
}

fn input(seat: u16, tick: u64) -> Command {
    let tick = u32::try_from(tick).unwrap();
    let mut steps = Steps::new(8);
    for step in 0..2 {
        assert!(steps.push(1 + (tick / 16 + u32::from(seat) + step) % 4));
    }
    Command::Input {
        seat: Seat(seat),
        input: InputFrame {
            epoch: Epoch(u32::from(seat) + 1),
            offset: Offset(0),
            snapshot: Tick(tick - tick % 3),
            first: InputSeq(tick - 31),
            steps,
        },
    }
}

/// Of what players see of a room from now on: its state, what they missed, and a second more.
fn digest_of(mut room: Room) -> String {
    let mut text = String::new();
    for seat in 0..SEATS {
        let mode = match seat {
            0 => log::Attach::Resume(begun(Epoch(1))),
            _ => log::Attach::Continue,
        };
        room.apply(attach(seat, 9, mode));
    }
    let mut out = Vec::new();
    for _ in 0..60 {
        room.step(&mut out);
        tell_view(&mut text, room.tick(), &room.view());
    }
    for output in out {
        match output {
            Output::Attached {
                seat,
                attached,
                state,
                ..
            } => {
                let (epoch, offset) = (attached.position.epoch.0, attached.position.offset.0);
                let recovered = attached.recovered;
                writeln!(text, "{} {epoch} {offset} {recovered} {state}", seat.0).unwrap();
            }
            Output::Event { seat, event, .. } => {
                let body = String::from_utf8_lossy(&event.payload);
                writeln!(text, "{} {} {body}", seat.0, event.offset.0).unwrap();
            }
            _ => {}
        }
    }
    sha(&text)
}

fn tell_view(text: &mut String, tick: Tick, view: &View) {
    let entities: Vec<_> = (0..usize::from(SEATS))
        .map(|slot| view.entity(slot))
        .collect();
    writeln!(text, "{} {:?} {entities:?}", tick.0, view.globals()).unwrap();
}

fn sha(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Bytes {
    let pair = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(pair).collect()
}

#[test]
fn every_form_that_was_released_is_read() {
    for (number, path) in all() {
        let forms = Forms::read(&path);
        assert_eq!(
            forms.run(),
            forms.digests,
            "tests/forms/{number}: {CHANGED}"
        );
    }
}

#[test]
fn what_is_written_is_of_the_newest_form() {
    let today = Forms::record();
    if let Ok(number) = std::env::var(RECORD) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forms");
        return today.write(&root.join(number));
    }
    let all = all();
    let (number, path) = all.last_key_value().expect("a directory");
    let newest = Forms::read(path);
    assert!(today == newest, "not as in tests/forms/{number}: {CHANGED}");
}

#[test]
fn every_change_of_a_form_has_a_number() {
    let numbers: Vec<_> = all()
        .values()
        .map(|path| Forms::read(path).numbers())
        .collect();
    for pair in numbers.windows(2) {
        let grows = pair[0]
            .iter()
            .zip(pair[1])
            .all(|(before, after)| *before <= after);
        assert!(grows && pair[0] != pair[1], "{numbers:?}: {CHANGED}");
    }
}
