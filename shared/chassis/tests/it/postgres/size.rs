//! The size changes under load.

use std::time::Duration;

use pixelrush_chassis::postgres::{Automatic, PoolConfig};
use tokio::time::{Instant, timeout};

use super::load::Load;
use super::rig::{Rig, until};

/// What the issue asks for, and what a busy machine may add.
const SETTLED: Duration = Duration::from_millis(100);
const SLACK: Duration = Duration::from_millis(900);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_sizes_under_load_fail_no_query_and_postgres_never_counts_more() {
    let rig = Rig::start();
    let pool = rig.pool(50);
    let load = Load::start(&pool, 100, 0.002);
    let seed = rand::random::<u64>();
    let mut state = seed;
    for round in 0..60 {
        // An LCG of Knuth's, so that a failure can be run again.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let max = 1 + u32::try_from((state >> 33) % 50).expect("small");
        pool.resize(max).expect("in range");
        let settled = timeout(SETTLED + SLACK, pool.settled()).await;
        assert!(
            settled.is_ok(),
            "seed {seed}, round {round}: {:?}",
            pool.status()
        );
        let counted = rig.server.connections();
        assert!(
            counted <= max,
            "seed {seed}, round {round}: {counted} of {max}"
        );
    }
    let done = load.done();
    until("the load goes on", async || load.done() > done + 100).await;
    let errors = load.stop().await;
    assert!(errors.is_empty(), "seed {seed}: {errors:?}");
}

#[tokio::test]
async fn a_query_in_flight_outlives_a_shrink_and_its_connection_does_not() {
    let rig = Rig::start();
    let pool = rig.pool(3);
    let slow = Load::start(&pool, 3, 0.5);
    until("all are in use", async || rig.server.connections() == 3).await;
    pool.resize(1).expect("in range");
    assert_eq!(rig.server.connections(), 3, "nobody is cut off");
    assert_eq!(pool.status().over, 2);
    until("they went as they came back", async || {
        rig.server.connections() == 1
    })
    .await;
    assert_eq!(slow.failed(), 0);
    assert!(slow.stop().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_are_served_in_the_order_in_which_they_came() {
    let rig = Rig::start();
    let pool = rig.pool(1);
    let held = pool.acquire().await.expect("the only one");
    let (served, mut order) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..50_u32 {
        let (pool_of, served) = (pool.clone(), served.clone());
        tokio::spawn(async move {
            let held = pool_of.acquire().await;
            let _ = served.send((number, held.is_ok()));
        });
        until("it waits", async || pool.status().waiting == number + 1).await;
    }
    drop(held);
    for number in 0..50 {
        assert_eq!(order.recv().await, Some((number, true)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_much_longer_than_his_turn() {
    let rig = Rig::start();
    let pool = rig.pool(10);
    let callers = 100_u32;
    let hold = 0.005;
    let mut waits = Vec::new();
    let load = Load::start(&pool, callers - 1, hold);
    until("it is under way", async || load.done() > 500).await;
    for _ in 0..50 {
        let asked = Instant::now();
        drop(pool.acquire().await.expect("a connection"));
        waits.push(asked.elapsed());
    }
    assert!(load.stop().await.is_empty());
    waits.sort();
    // A fair queue: ten rounds of others before it. An unfair one makes some wait for seconds.
    let (median, most) = (waits[25], waits[49]);
    assert!(
        most < median * 4 + SLACK,
        "median {median:?}, most {most:?}"
    );
}

#[tokio::test]
async fn idle_and_old_connections_go_and_the_least_stays() {
    let rig = Rig::start();
    let mut config = rig.config(5);
    config.pool.min_idle = 2;
    config.pool.idle_timeout = Duration::from_secs(1);
    let pool = pixelrush_chassis::postgres::Pool::open(&config).expect("good settings");
    until("the least is there before anybody asks", async || {
        rig.server.connections() == 2
    })
    .await;
    let five = futures_util::future::join_all((0..5).map(|_| pool.acquire())).await;
    assert_eq!(rig.server.connections(), 5);
    drop(five);
    until("idle ones go", async || rig.server.connections() == 2).await;
    let pids = || {
        rig.server
            .query("SELECT pid FROM pg_stat_activity WHERE client_addr IS NOT NULL ORDER BY 1")
    };
    let before = pids();
    let limits = PoolConfig {
        max_lifetime: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(600),
        ..config.pool
    };
    pool.limit(limits).expect("in range");
    until("old ones are replaced", async || {
        let now = pids();
        now.lines().count() == 2 && now.lines().all(|pid| !before.contains(pid))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_automatic_mode_grows_while_callers_wait() {
    let rig = Rig::start();
    let mut config = rig.config(2);
    config.pool.automatic = Some(Automatic {
        min: 2,
        max: 12,
        wait: Duration::from_millis(5),
    });
    let pool = pixelrush_chassis::postgres::Pool::open(&config).expect("good settings");
    let load = Load::start(&pool, 40, 0.01);
    until("it is at its bound", async || pool.status().pool.max == 12).await;
    until("it is used", async || rig.server.connections() > 2).await;
    assert!(rig.server.connections() <= 12);
    assert!(load.stop().await.is_empty());
}
