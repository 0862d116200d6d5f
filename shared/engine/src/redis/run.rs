//! Runs calls where their keys are, and again while that may help.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chassis::backoff::Backoff;
use futures_util::future::join_all;
use redis::{
    Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, ServerErrorKind, Value, cmd,
    from_redis_value,
};
use tokio::time::{Instant, sleep, timeout_at};

use super::config::{Address, RedisConfig, Settings};
use super::layout::Watched;
use super::link::{Live, Node, closed, is_transport, within};
use super::script::{Call, Script};
use crate::EngineError;

/// How long [`Redis::connect`] waits for Redis to be there.
pub const CONNECT: Duration = Duration::from_secs(5);

/// Waits between the attempts of one call.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(80));

/// What is left of a call's deadline for the reply to come back in, after a wait for replicas: a
/// server looks whether a wait is over ten times a second.
const MARGIN: Duration = Duration::from_millis(120);

/// Redis. Clones are the same connections, which belong to the runtime that [`connect`] ran on.
///
/// [`connect`]: Self::connect
#[derive(Clone)]
pub struct Redis(Arc<Shared>);

struct Shared {
    settings: Settings,
    layout: Watched,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redis({})", self.0.settings.address())
    }
}

/// Why a call has no reply.
enum Failure {
    /// It will not have one.
    Final(RedisError),
    /// Another attempt may have one.
    Passing(RedisError),
    /// The script has to be loaded first.
    Unknown(Script),
    /// Somebody else has the key just now.
    Elsewhere(Address),
}

impl Redis {
    /// Connects, and waits until every part of it answers.
    ///
    /// # Errors
    /// [`EngineError::Connect`] if it does not within [`CONNECT`], or the configuration cannot be
    /// right; [`EngineError::Open`] for the password's file.
    pub async fn connect(config: &RedisConfig) -> Result<Self, EngineError> {
        let settings = Settings::read(config)?;
        let redis = Self(Arc::new(Shared {
            layout: Watched::start(&settings),
            settings,
        }));
        let until = Instant::now() + CONNECT;
        let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
        loop {
            let error = match redis.ask_all(&cmd("PING")).await {
                Ok(_) => return Ok(redis),
                Err(error) => error,
            };
            let is_locked_out = error.kind() == ErrorKind::AuthenticationFailed;
            if is_locked_out || Instant::now() >= until {
                return Err(EngineError::Connect {
                    address: redis.0.settings.address(),
                    remedy: if is_locked_out {
                        "look at `user` and `password_file` in [engine.redis]"
                    } else {
                        "is it running there, and are `urls`, `topology` and `service` in \
                         [engine.redis] right?"
                    },
                    source: Box::new(error),
                });
            }
            sleep(backoff.next()).await;
        }
    }

    /// A key: `tag` decides where it is in a Cluster, so keys that are used together share one.
    pub fn key(&self, tag: &str, name: &str) -> String {
        format!("{}:{{{tag}}}:{name}", self.0.settings.prefix)
    }

    /// A channel to publish on. It is in all of a Cluster.
    pub fn channel(&self, name: &str) -> String {
        format!("{}:{name}", self.0.settings.prefix)
    }

    /// Whether every part of Redis answers just now. A silence shows within three seconds.
    pub fn is_reachable(&self) -> bool {
        let nodes = self.0.layout.now().nodes();
        !nodes.is_empty() && nodes.iter().all(|node| node.is_up())
    }

    /// Runs one call. It may be run more than once.
    ///
    /// # Errors
    /// [`EngineError::Deadline`], [`EngineError::Store`]: whether it took effect is unknown.
    /// [`EngineError::Damaged`] if the reply is not a `T`.
    pub async fn run<T: FromRedisValue>(
        &self,
        operation: &'static str,
        call: Call,
    ) -> Result<T, EngineError> {
        let mut replies = self.run_all(operation, std::slice::from_ref(&call)).await?;
        replies
            .pop()
            .unwrap_or_else(|| unreachable!("one reply for one call"))
    }

