//! Leases in Redis. Time is the server's.
//!
//! Watchers are told of changes over a subscription, and look by themselves when a lease is due to
//! end and from time to time: nothing hangs on a message that may be lost. While the store fails,
//! the last list stays: nodes do not go because nobody can be asked about them.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures_util::future::join_all;
use protocol::id::{Generation, NodeId};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Redis, Script};
use crate::leases::{FENCE, Leases, MAX_NODES, NodeKind, NodeRecord};
use crate::{BoxFuture, EngineError};

static RENEW: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/lease_renew.lua")));
static WITHDRAW: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("lua/lease_withdraw.lua")));
static LIST: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/lease_list.lua")));

/// How often a watcher looks when nothing is said to have changed.
const LOOK: Duration = Duration::from_millis(500);

/// How often it looks at most, however much changes.
const REST: Duration = Duration::from_millis(50);

/// Leases in Redis.
pub struct RedisLeases {
    redis: Redis,
    lists: [watch::Sender<List>; NodeKind::ALL.len()],
    keeper: AbortHandle,
}

type List = Arc<Vec<NodeRecord>>;

impl RedisLeases {
    /// Leases in `redis`. The lists are known from the start: to a watcher, a node that is not on
    /// its list is gone.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub async fn open(redis: Redis) -> Result<Self, EngineError> {
        let mut lists: [watch::Sender<List>; NodeKind::ALL.len()] = Default::default();
        for (kind, list) in NodeKind::ALL.into_iter().zip(&mut lists) {
            let nodes = look(&redis, kind, "").await?.nodes;
            list.send_replace(Arc::new(nodes.unwrap_or_default()));
        }
        let keeper = keep_all(redis.clone(), lists.clone());
        Ok(Self {
            keeper: tokio::spawn(keeper).abort_handle(),
            redis,
            lists,
        })
    }
}

impl Drop for RedisLeases {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Leases for RedisLeases {
    fn renew<'a>(
        &'a self,
        record: &'a NodeRecord,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let operation = "renewing a lease";
            let text = serde_json::to_string(record).map_err(|source| EngineError::Store {
                operation,
                source: Box::new(source),
            })?;
            let call = RENEW
                .on(&keys(&self.redis, record.kind))
                .arg(record.node.as_str())
                .arg(digits(record.generation))
                .arg(millis(ttl))
                .arg(text)
                .arg(millis(FENCE))
                .arg(MAX_NODES)
                .arg(channel(&self.redis));
            let reply = self.redis.run(operation, call).await?;
            verdict(operation, reply, record.node.as_str(), record.generation)
        })
    }

    fn withdraw<'a>(
        &'a self,
        kind: NodeKind,
        node: &'a NodeId,
        generation: Generation,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let operation = "withdrawing a lease";
            let call = WITHDRAW
                .on(&keys(&self.redis, kind))
                .arg(node.as_str())
                .arg(digits(generation))
                .arg(channel(&self.redis));
            let reply = self.redis.run(operation, call).await?;
            verdict(operation, reply, node.as_str(), generation)
        })
    }

    fn list(&self, kind: NodeKind) -> BoxFuture<'_, Result<Vec<NodeRecord>, EngineError>> {
        Box::pin(async move {
            let look = look(&self.redis, kind, "").await?;
            Ok(look.nodes.unwrap_or_default())
        })
    }

    fn watch(&self, kind: NodeKind) -> watch::Receiver<Arc<Vec<NodeRecord>>> {
        self.lists[index(kind)].subscribe()
    }
}

/// What a look at the list gives.
struct Look {
    /// Names this list.
    mark: String,
    /// When the first of its leases ends.
    ends: Option<Duration>,
    /// The list, unless it is the one that is known.
    nodes: Option<Vec<NodeRecord>>,
}

