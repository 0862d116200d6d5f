//! The task that follows one name.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use metrics::{Counter, Gauge, Histogram};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::dns::AskError;
use super::name::{Kind, fixed};
use super::roster::{Answer, FLOOR, Pace, Probe, Roster};
use super::{Endpoints, ServiceName, Shared};
use crate::backoff::Backoff;

/// Probes of one name at once.
const PROBES: usize = 8;

/// The longest wait without anything to do: ages are shown by a metric.
const IDLE: Duration = Duration::from_secs(5);

/// Follows one name until nobody listens.
pub(super) struct Follower {
    name: ServiceName,
    shared: Arc<Shared>,
    offer: watch::Sender<Arc<Endpoints>>,
    roster: Roster,
    backoff: Backoff,
    meters: Meters,
}

type Asking = Pin<Box<dyn Future<Output = (Result<Answer, AskError>, Duration)> + Send>>;

/// Handles of the metrics of one name.
struct Meters {
    seconds: Histogram,
    failures: Counter,
    probe_failures: Counter,
    known: Gauge,
    healthy: Gauge,
    age: Gauge,
    stale: Gauge,
}

impl Follower {
    pub(super) fn new(
        name: ServiceName,
        shared: Arc<Shared>,
        offer: watch::Sender<Arc<Endpoints>>,
    ) -> Self {
        let now = Instant::now().into_std();
        let pace = Pace {
            refresh: shared.config.refresh,
            recheck: shared.config.recheck.max(FLOOR),
        };
        let roster = match &name.0 {
            Kind::Fixed { text, port } => Roster::fixed(pace, fixed(text, *port), now),
            Kind::Host { .. } | Kind::Service(_) => Roster::new(pace, now),
        };
        Self {
            meters: Meters::of(&name),
            name,
            offer,
            roster,
            // Jitter halves a wait at most, so none is shorter than the floor.
            backoff: Backoff::new(FLOOR * 2, pace.refresh.max(FLOOR * 2)),
            shared,
        }
    }

    pub(super) async fn run(mut self) {
        let mut asking: Option<Asking> = None;
        let mut probes = FuturesUnordered::new();
        let limit = self.shared.config.probe;
        loop {
            let now = Instant::now().into_std();
            if self.roster.poll_question(now) {
                asking = Some(self.ask());
            }
            while probes.len() < PROBES
                && let Some(address) = self.roster.poll_probe(now)
            {
                probes.push(probe(address, limit));
            }
            self.publish();
            let wake = self.next_wake(probes.len() < PROBES);
            tokio::select! {
                (answer, took) = settle(&mut asking) => {
                    asking = None;
                    self.handle_answer(answer, took);
                }
                Some((address, probe)) = probes.next() => self.handle_probe(address, probe),
                () = sleep_until(wake) => {}
                () = self.offer.closed() => {
                    if self.shared.followed.retire(&self.name) {
                        self.meters.forget();
                        return;
                    }
                }
            }
        }
    }

    fn ask(&self) -> Asking {
        let dns = self.shared.dns.clone();
        let kind = self.name.0.clone();
        Box::pin(async move {
            let start = Instant::now();
            let answer = dns.ask(&kind).await;
            (answer, start.elapsed())
        })
    }

    /// Says once that DNS failed, and once that it is back.
    fn handle_answer(&mut self, answer: Result<Answer, AskError>, took: Duration) {
        self.meters.seconds.record(took);
        let now = Instant::now().into_std();
        let was_stale = self.roster.is_stale();
        match answer {
            Ok(answer) => {
                self.backoff.reset();
                self.roster.handle_answer(answer, now);
                if was_stale {
                    tracing::info!(service = %self.name, "the name resolves again");
                }
            }
            Err(error) => {
                self.meters.failures.increment(1);
                self.roster.handle_failure(self.backoff.next(), now);
                if !was_stale {
                    let kept = self.roster.endpoints().known();
                    tracing::warn!(
                        service = %self.name,
                        %error,
                        kept,
                        "the name does not resolve; its last addresses stay"
                    );
                }
            }
        }
    }

    fn handle_probe(&mut self, address: SocketAddr, probe: Probe) {
        if probe != Probe::Accepted {
            self.meters.probe_failures.increment(1);
            tracing::debug!(service = %self.name, %address, ?probe, "probe failed");
        }
        let now = Instant::now().into_std();
        self.roster.handle_probe(address, probe, now);
    }

    fn publish(&self) {
        let endpoints = self.roster.endpoints();
        self.meters.show(&self.roster, &endpoints);
        self.offer.send_if_modified(|offered| {
            let differs = **offered != endpoints;
            if differs {
                *offered = Arc::new(endpoints);
            }
            differs
        });
    }

    fn next_wake(&self, may_probe: bool) -> Instant {
        let probe = self.roster.probe_due().filter(|_| may_probe);
        let due = self.roster.question_due().into_iter().chain(probe).min();
        let idle = Instant::now() + IDLE;
        due.map_or(idle, |due| Instant::from_std(due).min(idle))
    }
}

/// The answer to what is being asked; never, if nothing is.
async fn settle(asking: &mut Option<Asking>) -> (Result<Answer, AskError>, Duration) {
    match asking {
        Some(asking) => asking.await,
        None => std::future::pending().await,
    }
}

/// Whether somebody accepts connections at `address`.
async fn probe(address: SocketAddr, limit: Duration) -> (SocketAddr, Probe) {
    let probe = match timeout(limit, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Probe::Accepted,
        Ok(Err(_)) => Probe::Refused,
        Err(_) => Probe::Silent,
    };
    (address, probe)
}

impl Meters {
    fn of(name: &ServiceName) -> Self {
        let name = name.to_string();
        let addresses =
            |state| metrics::gauge!("resolve_addresses", "name" => name.clone(), "state" => state);
        Self {
            seconds: metrics::histogram!("resolve_seconds"),
            failures: metrics::counter!("resolve_failures_total", "name" => name.clone()),
            probe_failures: metrics::counter!("resolve_probe_failures_total", "name" => name.clone()),
            known: addresses("known"),
            healthy: addresses("healthy"),
            age: metrics::gauge!("resolve_answer_age_seconds", "name" => name.clone()),
            stale: metrics::gauge!("resolve_answer_stale", "name" => name.clone()),
        }
    }

    fn show(&self, roster: &Roster, endpoints: &Endpoints) {
        let age = roster.answer_age(Instant::now().into_std());
        self.age.set(age.unwrap_or_default().as_secs_f64());
        self.known.set(endpoints.known() as f64);
        self.healthy.set(endpoints.healthy().len() as f64);
        self.stale.set(f64::from(u8::from(roster.is_stale())));
    }

    /// A name that nobody follows must not look like one that is down.
    fn forget(&self) {
        for gauge in [&self.known, &self.healthy, &self.age, &self.stale] {
            gauge.set(0.0);
        }
    }
}
