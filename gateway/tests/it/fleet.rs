//! A gateway that finds its nodes by leases, and the nodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use engine::memory::{MemoryLeases, MemoryPlacements};
use engine::{Incarnation, Leases, Load, NodeKind, NodeRecord, Placement, Placements};
use pixelrush_gateway::Origins;
use protocol::id::{Channel, Generation, NodeId, PlayerId, RoomId};
use rpc::transport::Names;
use serde_json::json;

use super::origin::FakeOrigin;
use super::player::Player;
use super::rig::{ROOM, Rig};

/// Longer than any test.
const TTL: Duration = Duration::from_secs(600);

/// A gateway, its stores, and the first node of each kind.
pub(crate) struct Fleet {
    pub(crate) rig: Rig,
    leases: Arc<MemoryLeases>,
    placements: Arc<MemoryPlacements>,
    /// Of the room of the scouts.
    terms: AtomicU64,
}

impl Fleet {
    /// `matcher-1` and `syncd-1` are there, and [`ROOM`] is on the latter.
    pub(crate) async fn start() -> Self {
        let leases = Arc::new(MemoryLeases::new());
        let placements = Arc::new(MemoryPlacements::new());
        let first = Generation(1);
        let (matcher, record) = node("matcher-1", first).await;
        leases.renew(&record, TTL).await.unwrap();
        let (room, record) = node("syncd-1", first).await;
        leases.renew(&record, TTL).await.unwrap();
        let origins = Origins::Leases {
            leases: leases.clone(),
            placements: placements.clone(),
            names: Names::default(),
        };
        let rig = Rig::over(origins, (matcher, room), |_| {}).await;
        let fleet = Self {
            rig,
            leases,
            placements,
            terms: AtomicU64::new(1),
        };
        fleet.place(ROOM, ("syncd-1", 1), 1).await;
        fleet
    }

    /// Starts an incarnation of a node and announces it. Names say the kind.
    pub(crate) async fn add(&self, name: &str, generation: u64) -> FakeOrigin {
        let (origin, record) = node(name, Generation(generation)).await;
        self.leases.renew(&record, TTL).await.unwrap();
        origin
    }

    /// Ends a node's lease.
    pub(crate) async fn withdraw(&self, name: &str, generation: u64) {
        let (node, generation) = (name.parse().unwrap(), Generation(generation));
        let withdrawn = self.leases.withdraw(kind(name), &node, generation);
        withdrawn.await.unwrap();
    }

    /// A room is on an incarnation of a node, in its `term`-th term.
    pub(crate) async fn place(&self, room: RoomId, (name, generation): (&str, u64), term: u64) {
        let owner = Incarnation {
            node: name.parse().unwrap(),
            generation: Generation(generation),
        };
        let placement = Placement {
            owner,
            generation: Generation(term),
        };
        self.placements.place(room, &placement).await.unwrap();
    }

    /// A room is over.
    pub(crate) async fn end(&self, room: RoomId) {
        let ended = self.placements.remove(room, Generation(u64::MAX));
        ended.await.unwrap();
    }

    /// Waits until the gateway has linked a node that runs rooms: a room of its own can be joined.
    pub(crate) async fn linked(&self, name: &str) {
        const SCOUTED: RoomId = RoomId(0x5c0);
        let mut scout = Player::join(&self.rig, &format!("scout of {name}")).await;
        let ticket = self.rig.ticket_to(scout.id, SCOUTED, name);
        self.place(
            SCOUTED,
            (name, 1),
            self.terms.fetch_add(1, Ordering::Relaxed),
        )
        .await;
        let join = json!({ "t": "room.join", "ticket": ticket });
        scout.raw.say(&join).await;
        scout.raw.hear("channel").await;
    }

    /// Somebody in [`ROOM`], on the first node.
    pub(crate) async fn racer(&self, name: &str) -> Player {
        let mut player = Player::join(&self.rig, name).await;
        player.enter_room(&self.rig).await;
        player
    }
}

/// The name of a node.
pub(crate) fn id(name: &str) -> NodeId {
    name.parse().unwrap()
}

/// The matcher that a player belongs to, worked out apart from the gateway: by the FNV-1a hash of
/// the name and the finaliser of SplitMix64.
pub(crate) fn owner<'a>(player: PlayerId, matchers: &[&'a str]) -> &'a str {
    let mix = |word: u64| {
        let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    };
    let hash = |name: &str| {
        name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    };
    let best = matchers
        .iter()
        .max_by_key(|name| mix(mix(hash(name)) ^ player.0));
    best.copied().expect("there are matchers")
}

fn kind(name: &str) -> NodeKind {
    match name.starts_with("matcher") {
        true => NodeKind::Matcher,
        false => NodeKind::Syncd,
    }
}

async fn node(name: &str, generation: Generation) -> (FakeOrigin, NodeRecord) {
    let channel = match kind(name) {
        NodeKind::Matcher => Channel::Match,
        _ => Channel::Room,
    };
    let (origin, endpoint) = FakeOrigin::listen(name, channel, generation).await;
    let record = NodeRecord {
        node: id(name),
        kind: kind(name),
        generation,
        endpoint,
        load: Load::default(),
        build: "test".to_owned(),
        simulation: String::new(),
        region: String::new(),
    };
    (origin, record)
}
