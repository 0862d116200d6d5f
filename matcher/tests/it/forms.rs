//! What the ticket store leaves in Redis: names of keys, their types, and what is in them.
//!
//! `tests/forms/redis` is that of the last release. Matchers of two releases share these keys while
//! one follows the other (docs/OPERATIONS.md), so what is written is compared with it, and what it
//! holds is read. Scripts are no part of it: each release brings its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::redis::{Redis, RedisConfig};
use pixelrush_matcher::store::{
    Answered, Asked, CoolDown, EndedMatch, Ending, Entering, Found, Gather, Gathered, MatchRecord,
    PrivateChange, Question, RedisStore, Settling, Sighting, Standing, TicketStore, Wanted,
    conformance,
};
use pixelrush_matcher::ticket::{PartyCode, Ticket};
use protocol::id::{MatchId, PlayerId, RoomId, TicketId};
use protocol::time::Timestamp;
use redis::{Cmd, cmd};
use servers::RedisServer;

/// Has the file written anew.
const RECORD: &str = "PIXELRUSH_RECORD_FORMS";

const CHANGED: &str = "what is left in Redis is not what the last release leaves there. Matchers of \
    both share it: read both forms for one release, before the new one is written. Then record it \
    by `PIXELRUSH_RECORD_FORMS=1 cargo test -p pixelrush-matcher --test it forms::`";

/// Stands for what differs each time.
const ANY: &str = "*";

const LONG: Duration = Duration::from_secs(3600);

async fn store(server: &RedisServer) -> RedisStore {
    let config = RedisConfig {
        urls: vec![server.url()],
        ..RedisConfig::default()
    };
    let redis = Redis::connect(&config).await.expect("Redis is there");
    RedisStore::new(redis, 1000)
}

fn sighting() -> Sighting {
    Sighting {
        grace: LONG,
        ..conformance::sighting("matcher-1")
    }
}

/// A ticket with everything that a ticket can have.
fn solo() -> Ticket {
    let mut ticket = conformance::ticket(1, "race", &[1], 1_795_000_000_000_001);
    ticket.regions = BTreeMap::from([("eu".parse().unwrap(), 20)]);
    ticket.version = "1.2".parse().ok();
    ticket.attributes = BTreeMap::from([("input".parse().unwrap(), "pad".parse().unwrap())]);
    ticket.members[0].deviation = 90;
    ticket.members[0].roles = vec!["tank".parse().unwrap()];
    ticket
}

fn gather(code: &str, player: u64) -> Gather {
    let ticket = conformance::ticket(100 + player, "race", &[player], 7);
    Gather {
        code: PartyCode::new(code),
        mode: ticket.mode,
        size: 2,
        member: ticket.members[0].clone(),
        regions: BTreeMap::from([("eu".parse().unwrap(), 30)]),
        version: "1.2".parse().ok(),
        attributes: BTreeMap::from([("input".parse().unwrap(), "pad".parse().unwrap())]),
        since: Timestamp(5),
        ticket: ticket.id,
        enqueued_at: ticket.enqueued_at,
    }
}

fn entering(player: u64, open: bool) -> Entering {
    let ticket = conformance::ticket(1, "duel", &[player], 1);
    Entering {
        code: PartyCode::new("K7WM2QXP"),
        open: open.then_some((ticket.mode, 2)),
        member: ticket.members[0].clone(),
    }
}

fn record() -> MatchRecord {
    MatchRecord {
        id: MatchId(0xbb),
        mode: "race".parse().unwrap(),
        room: RoomId(0xaa),
        node: "syncd-1".parse().unwrap(),
        players: conformance::ticket(6, "race", &[6], 9).members,
        tickets: vec![TicketId(6)],
        began_at: Timestamp(11),
    }
}

