//! Leases: nodes announce themselves, and vanish when they stop. [`keeper`] keeps one.

pub mod keeper;

use std::time::Duration;

use protocol::id::{Generation, NodeId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::watch;

use crate::{BoxFuture, EngineError};

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// Edge: talks to clients.
    Gateway,
    /// Forms matches.
    Matcher,
    /// Runs rooms.
    Syncd,
}

/// One process of a node, from its start to its end: the name, and the term by which a later
/// process of the name fences it off.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation {
    /// The node's name.
    pub node: NodeId,
    /// Its term.
    pub generation: Generation,
}

impl std::fmt::Display for Incarnation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.node, self.generation)
    }
}

impl NodeRecord {
    /// The process that the record is of.
    pub fn incarnation(&self) -> Incarnation {
        Incarnation {
            node: self.node.clone(),
            generation: self.generation,
        }
    }
}

impl NodeKind {
    /// Every kind, in order.
    pub const ALL: [Self; 3] = [Self::Gateway, Self::Matcher, Self::Syncd];
}

/// How busy a node is, as it says itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Load {
    /// Rooms that it runs.
    pub rooms: u32,
    /// Sessions that it serves.
    pub sessions: u32,
    /// How many rooms (syncd) or sessions (others) it takes altogether.
    pub capacity: u32,
    /// Whether it is going away and takes nothing new.
    #[serde(default)]
    pub draining: bool,
    /// The share of its time that it uses, in thousandths: at 1000 it is late. 0 if it does not
    /// measure.
    #[serde(default)]
    pub busy: u32,
    /// Whether it is too busy for anything new.
    #[serde(default)]
    pub overloaded: bool,
}

/// What a node announces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its name, unique among its kind.
    pub node: NodeId,
    /// What it is.
    pub kind: NodeKind,
    /// The term of this incarnation: greater than that of any earlier process of this name.
    pub generation: Generation,
    /// Where the other services reach it, such as `http://10.0.0.7:7300`.
    pub endpoint: String,
    /// How busy it is.
    pub load: Load,
    /// The build that it runs.
    pub build: String,
    /// Of a syncd: names the games and their versions that it steps. Rooms move only between nodes
    /// with the same one. Empty for others.
    #[serde(default)]
    pub simulation: String,
    /// Of a syncd: the region that it is in; empty: any.
    #[serde(default)]
    pub region: String,
}

/// Who is there. A node renews every 3 s for a TTL of 5 s, unless configured otherwise.
///
/// Limit: [`MAX_NODES`] names a kind, of those there and those recently gone.
pub trait Leases: Send + Sync + 'static {
    /// Announces a node, or renews its lease, for `ttl` from now. Whoever watches sees a new
    /// node, and a changed record, at once.
    ///
    /// # Errors
    /// [`EngineError::Fenced`] if a newer generation of this name was seen in the last
    /// [`FENCE`], even if its lease has ended since; [`EngineError::Full`] past the limit.
    fn renew<'a>(
        &'a self,
        record: &'a NodeRecord,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), EngineError>>;

    /// Ends a lease before its time. Without one there is nothing to do, and that is no error.
    ///
    /// # Errors
    /// [`EngineError::Fenced`] if a newer generation of this name holds it.
    fn withdraw<'a>(
        &'a self,
        kind: NodeKind,
        node: &'a NodeId,
        generation: Generation,
    ) -> BoxFuture<'a, Result<(), EngineError>>;

    /// The nodes of a kind whose leases run, by name.
    ///
    /// # Errors
    /// The store cannot be asked.
    fn list(&self, kind: NodeKind) -> BoxFuture<'_, Result<Vec<NodeRecord>, EngineError>>;

    /// The same list as it changes, for as long as these leases are not dropped. A slow receiver
    /// misses what was in between, never the last.
    fn watch(&self, kind: NodeKind) -> watch::Receiver<Arc<Vec<NodeRecord>>>;
}

/// Most names of one kind.
pub const MAX_NODES: usize = 4096;

/// How long the generation of a node that is gone still refuses older ones: longer than a
/// process may be frozen and come back.
pub const FENCE: Duration = Duration::from_secs(3600);
