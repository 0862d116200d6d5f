//! Postgres goes away and comes back; callers give up.

use std::time::Duration;

use pixelrush_chassis::postgres::{Pool, PoolError};
use tokio::time::timeout;

use super::load::Load;
use super::rig::{Rig, process, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_is_killed_and_started_again_is_used_again() {
    let mut rig = Rig::start();
    let pool = rig.pool(10);
    let load = Load::start(&pool, 30, 0.002);
    for _ in 0..3 {
        let done = load.done();
        until("it is used", async || load.done() > done + 100).await;
        let failed = load.failed();
        rig.server.kill();
        until("callers are told", async || load.failed() > failed).await;
        rig.server.restart();
        let connections = rig.server.connections();
        assert!(connections <= 10, "{connections}");
    }
    let done = load.done();
    until("it is used again", async || load.done() > done + 100).await;
    assert!(rig.server.connections() <= 10);
    let failed = load.failed();
    let done = load.done();
    until("it goes on", async || load.done() > done + 1_000).await;
    assert_eq!(
        load.failed(),
        failed,
        "no dead connection is handed out any more"
    );
    for error in load.stop().await {
        assert!(error.is_passing(), "{error:?}");
    }
}

#[tokio::test]
async fn a_postgres_that_is_not_there_is_named_within_the_deadline() {
    let mut rig = Rig::start();
    let mut config = rig.config(1);
    config.pool.acquire = Duration::from_millis(300);
    rig.server.kill();
    let pool = Pool::open(&config).expect("good settings");
    let error = pool.acquire().await.err().expect("nobody there");
    assert!(matches!(error, PoolError::Unreachable { .. }), "{error:?}");
    assert!(
        pool.status()
            .trouble
            .is_some_and(|text| text.contains("127.0.0.1"))
    );
    rig.server.restart();
    until("it is found", async || pool.acquire().await.is_ok()).await;
    assert_eq!(pool.status().trouble, None);
}

#[tokio::test]
async fn who_waits_too_long_is_told_how_many_there_are() {
    let rig = Rig::start();
    let mut config = rig.config(1);
    config.pool.acquire = Duration::from_millis(50);
    let pool = Pool::open(&config).expect("good settings");
    until("the only one is taken", async || {
        pool.acquire().await.is_ok()
    })
    .await;
    let held = pool.acquire().await.expect("the only one");
    let error = pool.acquire().await.err().expect("none left");
    assert!(
        matches!(
            error,
            PoolError::Busy {
                max: 1,
                in_use: 1,
                ..
            }
        ),
        "{error:?}"
    );
    drop(held);
    pool.acquire().await.expect("free again");
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_cancelled_in_postgres_too() {
    let rig = Rig::start();
    let mut config = rig.config(1);
    config.deadline = Duration::from_millis(200);
    let pool = Pool::open(&config).expect("good settings");
    let before = process(&pool).await;
    let error = {
        let mut held = pool.acquire().await.expect("a connection");
        held.query("SELECT pg_sleep(1000)", &[])
            .await
            .expect_err("too long")
    };
    assert!(matches!(error, PoolError::Deadline(_)), "{error:?}");
    let after = timeout(Duration::from_secs(5), process(&pool)).await;
    assert_ne!(
        after.expect("its place is free"),
        before,
        "it is not used again"
    );
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%1000%' AND state = 'active' AND client_addr IS NOT NULL";
    assert_eq!(rig.server.query(sleeping).trim(), "0");
}

#[tokio::test]
async fn a_caller_who_goes_away_leaves_nothing_running() {
    let rig = Rig::start();
    let pool = rig.pool(1);
    process(&pool).await;
    {
        let mut held = pool.acquire().await.expect("a connection");
        let asked = held.query("SELECT pg_sleep(1000)", &[]);
        let gone = timeout(Duration::from_millis(100), asked).await;
        assert!(gone.is_err(), "it still runs");
    }
    let next = timeout(Duration::from_secs(5), process(&pool)).await;
    assert!(next.is_ok(), "its place is free");
    assert_eq!(rig.server.connections(), 1);
}

#[tokio::test]
async fn who_holds_a_connection_too_long_is_named_with_file_and_line() {
    let rig = Rig::start();
    let mut config = rig.config(2);
    config.pool.leak_after = Duration::from_secs(1);
    let (log, _logging) = crate::log::capture();
    let pool = Pool::open(&config).expect("good settings");
    let line = line!() + 1;
    let held = pool.acquire().await.expect("a connection");
    let place = format!("{}:{line}", file!());
    until("it is reported", async || {
        let text = log.text();
        text.contains("held for too long") && text.contains(&place)
    })
    .await;
    assert_eq!(pool.status().holding[0].place, place);
    drop(held);
    assert_eq!(pool.status().holding, []);
}
