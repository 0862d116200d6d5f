//! One server: the connection that all calls share, and the pool of those that are held.
//!
//! A task owns the shared connection. It connects, asks after the server once a second, and starts
//! anew when the connection is found broken. While attempts fail, or the server does not answer,
//! the link is down: calls fail at once, and only the task's own probes go on trying (a circuit
//! breaker whose half-open calls are the task's).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bb8::{ManageConnection, Pool};
use chassis::backoff::Backoff;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisError, RedisResult, Value, cmd};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::config::{Address, Settings};
use super::discovery;

/// So many calls in a row without an answer, and the connection is given up.
const UNANSWERED: u32 = 3;

/// So many failed attempts to connect, and the link is down.
const ATTEMPTS: u32 = 4;

/// How long a server that says nothing is left alone.
const PROBE: Duration = Duration::from_secs(1);

/// So many of its own questions in a row without an answer, and it is given up. One may fall into
/// a moment in which the server is busy with something long.
const PROBES: u32 = 2;

/// Waits between attempts to connect.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(400));

/// Most exclusive connections to a server.
const EXCLUSIVE: u32 = 8;

/// How long an exclusive connection is kept idle.
const IDLE: Duration = Duration::from_secs(60);

/// A server.
pub(super) struct Node {
    pub(super) address: Address,
    pub(super) exclusive: Pool<Exclusive>,
    link: watch::Receiver<Link>,
    task: AbortHandle,
}

/// How it stands with the shared connection.
#[derive(Clone)]
enum Link {
    /// It is being made.
    Connecting,
    Up(Arc<Live>),
    /// It could not be made, for this reason.
    Down(RedisError),
}

/// A connection that works, as far as is known.
pub(super) struct Live {
    connection: MultiplexedConnection,
    unanswered: AtomicU32,
    /// The server answers nothing, in contrast to a connection that broke.
    is_silent: AtomicBool,
    cut: CancellationToken,
    /// When it came about.
    pub(super) since: Instant,
}

impl Node {
    /// Begins to connect. `trouble` is told when something is wrong with the server.
    pub(super) fn start(address: Address, settings: &Settings, trouble: Arc<Notify>) -> Arc<Self> {
        let client = client(&address, settings);
        let (sender, link) = watch::channel(Link::Connecting);
        let keeper = Keeper {
            client: client.clone(),
            settings: settings.clone(),
            deadline: settings.deadline,
            address: address.clone(),
            link: sender,
            trouble,
        };
        let exclusive = Pool::builder()
            .max_size(EXCLUSIVE)
            .connection_timeout(settings.deadline)
            .idle_timeout(Some(IDLE))
            .test_on_check_out(false) // `has_broken` knows, and a test would double every call
            .retry_connection(false)
            .build_unchecked(Exclusive {
                client,
                deadline: settings.deadline,
            });
        Arc::new(Self {
            address,
            exclusive,
            link,
            task: tokio::spawn(keeper.run()).abort_handle(),
        })
    }

    /// The shared connection, once it is there.
    pub(super) async fn live(&self) -> RedisResult<Arc<Live>> {
        let mut link = self.link.clone();
        let settled = link
            .wait_for(|link| !matches!(link, Link::Connecting))
            .await;
        match settled.as_deref() {
            Ok(Link::Up(live)) => Ok(Arc::clone(live)),
            Ok(Link::Down(error)) => Err(error.clone()),
            Ok(Link::Connecting) | Err(_) => Err(closed("the server is not used any more")),
        }
    }

    /// Whether the server answers.
    pub(super) fn is_up(&self) -> bool {
        matches!(&*self.link.borrow(), Link::Up(_))
    }

    /// Since when the shared connection is there, if it is.
    pub(super) fn up_since(&self) -> Option<Instant> {
        match &*self.link.borrow() {
            Link::Up(live) => Some(live.since),
            Link::Connecting | Link::Down(_) => None,
        }
    }

