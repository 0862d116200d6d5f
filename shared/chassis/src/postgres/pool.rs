//! The pool itself: turns, connections, and their change while running.

use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bb8::{PooledConnection, QueueStrategy};
use futures_util::FutureExt;
use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, timeout};

use super::config::{Login, PoolConfig, PostgresConfig};
use super::dial::{CONNECT, DialError};
use super::error::{InvalidPostgres, PoolError};
use super::held::Held;
use super::holders::{Holders, Holding};
use super::keeper;
use super::limiter::{Limiter, Socket};
use super::link::{Dialler, Link};
use super::meters::Meters;
use super::turns::{Turn, Turns};

/// Most connections that a pool may be told to have: bb8 is built for so many.
pub const CEILING: u32 = 1_000;

/// Most logins at once.
const LOGINS: usize = 4;

/// Most holders that [`Pool::status`] lists.
const SHOWN: usize = 20;

/// A pool. Clones are the same pool, which closes its connections when the last one is gone.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

/// What the pool is like at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The settings in force; in the automatic mode `max` is what it has come to.
    pub pool: PoolConfig,
    /// Connections that there are, with those that are being opened and closed.
    pub open: u32,
    /// Connections that callers hold.
    pub in_use: u32,
    /// Connections that nobody holds.
    pub idle: u32,
    /// Callers who wait for one.
    pub waiting: u32,
    /// Connections in use over `max`: each is closed when it comes back.
    pub over: u32,
    /// How many logins there were; connections of older ones are closed when they come back.
    pub generation: u64,
    /// Why the last attempt to connect failed, if it did.
    pub trouble: Option<String>,
    /// Those that have been held longest, at most 20.
    pub holding: Vec<Holding>,
}

/// What connections know of their pool.
pub(super) struct Shared {
    pub(super) limiter: Arc<Limiter>,
    /// Those who may log in at once. More only make Postgres start processes that wait for each
    /// other, and a pool that shrinks would have to wait for them.
    pub(super) logins: Semaphore,
    pub(super) turns: Arc<Turns>,
    pub(super) holders: Arc<Holders>,
    pub(super) meters: Meters,
    settings: RwLock<Settings>,
    /// The one that is in force; [`CLOSED`] once the pool is gone.
    generation: watch::Sender<u64>,
    trouble: Mutex<Option<Arc<DialError>>>,
    waiting: AtomicU32,
    /// Wakes the keeper before its time.
    pub(super) wake: Notify,
}

#[derive(Clone, Copy)]
struct Settings {
    deadline: Duration,
    pool: PoolConfig,
}

const CLOSED: u64 = u64::MAX;

pub(super) struct Inner {
    pub(super) shared: Arc<Shared>,
    current: watch::Sender<Arc<Generation>>,
    /// What was asked for last. Held while it is put in force, so that changes come one by one.
    pub(super) asked: tokio::sync::Mutex<PostgresConfig>,
    /// Two sizes at once would leave turns and sockets different.
    resizing: Mutex<()>,
}

/// Connections of one login.
struct Generation {
    number: u64,
    login: Arc<Login>,
    connections: bb8::Pool<Dialler>,
}

impl Pool {
    /// A pool that connects as it is used. Its tasks belong to the runtime that this runs on.
    ///
    /// # Errors
    /// The setting that cannot be right.
    pub fn open(config: &PostgresConfig) -> Result<Self, InvalidPostgres> {
        config.pool.check()?;
        let login = Arc::new(Login::read(config)?);
        let shared = Arc::new(Shared {
            limiter: Limiter::new(config.pool.max),
            logins: Semaphore::new(LOGINS),
            turns: Turns::new(config.pool.max),
            holders: Arc::default(),
            meters: Meters::new(),
            settings: RwLock::new(Settings {
                deadline: config.deadline,
                pool: config.pool,
            }),
            generation: watch::Sender::new(1),
            trouble: Mutex::default(),
            waiting: AtomicU32::new(0),
            wake: Notify::new(),
        });
        let first = Generation::new(&shared, 1, login);
        let inner = Arc::new(Inner {
            current: watch::Sender::new(Arc::new(first)),
            shared,
            asked: tokio::sync::Mutex::new(config.clone()),
            resizing: Mutex::default(),
        });
        tokio::spawn(keeper::keep(
            Arc::downgrade(&inner),
            Arc::clone(&inner.shared),
        ));
        Ok(Self { inner })
    }

    /// Waits for a connection, behind those who came before, for [`PoolConfig::acquire`] at most.
    /// Whoever holds it for longer than [`PoolConfig::leak_after`] is reported with the place of
    /// this call.
    ///
    /// # Errors
    /// [`PoolError::Busy`] or [`PoolError::Unreachable`].
    #[track_caller]
    pub fn acquire(&self) -> impl Future<Output = Result<Held, PoolError>> + Send + use<> {
        self.acquire_at(Location::caller())
    }

    /// As [`Pool::acquire`], on behalf of the code at `place`.
    ///
    /// # Errors
    /// The same.
    pub fn acquire_at(
        &self,
        place: &'static Location<'static>,
    ) -> impl Future<Output = Result<Held, PoolError>> + Send + use<> {
        let inner = Arc::clone(&self.inner);
        async move { inner.acquire(place).await }
    }