    /// Runs calls on any keys, in one write to each server. Their order is not kept. Each may be
    /// run more than once.
    ///
    /// # Errors
    /// [`EngineError::Deadline`] if one of them has no reply in time; the others' are lost then.
    /// The errors inside are those of the calls.
    pub async fn run_all<T: FromRedisValue>(
        &self,
        operation: &'static str,
        calls: &[Call],
    ) -> Result<Vec<Result<T, EngineError>>, EngineError> {
        let until = Instant::now() + self.0.settings.deadline;
        let replies = timeout_at(until, Box::pin(self.attempts(calls)))
            .await
            .map_err(|_| EngineError::Deadline { operation })?;
        let read = |reply: RedisResult<Value>| {
            let value = reply.map_err(|error| failed(operation, error))?;
            from_redis_value(value).map_err(|error| EngineError::Damaged {
                operation,
                detail: format!("an unexpected reply: {error}"),
            })
        };
        Ok(replies.into_iter().map(read).collect())
    }

    /// Runs one call and waits until as many replicas have it as the configuration demands. The
    /// script has to write something whenever it is run, also when there is nothing new: what was
    /// written by an earlier attempt is not waited for otherwise.
    ///
    /// # Errors
    /// As [`run`](Self::run), and [`EngineError::NotReplicated`].
    pub async fn run_durable<T: FromRedisValue>(
        &self,
        operation: &'static str,
        call: Call,
    ) -> Result<T, EngineError> {
        if self.0.settings.replicas == 0 {
            return self.run(operation, call).await;
        }
        let until = Instant::now() + self.0.settings.deadline;
        let attempts = Box::pin(self.durable_attempts(&call, until));
        let (value, acknowledged) = timeout_at(until, attempts)
            .await
            .map_err(|_| EngineError::Deadline { operation })?
            .map_err(|error| failed(operation, error))?;
        let wanted = self.0.settings.replicas;
        if acknowledged < wanted {
            return Err(EngineError::NotReplicated {
                operation,
                wanted,
                acknowledged,
            });
        }
        from_redis_value(value).map_err(|error| EngineError::Damaged {
            operation,
            detail: format!("an unexpected reply: {error}"),
        })
    }

