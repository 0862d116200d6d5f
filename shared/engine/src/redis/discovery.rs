//! Asks who is the primary of what: the sentinels, or the nodes of a Cluster.
//!
//! Everyone known is asked at once, and the newest of their answers counts: one who is cut off
//! from the others goes on telling what was.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::{Client, FromRedisValue, RedisResult, Value, cmd, from_redis_value};
use tokio::time::{Instant, timeout_at};

use super::Topology;
use super::config::{Address, Settings};
use super::link::{client, closed, connection_config, within};
use super::script::SLOTS;

/// How long others are waited for once one has answered.
const PATIENCE: Duration = Duration::from_millis(50);

/// Hash slots, and their primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: u16,
    pub(super) to: u16,
    pub(super) node: Address,
}

struct Answer {
    /// Whether it may be relied on, and how new it is.
    rank: (bool, u64),
    ranges: Vec<Range>,
}

/// The ranges, by slot. `known` are servers beside those of the configuration.
pub(super) async fn discover(settings: &Settings, known: &[Address]) -> RedisResult<Vec<Range>> {
    let mut asked = settings.seeds.clone();
    if settings.topology == Topology::Cluster {
        asked.extend(known.iter().cloned());
    }
    asked.sort();
    asked.dedup();
    let mut answers: FuturesUnordered<_> = asked
        .iter()
        .map(|address| within(settings.deadline, ask(address, settings)))
        .collect();
    let mut best: Option<Answer> = None;
    let mut failure = closed("nobody knows");
    let mut until = Instant::now() + settings.deadline;
    while let Ok(Some(answer)) = timeout_at(until, answers.next()).await {
        match answer {
            Ok(answer) => {
                until = until.min(Instant::now() + PATIENCE);
                if best.as_ref().is_none_or(|best| best.rank < answer.rank) {
                    best = Some(answer);
                }
            }
            Err(error) => failure = error,
        }
    }
    best.map(|best| best.ranges).ok_or(failure)
}

async fn ask(address: &Address, settings: &Settings) -> RedisResult<Answer> {
    match settings.topology {
        Topology::Single => Err(closed("there is nobody to ask")),
        Topology::Sentinel => ask_sentinel(address, settings).await,
        Topology::Cluster => ask_node(address, settings).await,
    }
}

async fn ask_sentinel(address: &Address, settings: &Settings) -> RedisResult<Answer> {
    let mut settings = settings.clone();
    // Sentinels have users of their own, and no databases.
    settings.login = redis::RedisConnectionInfo::default();
    let mut command = cmd("SENTINEL");
    command.arg("MASTER").arg(&settings.service);
    let client = client(address, &settings);
    let primary: HashMap<String, String> = query(&client, &settings, &command).await?;
    let field = |name: &str| primary.get(name).map(String::as_str);
    let node = field("ip").zip(field("port").and_then(|port| port.parse().ok()));
    let (host, port) = node.ok_or_else(|| closed("a sentinel names no address"))?;
    let epoch = field("config-epoch").and_then(|epoch| epoch.parse().ok());
    Ok(Answer {
        rank: (true, epoch.unwrap_or(0)),
        ranges: vec![Range {
            from: 0,
            to: SLOTS - 1,
            node: Address {
                host: host.to_owned(),
                port,
            },
        }],
    })
}

async fn ask_node(address: &Address, settings: &Settings) -> RedisResult<Answer> {
    let client = client(address, settings);
    let mut info = cmd("CLUSTER");
    info.arg("INFO");
    let mut slots = cmd("CLUSTER");
    slots.arg("SLOTS");
    let info: String = query(&client, settings, &info).await?;
    let slots: Vec<Vec<Value>> = query(&client, settings, &slots).await?;
    let field = |name: &str| {
        let mut lines = info.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    };
    let epoch = field("cluster_current_epoch").and_then(|epoch| epoch.parse().ok());
    let mut ranges = slots
        .into_iter()
        .map(|fields| range(fields, address))
        .collect::<Option<Vec<Range>>>()
        .ok_or_else(|| closed("a node of the Cluster tells no slots"))?;
    ranges.sort_by_key(|range| range.from);
    Ok(Answer {
        rank: (field("cluster_state") == Some("ok"), epoch.unwrap_or(0)),
        ranges,
    })
}

/// `[from, to, [host, port, …], replicas…]`. Without a host it is the one that was asked.
fn range(fields: Vec<Value>, asked: &Address) -> Option<Range> {
    let mut fields = fields.into_iter();
    let from = read(fields.next()?)?;
    let to = read(fields.next()?)?;
    let mut node = read::<Vec<Value>>(fields.next()?)?.into_iter();
    let host: Option<String> = read(node.next()?)?;
    let port = read(node.next()?)?;
    let host = host.filter(|host| !host.is_empty() && host != "?");
    Some(Range {
        from,
        to,
        node: Address {
            host: host.unwrap_or_else(|| asked.host.clone()),
            port,
        },
    })
}

fn read<T: FromRedisValue>(value: Value) -> Option<T> {
    from_redis_value(value).ok()
}

/// One question over a connection of its own: they are asked rarely, and each may be gone.
async fn query<T: FromRedisValue>(
    client: &Client,
    settings: &Settings,
    command: &redis::Cmd,
) -> RedisResult<T> {
    let config = connection_config(settings.deadline);
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    command.query_async(&mut connection).await
}
