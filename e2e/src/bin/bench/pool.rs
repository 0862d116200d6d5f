//! The pool of connections to Postgres: what a change of its size does under full load, and how
//! long callers wait, beside a queue that is fair and does nothing else.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chassis::postgres::types::Type;
use chassis::postgres::{Held, Pool, PoolConfig, PoolError, PostgresConfig};
use servers::PostgresServer;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::BenchError;

/// Callers at once, and the sizes that the pool changes between.
const CALLERS: usize = 100;
const SIZES: std::ops::RangeInclusive<u32> = 5..=50;
const RESIZES: u32 = 1_000;

/// How long Postgres is watched after each change.
const WATCHED: Duration = Duration::from_millis(20);

/// For comparing waits: connections, rounds of each queue, and how long one is.
const CONNECTIONS: u32 = 10;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(3);

/// What each statement has Postgres do, in seconds.
const WORK: f64 = 0.001;

/// Longest that a size may take to be in force for the measurement to go on.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was measured.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) resizes: Resizes,
    pub(crate) waits: Vec<Waits>,
}

/// Changes of the size.
#[derive(Debug)]
pub(crate) struct Resizes {
    pub(crate) queries: u64,
    pub(crate) failed: u64,
    /// How often Postgres counted more than it should, once it had counted as few as it should.
    pub(crate) exceeded: u64,
    /// Times at which Postgres was asked for its count.
    pub(crate) counts: u64,
    /// From each change until Postgres counted no more than the new maximum.
    pub(crate) settled: Vec<Duration>,
}

/// Waits of one round at the pool and at the fair queue, one right after the other.
#[derive(Debug)]
pub(crate) struct Waits {
    pub(crate) pool: Vec<Duration>,
    pub(crate) fair: Vec<Duration>,
}