    /// Names the history of what is stored: another primary anywhere has another.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn lineage(&self, operation: &'static str) -> Result<String, EngineError> {
        let mut info = cmd("INFO");
        info.arg("replication");
        let replies = self.ask_all(&info).await;
        let replies = replies.map_err(|error| failed(operation, error))?;
        let id = |info: &Value| {
            let info: String = from_redis_value(info.clone()).ok()?;
            let id = info
                .lines()
                .find_map(|line| line.strip_prefix("master_replid:"))?;
            Some(id.to_owned())
        };
        let ids: Option<Vec<String>> = replies.iter().map(id).collect();
        ids.map(|ids| ids.join("+"))
            .ok_or_else(|| EngineError::Damaged {
                operation,
                detail: "Redis names no master_replid".to_owned(),
            })
    }

    /// A client for the server that has a key: for a connection of one's own.
    pub(super) fn client_of(&self, slot: u16) -> Option<redis::Client> {
        let layout = self.0.layout.now();
        let node = layout.node_of(slot)?;
        Some(super::link::client(&node.address, &self.0.settings))
    }

    /// Longest that a call takes.
    pub(super) fn deadline(&self) -> Duration {
        self.0.settings.deadline
    }

    /// Asks every primary the same; replies are in the order of the slots.
    async fn ask_all(&self, command: &Cmd) -> RedisResult<Vec<Value>> {
        let nodes = self.0.layout.now().nodes();
        if nodes.is_empty() {
            return Err(closed("nobody tells who the primary is"));
        }
        let ask = async |node: Arc<Node>| {
            let live = node.live().await?;
            let replies = live.send(&[command]).await?;
            first(replies)
        };
        let replies = join_all(nodes.into_iter().map(ask));
        within(self.deadline(), async {
            replies.await.into_iter().collect()
        })
        .await
    }

    async fn attempts(&self, calls: &[Call]) -> Vec<RedisResult<Value>> {
        let mut replies: Vec<Option<RedisResult<Value>>> = calls.iter().map(|_| None).collect();
        let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
        loop {
            let open: Vec<usize> = (0..calls.len()).filter(|i| replies[*i].is_none()).collect();
            if open.is_empty() {
                return replies.into_iter().flatten().collect();
            }
            let mut is_refused = false;
            for (index, outcome) in self.round(calls, open).await {
                let settled = self.settle(&calls[index], outcome).await;
                is_refused |= settled.is_none();
                replies[index] = settled;
            }
            if is_refused {
                sleep(backoff.next()).await;
            }
        }
    }

    /// Sends the calls numbered `open`, in one write to each server.
    async fn round(
        &self,
        calls: &[Call],
        open: Vec<usize>,
    ) -> Vec<(usize, Result<Value, Failure>)> {
        let layout = self.0.layout.now();
        let mut outcomes = Vec::with_capacity(open.len());
        let mut groups: BTreeMap<&Address, (Arc<Node>, Vec<usize>)> = BTreeMap::new();
        for index in open {
            match layout.node_of(calls[index].slot) {
                Some(node) => {
                    let group = groups.entry(&node.address);
                    let group = group.or_insert_with(|| (Arc::clone(node), Vec::new()));
                    group.1.push(index);
                }
                None => {
                    let nobody = Failure::Passing(closed("nobody has the hash slot"));
                    outcomes.push((index, Err(nobody)));
                }
            }
        }
        let send = async |(node, indices): (Arc<Node>, Vec<usize>)| {
            let commands: Vec<&Cmd> = indices.iter().map(|i| &calls[*i].command).collect();
            let replies = match node.live().await {
                Ok(live) => live.send(&commands).await.map_err(Failure::Passing),
                Err(down) => Err(self.down(&node, down)),
            };
            (node, indices, replies)
        };
        for (node, indices, replies) in join_all(groups.into_values().map(send)).await {
            match replies {
                Ok(replies) => {
                    for (index, reply) in indices.into_iter().zip(replies) {
                        outcomes.push((index, judge(&node, &calls[index], reply)));
                    }
                }
                Err(failure) => {
                    let each = |index| (index, Err(failure.again()));
                    outcomes.extend(indices.into_iter().map(each));
                }
            }
        }
        outcomes
    }

    /// A server that is down is not waited for. One whose place another has taken is no loss.
    fn down(&self, node: &Node, error: RedisError) -> Failure {
        match self.0.layout.now().node_at(&node.address) {
            Some(_) => Failure::Final(error),
            None => Failure::Passing(error),
        }
    }

    /// What is to be answered, or `None` for another attempt.
    async fn settle(
        &self,
        call: &Call,
        outcome: Result<Value, Failure>,
    ) -> Option<RedisResult<Value>> {
        match outcome {
            Ok(value) => Some(Ok(value)),
            Err(Failure::Final(error)) => Some(Err(error)),
            Err(Failure::Passing(error)) => {
                tracing::debug!(%error, "trying again");
                self.0.layout.doubt();
                None
            }
            Err(Failure::Unknown(script)) => {
                let live = self.live_of(call.slot).await;
                let loaded = self.load(live, &script, call).await;
                loaded.ok().map(Ok)
            }
            Err(Failure::Elsewhere(address)) => {
                let moved = self.ask_elsewhere(&address, call).await;
                moved.ok().map(Ok)
            }
        }
    }

    async fn live_of(&self, slot: u16) -> RedisResult<Arc<Live>> {
        let layout = self.0.layout.now();
        let node = layout.node_of(slot);
        node.ok_or_else(|| closed("nobody has the hash slot"))?
            .live()
            .await
    }

    /// Loads a script, and runs the call in the same write.
    async fn load(
        &self,
        live: RedisResult<Arc<Live>>,
        script: &Script,
        call: &Call,
    ) -> RedisResult<Value> {
        let replies = live?.send(&[&script.load(), &call.command]).await?;
        last(replies)
    }

    /// While a slot moves, the key may be at its next owner already.
    async fn ask_elsewhere(&self, address: &Address, call: &Call) -> RedisResult<Value> {
        self.0.layout.doubt();
        let layout = self.0.layout.now();
        let node = layout
            .node_at(address)
            .ok_or_else(|| closed("an unknown server"))?;
        let live = node.live().await?;
        last(live.send(&[&cmd("ASKING"), &call.command]).await?)
    }

    async fn durable_attempts(&self, call: &Call, until: Instant) -> RedisResult<(Value, u32)> {
        let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
        loop {
            match self.durable_attempt(call, until).await {
                Ok(done) => return Ok(done),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Unknown(script)) => {
                    let live = self.live_of(call.slot).await;
                    // The call itself is repeated on the connection that waits.
                    let _ = self.load(live, &script, call).await;
                }
                Err(Failure::Passing(_) | Failure::Elsewhere(_)) => {
                    self.0.layout.doubt();
                    sleep(backoff.next()).await;
                }
            }
        }
    }

    async fn durable_attempt(&self, call: &Call, until: Instant) -> Result<(Value, u32), Failure> {
        let layout = self.0.layout.now();
        let node = layout.node_of(call.slot);
        let node = node.ok_or_else(|| Failure::Passing(closed("nobody has the hash slot")))?;
        let down = |error| self.down(node, error);
        node.live().await.map_err(down)?;
        let broken = |_| Failure::Passing(closed("no connection to hold"));
        let mut held = node.exclusive.get().await.map_err(broken)?;
        let replies = held.send(&[&call.command]).await;
        let value = judge(node, call, first(replies.map_err(Failure::Passing)?))?;
        // Only now: behind a call that was refused there is nothing to wait for.
        let left = until.saturating_duration_since(Instant::now());
        let patience = left.saturating_sub(MARGIN).max(left / 3);
        let mut wait = cmd("WAIT");
        wait.arg(self.0.settings.replicas)
            .arg(u64::try_from(patience.as_millis()).unwrap_or(1).max(1));
        let waited = first(held.send(&[&wait]).await.map_err(Failure::Passing)?);
        let acknowledged = waited.and_then(|count| Ok(from_redis_value(count)?));
        Ok((value, acknowledged.map_err(Failure::Passing)?))
    }
}

