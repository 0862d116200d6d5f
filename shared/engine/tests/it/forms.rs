//! What the stores leave in Redis: names of keys, their types, and what is in them.
//!
//! `tests/forms/redis` is that of the last release. Nodes of two releases share these keys while
//! one follows the other (docs/OPERATIONS.md), so what is written is compared with it, and what it
//! holds is read.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use pixelrush_engine::{
    Checkpoints, Engine, Estate, Incarnation, JournalInfo, Load, MatchResult, NodeKind, NodeRecord,
    Placement, Segment, Seq, Standing,
};
use protocol::id::{Generation, MatchId, PlayerId, RoomId, Tick};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, cmd};

use crate::real::{SHARED, engine, incarnation, single};

/// Has the file written anew.
const RECORD: &str = "PIXELRUSH_RECORD_FORMS";

const CHANGED: &str = "what is left in Redis is not what the last release leaves there. Nodes of \
    both share it: read both forms for one release, before the new one is written. Then record it \
    by `PIXELRUSH_RECORD_FORMS=1 cargo test -p pixelrush-engine --test it forms::`";

/// Stands for what differs each time.
const ANY: &str = "*";

const ROOM: RoomId = RoomId(0xaa);

fn node() -> NodeRecord {
    NodeRecord {
        node: "syncd-1".parse().unwrap(),
        kind: NodeKind::Syncd,
        generation: Generation(7),
        endpoint: "http://10.0.0.7:7300".to_owned(),
        load: Load {
            rooms: 1,
            sessions: 2,
            capacity: 3,
            draining: false,
            busy: 50,
            overloaded: false,
        },
        build: "0.1.0".to_owned(),
        simulation: "race:1".to_owned(),
        region: "eu".to_owned(),
    }
}

fn placement() -> Placement {
    Placement {
        owner: incarnation("syncd-1"),
        generation: Generation(3),
    }
}

fn result() -> MatchResult {
    MatchResult {
        match_id: MatchId(5),
        room: ROOM,
        mode: "race".to_owned(),
        finished_at_ms: 1_795_000_000_000,
        standings: vec![Standing {
            player: PlayerId(9),
            name: "Ada".to_owned(),
            bot: false,
            place: 1,
            ticks: Some(3_600),
            team: 0,
            rating: 1_500,
        }],
    }
}

fn segment() -> Segment {
    Segment {
        until: Tick(60),
        bytes: Bytes::from_static(b"segment"),
    }
}

/// Of a journal that is sealed.
fn estate() -> Estate {
    Estate {
        checkpoints: vec![(ROOM, Bytes::from_static(b"state"))],
        entries: vec![
            (Seq(2), Bytes::from_static(b"second")),
            (Seq(3), Bytes::from_static(b"third")),
        ],
    }
}

/// Everything that the stores write, once.
async fn write(engine: &Engine) {
    let long = Duration::from_secs(600);
    engine.leases.renew(&node(), long).await.unwrap();
    engine.placements.place(ROOM, &placement()).await.unwrap();
    engine.results.record(&result()).await.unwrap();
    engine.tapes.append(ROOM, &segment(), long).await.unwrap();
    let (dead, lives) = (incarnation("syncd-0"), incarnation("syncd-1"));
    let journals = &engine.journals;
    for who in [&dead, &lives] {
        journals.open(who, Seq(0)).await.unwrap();
    }
    let entries = ["first", "second", "third"].map(|text| Bytes::from_static(text.as_bytes()));
    journals.append(&dead, Seq(1), &entries).await.unwrap();
    let checkpoints = Checkpoints {
        call: 4,
        after: 0,
        rooms: estate().checkpoints,
        gone: Vec::new(),
        last: Seq(3),
        keep_from: Seq(2),
    };
    journals.checkpoint(&dead, &checkpoints).await.unwrap();
    journals.seal(&dead, &lives).await.unwrap();
}

