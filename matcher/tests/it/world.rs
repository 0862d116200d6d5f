//! Matchers with syncd nodes around them, on one store.

use std::sync::Arc;
use std::time::Duration;

use chassis::drain::Drain;
use chassis::readiness::Readiness;
use engine::sqlite::SqliteSeats;
use engine::{Leases, Placements, Players};
use pixelrush_matcher::config::{Mode, ModeName, ModeOptions};
use pixelrush_matcher::seats::store::MemorySeats;
use pixelrush_matcher::store::{MemoryStore, TicketStore};
use pixelrush_matcher::{
    Config, Dependencies, Matcher, NodeSource, Seats, ServeError, SyncdNode, build,
};
use protocol::id::Generation;
use rpc::pb::players_client::PlayersClient;
use rpc::token::Signer;
use rpc::transport::{Endpoint, Incoming, MemoryConnector, memory};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::transport::Channel;

use crate::flaky::FlakyStore;
use crate::gateway::Gateway;
use crate::syncd::Syncd;

pub(crate) struct World {
    pub(crate) syncds: Vec<Syncd>,
    pub(crate) signer: Signer,
    pub(crate) config: watch::Sender<Arc<Config>>,
    pub(crate) drain: Drain,
    pub(crate) running: JoinHandle<Result<(), ServeError>>,
    /// What all matchers share.
    pub(crate) store: Arc<MemoryStore>,
    /// The first matcher's way to it.
    pub(crate) way: Arc<FlakyStore>,
    shared: Arc<dyn TicketStore>,
    players: Option<Arc<dyn Players>>,
    placements: Option<Arc<dyn Placements>>,
    seats: (Arc<MemorySeats>, Arc<SqliteSeats>),
    nodes: NodeSource,
    connector: MemoryConnector,
}

/// One more matcher of a world.
pub(crate) struct Other {
    /// Its way to the store.
    pub(crate) way: Arc<FlakyStore>,
    drain: Drain,
    running: JoinHandle<Result<(), ServeError>>,
    connector: MemoryConnector,
}

/// What a world is made of.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) config: Config,
    /// Of each syncd node.
    pub(crate) regions: Vec<Option<&'static str>>,
    pub(crate) placements: Option<Arc<dyn Placements>>,
    /// Where nodes announce themselves, besides those above.
    pub(crate) leases: Option<Arc<dyn Leases>>,
    /// Instead of a store in memory.
    pub(crate) store: Option<Arc<dyn TicketStore>>,
    /// Who played, if that is kept.
    pub(crate) players: Option<Arc<dyn Players>>,
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
        Self::start(Plan {
            config,
            regions: vec![None; syncds],
            ..Plan::default()
        })
        .await
    }

    /// The default configuration, and a syncd node in each region.
    pub(crate) async fn in_regions(regions: &[&'static str]) -> Self {
        Self::start(Plan {
            regions: regions.iter().copied().map(Some).collect(),
            ..Plan::default()
        })
        .await
    }

    pub(crate) async fn start(plan: Plan) -> Self {
        let syncds: Vec<Syncd> = plan.regions.iter().map(|_| Syncd::start()).collect();
        let places = (1..).zip(&plan.regions).zip(&syncds);
        let nodes: Vec<SyncdNode> = places
            .map(|((number, region), syncd)| SyncdNode {
                name: format!("syncd-{number}").parse().unwrap(),
                endpoint: syncd.endpoint(),
                region: region.map(|region| region.parse().unwrap()),
            })
            .collect();
        let store = Arc::new(MemoryStore::new(10_000));
        let shared = plan.store.unwrap_or_else(|| store.clone());
        let way = Arc::new(FlakyStore::new(shared.clone()));
        let nodes = match plan.leases {
            Some(leases) => NodeSource::Leases {
                leases,
                names: rpc::transport::Names::default(),
            },
            None => NodeSource::Static(nodes),
        };
        let (config, receiver) = watch::channel(Arc::new(plan.config));
        let drain = Drain::new();
        let seats = (
            Arc::new(MemorySeats::new()),
            Arc::new(SqliteSeats::in_memory().unwrap()),
        );
        let signer = Signer::new(&[7; 32]).unwrap();
        let dependencies = Dependencies {
            store: way.clone(),
            seats: Some(of_seats(&seats)),
            players: plan.players.clone(),
            nodes: nodes.clone(),
            placements: plan.placements.clone(),
            signer: signer.clone(),
            generation: Generation(1),
            drain: drain.clone(),
            readiness: Readiness::new(),
        };
        let (connector, running) = run(receiver, dependencies).await;
        for syncd in &syncds {
            syncd.watched().await;
        }
        Self {
            syncds,
            signer,
            config,
            drain,
            running,
            store,
            way,
            shared,
            players: plan.players,
            placements: plan.placements,
            seats,
            nodes,
            connector,
        }
    }

    /// One more matcher on the same store, with the same nodes.
    pub(crate) async fn another(&self, name: &str) -> Other {
        let mut config = Config::clone(&self.config.borrow());
        config.node = name.parse().unwrap();
        let (_, receiver) = watch::channel(Arc::new(config));
        let way = Arc::new(FlakyStore::new(self.shared.clone()));
        let drain = Drain::new();
        let dependencies = Dependencies {
            store: way.clone(),
            seats: Some(of_seats(&self.seats)),
            players: self.players.clone(),
            nodes: self.nodes.clone(),
            placements: self.placements.clone(),
            signer: self.signer.clone(),
            generation: Generation(1),
            drain: drain.clone(),
            readiness: Readiness::new(),
        };
        let (connector, running) = run(receiver, dependencies).await;
        Other {
            way,
            drain,
            running,
            connector,
        }
    }

    /// What gateways ask about players.
    pub(crate) async fn directory(&self) -> PlayersClient<Channel> {
        let endpoint = Endpoint::Memory(self.connector.clone());
        PlayersClient::new(endpoint.connect(Duration::from_secs(1)).await.unwrap())
    }

    pub(crate) fn syncd(&self) -> &Syncd {
        &self.syncds[0]
    }

    pub(crate) async fn gateway(&self, name: &str) -> Gateway {
        Gateway::open(Endpoint::Memory(self.connector.clone()), name).await
    }

    /// The first matcher dies: nothing more comes of it.
    pub(crate) async fn kill(&mut self) {
        self.way.cut_off();
        self.running.abort();
        let _ = (&mut self.running).await;
    }
}

impl Other {
    pub(crate) async fn gateway(&self, name: &str) -> Gateway {
        Gateway::open(Endpoint::Memory(self.connector.clone()), name).await
    }

    pub(crate) async fn drained(self) {
        self.drain.begin();
        let ended = timeout(Duration::from_secs(60), self.running).await;
        ended.unwrap().unwrap().unwrap();
    }
}

fn of_seats((store, ledger): &(Arc<MemorySeats>, Arc<SqliteSeats>)) -> Seats {
    Seats {
        store: store.clone(),
        ledger: ledger.clone(),
    }
}

async fn run(
    config: watch::Receiver<Arc<Config>>,
    dependencies: Dependencies,
) -> (MemoryConnector, JoinHandle<Result<(), ServeError>>) {
    let readiness = dependencies.readiness.clone();
    let matcher: Matcher = build(config, dependencies).unwrap();
    let (connector, incoming) = memory();
    let running = tokio::spawn(matcher.run(Incoming::Memory(incoming)));
    let ready = timeout(Duration::from_secs(5), readiness.ready()).await;
    ready.expect("the matcher watches its nodes");
    (connector, running)
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
