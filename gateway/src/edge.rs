//! What all connections of a gateway share.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use chassis::drain::Drain;
use chassis::limit::{Keyed, RetryAfter};
use rpc::token::Signer;

use crate::address::AddressBlock;
use crate::config::{Config, Limits};
use crate::meters::Meters;
use crate::registry::Registry;
use crate::upstream::Upstream;

/// Addresses whose logins are counted one by one; see [`Keyed`] for what happens beyond.
const LOGIN_KEYS: usize = 100_000;

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
    logins: ArcSwap<Logins>,
}

#[derive(Debug)]
struct Logins {
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
        let logins = ArcSwap::from_pointee(Logins::new(&config));
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
        let logins = self.logins.load();
        let keyed = if is_loopback(peer) {
            &logins.loopback
        } else {
            &logins.elsewhere
        };
        keyed.check(&AddressBlock::of(peer), chassis::clock::now())
    }

    /// Takes over what can change while running; see [`Config::with_live`].
    pub(crate) fn reload(&self, new: &Config) {
        let before = self.config.load();
        let config = before.with_live(new);
        if before.limits != config.limits || before.loopback_limits != config.loopback_limits {
            self.logins.store(Arc::new(Logins::new(&config)));
        }
        self.config.store(Arc::new(config));
    }
}

impl Logins {
    fn new(config: &Config) -> Self {
        Self {
            elsewhere: Keyed::new(config.limits.logins, LOGIN_KEYS),
            loopback: Keyed::new(config.loopback_limits.logins, LOGIN_KEYS),
        }
    }
}

pub(crate) fn is_loopback(peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback()
}
