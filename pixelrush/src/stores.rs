//! What a matcher works on: alone, or among others on one Redis.

use std::sync::Arc;

use engine::redis::Redis;
use engine::{Engine, Placements, Players};
use matcher::seats::store::{MemorySeats, RedisSeats};
use matcher::store::TicketStore;
use matcher::store::memory::MemoryStore;
use matcher::store::redis::RedisStore;
use matcher::{NodeSource, Seats, SyncdNode};
use rpc::transport::Names;

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