/// Everything that the store writes, once.
async fn write(store: &RedisStore) {
    let tickets = [
        solo(),
        conformance::ticket(4, "duel", &[4], 8),
        conformance::ticket(5, "duel", &[5], 8),
        conformance::ticket(6, "race", &[6], 9),
        conformance::ticket(7, "race", &[7], 10),
    ];
    store
        .add(&tickets.map(Arc::new), &sighting())
        .await
        .unwrap();
    for one in [gather("whole", 2), gather("whole", 3), gather("half", 8)] {
        store.gather(&[one], &sighting()).await.unwrap();
    }
    for (player, open) in [(9, true), (10, false)] {
        let entering = entering(player, open);
        store.enter_private(&entering, &sighting()).await.unwrap();
    }
    let ready = store.change_private(PlayerId(10), PrivateChange::Ready(true));
    ready.await.unwrap();
    let by = sighting().by;
    let wanted = |match_id, tickets: &[u64], ask| Wanted {
        match_id: MatchId(match_id),
        tickets: tickets.iter().copied().map(TicketId).collect(),
        ask,
    };
    let question = || {
        Some(Question {
            within: LONG,
            willing: Vec::new(),
        })
    };
    let wanted = [
        wanted(0xb4, &[4, 5], question()),
        wanted(0xb7, &[7], question()),
        wanted(0xbb, &[6], None),
    ];
    store.claim(&wanted, &by, LONG).await.unwrap();
    let cool_down = CoolDown {
        first: LONG,
        most: LONG,
    };
    let accepts = store.answer(PlayerId(4), MatchId(0xb4), true, cool_down);
    assert_eq!(accepts.await.unwrap(), Answered::Accepted);
    let declines = store.answer(PlayerId(7), MatchId(0xb7), false, cool_down);
    assert_eq!(declines.await.unwrap(), Answered::Declined(LONG));
    let settling = Settling {
        record: Arc::new(record()),
        lifetime: LONG,
    };
    assert_eq!(store.settle(&[settling]).await.unwrap(), [true]);
    let ended = EndedMatch {
        match_id: MatchId(0xcc),
        room: RoomId(0xcc),
        ending: Ending::Lost,
    };
    store.end(&[ended]).await.unwrap();
}

/// What is in Redis, a line for each thing: its key's type, the key, where it is there, and what.
fn lines(server: &RedisServer) -> Vec<String> {
    let mut keys = cmd("KEYS");
    keys.arg("*");
    let keys: Vec<String> = server.query(&keys);
    let mut lines: Vec<String> = keys.iter().flat_map(|key| of_key(server, key)).collect();
    lines.sort();
    lines
}

fn of_key(server: &RedisServer, key: &str) -> Vec<String> {
    let mut kind = cmd("TYPE");
    let kind: String = server.query(kind.arg(key));
    match kind.as_str() {
        "string" => {
            let mut read = cmd("GET");
            let value: String = server.query(read.arg(key));
            vec![format!("string {key} {value}")]
        }
        "hash" => {
            let mut read = cmd("HGETALL");
            let values: BTreeMap<String, String> = server.query(read.arg(key));
            let value = |(field, value): (&String, &String)| {
                let is_party = key.contains(":k:");
                // Until when a match asks.
                let value = if field == "a" && !is_party {
                    ANY
                } else {
                    value
                };
                format!("hash {key} {field} {value}")
            };
            values.iter().map(value).collect()
        }
        "zset" => {
            let mut read = cmd("ZRANGE");
            read.arg(key).arg(0).arg(-1).arg("WITHSCORES");
            let values: Vec<(String, String)> = server.query(&read);
            let value = |(member, score): &(String, String)| {
                let score = if key.contains(":q:") { score } else { ANY };
                format!("zset {key} {member} {score}")
            };
            values.iter().map(value).collect()
        }
        "stream" => {
            let mut read = cmd("XRANGE");
            let entries: Vec<(String, Vec<String>)> = server.query(read.arg(key).arg("-").arg("+"));
            // In their order.
            let told = |(number, (_, fields)): (usize, &(String, Vec<String>))| {
                format!("stream {key} {number:02} {}", fields.join(" "))
            };
            entries.iter().enumerate().map(told).collect()
        }
        other => panic!("{key} is a {other}"),
    }
}

