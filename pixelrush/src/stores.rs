//! What a matcher works on: alone, or among others on one Redis.

use std::sync::Arc;

use chassis::drain::Drain;
use engine::pipeline::Consumer;
use engine::redis::Redis;
use engine::{Engine, Placements, Players};
use matcher::seats::store::{MemorySeats, RedisSeats};
use matcher::store::TicketStore;
use matcher::store::memory::MemoryStore;
use matcher::store::redis::RedisStore;
use matcher::{NodeSource, Seats, SyncdNode};
use rpc::transport::Names;

use crate::settings::Settings;

/// What a matcher works on.
pub(crate) struct MatcherStores {
    pub(crate) tickets: Arc<dyn TicketStore>,
    pub(crate) seats: Option<Seats>,
    pub(crate) players: Option<Arc<dyn Players>>,
    pub(crate) nodes: NodeSource,
    pub(crate) placements: Option<Arc<dyn Placements>>,
}

impl MatcherStores {
    /// Of the only matcher there is.
    pub(crate) fn alone(engine: &Engine, nodes: Vec<SyncdNode>, limit: usize) -> Self {
        Self {
            seats: engine.seats.clone().map(|ledger| Seats {
                store: Arc::new(MemorySeats::new()),
                ledger,
            }),
            players: engine.players.clone(),
            tickets: Arc::new(MemoryStore::new(limit)),
            nodes: NodeSource::Static(nodes),
            placements: None,
        }
    }

    /// Of one among others.
    pub(crate) fn shared(engine: &Engine, redis: Redis, names: &Names, limit: usize) -> Self {
        Self {
            seats: engine.seats.clone().map(|ledger| Seats {
                store: Arc::new(RedisSeats::new(redis.clone())),
                ledger,
            }),
            players: engine.players.clone(),
            tickets: Arc::new(RedisStore::new(redis, limit)),
            nodes: NodeSource::Leases {
                leases: engine.leases.clone(),
                names: names.clone(),
            },
            placements: Some(engine.placements.clone()),
        }
    }
}

/// Writes what syncd nodes have queued into the database, if there is one, until the drain begins.
/// What it leaves half done another matcher does again.
pub(crate) fn consume_results(engine: &Engine, name: String, drain: Drain) {
    let Some(queue) = engine.queue.clone() else {
        return;
    };
    let consumer = Consumer::new(name, queue, engine.results.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = consumer.run() => {}
            () = drain.started() => {}
        }
    });
}

/// The engine of a matcher whose results are recorded by another process: what is in its own memory
/// alone would never see one, and it says so rather than that there are none.
pub(crate) fn without_players(mut engine: Engine, settings: &Settings) -> Engine {
    let is_alone = !engine.is_shared && engine.postgres.is_none();
    if is_alone && settings.engine.data_dir.is_none() {
        engine.players = None;
    }
    engine
}
