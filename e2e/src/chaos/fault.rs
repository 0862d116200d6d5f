//! What can be done to a deployment, and how long it may take to get over it.

use std::fmt;
use std::time::Duration;

use protocol::random::Random;
use serde::Serialize;

use crate::fleet::{FleetOptions, NodeRef};
use crate::history::Loses;
use crate::proxy::{Conditions, Door, Fate, Flow};
use crate::store::StoreKind;

/// Beyond the time of a lease: to notice, to take over, to come back, on a busy machine.
const RECOVERY: Duration = Duration::from_secs(5);

/// A client gives up inputs that have not been durable for about a minute.
const INPUTS_KEPT: Duration = Duration::from_secs(50);

/// One thing that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Fault {
    /// SIGKILL; started again after `down`, and when everyone is well without it if that is 0.
    Kill {
        /// Who.
        node: NodeRef,
        /// For how long.
        down: Duration,
    },
    /// SIGSTOP, and SIGCONT after `time`.
    Stop {
        /// Who.
        node: NodeRef,
        /// For how long.
        time: Duration,
    },
    /// SIGTERM; started again when it has ended.
    Drain {
        /// Who.
        node: NodeRef,
    },
    /// Every process in turn is drained and started again.
    Roll,
    /// Started anew to die by itself where it passes a point between two steps; then started again.
    Point {
        /// Who.
        node: NodeRef,
        /// Where, by name.
        point: &'static str,
        /// At which passing, from 1.
        count: u32,
    },
    /// Postgres is killed, and started again after `down`.
    Database {
        /// For how long.
        down: Duration,
    },
    /// Redis.
    Store(StoreFault),
    /// The way between the clients and one gateway.
    Cut {
        /// Which gateway.
        gateway: usize,
        /// How.
        how: Network,
        /// For how long.
        time: Duration,
    },
}

/// What happens to Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum StoreFault {
    /// It is killed, and started again after `down` with all that it had confirmed.
    Restart {
        /// For how long.
        down: Duration,
    },
    /// It is killed and comes back empty.
    Empty,
    /// It answers nothing for a while, and then everything.
    Stop {
        /// For how long.
        time: Duration,
    },
    /// It stands still every other 50 ms.
    Slow {
        /// For how long.
        time: Duration,
    },
    /// A primary is killed, and its replica takes over.
    FailOver,
}

/// What happens to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Network {
    /// All are reset, once.
    Reset,
    /// All are reset, and new ones refused.
    Refused,
    /// Nothing is carried, both ends go on believing.
    BlackHole,
    /// What the clients send is swallowed.
    DeafServer,
    /// What the server sends is swallowed.
    DeafClients,
    /// Everything takes 150 ms longer, more or less.
    Slow,
}

impl Fault {
    /// When everyone has to be well again, counted from the beginning of the fault.
    pub fn recovery(&self, lease: Duration) -> Duration {
        match self {
            // Others take over: nobody may have to wait for the node itself.
            Self::Kill { .. } | Self::Drain { .. } | Self::Stop { .. } | Self::Point { .. } => {
                lease + RECOVERY
            }
            // Who has finished a race may wait for its result.
            Self::Database { down } => *down + RECOVERY,
            Self::Roll => RECOVERY,
            Self::Store(fault) => fault.time() + lease + RECOVERY,
            Self::Cut { how, time, .. } => match how {
                Network::Slow => *time + RECOVERY,
                _ => RECOVERY,
            },
        }
    }

    /// What is documented to be lost; see docs/OPERATIONS.md. `database`: whether results are in
    /// Postgres.
    pub fn loses(&self, database: bool) -> Loses {
        match self {
            Self::Store(StoreFault::Empty) if !database => Loses {
                results: true,
                ..Loses::default()
            },
            Self::Store(fault) if fault.time() > INPUTS_KEPT => Loses {
                inputs: true,
                ..Loses::default()
            },
            _ => Loses::default(),
        }
    }
}

impl StoreFault {
    /// How long nothing is answered.
    pub fn time(&self) -> Duration {
        match self {
            Self::Restart { down } => *down,
            Self::Stop { time } | Self::Slow { time } => *time,
            Self::Empty | Self::FailOver => Duration::ZERO,
        }
    }
}

impl Network {
    pub(super) fn conditions(self) -> Conditions {
        let with = |up, down| Conditions {
            up: Flow {
                fate: up,
                ..Flow::default()
            },
            down: Flow {
                fate: down,
                ..Flow::default()
            },
            door: Door::Open,
        };
        match self {
            Self::Reset => Conditions::default(),
            Self::Refused => Conditions {
                door: Door::Refuse,
                ..Conditions::default()
            },
            Self::BlackHole => with(Fate::Swallow, Fate::Swallow),
            Self::DeafServer => with(Fate::Swallow, Fate::Carry),
            Self::DeafClients => with(Fate::Carry, Fate::Swallow),
            Self::Slow => Conditions::slow(Duration::from_millis(100), Duration::from_millis(100)),
        }
    }
}