    /// Changes the largest size at once. Connections in use that are too many are closed when they
    /// come back, idle ones now: see [`Pool::settled`].
    ///
    /// # Errors
    /// The size is out of range, or out of the automatic mode's bounds.
    pub fn resize(&self, max: u32) -> Result<(), InvalidPostgres> {
        let pool = PoolConfig {
            max,
            ..self.inner.shared.limits()
        };
        self.limit(pool)
    }

    /// Changes size and lifetimes at once, as [`Pool::resize`] does.
    ///
    /// # Errors
    /// The setting that cannot be right; the old ones are in force.
    pub fn limit(&self, pool: PoolConfig) -> Result<(), InvalidPostgres> {
        pool.check()?;
        self.inner.limit(pool);
        Ok(())
    }

    /// Puts all settings in force. A new login is tried first.
    ///
    /// # Errors
    /// [`PoolError::Invalid`] names the setting; [`PoolError::Login`] if the new login does not
    /// work, [`PoolError::Busy`] if it could not be tried. The old settings are in force.
    pub async fn configure(&self, config: &PostgresConfig) -> Result<(), PoolError> {
        config.pool.check()?;
        let mut asked = self.inner.asked.lock().await;
        self.inner.log_in_as(Login::read(config)?).await?;
        self.inner.shared.settings.write().deadline = config.deadline;
        self.inner.limit(config.pool);
        *asked = config.clone();
        Ok(())
    }

    /// Waits until there are no more connections than there may be, those being closed included.
    pub async fn settled(&self) {
        self.inner.shared.limiter.fits().await;
    }

    /// What the pool is like at this moment.
    pub fn status(&self) -> Status {
        self.inner.status()
    }
}

impl Inner {
    async fn acquire(&self, place: &'static Location<'static>) -> Result<Held, PoolError> {
        let shared = &self.shared;
        let limits = shared.limits();
        let started = Instant::now();
        let waiting = Waiting::new(shared);
        let taken = timeout(limits.acquire, self.take()).await;
        drop(waiting);
        let late = limits.automatic.map(|automatic| automatic.wait);
        shared.meters.waited(started.elapsed(), late, taken.is_ok());
        match taken {
            Ok((turn, link)) => {
                let entry = shared.holders.enter(place);
                Ok(Held::new(link, entry, turn, Arc::clone(shared)))
            }
            Err(_) => Err(shared.why_none(started.elapsed())),
        }
    }

    async fn take(&self) -> (Turn, PooledConnection<'static, Dialler>) {
        let turn = self.shared.turns.turn().await;
        let mut current = self.current.subscribe();
        loop {
            let generation = Arc::clone(&current.borrow_and_update());
            let taken = tokio::select! {
                biased;
                _ = current.changed() => continue,
                taken = generation.connections.get_owned() => taken,
            };
            match taken {
                // It goes back, which is where it is closed.
                Ok(link) if link.is_closed() => drop(link),
                Ok(link) => return (turn, link),
                // The hour that bb8 has for it is over.
                Err(_) => {}
            }
        }
    }

    pub(super) fn limit(&self, pool: PoolConfig) {
        let _one_by_one = self.resizing.lock();
        let was = std::mem::replace(&mut self.shared.settings.write().pool, pool);
        self.shared.limiter.set_target(pool.max);
        self.shared.turns.resize(pool.max);
        if was.max != pool.max {
            self.shared.meters.resized();
            tracing::info!(was = was.max, max = pool.max, "the pool was resized");
        }
        self.sweep();
        self.shared.wake.notify_one();
    }

    /// Looks through the idle connections: those that are too many, too old, of an old login, or
    /// idle for too long go. Without an await, so that nobody misses them meanwhile.
    pub(super) fn sweep(&self) {
        let limits = self.shared.limits();
        let idle = self.current.borrow().take_idle(u32::MAX);
        let mut left = idle.len();
        // The one that was idle longest goes first, and back to the end.
        for mut link in idle.into_iter().rev() {
            let is_cold = link.idle_since.elapsed() >= limits.idle_timeout;
            if is_cold && left > limits.min_idle as usize {
                link.is_due = true;
            }
            left -= 1;
            drop(link);
        }
    }

    /// Opens connections up to the least that there shall be.
    pub(super) async fn warm_up(&self) {
        let generation = Arc::clone(&self.current.borrow());
        let limits = self.shared.limits();
        while self.shared.limiter.counts().open < limits.min_idle {
            let Some(socket) = self.shared.limiter.try_socket() else {
                return;
            };
            match generation.dialler(&self.shared).connect_on(socket).await {
                Ok(link) => {
                    self.shared.reached();
                    // One that may not be any more is closed by being dropped.
                    let _ = generation.connections.add(link);
                }
                Err(DialError::Displaced) => return,
                Err(error) => {
                    self.shared.failed(error);
                    return;
                }
            }
        }
    }

