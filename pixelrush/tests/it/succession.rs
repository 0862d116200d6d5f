//! A gateway is upgraded on its host: the next process takes the sockets over.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use client::address::Address;
use client::login::call;
use e2e::deployment::Deployment;
use e2e::process::{Process, StartError};
use http::{Method, StatusCode};

use crate::binary;

const PLAYERS: u64 = 8;
const PATIENCE: Duration = Duration::from_secs(120);

/// Clients who connect one after the other, each at the same time as the others.
const CLIENTS: usize = 4;

/// The gateway that is upgraded, in a deployment's folder.
struct Upgraded<'a> {
    folder: &'a Path,
}

impl Upgraded<'_> {
    /// Starts a process of it. `listen` is any port for the first and the first's for the others.
    fn start(
        &self,
        process: &str,
        listen: &str,
        matcher: Option<&str>,
    ) -> Result<Process, StartError> {
        let control = self.folder.join("gateway.sock");
        let mut settings = vec![
            ("PIXELRUSH_GATEWAY__NODE", "gateway-9".to_owned()),
            ("PIXELRUSH_GATEWAY__LISTEN", listen.to_owned()),
            (
                "PIXELRUSH_GATEWAY__HANDOVER",
                control.to_string_lossy().into_owned(),
            ),
            ("PIXELRUSH_GATEWAY__DRAIN__SPREAD", "500ms".to_owned()),
        ];
        settings.extend(matcher.map(|at| ("PIXELRUSH_GATEWAY__MATCHER__ENDPOINT", at.to_owned())));
        let file = self.folder.join("gateway-1.toml");
        let log = self.folder.join(format!("{process}.log"));
        let arguments = ["gateway", "--config", &file.to_string_lossy()];
        Process::start(binary(), &arguments, settings, &log)
    }
}

/// Connects without end, and counts.
struct Stream {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Stream {
    fn start(target: &Address) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let client = |_| {
            let (target, stop, answered) = (target.clone(), stop.clone(), answered.clone());
            tokio::spawn(async move {
                let mut failures = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    match call(&target, Method::GET, "/healthz", String::new()).await {
                        Ok((StatusCode::OK, _)) => drop(answered.fetch_add(1, Ordering::Relaxed)),
                        Ok((status, _)) => failures.push(status.to_string()),
                        Err(error) => failures.push(format!("{error:?}")),
                    }
                }
                failures
            })
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self {
            stop,
            answered,
            clients,
        }
    }

    /// How many were answered, and what became of the others.
    async fn stop(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for client in self.clients {
            failures.extend(client.await.expect("no panic"));
        }
        (self.answered.load(Ordering::Relaxed), failures)
    }
}

/// Waits on a predicate.
async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    let mut look = tokio::time::interval(Duration::from_millis(20));
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "never {what}");
        look.tick().await;
    }
}

fn deploy() -> (Deployment, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let deployment =
        Deployment::start(binary(), folder.path()).unwrap_or_else(|error| panic!("{error}"));
    (deployment, folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_upgrades_in_the_middle_of_a_race_refuse_no_connect_and_lose_nothing() {
    let (deployment, folder) = deploy();
    let upgraded = Upgraded {
        folder: folder.path(),
    };
    let start = |process: &str, listen: &str| {
        let started = upgraded.start(process, listen, None);
        started.map_err(|error| error.to_string())
    };
    let mut first = start("first", "127.0.0.1:0").expect("it starts");
    let target = first.address_for_clients();
    let listen = first.address().to_string();
    let connects = Stream::start(&target);
    let mut others = Vec::new();
    let roll = || {
        let mut second = start("second", &listen)?;
        let ended = first.wait().map_err(|error| error.to_string())?;
        let third = start("third", &listen)?;
        let other = second.wait().map_err(|error| error.to_string())?;
        others.push(third);
        match ended.success() && other.success() {
            true => Ok(()),
            false => Err(format!("{ended}, {other}")),
        }
    };
    let race = e2e::failover::race_while_rolling(PLAYERS, vec![target], roll);
    let outcome = tokio::time::timeout(PATIENCE, race).await;
    let (answered, failures) = connects.stop().await;
    if !matches!(outcome, Ok(Ok(_))) {
        panic!("{outcome:?}\n{}", deployment.logs());
    }
    assert!(answered > 100, "{answered}");
    assert_eq!(failures, Vec::<String>::new(), "besides {answered}");
    println!("{answered} connects over two upgrades, none refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_successor_that_is_ready_the_gateway_goes_on() {
    let (_deployment, folder) = deploy();
    let upgraded = Upgraded {
        folder: folder.path(),
    };
    let first = upgraded
        .start("first", "127.0.0.1:0", None)
        .expect("it starts");
    let listen = first.address().to_string();
    let target = first.address_for_clients();
    let connects = Stream::start(&target);
    // No matcher there: it never gets ready, and so never says where it is.
    let folder = folder.path().to_path_buf();
    let second = tokio::task::spawn_blocking(move || {
        let upgraded = Upgraded { folder: &folder };
        upgraded.start("second", &listen, Some("http://127.0.0.1:1"))
    });
    eventually("asked", || first.log().contains("handing the sockets over")).await;
    let refused = second
        .await
        .expect("no panic")
        .expect_err("it does not run");
    assert!(refused.to_string().contains("not ready"), "{refused}");
    eventually("taken back", || {
        first.log().contains("this process goes on")
    })
    .await;
    let (status, _) = call(&target, Method::GET, "/healthz", String::new())
        .await
        .expect("an answer");
    assert_eq!(status, StatusCode::OK);
    let (answered, failures) = connects.stop().await;
    assert_eq!(failures, Vec::<String>::new(), "besides {answered}");
    assert!(!first.log().contains("draining"), "{}", first.log());
}