    /// The shared connection is of no use. The next one may lead to another server, where a name
    /// stands for whichever is the primary.
    pub(super) fn cut(&self) {
        if let Link::Up(live) = &*self.link.borrow() {
            live.cut.cancel();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
        // What waits for this server is tried elsewhere, and no reply of it counts any more.
        self.cut();
    }
}

impl Live {
    /// Sends commands in one write and waits for their replies, each an error of its own.
    pub(super) async fn send(&self, commands: &[&Cmd]) -> RedisResult<Vec<RedisResult<Value>>> {
        let waiting = Waiting {
            live: self,
            since: Instant::now(),
            is_answered: false,
        };
        let outcome = tokio::select! {
            biased;
            () = self.cut.cancelled() => Err(closed("the connection was given up")),
            outcome = exchange(self.connection.clone(), commands) => outcome,
        };
        match &outcome {
            Ok(_) => waiting.answered(),
            Err(_) => self.cut.cancel(),
        }
        outcome
    }
}

/// Sends commands over a connection that may be shared.
async fn exchange(
    mut connection: MultiplexedConnection,
    commands: &[&Cmd],
) -> RedisResult<Vec<RedisResult<Value>>> {
    let values = match commands {
        [single] => match connection.send_packed_command(single).await {
            // A refusal is an answer.
            Err(error) if !is_transport(&error) => return Ok(vec![Err(error)]),
            reply => vec![reply?],
        },
        several => {
            let mut pipeline = redis::Pipeline::with_capacity(several.len());
            for command in several {
                pipeline.add_command((*command).clone());
            }
            let sent = connection.send_packed_commands(&pipeline, 0, several.len());
            sent.await?
        }
    };
    Ok(values.into_iter().map(Value::extract_error).collect())
}

/// Whether the connection failed, in contrast to what was asked.
pub(super) fn is_transport(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Io | ErrorKind::Parse | ErrorKind::Client
    )
}

/// Counts a call that is given up without an answer.
struct Waiting<'a> {
    live: &'a Live,
    since: Instant,
    is_answered: bool,
}

impl Waiting<'_> {
    fn answered(mut self) {
        self.is_answered = true;
        self.live.unanswered.store(0, Ordering::Relaxed);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // A caller that goes away at once has learnt nothing about the server.
        if self.is_answered || self.since.elapsed() < Duration::from_millis(50) {
            return;
        }
        if self.live.unanswered.fetch_add(1, Ordering::Relaxed) + 1 >= UNANSWERED {
            self.live.is_silent.store(true, Ordering::Relaxed);
            self.live.cut.cancel();
        }
    }
}

struct Keeper {
    client: Client,
    settings: Settings,
    deadline: Duration,
    address: Address,
    link: watch::Sender<Link>,
    trouble: Arc<Notify>,
}

impl Keeper {
    async fn run(self) {
        let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
        let mut failures = 0;
        let mut outage = Outage::default();
        loop {
            match self.connect().await {
                Ok(live) => {
                    let since = Instant::now();
                    if let Some(away_for) = outage.ends(since) {
                        tracing::info!(address = %self.address, ?away_for, "Redis is back");
                    }
                    self.link.send_replace(Link::Up(Arc::clone(&live)));
                    self.watch(&live).await;
                    failures = 0;
                    if live.is_silent.load(Ordering::Relaxed) {
                        failures = ATTEMPTS;
                        self.down(&mut outage, closed("the server does not answer"));
                    } else {
                        self.link.send_replace(Link::Connecting);
                    }
                    if since.elapsed() > PROBE {
                        backoff.reset();
                    }
                }
                Err(error) => {
                    failures += 1;
                    outage.note(Instant::now());
                    if failures >= ATTEMPTS {
                        self.down(&mut outage, error);
                    }
                }
            }
            self.trouble.notify_one();
            sleep(backoff.next()).await;
        }
    }

    fn down(&self, outage: &mut Outage, error: RedisError) {
        if outage.begins(Instant::now()) {
            tracing::warn!(address = %self.address, %error, "Redis is away");
        }
        self.link.send_replace(Link::Down(error));
    }

    /// Connects, and makes sure that the server does what it is wanted for.
    async fn connect(&self) -> RedisResult<Arc<Live>> {
        let config = connection_config(self.deadline);
        let connect = self
            .client
            .get_multiplexed_async_connection_with_config(&config);
        let connection = within(self.deadline, connect).await?;
        let live = Arc::new(Live {
            connection,
            unanswered: AtomicU32::new(0),
            is_silent: AtomicBool::new(false),
            cut: CancellationToken::new(),
            since: Instant::now(),
        });
        self.probe(&live).await?;
        if self.must_be_primary() {
            self.ask_sentinels().await?;
        }
        Ok(live)
    }

    fn must_be_primary(&self) -> bool {
        self.settings.topology == super::Topology::Sentinel
    }

    /// A primary that was replaced while it was down comes back as a primary, with what it had or
    /// empty, until it hears of it. The sentinels know before it does.
    async fn ask_sentinels(&self) -> RedisResult<()> {
        let known = std::slice::from_ref(&self.address);
        let ranges = discovery::discover(&self.settings, known).await?;
        match ranges.iter().any(|range| range.node == self.address) {
            true => Ok(()),
            false => Err(closed("the sentinels name another primary")),
        }
    }

    async fn probe(&self, live: &Live) -> RedisResult<()> {
        let probe = match self.must_be_primary() {
            true => "ROLE",
            false => "PING",
        };
        let probe = cmd(probe);
        let replies = within(self.deadline, live.send(&[&probe])).await?;
        let reply = replies.into_iter().next();
        let reply = reply.unwrap_or_else(|| Err(closed("no reply")))?;
        if self.must_be_primary() && !is_primary(&reply) {
            return Err(closed("the server is not the primary"));
        }
        Ok(())
    }