    /// Puts a login in force, if it is another one, after trying it. Connections of the old one
    /// are closed as they come back.
    pub(super) async fn log_in_as(&self, login: Login) -> Result<(), PoolError> {
        let old = Arc::clone(&self.current.borrow());
        if old.login.is_same(&login) {
            return Ok(());
        }
        let started = Instant::now();
        let limit = self.shared.limits().acquire.max(CONNECT);
        let socket = timeout(limit, self.socket_for_trial()).await;
        let (_turn, socket) = socket.map_err(|_| self.shared.why_none(started.elapsed()))?;
        let next = Generation::new(&self.shared, old.number + 1, Arc::new(login));
        let tried = next.dialler(&self.shared).connect_on(socket).await;
        let link = tried.map_err(|error| PoolError::Login(Arc::new(error)))?;
        self.shared.reached();
        self.shared.generation.send_replace(next.number);
        let _ = next.connections.add(link);
        self.current.send_replace(Arc::new(next));
        drop(old.take_idle(u32::MAX));
        tracing::info!(generation = old.number + 1, "a new login is in force");
        Ok(())
    }

    /// A socket in place of an idle one, if need be. The turn keeps others from having all.
    async fn socket_for_trial(&self) -> (Turn, Socket) {
        let turn = self.shared.turns.turn().await;
        loop {
            if let Some(socket) = self.shared.limiter.try_socket() {
                return (turn, socket);
            }
            let current = Arc::clone(&self.current.borrow());
            for mut link in current.take_idle(1) {
                link.is_due = true;
            }
            let free = self.shared.limiter.socket();
            if let Ok(socket) = timeout(Duration::from_millis(20), free).await {
                return (turn, socket);
            }
        }
    }

    pub(super) fn status(&self) -> Status {
        let shared = &self.shared;
        let generation = Arc::clone(&self.current.borrow());
        let trouble = shared.trouble.lock().clone();
        Status {
            pool: shared.limits(),
            open: shared.limiter.counts().open,
            in_use: shared.holders.count(),
            idle: generation.connections.state().idle_connections,
            waiting: shared.waiting.load(Ordering::Relaxed),
            over: shared.turns.size().debt,
            generation: generation.number,
            trouble: trouble.map(|error| crate::telemetry::Chain(&*error).to_string()),
            holding: shared.holders.longest(SHOWN),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Ends attempts to connect, and lets connections that are held be closed.
        self.shared.generation.send_replace(CLOSED);
    }
}

impl Generation {
    fn new(shared: &Arc<Shared>, number: u64, login: Arc<Login>) -> Self {
        let dialler = Dialler {
            shared: Arc::clone(shared),
            login: Arc::clone(&login),
            generation: number,
        };
        let connections = bb8::Pool::builder()
            .max_size(CEILING)
            .min_idle(None)
            .max_lifetime(None)
            .idle_timeout(None)
            .test_on_check_out(false)
            .retry_connection(false)
            .queue_strategy(QueueStrategy::Lifo)
            // Callers have a deadline of their own.
            .connection_timeout(Duration::from_secs(60 * 60))
            .build_unchecked(dialler);
        Self {
            number,
            login,
            connections,
        }
    }

    fn dialler(&self, shared: &Arc<Shared>) -> Dialler {
        Dialler {
            shared: Arc::clone(shared),
            login: Arc::clone(&self.login),
            generation: self.number,
        }
    }

    /// Takes idle connections, the one that was used last first.
    fn take_idle(&self, most: u32) -> Vec<PooledConnection<'static, Dialler>> {
        let idle = self.connections.state().idle_connections.min(most);
        let take = |_| self.connections.get_owned().now_or_never()?.ok();
        (0..idle).map_while(take).collect()
    }
}

impl Shared {
    pub(super) fn limits(&self) -> PoolConfig {
        self.settings.read().pool
    }

    pub(super) fn deadline(&self) -> Duration {
        self.settings.read().deadline
    }

    pub(super) fn is_replaced(&self, generation: u64) -> bool {
        *self.generation.borrow() != generation
    }

    /// Waits until a generation is not in force any more.
    pub(super) async fn replaced(&self, generation: u64) {
        let mut current = self.generation.subscribe();
        let _ = current.wait_for(|number| *number != generation).await;
    }

    /// Postgres let us in.
    pub(super) fn reached(&self) {
        if self.trouble.lock().take().is_some() {
            tracing::info!("Postgres can be reached again");
        }
    }

    /// Postgres did not let us in.
    pub(super) fn failed(&self, error: DialError) {
        let was = self.trouble.lock().replace(Arc::new(error));
        let now = self.trouble.lock().clone();
        if let (None, Some(error)) = (was, now) {
            tracing::error!(error = %crate::telemetry::Chain(&*error), "no connection to Postgres");
        }
    }

    fn why_none(&self, waited: Duration) -> PoolError {
        match self.trouble.lock().clone() {
            Some(source) => PoolError::Unreachable { waited, source },
            None => PoolError::Busy {
                waited,
                max: self.turns.size().max,
                in_use: self.holders.count(),
            },
        }
    }
}

/// A caller who waits.
struct Waiting<'a>(&'a Shared);

impl<'a> Waiting<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.waiting.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// bb8 asks for it.
impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}