impl Failure {
    /// The same for another call.
    fn again(&self) -> Self {
        match self {
            Self::Final(error) => Self::Final(error.clone()),
            Self::Passing(error) => Self::Passing(error.clone()),
            Self::Unknown(script) => Self::Unknown(script.clone()),
            Self::Elsewhere(address) => Self::Elsewhere(address.clone()),
        }
    }
}

/// Sorts a server's reply.
fn judge(node: &Node, call: &Call, reply: RedisResult<Value>) -> Result<Value, Failure> {
    let error = match reply {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let Some(code) = error.code() else {
        return Err(if is_transport(&error) {
            Failure::Passing(error)
        } else {
            Failure::Final(error)
        });
    };
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::NoScript) => match &call.script {
            Some(script) => Err(Failure::Unknown(script.clone())),
            None => Err(Failure::Final(error)),
        },
        ErrorKind::Server(ServerErrorKind::Ask) => {
            let address = error
                .redirect_node()
                .and_then(|(address, _)| Address::parse(address));
            Err(address.map_or(Failure::Passing(error), Failure::Elsewhere))
        }
        _ if matches!(code, "READONLY" | "LOADING" | "MASTERDOWN") || is_read_only(&error) => {
            // Not this server, or not yet: a new connection finds out.
            node.cut();
            Err(Failure::Passing(error))
        }
        _ if matches!(
            code,
            "MOVED" | "TRYAGAIN" | "CLUSTERDOWN" | "BUSY" | "NOREPLICAS" | "UNBLOCKED"
        ) =>
        {
            Err(Failure::Passing(error))
        }
        _ => Err(Failure::Final(error)),
    }
}

/// Before Redis 7 a script's error has the reason inside.
fn is_read_only(error: &RedisError) -> bool {
    error
        .detail()
        .is_some_and(|detail| detail.contains("-READONLY"))
}

fn first(replies: Vec<RedisResult<Value>>) -> RedisResult<Value> {
    let reply = replies.into_iter().next();
    reply.unwrap_or_else(|| Err(closed("no reply")))
}

fn last(mut replies: Vec<RedisResult<Value>>) -> RedisResult<Value> {
    replies.pop().unwrap_or_else(|| Err(closed("no reply")))
}

fn failed(operation: &'static str, error: RedisError) -> EngineError {
    if error.is_timeout() {
        return EngineError::Deadline { operation };
    }
    EngineError::Store {
        operation,
        source: Box::new(error),
    }
}
