//! Finding a room for a match.
//!
//! Each node that is asked is asked for a room of a new name: a node that did not answer in time
//! may have made its room all the same, and no room may run in two places. Such a room stays
//! empty, and syncd gives it up by itself.

use std::time::Duration;

use chassis::backoff::Backoff;
use protocol::id::{MatchId, NodeId, RoomId};
use rpc::pb;
use rpc::pb::rooms_client::RoomsClient;
use tonic::{Code, Status};

use crate::config::{ModeName, PlacingConfig, Region};
use crate::nodes::{Chosen, Nodes};

/// Longest wait between two nodes.
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);

/// A match that needs a room.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) match_id: MatchId,
    pub(crate) mode: ModeName,
    pub(crate) game: String,
    /// JSON, or empty for the game's defaults.
    pub(crate) settings: String,
    pub(crate) watching: pb::Watching,
    pub(crate) region: Option<Region>,
    pub(crate) seats: Vec<pb::Seat>,
}

/// The room that a match got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) room: RoomId,
    pub(crate) node: NodeId,
    /// The connection to the node that it was asked for on.
    pub(crate) connection: u64,
}

/// What came of looking for a room.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) match_id: MatchId,
    pub(crate) room: Result<Room, PlaceError>,
}

/// Why a match got no room. Of several nodes, the last one's reason.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    /// There is no node to ask.
    #[error("no syncd node takes a room for this match")]
    NoNode,
    /// It said no, or cannot be reached.
    #[error("{node} made no room")]
    Refused {
        /// Who.
        node: NodeId,
        /// Why.
        #[source]
        source: Box<Status>,
    },
    /// The mode's game or settings are none that a room can be made from: no node is better.
    #[error("{node} cannot make a room of this mode")]
    Invalid {
        /// Who.
        node: NodeId,
        /// Why.
        #[source]
        source: Box<Status>,
    },
    /// It did not answer in time.
    #[error("{0} did not answer in time")]
    Silent(NodeId),
    /// It answered, but has been out of reach since.
    #[error("{0} was lost while it made the room")]
    Lost(NodeId),
}

/// Finds a room, asking one node after another.
pub(crate) async fn place(
    nodes: &Nodes,
    order: Order,
    config: &PlacingConfig,
) -> Result<Room, PlaceError> {
    let mut backoff = Backoff::new(config.backoff, LONGEST_BACKOFF.max(config.backoff));
    let mut tried = Vec::new();
    let mut last = PlaceError::NoNode;
    for attempt in 0..config.attempts.max(1) {
        if attempt > 0 {
            tokio::time::sleep(backoff.next()).await;
        }
        let chosen = nodes.choose(order.region.as_ref(), &tried).or_else(|| {
            tried.clear(); // every node has been asked once: begin again
            nodes.choose(order.region.as_ref(), &tried)
        });
        let Some(chosen) = chosen else { continue };
        match ask(nodes, &chosen, &order, config.deadline).await {
            Ok(room) => return Ok(room),
            Err(error @ PlaceError::Invalid { .. }) => return Err(error),
            Err(error) => {
                tracing::debug!(
                    r#match = %order.match_id,
                    error = %chassis::telemetry::Chain(&error),
                    "a node made no room"
                );
                tried.push(chosen.node);
                last = error;
            }
        }
    }
    Err(last)
}

async fn ask(
    nodes: &Nodes,
    chosen: &Chosen,
    order: &Order,
    deadline: Duration,
) -> Result<Room, PlaceError> {
    let room = RoomId(rand::random());
    let request = pb::CreateRoom {
        room: room.0,
        r#match: order.match_id.0,
        mode: order.mode.to_string(),
        game: order.game.clone(),
        seed: rand::random(),
        seats: order.seats.clone(),
        settings: order.settings.clone(),
        watching: Some(order.watching),
    };
    let mut client = RoomsClient::new(chosen.channel.clone());
    let answer = tokio::time::timeout(deadline, client.create(request)).await;
    match answer {
        Err(_) => Err(PlaceError::Silent(chosen.node.clone())),
        Ok(Err(status)) if status.code() == Code::InvalidArgument => Err(PlaceError::Invalid {
            node: chosen.node.clone(),
            source: Box::new(status),
        }),
        Ok(Err(status)) => Err(PlaceError::Refused {
            node: chosen.node.clone(),
            source: Box::new(status),
        }),
        // Only on the same connection does the node's next list of open rooms count this room.
        Ok(Ok(_)) if !nodes.is_current(chosen) => Err(PlaceError::Lost(chosen.node.clone())),
        Ok(Ok(_)) => Ok(Room {
            room,
            node: chosen.node.clone(),
            connection: chosen.connection,
        }),
    }
}
