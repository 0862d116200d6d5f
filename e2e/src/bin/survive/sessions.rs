//! A gateway with 19,000 idle sessions is killed: how long until all are back on another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use client::address::Address;
use client::{Client, Options, login};
use pixelrush_e2e::fleet::NodeRef;
use protocol::id::Channel;
use protocol::session::SessionEvent;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Semaphore;
use tokio::task::block_in_place;

use crate::stage::{Stage, text};

/// A process here opens at most 20,000 files.
const SESSIONS: usize = 19_000;

/// Addresses that clients connect from.
const SOURCES: usize = 50;

/// Logins at once.
const LOGINS: usize = 64;

/// Longest to open all, and to be back.
const PATIENCE: Duration = Duration::from_secs(180);

/// What has become of all sessions, as they come.
#[derive(Default)]
struct Counts {
    /// Logged in and attached to a matcher.
    attached: AtomicUsize,
    lost: AtomicUsize,
    /// Resumed after the loss, and attached again.
    back: AtomicUsize,
    /// Came back as a new session.
    fresh: AtomicUsize,
    over: AtomicUsize,
}

pub(crate) async fn measure() -> Result<(), String> {
    raise_file_limit();
    let mut stage = Stage::set("sessions", |mut options| {
        options.syncds = 1;
        options
    })
    .await?;
    // All go to the first gateway, as the second one is not there yet.
    let [first, second] = [NodeRef::gateway(0), NodeRef::gateway(1)];
    stage.fleet.kill(second);
    let counts = Arc::new(Counts::default());
    let logins = Arc::new(Semaphore::new(LOGINS));
    let targets = stage.fleet.targets();
    let tasks: Vec<_> = (0..SESSIONS)
        .map(|number| {
            let session = session(number, targets.clone(), logins.clone(), counts.clone());
            tokio::spawn(session)
        })
        .collect();
    until("all are attached", || {
        counts.attached.load(Ordering::Relaxed) >= SESSIONS
    })
    .await?;
    block_in_place(|| stage.fleet.restart(second)).map_err(text)?;
    let began = Instant::now();
    stage.fleet.kill(first);
    let mut shares = Vec::new();
    for share in [50, 90, 99, 100] {
        let wanted = SESSIONS * share / 100;
        until("all are back", || {
            counts.back.load(Ordering::Relaxed) >= wanted
        })
        .await?;
        shares.push(format!("{:.1?}", began.elapsed()));
    }
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    let fresh = counts.fresh.load(Ordering::Relaxed);
    let over = counts.over.load(Ordering::Relaxed);
    println!(
        "\n| sessions of a killed gateway | half are back | 90 % | 99 % | all | new sessions | given up |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    println!("| {SESSIONS} | {} | {fresh} | {over} |", shares.join(" | "));
    Ok(())
}

async fn session(
    number: usize,
    targets: Vec<Address>,
    logins: Arc<Semaphore>,
    counts: Arc<Counts>,
) {
    let mut permit = logins.acquire_owned().await.ok();
    let device = format!("idle-{number:06}");
    let login = loop {
        if let Ok(login) = login::guest(&targets[0], &device, "Idle").await {
            break login;
        }
    };
    let mut options = Options::new(targets, login.token);
    // From one address alone, finding a free port would be most of the work.
    options.local = Some([127, 0, 0, 2 + (number % SOURCES) as u8].into());
    let mut client = Client::connect(options);
    let (mut was_lost, mut is_fresh) = (false, false);
    let (mut is_attached, mut is_back) = (false, false);
    while let Some(event) = client.next().await {
        match event {
            SessionEvent::Welcome(welcome) => is_fresh = !welcome.resumed,
            SessionEvent::Lost { .. } => {
                was_lost = true;
                counts.lost.fetch_add(1, Ordering::Relaxed);
            }
            SessionEvent::Channel(attached) if attached.ch == Channel::Match => {
                // The next one may open its session.
                drop(permit.take());
                // Once each: a player may be moved to another matcher.
                let (count, is_counted) = match (was_lost, is_fresh) {
                    (false, _) => (&counts.attached, &mut is_attached),
                    (true, false) => (&counts.back, &mut is_back),
                    (true, true) => (&counts.fresh, &mut is_back),
                };
                if !std::mem::replace(is_counted, true) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
            _ => {}
        }
    }
    counts.over.fetch_add(1, Ordering::Relaxed);
}

async fn until(what: &str, holds: impl Fn() -> bool) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() >= deadline {
            return Err(format!("not within {PATIENCE:?}: {what}"));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

fn raise_file_limit() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    // With less the sessions do not all open, which is told then.
    let _ = setrlimit(Resource::Nofile, raised);
}
