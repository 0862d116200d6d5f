//! Who we are changes under load; TLS.

use std::time::Duration;

use pixelrush_chassis::postgres::{Pool, PoolError, PostgresConfig};

use super::load::Load;
use super::rig::{Rig, process, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_password_in_the_file_is_used_without_a_failed_query() {
    let rig = Rig::start();
    let pool = rig.pool(8);
    let load = Load::start(&pool, 20, 0.002);
    for (number, password) in (2..).zip(["second", "third"]) {
        let done = load.done();
        until("it is used", async || load.done() > done + 100).await;
        rig.server.set_password(password);
        rig.write_password(password);
        until("it is in force", async || {
            pool.status().generation == number
        })
        .await;
        assert!(rig.server.connections() <= 8);
    }
    let done = load.done();
    until("it goes on", async || load.done() > done + 500).await;
    let errors = load.stop().await;
    assert!(errors.is_empty(), "{errors:?}");
}

#[tokio::test]
async fn a_wrong_password_in_the_file_changes_nothing() {
    let rig = Rig::start();
    let (log, _logging) = crate::log::capture();
    let pool = rig.pool(2);
    let before = process(&pool).await;
    rig.write_password("wrong-and-secret");
    until("it is refused", async || {
        log.text().contains("files of Postgres' login")
    })
    .await;
    assert_eq!(process(&pool).await, before, "the old connection is there");
    assert_eq!(pool.status().generation, 1);
    rig.server.set_password("wrong-and-secret");
    until("it is right by now", async || pool.status().generation == 2).await;
    assert_ne!(process(&pool).await, before);
    assert!(
        !log.text().contains("wrong-and-secret"),
        "a password is never logged"
    );
}

#[tokio::test]
async fn settings_that_cannot_be_right_are_named_and_change_nothing() {
    let rig = Rig::start();
    let pool = rig.pool(4);
    let refused = async |change: fn(&mut PostgresConfig)| {
        let mut config = rig.config(4);
        change(&mut config);
        match pool.configure(&config).await {
            Err(PoolError::Invalid(invalid)) => invalid.field,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(|config| config.pool.max = 0).await, "pool.max");
    assert_eq!(refused(|config| config.url = "x".to_owned()).await, "url");
    let away = PostgresConfig {
        url: "postgres://nobody@127.0.0.1:1/none".to_owned(),
        ..rig.config(4)
    };
    let refused = pool.configure(&away).await;
    assert!(matches!(refused, Err(PoolError::Login(_))), "{refused:?}");
    assert_eq!((pool.status().pool.max, pool.status().generation), (4, 1));
    pool.configure(&rig.config(6)).await.expect("good settings");
    assert_eq!((pool.status().pool.max, pool.status().generation), (6, 1));
    process(&pool).await;
}

#[tokio::test]
async fn with_a_root_certificate_connections_are_encrypted_and_without_the_right_one_refused() {
    let rig = Rig::start();
    let mut config = rig.config(2);
    config.ca_file = Some(rig.server.ca_file());
    let pool = Pool::open(&config).expect("good settings");
    let mut held = pool.acquire().await.expect("a connection");
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let rows = held.query(sql, &[]).await.expect("an answer");
    assert!(rows[0].get::<_, bool>(0));
    drop(held);

    let other = Rig::start();
    config.ca_file = Some(other.server.ca_file());
    config.pool.acquire = Duration::from_millis(500);
    let pool = Pool::open(&config).expect("good settings");
    let refused = pool.acquire().await.err();
    assert!(
        matches!(refused, Some(PoolError::Unreachable { .. })),
        "{refused:?}"
    );
}
