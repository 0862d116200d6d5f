//! Questions to name servers.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use tokio::time::timeout;

use super::ResolveConfig;
use super::name::Kind;
use super::roster::{Answer, MAX_ADDRESSES, Priority};

/// Asks name servers. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Dns {
    resolver: TokioResolver,
    timeout: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("no name server answered within {0:?}")]
    Silent(Duration),
    /// Without a source: the texts of hickory's errors hold those of their causes.
    #[error("the question failed: {0}")]
    Failed(Box<NetError>),
    #[error("the name has no addresses")]
    Nothing,
}

/// What one question gave: its records, and the shortest of their times to live.
struct Records {
    data: Vec<RData>,
    ttl: Duration,
}

impl Dns {
    pub(super) fn new(config: &ResolveConfig) -> Result<Self, NetError> {
        let (servers, mut options) = if config.servers.is_empty() {
            read_system_conf().unwrap_or_else(|error| {
                // As resolv.conf(5) has it: without a name server the one on this host is asked.
                tracing::warn!(%error, "the system names no name server");
                let local = NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into());
                (
                    ResolverConfig::from_name_servers(vec![local]),
                    ResolverOpts::default(),
                )
            })
        } else {
            let servers = config.servers.iter().map(name_server).collect();
            (
                ResolverConfig::from_name_servers(servers),
                ResolverOpts::default(),
            )
        };
        // Every answer is asked for once, by the task that follows the name: a cache would only
        // hide the times to live.
        options.cache_size = 0;
        options.timeout = config.timeout / 2;
        options.attempts = 1;
        let runtime = TokioRuntimeProvider::default();
        let builder = TokioResolver::builder_with_config(servers, runtime);
        Ok(Self {
            resolver: builder.with_options(options).build()?,
            timeout: config.timeout,
        })
    }

    /// The addresses of a name. A part that fails makes the answer partial; if every part
    /// fails, or there is no address, there is no answer.
    pub(super) async fn ask(&self, kind: &Kind) -> Result<Answer, AskError> {
        let mut gathered = Gathered::default();
        match kind {
            // Callers know its addresses without DNS.
            Kind::Fixed { .. } => return Err(AskError::Nothing),
            Kind::Host { host, port } => self.ask_host(host, *port, 0, &mut gathered).await,
            Kind::Service(name) => self.ask_service(name, &mut gathered).await?,
        }
        gathered.finish()
    }

    async fn ask_service(&self, name: &str, gathered: &mut Gathered) -> Result<(), AskError> {
        let records = self.question(name, RecordType::SRV).await?;
        gathered.expire(records.ttl);
        let mut targets: Vec<(Priority, String, u16)> = records
            .data
            .into_iter()
            .filter_map(|data| match data {
                RData::SRV(srv) if !srv.target.is_root() => {
                    Some((srv.priority, absolute(&srv.target), srv.port))
                }
                _ => None,
            })
            .collect();
        targets.sort_unstable();
        targets.dedup();
        // Each target has an address at least, so more targets than addresses are of no use.
        targets.truncate(MAX_ADDRESSES);
        let questions = targets.iter().map(|(priority, host, port)| async {
            let mut found = Gathered::default();
            self.ask_host(host, *port, *priority, &mut found).await;
            found
        });
        let mut questions: FuturesUnordered<_> = questions.collect();
        while let Some(found) = questions.next().await {
            gathered.merge(found);
        }
        Ok(())
    }

    /// Asks for both kinds of addresses of a host at once.
    async fn ask_host(&self, host: &str, port: u16, priority: Priority, into: &mut Gathered) {
        let (v4, v6) = tokio::join!(
            self.question(host, RecordType::A),
            self.question(host, RecordType::AAAA),
        );
        for records in [v4, v6] {
            match records {
                Ok(records) => {
                    into.expire(records.ttl);
                    let addresses = records.data.iter().filter_map(address_of);
                    into.add(addresses.map(|ip| (SocketAddr::new(ip, port), priority)));
                }
                Err(AskError::Nothing) => {}
                Err(error) => into.failed = Some(error),
            }
        }
    }

    fn question(
        &self,
        name: &str,
        kind: RecordType,
    ) -> impl Future<Output = Result<Records, AskError>> {
        // hickory's futures are some kilobytes large.
        let lookup = Box::pin(self.resolver.lookup(name.to_owned(), kind));
        let limit = self.timeout;
        async move {
            match timeout(limit, lookup).await {
                Ok(Ok(lookup)) => Ok(Records::of(&lookup, kind)),
                Ok(Err(NetError::Dns(DnsError::NoRecordsFound(_)))) => Err(AskError::Nothing),
                Ok(Err(error)) => Err(AskError::Failed(Box::new(error))),
                Err(_) => Err(AskError::Silent(limit)),
            }
        }
    }
}

impl Records {
    fn of(lookup: &Lookup, kind: RecordType) -> Self {
        let answers = lookup.answers();
        // Aliases on the way count for the time to live, but are no answers.
        let ttl = answers.iter().map(|record| record.ttl).min().unwrap_or(0);
        let data = answers.iter().filter(|record| record.record_type() == kind);
        Self {
            data: data.map(|record| record.data.clone()).collect(),
            ttl: Duration::from_secs(ttl.into()),
        }
    }
}

/// The parts of an answer as they come.
#[derive(Debug, Default)]
struct Gathered {
    addresses: std::collections::BTreeMap<SocketAddr, Priority>,
    ttl: Option<Duration>,
    failed: Option<AskError>,
}

impl Gathered {
    fn expire(&mut self, ttl: Duration) {
        self.ttl = Some(self.ttl.map_or(ttl, |shortest| shortest.min(ttl)));
    }

    fn add(&mut self, addresses: impl Iterator<Item = (SocketAddr, Priority)>) {
        for (address, priority) in addresses {
            let best = self.addresses.entry(address).or_insert(priority);
            *best = priority.min(*best);
        }
    }

    fn merge(&mut self, other: Self) {
        self.add(other.addresses.into_iter());
        if let Some(ttl) = other.ttl {
            self.expire(ttl);
        }
        self.failed = self.failed.take().or(other.failed);
    }

    fn finish(self) -> Result<Answer, AskError> {
        if self.addresses.is_empty() {
            return Err(self.failed.unwrap_or(AskError::Nothing));
        }
        Ok(Answer {
            addresses: self.addresses,
            ttl: self.ttl.unwrap_or_default(),
            partial: self.failed.is_some(),
        })
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

fn address_of(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    }
}

/// The text of a name that no search list is applied to.
fn absolute(name: &Name) -> String {
    let mut name = name.clone();
    name.set_fqdn(true);
    name.to_ascii()
}