pub(crate) fn measure() -> Result<Measured, BenchError> {
    let server = PostgresServer::start();
    let folder = tempfile::tempdir().map_err(crate::system("make a folder"))?;
    let password_file = folder.path().join("password");
    std::fs::write(&password_file, PostgresServer::PASSWORD)
        .map_err(crate::system("write a file"))?;
    let config = PostgresConfig {
        url: server.url(),
        password_file: Some(password_file),
        ..PostgresConfig::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(crate::system("start a runtime"))?;
    runtime.block_on(async {
        let resizes = resize(&config).await?;
        let mut waits = Vec::new();
        for _ in 0..ROUNDS {
            let pool = open(&config, CONNECTIONS)?;
            waits.push(Waits {
                pool: wait_at_pool(&pool).await?,
                fair: wait_at_fair_queue(&pool).await?,
            });
        }
        Ok(Measured { resizes, waits })
    })
}

fn open(config: &PostgresConfig, max: u32) -> Result<Pool, PoolError> {
    let pool = PoolConfig {
        max,
        acquire: PATIENCE,
        ..config.pool
    };
    let config = PostgresConfig {
        pool,
        ..config.clone()
    };
    Ok(Pool::open(&config)?)
}

async fn work(held: &mut Held) -> Result<(), PoolError> {
    let rows = held.query("SELECT pg_sleep($1)", &[(&WORK, Type::FLOAT8)]);
    rows.await.map(|_| ())
}

async fn resize(config: &PostgresConfig) -> Result<Resizes, BenchError> {
    let pool = open(config, *SIZES.end())?;
    let watcher = PostgresConfig {
        url: format!("{}?application_name=watcher", config.url),
        ..config.clone()
    };
    let watcher = open(&watcher, 1)?;
    let mut watcher = watcher.acquire().await?;
    let (queries, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (pool, queries, failed) = (pool.clone(), Arc::clone(&queries), Arc::clone(&failed));
        callers.spawn(async move {
            loop {
                let done = async { work(&mut pool.acquire().await?).await };
                match done.await {
                    Ok(()) => queries.fetch_add(1, Ordering::Relaxed),
                    Err(_) => failed.fetch_add(1, Ordering::Relaxed),
                };
            }
        });
    }
    let mut resizes = Resizes {
        queries: 0,
        failed: 0,
        exceeded: 0,
        counts: 0,
        settled: Vec::new(),
    };
    for number in 0..RESIZES {
        // From one end to the other, and to any size, by turns.
        let max = match number % 4 {
            0 => *SIZES.start(),
            2 => *SIZES.end(),
            _ => rand::random_range(SIZES),
        };
        pool.resize(max).map_err(PoolError::from)?;
        let changed = Instant::now();
        // What was being opened may show at the server after the rest has gone: both must be over.
        let settling = async {
            pool.settled().await;
            while count(&mut watcher).await? > max {
                resizes.counts += 1;
            }
            Ok::<(), PoolError>(())
        };
        let settled = timeout(PATIENCE, settling).await;
        settled.map_err(|_| PoolError::Deadline(PATIENCE))??;
        resizes.settled.push(changed.elapsed());
        let watched = Instant::now();
        while watched.elapsed() < WATCHED {
            resizes.counts += 1;
            resizes.exceeded += u64::from(count(&mut watcher).await? > max);
        }
    }
    callers.shutdown().await;
    resizes.queries = queries.load(Ordering::Relaxed);
    resizes.failed = failed.load(Ordering::Relaxed);
    Ok(resizes)
}

/// Connections as Postgres itself counts them, without the watcher's.
async fn count(watcher: &mut Held) -> Result<u32, PoolError> {
    let sql = "SELECT count(*)::int4 FROM pg_stat_activity \
               WHERE client_addr IS NOT NULL AND application_name <> 'watcher'";
    let rows = watcher.query(sql, &[]).await?;
    Ok(rows[0].get::<_, i32>(0).unsigned_abs())
}

async fn wait_at_pool(pool: &Pool) -> Result<Vec<Duration>, PoolError> {
    let pool = pool.clone();
    callers(move || {
        let pool = pool.clone();
        async move {
            let asked = Instant::now();
            let mut held = pool.acquire().await?;
            let waited = asked.elapsed();
            work(&mut held).await?;
            Ok(waited)
        }
    })
    .await
}

/// The same connections, handed on by a semaphore that serves in order.
async fn wait_at_fair_queue(pool: &Pool) -> Result<Vec<Duration>, PoolError> {
    let mut connections = VecDeque::new();
    for _ in 0..CONNECTIONS {
        connections.push_back(pool.acquire().await?);
    }
    let connections = Arc::new(Mutex::new(connections));
    let turns = Arc::new(Semaphore::new(CONNECTIONS as usize));
    callers(move || {
        let (connections, turns) = (Arc::clone(&connections), Arc::clone(&turns));
        async move {
            let asked = Instant::now();
            let turn = turns.acquire().await.expect("it is not closed");
            let free = connections.lock().expect("nobody panics").pop_front();
            let mut held = free.expect("one for each turn");
            let waited = asked.elapsed();
            let done = work(&mut held).await;
            connections.lock().expect("nobody panics").push_back(held);
            drop(turn);
            done.map(|()| waited)
        }
    })
    .await
}

/// Runs `one` again and again, in [`CALLERS`] tasks at once, for a [`ROUND`]; gives the waits.
async fn callers<F>(
    one: impl FnMut() -> F + Clone + Send + 'static,
) -> Result<Vec<Duration>, PoolError>
where
    F: Future<Output = Result<Duration, PoolError>> + Send,
{
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..CALLERS {
        let mut one = one.clone();
        tasks.spawn(async move {
            let mut waits = Vec::new();
            while began.elapsed() < ROUND {
                waits.push(one().await?);
            }
            Ok::<_, PoolError>(waits)
        });
    }
    let mut all = Vec::new();
    for waits in tasks.join_all().await {
        all.extend(waits?);
    }
    Ok(all)
}