/// The command that writes a line.
fn command(line: &str) -> Cmd {
    let (kind, rest) = line.split_once(' ').unwrap();
    let (key, rest) = rest.split_once(' ').unwrap();
    let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
    // Any is a time in milliseconds that is far away.
    let far = |text: &str| if text == ANY { "9000000000000" } else { text }.to_owned();
    let mut to = cmd(match kind {
        "string" => "SET",
        "hash" => "HSET",
        "zset" => "ZADD",
        _ => "XADD",
    });
    to.arg(key);
    match kind {
        "string" => to.arg(rest),
        "hash" => to.arg(first).arg(far(second)),
        "zset" => to.arg(far(second)).arg(first),
        _ => to
            .arg("*")
            .arg(second.split_once(' ').map(|(name, _)| name))
            .arg(
                second
                    .split_once(' ')
                    .map(|(_, words)| words)
                    .unwrap_or_default(),
            ),
    };
    to
}

fn path() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forms/redis")
}

fn released() -> Vec<String> {
    let text = std::fs::read_to_string(path()).unwrap();
    text.lines().map(str::to_owned).collect()
}

async fn standing(store: &RedisStore, player: u64) -> Standing {
    let asked = Asked {
        player: PlayerId(player),
        is_here: false,
    };
    let standing = store.standing(&[asked], &sighting()).await;
    standing.expect(CHANGED).remove(0)
}

fn found(standing: Standing) -> Found {
    match standing {
        Standing::Ticket(found) => found,
        other => panic!("{other:?}; {CHANGED}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_is_what_the_last_release_writes() {
    let server = RedisServer::start();
    write(&store(&server).await).await;
    let lines = lines(&server);
    if std::env::var_os(RECORD).is_some() {
        return std::fs::write(path(), lines.join("\n") + "\n").unwrap();
    }
    assert_eq!(lines, released(), "{CHANGED}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_last_release_has_written_is_read() {
    let server = RedisServer::start();
    for line in released() {
        let _: redis::Value = server.query(&command(&line));
    }
    let store = store(&server).await;
    assert_eq!(
        *found(standing(&store, 1).await).ticket,
        solo(),
        "{CHANGED}"
    );
    let waiting = conformance::waiting(&store, &"race".parse().unwrap()).await;
    let waiting: Vec<u64> = waiting.iter().map(|ticket| ticket.id.0).collect();
    assert_eq!(waiting, [103, 1], "{CHANGED}");
    let party = found(standing(&store, 2).await).ticket;
    assert_eq!(party.party, Some(PartyCode::new("whole")), "{CHANGED}");
    assert_eq!(party.version, "1.2".parse().ok(), "{CHANGED}");
    let asked = found(standing(&store, 4).await);
    assert_eq!(asked.claimed_by, Some(MatchId(0xb4)), "{CHANGED}");
    assert!(
        asked.asking.is_some_and(|asking| asking.accepted),
        "{CHANGED}"
    );
    let asked = found(standing(&store, 5).await).asking;
    assert!(asked.is_some_and(|asking| !asking.accepted), "{CHANGED}");
    let running = Standing::Match(Arc::new(record()));
    assert_eq!(standing(&store, 6).await, running, "{CHANGED}");
    let Standing::Private(room) = standing(&store, 10).await else {
        panic!("{CHANGED}");
    };
    assert_eq!(room.leader(), Some(PlayerId(9)), "{CHANGED}");
    assert!(room.is_ready() && room.most == 2, "{CHANGED}");
    // What is only remembered.
    let gone = conformance::ticket(6, "race", &[16], 9);
    let out = conformance::ticket(17, "race", &[7], 9);
    let added = store
        .add(&[Arc::new(gone), Arc::new(out)], &sighting())
        .await;
    let added = format!("{:?}", added.unwrap());
    assert!(added.starts_with("[Gone, Cooling("), "{added}; {CHANGED}");
    // The other half comes.
    let gathered = store.gather(&[gather("half", 11)], &sighting()).await;
    let gathered = gathered.unwrap().remove(0);
    assert!(
        matches!(gathered, Gathered::Complete(_)),
        "{gathered:?}; {CHANGED}"
    );
}
