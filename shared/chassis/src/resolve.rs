//! Where the endpoints of a service are, by DNS: followed as they change, and probed before use.
//!
//! A name that is followed has one task, however many follow it. It asks again every `refresh`,
//! or earlier when the answer's time to live ends; it opens a connection to each address before
//! it offers it, and again from time to time; and when DNS fails or answers nothing it goes on
//! with the last good answer, whose dead addresses the probes weed out. What to offer is decided
//! by a pure part, the roster, that sees answers, probes and the time.
//!
//! Metrics: `resolve_seconds`; and by `name`: `resolve_failures_total`,
//! `resolve_probe_failures_total`, `resolve_addresses` (`state`: `known` or `healthy`),
//! `resolve_answer_age_seconds` and `resolve_answer_stale` (1 while DNS fails).
//!
//! What is deliberately absent: weights of SRV records (callers choose by load, which says more),
//! and a cache (every answer is asked for once, by the task that follows the name). The system's
//! settings and its file of hosts are read once, at the start.

mod dns;
mod endpoints;
mod follower;
mod name;
mod roster;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tracing::Instrument;

pub use endpoints::Endpoints;
pub use name::{ParseServiceNameError, ServiceName};

use crate::config::duration;
use dns::Dns;
use follower::Follower;

/// How names are resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResolveConfig {
    /// Name servers, `address:port`, asked over UDP and TCP; empty: those of the system.
    pub servers: Vec<SocketAddr>,
    /// How often a name is asked for again; earlier if its time to live is shorter, but not more
    /// than once a second.
    #[serde(with = "duration")]
    pub refresh: Duration,
    /// Longest that one question may take, with its retries.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Longest that connecting may take for an address to count as healthy.
    #[serde(with = "duration")]
    pub probe: Duration,
    /// How often an address that is known is probed again.
    #[serde(with = "duration")]
    pub recheck: Duration,
}

impl Default for ResolveConfig {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            refresh: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            probe: Duration::from_millis(200),
            recheck: Duration::from_secs(5),
        }
    }
}

/// Why there is no resolver.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the DNS resolver")]
pub struct ResolveError(#[source] Box<hickory_resolver::net::NetError>);

/// Resolves names. Clones share what they follow.
///
/// Memory: a task and some kilobytes for each name that is followed; names come from the
/// configuration, so their number needs no limit here.
#[derive(Debug, Clone)]
pub struct Resolver {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: ResolveConfig,
    dns: Dns,
    followed: Directory,
}

/// What each followed name offers. A name is in it while its task runs.
#[derive(Debug, Default)]
struct Directory(Mutex<BTreeMap<ServiceName, watch::Sender<Arc<Endpoints>>>>);

impl Resolver {
    /// A resolver that asks the servers that `config` names.
    ///
    /// # Errors
    /// See [`ResolveError`]. Servers that do not answer are no error here.
    pub fn new(config: ResolveConfig) -> Result<Self, ResolveError> {
        let dns = Dns::new(&config).map_err(|error| ResolveError(Box::new(error)))?;
        Ok(Self {
            shared: Arc::new(Shared {
                config,
                dns,
                followed: Directory::default(),
            }),
        })
    }

    /// The endpoints of `name` as they change, empty until the first address was probed. The name
    /// is followed until the last receiver is dropped.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn follow(&self, name: ServiceName) -> watch::Receiver<Arc<Endpoints>> {
        let mut followed = self.shared.followed.0.lock();
        if let Some(sender) = followed.get(&name) {
            return sender.subscribe();
        }
        let (sender, receiver) = watch::channel(Arc::default());
        followed.insert(name.clone(), sender.clone());
        // Its events carry the name themselves: at higher log levels there is no span.
        let span = tracing::info_span!("resolve");
        let follower = Follower::new(name, self.shared.clone(), sender);
        tokio::spawn(follower.run().instrument(span));
        receiver
    }
}

impl Directory {
    /// Forgets `name`, unless somebody came to follow it in the meantime.
    fn retire(&self, name: &ServiceName) -> bool {
        let mut followed = self.0.lock();
        let wanted = followed
            .get(name)
            .is_some_and(|sender| sender.receiver_count() > 0);
        if !wanted {
            followed.remove(name);
        }
        !wanted
    }
}
