//! Journals in Redis: three keys for each in one hash slot, and a register of them all.
//!
//! Appending is one script with the bytes as they are. What is there is known by numbers, so a
//! repeated, late or lost append shows itself. A checkpoint also stamps the journal with the
//! primary's lineage, if it is certain then that everything is there that was ever confirmed to
//! the owner; a journal that is sealed under another lineage is suspect.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::id::{Generation, RoomId};
use redis::{FromRedisValue, Value};
use tokio::time::Instant;

use super::leases::millis;
use super::{Call, Redis, Script};
use crate::journals::{
    Checkpoints, Estate, JournalInfo, Journals, Seal, Seq, Written, check_limits, not_sealed,
};
use crate::leases::Incarnation;
use crate::{BoxFuture, EngineError};

static OPEN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/journal_open.lua")));
static APPEND: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("lua/journal_append.lua")));
static CHECKPOINT: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("lua/journal_checkpoint.lua")));
static SEAL: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/journal_seal.lua")));
static ESTATE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("lua/journal_estate.lua")));

/// How long a journal is kept that nobody touches: it belongs to nobody then.
const KEEP: Duration = Duration::from_secs(7 * 24 * 3600);

/// How often an owner says again that its journal is there: the register is in another hash slot
/// and may be lost alone.
const REGISTER: Duration = Duration::from_secs(10);

/// About how many bytes of an estate one read takes.
const PIECE: usize = 512 * 1024;

/// Most items that one read takes.
const PIECE_ITEMS: usize = 512;

/// Journals in Redis.
pub struct RedisJournals {
    redis: Redis,
    /// Those that this process writes.
    own: Mutex<BTreeMap<Incarnation, Own>>,
}

/// What an owner has been told.
#[derive(Debug, Clone, Default)]
struct Own {
    /// Of the primary that answered last.
    lineage: String,
    /// The last entry that was ever confirmed.
    confirmed: Seq,
    registered_at: Option<Instant>,
}

impl RedisJournals {
    /// Journals in `redis`.
    pub fn new(redis: Redis) -> Self {
        Self {
            redis,
            own: Mutex::default(),
        }
    }

    /// Head, log, rooms: see `lua/journal_open.lua`.
    fn keys(&self, who: &Incarnation) -> [String; 3] {
        let tag = format!("journal:{who}");
        ["head", "log", "rooms"].map(|key| self.redis.key(&tag, key))
    }

    fn register(&self) -> String {
        self.redis.key("journals", "all")
    }

    fn enter(&self, who: &Incarnation) -> Call {
        Call::command("SADD", &self.register()).arg(who.to_string())
    }

    fn own<T>(&self, who: &Incarnation, work: impl FnOnce(&mut Own) -> T) -> T {
        work(self.own.lock().entry(who.clone()).or_default())
    }

    async fn open_now(&self, who: &Incarnation, after: Seq) -> Result<Written, EngineError> {
        let operation = "opening a journal";
        // Entered first: what is in the register alone is passed over, and what is not in it is
        // not found.
        self.redis.run::<()>(operation, self.enter(who)).await?;
        let call = OPEN.on(&self.keys(who)).arg(after.0).arg(millis(KEEP));
        let (outcome, lineage): (String, String) = self.redis.run(operation, call).await?;
        self.own(who, |own| {
            own.lineage = lineage;
            own.confirmed = own.confirmed.max(after);
            own.registered_at = Some(Instant::now());
        });
        written(operation, &outcome, None)
    }

    async fn append_now(
        &self,
        who: &Incarnation,
        first: Seq,
        entries: &[Bytes],
    ) -> Result<Written, EngineError> {
        let operation = "appending to a journal";
        check_limits(entries)?;
        let [head, log, _] = self.keys(who);
        let mut call = APPEND.on(&[head, log]).arg(first.0);
        for entry in entries {
            call.push(&entry[..]);
        }
        let reply: Vec<String> = self.redis.run(operation, call).await?;
        let (outcome, last) = match &reply[..] {
            [outcome] => (outcome.as_str(), None),
            [outcome, last] => (outcome.as_str(), last.parse().ok()),
            _ => ("", None),
        };
        let written = written(operation, outcome, last)?;
        if written == Written::Done {
            let last = Seq(first.0 + entries.len() as u64 - u64::from(!entries.is_empty()));
            self.own(who, |own| own.confirmed = own.confirmed.max(last));
        }
        Ok(written)
    }