async fn connect() -> MultiplexedConnection {
    let client = redis::Client::open(SHARED.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

/// What is in Redis under a prefix, a line for each thing: its key's type, the key without the
/// prefix, and where it is there, then what it is.
async fn lines(to: &mut MultiplexedConnection, prefix: &str) -> Vec<String> {
    let pattern = format!("{prefix}:*");
    let keys: Vec<String> = cmd("KEYS").arg(pattern).query_async(to).await.unwrap();
    let mut lines = Vec::new();
    for key in keys {
        let kind: String = cmd("TYPE").arg(&key).query_async(to).await.unwrap();
        let name = &key[prefix.len() + 1..];
        let begins = format!("{kind} {name}");
        let mut read = match kind.as_str() {
            "string" => cmd("GET"),
            "hash" => cmd("HGETALL"),
            "set" => cmd("SMEMBERS"),
            "list" => cmd("LRANGE"),
            "zset" => cmd("ZRANGE"),
            "stream" => cmd("XRANGE"),
            other => panic!("{key} is a {other}"),
        };
        read.arg(&key);
        match kind.as_str() {
            "string" => {
                let value: String = read.query_async(to).await.unwrap();
                let value = if name.ends_with(":version") {
                    ANY
                } else {
                    &value
                };
                lines.push(format!("{begins} {value}"));
            }
            "hash" => {
                let values: BTreeMap<String, String> = read.query_async(to).await.unwrap();
                lines.extend(values.iter().map(|(field, value)| {
                    let value = if field == "lineage" { ANY } else { value };
                    format!("{begins} {field} {value}")
                }));
            }
            "zset" => {
                read.arg(0).arg(-1).arg("WITHSCORES");
                let values: Vec<(String, String)> = read.query_async(to).await.unwrap();
                lines.extend(values.iter().map(|(member, score)| {
                    let score = if name.ends_with(":ends") { ANY } else { score };
                    format!("{begins} {member} {score}")
                }));
            }
            "stream" => {
                type Entries = Vec<(String, Vec<String>)>;
                let values: Entries = read.arg("-").arg("+").query_async(to).await.unwrap();
                let told = |(id, fields): &(String, Vec<String>)| {
                    format!("{begins} {id} {}", fields.join(" "))
                };
                lines.extend(values.iter().map(told));
            }
            list => {
                if list == "list" {
                    read.arg(0).arg(-1);
                }
                let mut values: Vec<String> = read.query_async(to).await.unwrap();
                if list == "set" {
                    values.sort();
                }
                lines.extend(values.iter().map(|value| format!("{begins} {value}")));
            }
        }
    }
    // Lists stay in their order.
    lines.sort_by_key(|line| {
        line.split(' ')
            .take(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    lines
}

/// The command that writes a line.
fn command(prefix: &str, line: &str) -> Cmd {
    let (kind, rest) = line.split_once(' ').unwrap();
    let (key, rest) = rest.split_once(' ').unwrap();
    let pair = || rest.split_once(' ').unwrap();
    let mut to = cmd(match kind {
        "string" => "SET",
        "hash" => "HSET",
        "set" => "SADD",
        "list" => "RPUSH",
        "zset" => "ZADD",
        _ => "XADD",
    });
    to.arg(format!("{prefix}:{key}"));
    match kind {
        "hash" => to.arg(pair().0).arg(pair().1),
        "zset" => {
            let (member, score) = pair();
            // Any is the end of a lease: far away.
            let score = if score == ANY { "9e15" } else { score };
            to.arg(score).arg(member)
        }
        "stream" => to.arg(rest.split(' ').collect::<Vec<_>>()),
        _ => to.arg(rest),
    };
    to
}

fn released() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forms/redis");
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn what_is_written_is_what_the_last_release_writes() {
    let engine = engine(&single(&SHARED, "written")).await;
    write(&engine).await;
    let lines = lines(&mut connect().await, "written").await;
    if std::env::var_os(RECORD).is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forms/redis");
        return std::fs::write(path, lines.join("\n") + "\n").unwrap();
    }
    assert_eq!(lines, released(), "{CHANGED}");
}

#[tokio::test]
async fn what_the_last_release_has_written_is_read() {
    let mut connection = connect().await;
    for line in released() {
        let command = command("released", &line);
        let () = command.query_async(&mut connection).await.unwrap();
    }
    let engine = engine(&single(&SHARED, "released")).await;
    let nodes = engine.leases.list(NodeKind::Syncd).await.unwrap();
    assert_eq!(nodes, [node()], "{CHANGED}");
    let placed = engine.placements.find(&[ROOM]).await.unwrap();
    assert_eq!(placed, [Some(placement())], "{CHANGED}");
    let recent = engine.results.recent(PlayerId(9), 10).await.unwrap();
    assert_eq!(recent, [result()], "{CHANGED}");
    assert_eq!(engine.results.count().await.unwrap(), 1, "{CHANGED}");
    let tape = engine.tapes.read(ROOM, Tick(0)).await.unwrap();
    assert_eq!(tape, [segment()], "{CHANGED}");
    let (dead, lives) = (incarnation("syncd-0"), incarnation("syncd-1"));
    let journals = engine.journals.list().await.unwrap();
    let info = |who: &Incarnation, sealed| JournalInfo {
        who: who.clone(),
        sealed,
    };
    assert_eq!(
        journals,
        [info(&dead, true), info(&lives, false)],
        "{CHANGED}"
    );
    assert_eq!(
        engine.journals.estate(&dead).await.unwrap(),
        estate(),
        "{CHANGED}"
    );
}
