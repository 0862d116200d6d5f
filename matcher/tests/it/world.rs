//! A matcher with syncd nodes around it.

use std::sync::Arc;
use std::time::Duration;

use chassis::drain::Drain;
use chassis::readiness::Readiness;
use pixelrush_matcher::config::{Mode, ModeName, ModeOptions};
use pixelrush_matcher::store::MemoryStore;
use pixelrush_matcher::{Config, Dependencies, Matcher, ServeError, SyncdNode, build};
use protocol::id::Generation;
use rpc::token::Signer;
use rpc::transport::{Endpoint, Incoming, MemoryConnector, memory};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::gateway::Gateway;
use crate::syncd::Syncd;

pub(crate) struct World {
    pub(crate) syncds: Vec<Syncd>,
    pub(crate) signer: Signer,
    pub(crate) config: watch::Sender<Arc<Config>>,
    pub(crate) drain: Drain,
    pub(crate) running: JoinHandle<Result<(), ServeError>>,
    connector: MemoryConnector,
}

impl World {
    /// The default configuration and one syncd node.
    pub(crate) async fn new() -> Self {
        Self::with(1, |_| ()).await
    }

    /// A changed configuration, and so many syncd nodes, all of them usable.
    pub(crate) async fn with(syncds: usize, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        Self::start(config, &vec![None; syncds]).await
    }

    /// The default configuration, and a syncd node in each region.
    pub(crate) async fn in_regions(regions: &[&str]) -> Self {
        let regions: Vec<_> = regions.iter().copied().map(Some).collect();
        Self::start(Config::default(), &regions).await
    }

    async fn start(config: Config, regions: &[Option<&str>]) -> Self {
        let syncds: Vec<Syncd> = regions.iter().map(|_| Syncd::start()).collect();
        let places = (1..).zip(regions).zip(&syncds);
        let nodes = places.map(|((number, region), syncd)| SyncdNode {
            name: format!("syncd-{number}").parse().unwrap(),
            endpoint: syncd.endpoint(),
            region: region.map(|region| region.parse().unwrap()),
        });
        let signer = Signer::new(&[7; 32]).unwrap();
        let drain = Drain::new();
        let readiness = Readiness::new();
        let dependencies = Dependencies {
            store: Arc::new(MemoryStore::new(10_000)),
            nodes: nodes.collect(),
            signer: signer.clone(),
            generation: Generation(1),
            drain: drain.clone(),
            readiness: readiness.clone(),
        };
        let (sender, receiver) = watch::channel(Arc::new(config));
        let matcher: Matcher = build(receiver, dependencies).unwrap();
        let (connector, incoming) = memory();
        let running = tokio::spawn(matcher.run(Incoming::Memory(incoming)));
        let ready = timeout(Duration::from_secs(5), readiness.ready()).await;
        ready.expect("the matcher watches its nodes");
        for syncd in &syncds {
            syncd.watched().await;
        }
        Self {
            syncds,
            signer,
            config: sender,
            drain,
            running,
            connector,
        }
    }

    pub(crate) fn syncd(&self) -> &Syncd {
        &self.syncds[0]
    }

    pub(crate) async fn gateway(&self, name: &str) -> Gateway {
        Gateway::open(Endpoint::Memory(self.connector.clone()), name).await
    }
}

pub(crate) fn mode(name: &str) -> ModeName {
    name.parse().unwrap()
}

/// Changes one mode of a configuration.
pub(crate) fn change_mode(config: &mut Config, name: &str, change: impl FnOnce(&mut ModeOptions)) {
    let mut options: ModeOptions = config.modes[&mode(name)].clone().into();
    change(&mut options);
    config.modes.insert(mode(name), Mode::new(options).unwrap());
}
