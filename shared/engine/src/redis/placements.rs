//! Placements in Redis: a key for each room, in the room's hash slot. How many there may be is
//! the server's memory; one takes about 150 bytes.

use std::sync::LazyLock;

use protocol::id::{Generation, RoomId};

use super::leases::{digits, verdict};
use super::{Call, Redis, Script};
use crate::leases::Incarnation;
use crate::placements::{Placement, Placements};
use crate::{BoxFuture, EngineError};

static PLACE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("lua/placement_place.lua")));
static CLAIM: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("lua/placement_claim.lua")));
static REMOVE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("lua/placement_remove.lua")));

/// Placements in Redis.
pub struct RedisPlacements {
    redis: Redis,
}

impl RedisPlacements {
    /// Placements in `redis`.
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    fn key(&self, room: RoomId) -> String {
        self.redis.key(&room.to_string(), "at")
    }
}

impl Placements for RedisPlacements {
    fn place<'a>(
        &'a self,
        room: RoomId,
        placement: &'a Placement,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let operation = "placing a room";
            let call = PLACE
                .on(&[self.key(room)])
                .arg(digits(placement.generation))
                .arg(owner(&placement.owner));
            let reply = self.redis.run(operation, call).await?;
            verdict(operation, reply, &room.to_string(), placement.generation)
        })
    }

    fn claim<'a>(
        &'a self,
        room: RoomId,
        from: &'a Placement,
        to: &'a Placement,
    ) -> BoxFuture<'a, Result<bool, EngineError>> {
        Box::pin(async move {
            let call = CLAIM
                .on(&[self.key(room)])
                .arg(written(from))
                .arg(written(to));
            self.redis.run_durable("claiming a room", call).await
        })
    }

    fn find<'a>(
        &'a self,
        rooms: &'a [RoomId],
    ) -> BoxFuture<'a, Result<Vec<Option<Placement>>, EngineError>> {
        Box::pin(async move {
            let operation = "finding rooms";
            let call = |room: &RoomId| Call::command("GET", &self.key(*room));
            let calls: Vec<Call> = rooms.iter().map(call).collect();
            let found = self.redis.run_all::<Option<String>>(operation, &calls);
            let read = |text: Option<String>| text.map(|text| read(operation, &text)).transpose();
            found.await?.into_iter().map(|text| read(text?)).collect()
        })
    }

    fn remove(
        &self,
        room: RoomId,
        generation: Generation,
    ) -> BoxFuture<'_, Result<(), EngineError>> {
        Box::pin(async move {
            let operation = "removing a room";
            let call = REMOVE.on(&[self.key(room)]).arg(digits(generation));
            let reply = self.redis.run(operation, call).await?;
            verdict(operation, reply, &room.to_string(), generation)
        })
    }
}

fn written(placement: &Placement) -> String {
    format!(
        "{} {}",
        digits(placement.generation),
        owner(&placement.owner)
    )
}

fn owner(owner: &Incarnation) -> String {
    format!("{} {}", owner.node, owner.generation)
}

fn read(operation: &'static str, text: &str) -> Result<Placement, EngineError> {
    let mut fields = text.split(' ');
    let mut read = || {
        let generation = fields.next()?.parse().ok()?;
        let node = fields.next()?.parse().ok()?;
        let term = fields.next()?.parse().ok()?;
        Some(Placement {
            owner: Incarnation {
                node,
                generation: Generation(term),
            },
            generation: Generation(generation),
        })
    };
    read().ok_or_else(|| EngineError::Damaged {
        operation,
        detail: "a placement that cannot be read".to_owned(),
    })
}