async fn look(redis: &Redis, kind: NodeKind, known: &str) -> Result<Look, EngineError> {
    let operation = "listing nodes";
    let call = LIST.on(&keys(redis, kind)).arg(known);
    type Reply = (String, i64, Option<Vec<String>>);
    let reply: Vec<redis::Value> = redis.run(operation, call).await?;
    let damaged = |detail: String| EngineError::Damaged { operation, detail };
    // The last field is left out when nothing has changed.
    let mut reply = reply;
    reply.resize(3, redis::Value::Nil);
    let reply = redis::from_redis_value::<Reply>(redis::Value::Array(reply));
    let (mark, left, records) = reply.map_err(|error| damaged(error.to_string()))?;
    let nodes = records.map(|records| {
        let mut nodes = records
            .iter()
            .map(|record| {
                let text = record.get(20..).unwrap_or_default();
                serde_json::from_str(text).map_err(|error| damaged(error.to_string()))
            })
            .collect::<Result<Vec<NodeRecord>, EngineError>>()?;
        nodes.sort_by(|a, b| a.node.cmp(&b.node));
        Ok(nodes)
    });
    Ok(Look {
        mark,
        ends: u64::try_from(left).ok().map(Duration::from_millis),
        nodes: nodes.transpose()?,
    })
}

async fn keep_all(redis: Redis, lists: [watch::Sender<List>; NodeKind::ALL.len()]) {
    let nudge = watch::Sender::new(());
    let keeping = NodeKind::ALL.into_iter().zip(lists);
    let keeping = keeping.map(|(kind, list)| keep(&redis, kind, list, nudge.subscribe()));
    // Whenever something is said to have changed, and whenever that may have been missed.
    let channel = channel(&redis);
    let listening = redis.hear(&channel, |_| nudge.send_replace(()));
    tokio::join!(listening, join_all(keeping));
}

/// Keeps a kind's list up to date.
async fn keep(
    redis: &Redis,
    kind: NodeKind,
    list: watch::Sender<List>,
    mut nudged: watch::Receiver<()>,
) {
    let mut mark = String::new();
    loop {
        nudged.mark_unchanged();
        let mut next = LOOK;
        match look(redis, kind, &mark).await {
            Ok(look) => {
                mark = look.mark;
                // A moment later, so that the lease has ended by then.
                let end = look.ends.map(|ends| ends + Duration::from_millis(2));
                next = end.map_or(LOOK, |end| end.min(LOOK));
                if let Some(nodes) = look.nodes {
                    list.send_if_modified(|shown| {
                        let changed = **shown != nodes;
                        *shown = Arc::new(nodes);
                        changed
                    });
                }
            }
            Err(error) => tracing::debug!(%error, ?kind, "the last list of nodes stays"),
        }
        let until = Instant::now() + next;
        sleep(REST.min(next)).await;
        tokio::select! {
            () = sleep_until(until) => {}
            _ = nudged.changed() => {}
        }
    }
}

fn keys(redis: &Redis, kind: NodeKind) -> [String; 3] {
    let tag = format!("leases:{}", name(kind));
    ["ends", "records", "version"].map(|key| redis.key(&tag, key))
}

fn channel(redis: &Redis) -> String {
    redis.channel("leases")
}

fn name(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Gateway => "gateway",
        NodeKind::Matcher => "matcher",
        NodeKind::Syncd => "syncd",
    }
}

fn index(kind: NodeKind) -> usize {
    match kind {
        NodeKind::Gateway => 0,
        NodeKind::Matcher => 1,
        NodeKind::Syncd => 2,
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A generation so that texts compare as the numbers do: Lua's numbers are not exact.
pub(super) fn digits(generation: Generation) -> String {
    format!("{:020}", generation.0)
}

/// Reads what scripts with fences answer.
pub(super) fn verdict(
    operation: &'static str,
    reply: Vec<String>,
    subject: &str,
    offered: Generation,
) -> Result<(), EngineError> {
    let reply: Vec<&str> = reply.iter().map(String::as_str).collect();
    match reply.as_slice() {
        ["done"] => Ok(()),
        ["full"] => Err(EngineError::Full {
            what: "node names",
            limit: MAX_NODES,
        }),
        ["fenced", held] => Err(EngineError::Fenced {
            subject: subject.to_owned(),
            held: Generation(held.parse().unwrap_or(u64::MAX)),
            offered,
        }),
        other => Err(EngineError::Damaged {
            operation,
            detail: format!("an unexpected reply: {other:?}"),
        }),
    }
}