/// `count` faults drawn from `seed`, for this fleet and kind of Redis, with or without a database.
pub fn draw(
    seed: u64,
    count: usize,
    fleet: &FleetOptions,
    store: StoreKind,
    database: bool,
) -> Vec<Fault> {
    let mut random = Random::new(seed);
    let kinds = if database { 22 } else { 20 };
    (0..count)
        .map(|_| match random.below(kinds) {
            20.. => Fault::Database {
                down: Duration::from_millis(random.below(15_000)),
            },
            0..6 => kill(&mut random, fleet),
            6..10 => stop(&mut random, fleet),
            10..13 => Fault::Drain {
                node: node(&mut random, fleet),
            },
            13 => Fault::Roll,
            14..17 => Fault::Store(of_store(&mut random, fleet, store)),
            _ => cut(&mut random, fleet),
        })
        .collect()
}

fn kill(random: &mut Random, fleet: &FleetOptions) -> Fault {
    let node = node(random, fleet);
    // At once, before the lease has ended, about when it ends, and long after.
    let down = [1, 300, 1_000, 0][random.below(4) as usize];
    let down = Duration::from_millis(down);
    Fault::Kill { node, down }
}

fn stop(random: &mut Random, fleet: &FleetOptions) -> Fault {
    let node = node(random, fleet);
    let lease = fleet.lease.ttl();
    let time = [lease / 4, lease, lease * 5 / 4, lease * 4][random.below(4) as usize];
    Fault::Stop { node, time }
}

fn of_store(random: &mut Random, fleet: &FleetOptions, store: StoreKind) -> StoreFault {
    let millis = Duration::from_millis;
    let lease = fleet.lease.ttl();
    let kinds = match store {
        StoreKind::Single => 6,
        _ => 4,
    };
    match (store, random.below(kinds)) {
        (_, 0) => StoreFault::Stop { time: millis(300) },
        (_, 1) => StoreFault::Slow {
            time: Duration::from_secs(5),
        },
        (StoreKind::Single, 2) => StoreFault::Stop { time: lease * 2 },
        (StoreKind::Single, 3) => StoreFault::Empty,
        (StoreKind::Single, 4) => StoreFault::Restart {
            down: Duration::from_secs(30),
        },
        (StoreKind::Single, _) => StoreFault::Restart {
            down: millis(200 + random.below(3_000)),
        },
        (_, _) => StoreFault::FailOver,
    }
}

fn cut(random: &mut Random, fleet: &FleetOptions) -> Fault {
    const HOW: [Network; 6] = [
        Network::Reset,
        Network::Refused,
        Network::BlackHole,
        Network::DeafServer,
        Network::DeafClients,
        Network::Slow,
    ];
    Fault::Cut {
        gateway: random.below(fleet.gateways as u64) as usize,
        how: HOW[random.below(HOW.len() as u64) as usize],
        time: Duration::from_secs(1 + random.below(5)),
    }
}

fn node(random: &mut Random, fleet: &FleetOptions) -> NodeRef {
    let names: Vec<NodeRef> = fleet.names().collect();
    names[random.below(names.len() as u64) as usize]
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { node, down } => write!(f, "kill {node}, down for {down:?}"),
            Self::Stop { node, time } => write!(f, "stop {node} for {time:?}"),
            Self::Drain { node } => write!(f, "drain {node}"),
            Self::Roll => write!(f, "roll all"),
            Self::Point { node, point, count } => {
                write!(f, "{node} dies at {point}, passing {count}")
            }
            Self::Database { down } => write!(f, "Postgres down for {down:?}"),
            Self::Store(fault) => write!(f, "Redis: {fault:?}"),
            Self::Cut { gateway, how, time } => {
                let gateway = NodeRef::gateway(*gateway);
                write!(f, "network of {gateway}: {how:?} for {time:?}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_faults_again() {
        let fleet = FleetOptions::new(String::new());
        for store in [StoreKind::Single, StoreKind::Sentinel, StoreKind::Cluster] {
            let drawn = draw(7, 100, &fleet, store, true);
            assert_eq!(drawn, draw(7, 100, &fleet, store, true));
            assert_ne!(drawn, draw(8, 100, &fleet, store, true));
            let other = draw(7, 100, &fleet, store, false);
            assert!(
                !other
                    .iter()
                    .any(|fault| matches!(fault, Fault::Database { .. }))
            );
        }
    }
}
