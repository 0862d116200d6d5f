//! Callers who use a pool as fast as they can.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pixelrush_chassis::postgres::{Pool, PoolError, types::Type};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Callers at work.
pub(crate) struct Load {
    stop: CancellationToken,
    done: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
    callers: JoinSet<Option<PoolError>>,
}

impl Load {
    /// Starts `callers`, whose statements take `seconds` each.
    pub(crate) fn start(pool: &Pool, callers: u32, seconds: f64) -> Self {
        let mut load = Self {
            stop: CancellationToken::new(),
            done: Arc::default(),
            failed: Arc::default(),
            callers: JoinSet::new(),
        };
        for _ in 0..callers {
            let (pool, stop) = (pool.clone(), load.stop.clone());
            let (done, failed) = (Arc::clone(&load.done), Arc::clone(&load.failed));
            load.callers.spawn(async move {
                let mut last = None;
                while !stop.is_cancelled() {
                    match once(&pool, seconds).await {
                        Ok(()) => done.fetch_add(1, Ordering::Relaxed),
                        Err(error) => {
                            last = Some(error);
                            failed.fetch_add(1, Ordering::Relaxed)
                        }
                    };
                    tokio::task::yield_now().await;
                }
                last
            });
        }
        load
    }

    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Ends it; gives an error of each caller that had one.
    pub(crate) async fn stop(self) -> Vec<PoolError> {
        self.stop.cancel();
        self.callers
            .join_all()
            .await
            .into_iter()
            .flatten()
            .collect()
    }
}

async fn once(pool: &Pool, seconds: f64) -> Result<(), PoolError> {
    let mut held = pool.acquire().await?;
    let sql = "SELECT pg_sleep($1)";
    held.query(sql, &[(&seconds, Type::FLOAT8)]).await?;
    Ok(())
}
