//! An endpoint whose host is a name with any number of addresses.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chassis::resolve::{Endpoints, Resolver, ServiceName};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tonic::transport::{Channel, Endpoint as TonicEndpoint, Uri};

use super::{ConnectError, Endpoint, dial};

/// Addresses that one connect tries, of those that are healthy.
const TRIES: u32 = 3;

/// A name that is followed from the first use of the endpoint, or a clone, until the last is
/// dropped.
#[derive(Debug, Clone)]
pub struct Named {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// As it was written.
    address: Arc<str>,
    /// The same, for the `:authority` of calls: the other end sees the name, not the address.
    origin: Uri,
    scheme: String,
    name: ServiceName,
    resolver: Resolver,
    followed: OnceLock<watch::Receiver<Arc<Endpoints>>>,
    turns: Mutex<Turns>,
}

/// How often each address was tried from here: the one tried least is next. Equals are told apart
/// by a hash whose seed is this endpoint's own, so that a fleet does not turn to the same one.
#[derive(Debug, Default)]
struct Turns {
    tried: BTreeMap<SocketAddr, u32>,
    seed: RandomState,
}

impl Named {
    /// None if the host of `address` needs no resolving, or cannot be.
    pub(super) fn of(address: &Arc<str>, resolver: &Resolver) -> Option<Self> {
        let origin: Uri = address.parse().ok()?;
        let host = origin.host()?;
        let name: ServiceName = if host.starts_with('_') {
            host.parse().ok()?
        } else {
            let port = origin.port_u16().unwrap_or(80);
            format!("{host}:{port}").parse().ok()?
        };
        if name.is_literal() {
            return None;
        }
        let inner = Inner {
            address: address.clone(),
            scheme: origin.scheme_str()?.to_owned(),
            origin,
            name,
            resolver: resolver.clone(),
            followed: OnceLock::new(),
            turns: Mutex::default(),
        };
        Some(Self {
            inner: Arc::new(inner),
        })
    }

    /// As it was written.
    pub fn address(&self) -> &str {
        &self.inner.address
    }

    /// Its addresses as they change.
    pub(super) fn followed(&self) -> watch::Receiver<Arc<Endpoints>> {
        let follow = || self.inner.resolver.follow(self.inner.name.clone());
        self.inner.followed.get_or_init(follow).clone()
    }

    /// The endpoint of one of its addresses.
    pub(super) fn endpoint(&self, address: SocketAddr) -> Endpoint {
        Endpoint::tcp(&format!("{}://{address}", self.inner.scheme))
    }

    pub(super) async fn connect(&self, deadline: Duration) -> Result<Channel, ConnectError> {
        let by = Instant::now() + deadline;
        let endpoints = self.healthy(by).await?;
        let mut left = TRIES.min(u32::try_from(endpoints.healthy().len()).unwrap_or(TRIES));
        loop {
            let address = self.inner.turns.lock().next(&endpoints);
            let address = address.ok_or_else(|| self.no_address())?;
            let to = TonicEndpoint::from_shared(format!("{}://{address}", self.inner.scheme))
                .map_err(|_| ConnectError::Address(self.inner.address.clone()))?
                .origin(self.inner.origin.clone());
            let label = format!("{} at {address}", self.inner.address);
            // An address that hangs leaves time for the next.
            let limit = by.saturating_duration_since(Instant::now()) / left;
            let connected = dial(to, &label, limit).await;
            left -= 1;
            if connected.is_ok() || left == 0 {
                return connected;
            }
        }
    }

    /// Its addresses, once one of them is healthy.
    async fn healthy(&self, by: Instant) -> Result<Arc<Endpoints>, ConnectError> {
        let mut followed = self.followed();
        let found = followed.wait_for(|endpoints| !endpoints.healthy().is_empty());
        match timeout_at(by, found).await {
            Ok(Ok(endpoints)) => Ok(endpoints.clone()),
            Ok(Err(_)) | Err(_) => Err(self.no_address()),
        }
    }

    fn no_address(&self) -> ConnectError {
        ConnectError::NoAddress {
            endpoint: self.inner.address.to_string(),
        }
    }
}

impl Turns {
    fn next(&mut self, endpoints: &Endpoints) -> Option<SocketAddr> {
        let healthy = endpoints.healthy();
        self.tried.retain(|address, _| healthy.contains(address));
        // One that is new takes its turn among the others, and not all turns until it is level.
        let least = self.tried.values().min().copied().unwrap_or(0);
        for address in healthy {
            self.tried.entry(*address).or_insert(least);
        }
        let chosen = endpoints.choose(|address| {
            let tried = self.tried.get(&address).copied().unwrap_or(least);
            let draw = self.seed.hash_one(address) >> 32;
            (u64::from(tried) << 32) | draw
        })?;
        let tried = self.tried.entry(chosen).or_insert(least);
        *tried = tried.saturating_add(1);
        Some(chosen)
    }
}
