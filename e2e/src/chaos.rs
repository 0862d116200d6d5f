//! Chaos: a crowd plays on a fleet while its processes, its Redis and its network fail, one after
//! the other, and everything that anybody saw must be as if nothing had.
//!
//! - [`Fault`]: what can be done; [`draw`] makes a run's list from a seed
//! - [`run`]: does it, and checks the histories
//! - [`Report`]: what came of it

mod conductor;
mod event;
mod fault;
mod report;

use std::path::Path;
use std::time::Duration;

use client::address::Address;

use crate::crowd::{Crowd, CrowdPlan};
use crate::database::Database;
use crate::fleet::{Fleet, FleetOptions, NodeRef};
use crate::history::{Run, Stored, Violation, check};
use crate::proxy::Proxy;
use crate::store::{Store, StoreKind};
use conductor::Conductor;

pub use fault::{Fault, Network, StoreFault, draw};
pub use report::{Freezes, Report};

/// Longest until everyone races for the first time.
const FIRST: Duration = Duration::from_secs(120);

/// Longest from the last fault to the end of all races.
const LAST: Duration = Duration::from_secs(180);

/// How to run.
#[derive(Debug, Clone)]
pub struct ChaosOptions {
    /// Names the run; makes the players' ways and the network's delays.
    pub seed: u64,
    /// How many play.
    pub players: u64,
    /// Which Redis.
    pub store: StoreKind,
    /// What lasts is in a Postgres, and an event sells so many seats there to half as many players
    /// more; none: there is no Postgres.
    pub seats: Option<u32>,
    /// Whether players come through proxies, which [`Fault::Cut`] needs.
    pub proxies: bool,
    /// What is done, in order.
    pub faults: Vec<Fault>,
}

/// Runs it all with the server out of `binary`. Configuration, logs and, if a rule was broken,
/// histories go to `folder`. `tell` hears of each step.
///
/// # Errors
/// There is no run to speak of: something did not even start.
pub async fn run(
    binary: &Path,
    folder: &Path,
    options: &ChaosOptions,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<Report, String> {
    let store = tokio::task::block_in_place(|| Store::start(options.store));
    let mut engine = store.engine().await.map_err(|error| error.to_string())?;
    let mut fleet = FleetOptions::new(store.config_text());
    let mut database = None;
    if options.seats.is_some() {
        let started = tokio::task::block_in_place(|| Database::start(folder));
        let started = started.map_err(|error| error.to_string())?;
        let under = started.under(engine).await;
        engine = under.map_err(|error| error.to_string())?;
        fleet.postgres = Some(started.config_text());
        fleet.seats = options.seats;
        database = Some(started);
    }
    let fleet = tokio::task::block_in_place(|| Fleet::start(binary, folder, fleet));
    let fleet = fleet.map_err(|error| error.to_string())?;
    let mut proxies = Vec::new();
    if options.proxies {
        for (seed, address) in (options.seed..).zip(fleet.addresses()) {
            let proxy = Proxy::seeded(address, seed).await;
            proxies.push(proxy.map_err(|error| error.to_string())?);
        }
    }
    let targets: Vec<Address> = match options.proxies {
        true => proxies.iter().map(|proxy| proxy.address().into()).collect(),
        false => fleet.targets(),
    };
    let takers = event::takers(options, &targets);
    let crowd = Crowd::start(&CrowdPlan {
        targets,
        mode: "race".to_owned(),
        players: options.players,
        races: None,
        seed: options.seed,
    });
    let mut conductor = Conductor::new(fleet, store, database, proxies);
    let mut violations = Vec::new();
    if let Err(error) = crowd.until_racing(FIRST).await {
        violations.push(stuck(error.to_string()));
    } else {
        violations.extend(strike_all(&mut conductor, &crowd, options, tell).await);
    }
    tell("no more faults: the last races");
    let (ended, histories) = crowd.finish(LAST).await;
    let seats = event::finish(takers, conductor.fleet(), &engine).await;
    let seats = seats.map_err(|error| error.to_string())?;
    let mut run = Run {
        strikes: conductor.strikes().to_vec(),
        seats,
        ..Run::new(ended)
    };
    match Stored::of(&engine, &histories).await {
        Ok(stored) => run.stored = Some(stored),
        Err(error) => violations.push(stuck(format!("the results cannot be read: {error}"))),
    }
    violations.extend(check(&histories, &run));
    let report = Report::new(options, &histories, &run, violations);
    let written = report.write(folder, &histories);
    written.map_err(|error| format!("cannot write to {}: {error}", folder.display()))?;
    Ok(report)
}

/// Does all faults in turn, each when everyone is well after the one before; stops at the first
/// that somebody does not get over.
async fn strike_all(
    conductor: &mut Conductor,
    crowd: &Crowd,
    options: &ChaosOptions,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Option<Violation> {
    for fault in &options.faults {
        tell(&format!("{:?}: {fault}", crowd.now()));
        if let Err(trouble) = conductor.strike(crowd, fault).await {
            tell(&trouble);
            return Some(stuck(format!("after {fault}: {trouble}")));
        }
    }
    None
}

fn stuck(text: String) -> Violation {
    Violation {
        rule: "progress",
        players: Vec::new(),
        text,
    }
}

/// Every process of a fleet killed in turn, then Redis restarted, then a syncd stopped for longer
/// than its lease: the run that every change has to pass.
pub fn basics(fleet: &FleetOptions) -> Vec<Fault> {
    let gateways = (0..fleet.gateways).map(NodeRef::gateway);
    let matchers = (0..fleet.matchers).map(NodeRef::matcher);
    let syncds = (0..fleet.syncds).map(NodeRef::syncd);
    let mut faults: Vec<Fault> = gateways
        .chain(matchers)
        .chain(syncds)
        .map(|node| Fault::Kill {
            node,
            down: Duration::ZERO,
        })
        .collect();
    faults.push(Fault::Store(StoreFault::Restart {
        down: Duration::from_millis(500),
    }));
    faults.push(Fault::Stop {
        node: NodeRef::syncd(0),
        time: fleet.lease.ttl() * 3,
    });
    faults
}