    async fn checkpoint_now(
        &self,
        who: &Incarnation,
        checkpoints: &Checkpoints,
    ) -> Result<Written, EngineError> {
        let operation = "writing checkpoints";
        let known = self.own(who, |own| own.clone());
        let mut call = CHECKPOINT
            .on(&self.keys(who))
            .arg(checkpoints.call)
            .arg(checkpoints.last.0)
            .arg(checkpoints.keep_from.0)
            .arg(&known.lineage)
            .arg(known.confirmed.0)
            .arg(millis(KEEP))
            .arg(checkpoints.after)
            .arg(checkpoints.rooms.len());
        for (room, bytes) in &checkpoints.rooms {
            call.push(room.to_string());
            call.push(&bytes[..]);
        }
        for room in &checkpoints.gone {
            call.push(room.to_string());
        }
        let is_due = known
            .registered_at
            .is_none_or(|at| at.elapsed() >= REGISTER);
        let mut calls = vec![call];
        calls.extend(is_due.then(|| self.enter(who)));
        let replies = self.redis.run_all::<Value>(operation, &calls).await?;
        let mut replies = replies.into_iter();
        let reply = replies.next().unwrap_or(Ok(Value::Nil))?;
        let reply: Vec<String> = read(operation, reply)?;
        let (outcome, lineage, last) = match &reply[..] {
            [outcome, lineage] => (outcome, lineage, None),
            [outcome, lineage, last] => (outcome, lineage, last.parse().ok()),
            _ => return written(operation, "", None),
        };
        self.own(who, |own| {
            own.lineage.clone_from(lineage);
            if is_due && replies.next().is_some_and(|entered| entered.is_ok()) {
                own.registered_at = Some(Instant::now());
            }
        });
        written(operation, outcome, last)
    }

    async fn seal_now(
        &self,
        who: &Incarnation,
        by: &Incarnation,
    ) -> Result<Option<Seal>, EngineError> {
        let operation = "sealing a journal";
        let call = SEAL
            .on(&self.keys(who))
            .arg(by.to_string())
            .arg(millis(KEEP));
        let reply: Vec<String> = self.redis.run_durable(operation, call).await?;
        let [by, last, suspect] = &reply[..] else {
            return Ok(None);
        };
        let damaged = || damaged(operation, "a seal that cannot be read");
        Ok(Some(Seal {
            by: incarnation(by).ok_or_else(damaged)?,
            last: last.parse().map(Seq).map_err(|_| damaged())?,
            is_suspect: suspect == "1",
        }))
    }

    async fn estate_now(&self, who: &Incarnation) -> Result<Estate, EngineError> {
        let operation = "reading an estate";
        let keys = self.keys(who);
        let head: Vec<Value> = self.redis.run(operation, ESTATE.on(&keys)).await?;
        let mut head = head.into_iter();
        let state: String = read(operation, head.next().unwrap_or(Value::Nil))?;
        match state.as_str() {
            "sealed" => {}
            "missing" => return Ok(Estate::default()),
            _ => return Err(not_sealed(who)),
        }
        let mut next = || head.next().unwrap_or(Value::Nil);
        let first: u64 = read(operation, next())?;
        let count: usize = read(operation, next())?;
        let rooms: Vec<String> = read(operation, next())?;

        let [_, log_key, rooms_key] = &keys;
        let entries = |from: usize, count: usize| {
            Call::command("LRANGE", log_key)
                .arg(from)
                .arg(from + count - 1)
        };
        let entries = self.pieces(operation, count, entries).await?;
        let checkpoints = |from: usize, count: usize| {
            Call::command("HMGET", rooms_key).arg(&rooms[from..from + count])
        };
        let checkpoints = self.pieces(operation, rooms.len(), checkpoints).await?;
        let room = |name: &String| name.parse().ok();
        let ids: Option<Vec<RoomId>> = rooms.iter().map(room).collect();
        let ids = ids.ok_or_else(|| damaged(operation, "a room's id that cannot be read"))?;
        let mut checkpoints: Vec<_> = ids.into_iter().zip(checkpoints).collect();
        checkpoints.sort_by_key(|(room, _)| *room);
        Ok(Estate {
            checkpoints,
            entries: (first..).map(Seq).zip(entries).collect(),
        })
    }

    /// Reads `count` items piece by piece, so that no single answer is large.
    async fn pieces(
        &self,
        operation: &'static str,
        count: usize,
        call: impl Fn(usize, usize) -> Call,
    ) -> Result<Vec<Bytes>, EngineError> {
        let mut items: Vec<Bytes> = Vec::with_capacity(count);
        let mut most = 64;
        while items.len() < count {
            let wanted = most.min(count - items.len());
            let piece: Vec<Option<Bytes>> =
                self.redis.run(operation, call(items.len(), wanted)).await?;
            let piece: Option<Vec<Bytes>> = piece.into_iter().collect();
            let piece = piece.filter(|piece| piece.len() == wanted);
            let piece = piece.ok_or_else(|| {
                damaged(operation, "a sealed journal has changed while it was read")
            })?;
            let bytes: usize = piece.iter().map(Bytes::len).sum();
            // As many as would have made a piece of the right size.
            most = (wanted * PIECE / bytes.max(1)).clamp(1, PIECE_ITEMS);
            items.extend(piece);
        }
        Ok(items)
    }

