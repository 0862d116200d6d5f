//! What a connection can do, at Postgres and through pgbouncer.

use pixelrush_chassis::postgres::types::Type;
use pixelrush_chassis::postgres::{Pool, PostgresConfig, SqlState, routes};
use servers::Pgbouncer;
use tower::ServiceExt;

use super::load::Load;
use super::rig::{Rig, until};

/// Everything that [`Held`](pixelrush_chassis::postgres::Held) offers.
async fn all(pool: &Pool) {
    let mut held = pool.acquire().await.expect("a connection");
    let mut transaction = held.begin().await.expect("begun");
    let several =
        "CREATE TABLE items (id int PRIMARY KEY, name text); CREATE INDEX ON items (name)";
    transaction
        .batch(several, std::time::Duration::from_secs(5))
        .await
        .expect("made");
    transaction.commit().await.expect("committed");

    let insert = "INSERT INTO items VALUES ($1, $2)";
    for number in 0..3 {
        let name = format!("n{number}");
        let changed = held
            .execute(insert, &[(&number, Type::INT4), (&name, Type::TEXT)])
            .await;
        assert_eq!(changed.expect("inserted"), 1);
    }
    let again = held
        .execute(insert, &[(&1, Type::INT4), (&"x", Type::TEXT)])
        .await;
    let error = again.expect_err("there is one");
    assert_eq!(error.code(), Some(&SqlState::UNIQUE_VIOLATION));
    assert!(!error.is_passing());

    let mut transaction = held.begin().await.expect("begun");
    transaction
        .execute("DELETE FROM items", &[])
        .await
        .expect("deleted");
    transaction.rollback().await.expect("rolled back");
    {
        let mut transaction = held.begin().await.expect("begun");
        transaction
            .execute("DELETE FROM items", &[])
            .await
            .expect("deleted");
        // Dropped: rolled back.
    }
    drop(held);
    let mut held = pool.acquire().await.expect("a connection");
    let select = "SELECT name FROM items WHERE id = ANY($1) ORDER BY id";
    let rows = held.query(select, &[(&vec![0, 2], Type::INT4_ARRAY)]).await;
    let rows = rows.expect("selected");
    let names: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(names, ["n0", "n2"]);
}

#[tokio::test]
async fn statements_and_transactions_work_at_postgres() {
    let rig = Rig::start();
    all(&rig.pool(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_and_transactions_work_through_pgbouncer_under_load_and_resizes() {
    let rig = Rig::start();
    // Fewer servers than connections, so that statements of one connection meet several.
    let bouncer = Pgbouncer::start(&rig.server, 3);
    let config = PostgresConfig {
        url: bouncer.url(),
        ..rig.config(10)
    };
    let pool = Pool::open(&config).expect("good settings");
    let load = Load::start(&pool, 20, 0.001);
    all(&pool).await;
    for max in [2, 10, 1, 5] {
        pool.resize(max).expect("in range");
        let done = load.done();
        until("it goes on", async || load.done() > done + 200).await;
    }
    assert!(rig.server.connections() <= 3);
    let errors = load.stop().await;
    assert!(errors.is_empty(), "{errors:?}");
}

#[tokio::test]
async fn operators_see_and_change_the_pool_at_the_private_port() {
    let rig = Rig::start();
    let pool = rig.pool(4);
    let _held = pool.acquire().await.expect("a connection");
    let ask = async |method: &str, body: &str| {
        let request = axum::http::Request::builder()
            .method(method)
            .uri("/admin/postgres")
            .body(axum::body::Body::from(body.to_owned()))
            .expect("a request");
        let answer = routes(pool.clone())
            .oneshot(request)
            .await
            .expect("an answer");
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await;
        let body = String::from_utf8(body.expect("a body").to_vec()).expect("text");
        (status, body)
    };
    let (status, shown) = ask("GET", "").await;
    assert_eq!(status, 200);
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(
        (&shown["pool"]["max"], &shown["in_use"]),
        (&4.into(), &1.into())
    );
    assert!(
        shown["holding"][0]["place"]
            .as_str()
            .is_some_and(|place| place.contains(file!()))
    );
    let (status, refused) = ask("PUT", r#"{"max": 0}"#).await;
    assert!(status == 400 && refused.contains("pool.max"), "{refused}");
    let (status, _) = ask("PUT", r#"{"max": 7}"#).await;
    assert_eq!((status, pool.status().pool.max), (200, 7));
}

#[tokio::test]
async fn a_pool_that_is_dropped_leaves_no_connection() {
    let rig = Rig::start();
    let pool = rig.pool(4);
    let held = futures_util::future::join_all((0..4).map(|_| pool.acquire())).await;
    assert!(held.iter().all(Result::is_ok));
    drop(pool);
    drop(held);
    until("all are closed", async || rig.server.connections() == 0).await;
}
