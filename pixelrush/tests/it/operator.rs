//! What an operator sees: a configuration that is checked, reloaded and refused with reasons;
//! health, metrics, logs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use client::address::Address;
use client::login::call;
use e2e::deployment::NO_ENVIRONMENT;
use e2e::process::Process;
use http::{Method, StatusCode};
use rustix::process::Signal;
use servers::PostgresServer;

use crate::binary;

fn write(folder: &Path, name: &str, config: &str) -> PathBuf {
    let file = folder.join(format!("{name}.toml"));
    std::fs::write(&file, config).expect("written");
    file
}

fn check(config: &str) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let file = write(folder.path(), "checked", config);
    Command::new(binary())
        .arg("--config")
        .arg(&file)
        .arg("--check")
        .output()
        .expect("it runs")
}

#[test]
fn a_configuration_is_checked_and_a_wrong_key_is_named_with_its_nearest() {
    assert!(check("[gateway]\nnode = \"g1\"\n").status.success());
    let refused = check("[gateway]\nlisen = \"127.0.0.1:1\"\n");
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success());
    assert!(
        told.contains("gateway.lisen") && told.contains("listen"),
        "{told}"
    );
    let refused = check("[gateway.heartbeat]\ninterval = 25\n");
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(told.contains("gateway.heartbeat.interval"), "{told}");
}

#[test]
fn a_service_of_its_own_says_what_it_lacks() {
    let output = Command::new(binary())
        .arg("gateway")
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(told.contains("secrets.signing_key_file"), "{told}");
}

#[tokio::test]
async fn health_metrics_and_reload_are_there_at_the_private_port() {
    let folder = tempfile::tempdir().expect("a folder");
    let base = "[gateway]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[bots]\nspare = 0\n";
    let file = write(folder.path(), "single", base);
    let log = folder.path().join("single.log");
    let arguments = ["--config", file.to_str().expect("a path in UTF-8")];
    let server = Process::start(binary(), &arguments, NO_ENVIRONMENT, &log)
        .unwrap_or_else(|error| panic!("{error}"));
    let private = private_port(&server).await;
    eventually("ready", async || {
        get(&private, "/readyz").await.0 == StatusCode::OK
    })
    .await;
    let (status, metrics) = get(&private, "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        metrics.contains("gateway_connections")
            && metrics.contains("process_resident_memory_bytes"),
        "{metrics}"
    );

    write(
        folder.path(),
        "single",
        &format!("{base}[gateway.limits]\nconnections = 7\n[gateway.drain]\nspread = \"1s\"\n"),
    );
    server.signal(Signal::HUP);
    eventually("reloaded", async || {
        server.log().contains("settings reloaded")
    })
    .await;
    let log = server.log();
    assert!(
        log.contains("gateway.limits.connections") && log.contains("gateway.drain.spread"),
        "{log}"
    );
    let (_, config) = get(&private, "/admin/config").await;
    assert!(config.contains("\"connections\":7"), "{config}");

    write(folder.path(), "single", "[gateway]\nconections = 7\n");
    server.signal(Signal::HUP);
    eventually("refused", async || {
        server.log().contains("the old settings stay")
    })
    .await;
    let (_, config) = get(&private, "/admin/config").await;
    assert!(config.contains("\"connections\":7"), "{config}");
}

#[tokio::test]
async fn the_database_pool_is_changed_by_the_file_and_a_bad_file_changes_nothing() {
    let database = PostgresServer::start();
    let folder = tempfile::tempdir().expect("a folder");
    let password = folder.path().join("password");
    std::fs::write(&password, PostgresServer::PASSWORD).expect("written");
    let settings = |max: u32| {
        format!(
            "[gateway]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
             [bots]\nspare = 0\n[engine.postgres]\nurl = \"{}\"\npassword_file = \"{}\"\n\
             [engine.postgres.pool]\nmax = {max}\n",
            database.url(),
            password.display(),
        )
    };
    let file = write(folder.path(), "single", &settings(7));
    let log = folder.path().join("single.log");
    let arguments = ["--config", file.to_str().expect("a path in UTF-8")];
    let server = Process::start(binary(), &arguments, NO_ENVIRONMENT, &log)
        .unwrap_or_else(|error| panic!("{error}"));
    let private = private_port(&server).await;
    let version = database.query("SELECT max(version) FROM pixelrush_schema");
    let version: u32 = version.trim().parse().expect("the schema has a version");
    assert!(version >= 2, "results and ratings");
    let (_, shown) = get(&private, "/admin/postgres").await;
    assert!(shown.contains("\"max\":7"), "{shown}");

    write(folder.path(), "single", &settings(3));
    server.signal(Signal::USR1);
    eventually("changed by the signal", async || {
        let (_, metrics) = get(&private, "/metrics").await;
        metrics.contains("postgres_pool_max 3")
    })
    .await;
    write(folder.path(), "single", &settings(0));
    eventually("refused by its name, without a signal", async || {
        let log = server.log();
        log.contains("engine.postgres.pool.max: 0 is not between")
            && log.contains("the old settings stay")
    })
    .await;
    let (_, shown) = get(&private, "/admin/postgres").await;
    assert!(shown.contains("\"max\":3"), "{shown}");
    let body = "{\"max\": 5}".to_owned();
    let changed = call(&private, Method::PUT, "/admin/postgres", body).await;
    assert!(changed.is_ok_and(|(status, _)| status == StatusCode::OK));
    let (_, shown) = get(&private, "/admin/postgres").await;
    assert!(shown.contains("\"max\":5"), "{shown}");
}

#[test]
fn every_log_line_is_json() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = write(
        folder.path(),
        "single",
        "[gateway]\nlisten = \"127.0.0.1:0\"\n",
    );
    let log = folder.path().join("single.log");
    let arguments = ["--config", file.to_str().expect("a path in UTF-8")];
    let mut server = Process::start(binary(), &arguments, NO_ENVIRONMENT, &log)
        .unwrap_or_else(|error| panic!("{error}"));
    server.signal(Signal::TERM);
    server.wait().expect("it ends");
    let log = server.log();
    assert!(log.lines().count() > 1, "{log}");
    for line in log.lines() {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok_and(|line| line["level"].is_string()), "{line}");
    }
}

/// The private port, as the log states it.
async fn private_port(server: &Process) -> Address {
    let began = Instant::now();
    let mut look = tokio::time::interval(Duration::from_millis(20));
    loop {
        let log = server.log();
        let line = log.lines().find(|line| line.contains("private port"));
        let parsed = line.and_then(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        if let Some(found) = parsed.and_then(|line| find_address(&line)) {
            return format!("http://{found}")
                .parse()
                .expect("the log states an address");
        }
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "no private port in\n{log}"
        );
        look.tick().await;
    }
}

fn find_address(line: &serde_json::Value) -> Option<String> {
    match line {
        serde_json::Value::Object(map) => match map.get("address") {
            Some(serde_json::Value::String(address)) => Some(address.clone()),
            _ => map.values().find_map(find_address),
        },
        _ => None,
    }
}

async fn get(target: &Address, path: &str) -> (StatusCode, String) {
    match call(target, Method::GET, path, String::new()).await {
        Ok((status, body)) => (status, String::from_utf8_lossy(&body).into_owned()),
        Err(error) => panic!("{path}: {error}"),
    }
}

/// Waits on a predicate.
async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let began = Instant::now();
    let mut look = tokio::time::interval(Duration::from_millis(20));
    while !holds().await {
        assert!(began.elapsed() < Duration::from_secs(20), "never {what}");
        look.tick().await;
    }
}