    async fn list_now(&self) -> Result<Vec<JournalInfo>, EngineError> {
        let operation = "listing journals";
        let all = Call::command("SMEMBERS", &self.register());
        let names: Vec<String> = self.redis.run(operation, all).await?;
        let mut known: Vec<Incarnation> = names.iter().filter_map(|n| incarnation(n)).collect();
        known.sort();
        let head = |who: &Incarnation| {
            let [head, ..] = self.keys(who);
            Call::command("HMGET", &head).arg(&["first", "by"])
        };
        let calls: Vec<Call> = known.iter().map(head).collect();
        type Head = (Option<String>, Option<String>);
        let heads = self.redis.run_all::<Head>(operation, &calls).await?;
        let mut journals = Vec::with_capacity(known.len());
        for (who, head) in known.into_iter().zip(heads) {
            let (first, by) = head?;
            if first.is_some() {
                let sealed = by.is_some();
                journals.push(JournalInfo { who, sealed });
            }
        }
        Ok(journals)
    }

    async fn retire_now(&self, who: &Incarnation) -> Result<(), EngineError> {
        let operation = "retiring a journal";
        let [head, log, rooms] = self.keys(who);
        let delete = Call::command("DEL", &head).arg(log).arg(rooms);
        self.redis.run::<()>(operation, delete).await?;
        // Last, so that a journal is found until it is gone.
        let leave = Call::command("SREM", &self.register()).arg(who.to_string());
        self.redis.run::<()>(operation, leave).await?;
        self.own.lock().remove(who);
        Ok(())
    }
}

impl Journals for RedisJournals {
    fn open<'a>(
        &'a self,
        who: &'a Incarnation,
        after: Seq,
    ) -> BoxFuture<'a, Result<Written, EngineError>> {
        Box::pin(self.open_now(who, after))
    }

    fn append<'a>(
        &'a self,
        who: &'a Incarnation,
        first: Seq,
        entries: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Written, EngineError>> {
        Box::pin(self.append_now(who, first, entries))
    }

    fn checkpoint<'a>(
        &'a self,
        who: &'a Incarnation,
        checkpoints: &'a Checkpoints,
    ) -> BoxFuture<'a, Result<Written, EngineError>> {
        Box::pin(self.checkpoint_now(who, checkpoints))
    }

    fn seal<'a>(
        &'a self,
        who: &'a Incarnation,
        by: &'a Incarnation,
    ) -> BoxFuture<'a, Result<Option<Seal>, EngineError>> {
        Box::pin(self.seal_now(who, by))
    }

    fn estate<'a>(&'a self, who: &'a Incarnation) -> BoxFuture<'a, Result<Estate, EngineError>> {
        Box::pin(self.estate_now(who))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<JournalInfo>, EngineError>> {
        Box::pin(self.list_now())
    }

    fn retire<'a>(&'a self, who: &'a Incarnation) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(self.retire_now(who))
    }

    fn lineage(&self) -> BoxFuture<'_, Result<String, EngineError>> {
        Box::pin(self.redis.lineage("asking for the lineage"))
    }
}

fn written(
    operation: &'static str,
    outcome: &str,
    last: Option<u64>,
) -> Result<Written, EngineError> {
    match (outcome, last) {
        ("done", _) => Ok(Written::Done),
        ("sealed", _) => Ok(Written::Sealed),
        ("missing", _) => Ok(Written::Missing),
        ("gap", Some(last)) => Ok(Written::Gap(Seq(last))),
        _ => Err(damaged(operation, "an unexpected reply")),
    }
}

/// Reads `node.generation`.
fn incarnation(text: &str) -> Option<Incarnation> {
    let (node, generation) = text.rsplit_once('.')?;
    Some(Incarnation {
        node: node.parse().ok()?,
        generation: Generation(generation.parse().ok()?),
    })
}

fn read<T: FromRedisValue>(operation: &'static str, value: Value) -> Result<T, EngineError> {
    redis::from_redis_value(value).map_err(|_| damaged(operation, "an unexpected reply"))
}

fn damaged(operation: &'static str, detail: &str) -> EngineError {
    EngineError::Damaged {
        operation,
        detail: detail.to_owned(),
    }
}
