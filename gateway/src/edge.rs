//! What all connections of a gateway share.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use chassis::drain::Drain;
use chassis::limit::{Keyed, Rate, RetryAfter};
use rpc::token::Signer;

use crate::address::AddressBlock;
use crate::config::{Config, Limits};
use crate::meters::Meters;
use crate::registry::Registry;
use crate::upstream::Upstream;

/// Addresses whose logins and requests are counted one by one; see [`Keyed`] for what happens
/// beyond.
const KEYS: usize = 100_000;

/// Shared by all connections.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) config: ArcSwap<Config>,
    pub(crate) signer: Signer,
    /// Key of the ids that logins are given.
    pub(crate) id_key: Box<[u8]>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) upstream: Upstream,
    pub(crate) drain: Drain,
    pub(crate) meters: Meters,
    logins: ArcSwap<Counted>,
    requests: ArcSwap<Counted>,
}

/// What each address may do of one kind.
#[derive(Debug)]
struct Counted {
    elsewhere: Keyed<AddressBlock>,
    loopback: Keyed<AddressBlock>,
}

impl Edge {
    pub(crate) fn new(
        config: Config,
        keys: (Signer, Box<[u8]>),
        registry: Arc<Registry>,
        upstream: Upstream,
        drain: Drain,
    ) -> Arc<Self> {
        let logins = ArcSwap::from_pointee(Counted::new(&config, |limits| limits.logins));
        let requests = ArcSwap::from_pointee(Counted::new(&config, |limits| limits.requests));
        let config = ArcSwap::from_pointee(config);
        let meters = Meters::new();
        let (signer, id_key) = keys;
        Arc::new(Self {
            config,
            signer,
            id_key,
            registry,
            upstream,
            drain,
            meters,
            logins,
            requests,
        })
    }

    /// The limits for a client at `peer`.
    pub(crate) fn limits(&self, peer: IpAddr) -> Limits {
        let config = self.config.load();
        if is_loopback(peer) {
            config.loopback_limits
        } else {
            config.limits
        }
    }

    /// Counts a login from `peer`.
    pub(crate) fn count_login(&self, peer: IpAddr) -> Result<(), RetryAfter> {
        self.logins.load().count(peer)
    }

    /// Counts a request about players from `peer`.
    pub(crate) fn count_request(&self, peer: IpAddr) -> Result<(), RetryAfter> {
        self.requests.load().count(peer)
    }

    /// Takes over what can change while running; see [`Config::with_live`].
    pub(crate) fn reload(&self, new: &Config) {
        let before = self.config.load();
        let config = before.with_live(new);
        if before.limits != config.limits || before.loopback_limits != config.loopback_limits {
            let counted = |rate| Arc::new(Counted::new(&config, rate));
            self.logins.store(counted(|limits| limits.logins));
            self.requests.store(counted(|limits| limits.requests));
        }
        self.config.store(Arc::new(config));
    }
}

impl Counted {
    fn new(config: &Config, rate: fn(&Limits) -> Rate) -> Self {
        Self {
            elsewhere: Keyed::new(rate(&config.limits), KEYS),
            loopback: Keyed::new(rate(&config.loopback_limits), KEYS),
        }
    }

    fn count(&self, peer: IpAddr) -> Result<(), RetryAfter> {
        let keyed = if is_loopback(peer) {
            &self.loopback
        } else {
            &self.elsewhere
        };
        keyed.check(&AddressBlock::of(peer), chassis::clock::now())
    }
}

pub(crate) fn is_loopback(peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback()
}