    /// Until the connection is found broken, by a call or by its own question.
    async fn watch(&self, live: &Live) {
        let ask = async {
            let mut silent = 0;
            while silent < PROBES {
                sleep(PROBE).await;
                match self.probe(live).await {
                    Ok(()) => silent = 0,
                    Err(error) if error.is_timeout() => silent += 1,
                    Err(_) => return live.cut.cancel(),
                }
            }
            live.is_silent.store(true, Ordering::Relaxed);
            live.cut.cancel();
        };
        tokio::select! {
            () = live.cut.cancelled() => {}
            () = ask => {}
        }
    }
}

/// A time in which the server is away: told once when it begins, and once when it ends.
#[derive(Debug, Default)]
struct Outage {
    since: Option<Instant>,
    is_told: bool,
}

impl Outage {
    /// An attempt has failed. It may be nothing.
    fn note(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// The server counts as away. Gives whether that is news.
    fn begins(&mut self, now: Instant) -> bool {
        self.note(now);
        !std::mem::replace(&mut self.is_told, true)
    }

    /// The server answers. Gives for how long it was away, if that was told.
    fn ends(&mut self, now: Instant) -> Option<Duration> {
        let since = self.since.take()?;
        std::mem::take(&mut self.is_told).then(|| now - since)
    }
}

fn is_primary(role: &Value) -> bool {
    let Value::Array(fields) = role else {
        return false;
    };
    matches!(fields.first(), Some(Value::BulkString(role)) if role == b"master")
}

/// Makes connections that one call has for itself.
pub(super) struct Exclusive {
    client: Client,
    deadline: Duration,
}

/// A connection that one call has for itself.
pub(super) struct Held {
    connection: MultiplexedConnection,
    /// Every request has had its reply. Not so after a failure or a caller that went away: the
    /// next caller would wait behind what was asked then.
    is_clean: bool,
}

impl Held {
    /// As [`Live::send`].
    pub(super) async fn send(&mut self, commands: &[&Cmd]) -> RedisResult<Vec<RedisResult<Value>>> {
        self.is_clean = false;
        let replies = exchange(self.connection.clone(), commands).await?;
        self.is_clean = true;
        Ok(replies)
    }
}

impl ManageConnection for Exclusive {
    type Connection = Held;
    type Error = RedisError;

    async fn connect(&self) -> Result<Held, RedisError> {
        let config = connection_config(self.deadline);
        let connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config);
        Ok(Held {
            connection: connection.await?,
            is_clean: true,
        })
    }

    async fn is_valid(&self, _: &mut Held) -> Result<(), RedisError> {
        Ok(())
    }

    fn has_broken(&self, held: &mut Held) -> bool {
        !held.is_clean
    }
}

/// A client for one server.
pub(super) fn client(address: &Address, settings: &Settings) -> Client {
    let info = redis::IntoConnectionInfo::into_connection_info(redis::ConnectionAddr::Tcp(
        address.host.clone(),
        address.port,
    ));
    info.map(|info| info.set_redis_settings(settings.login.clone()))
        .and_then(Client::open)
        .expect("a host and a port are all that a TCP address has")
}

/// Deadlines are those of the calls: one of the connection's own would only add a second answer
/// to the same question.
pub(super) fn connection_config(deadline: Duration) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(deadline))
        .set_response_timeout(None)
}

/// Bounds a step of this module's own.
pub(super) async fn within<T>(
    deadline: Duration,
    step: impl Future<Output = RedisResult<T>>,
) -> RedisResult<T> {
    let elapsed = |_| std::io::Error::from(std::io::ErrorKind::TimedOut).into();
    timeout(deadline, step)
        .await
        .unwrap_or_else(|error| Err(elapsed(error)))
}

pub(super) fn closed(why: &'static str) -> RedisError {
    RedisError::from((ErrorKind::Io, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_once_when_it_begins_and_once_when_it_ends() {
        let (mut outage, start) = (Outage::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        outage.note(at(0));
        assert!(outage.begins(at(1)));
        assert!(!outage.begins(at(2)), "told already");
        assert_eq!(outage.ends(at(30)), Some(Duration::from_secs(30)));
        assert_eq!(outage.ends(at(31)), None);
        assert!(outage.begins(at(40)), "another one");
    }

    #[test]
    fn a_connection_that_is_back_at_once_is_no_outage() {
        let (mut outage, now) = (Outage::default(), Instant::now());
        outage.note(now);
        assert_eq!(outage.ends(now), None);
        assert!(outage.begins(now));
    }
}
