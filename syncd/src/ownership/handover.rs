//! Rooms of a node that goes away, given to others one by one: a room stands still here, its state
//! goes to a node that claims it, and only then is it let go of. A room that nobody takes goes on
//! here until it ends by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chassis::backoff::Backoff;
use engine::{Incarnation, NodeKind, NodeRecord, Placement};
use parking_lot::Mutex;
use protocol::id::{Generation, NodeId, RoomId};
use rpc::pb;
use rpc::pb::rooms_client::RoomsClient;
use rpc::transport::{MAX_RPC_MESSAGE, Names};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use tonic::transport::Channel;

use super::tenure::Tenure;
use super::writer::Journal;
use crate::host::Host;
use crate::meters;
use crate::worker::{Frozen, Mail};

/// Rooms that stand still at once: few, so that each stands still for a short time.
const AT_ONCE: usize = 16;

/// Longest that each step of a hand-over may take.
const STEP: Duration = Duration::from_secs(1);

/// Before the rooms that stayed are offered again.
const AGAIN: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct Handover {
    host: Arc<Host>,
    tenure: Arc<Tenure>,
    journal: Arc<Journal>,
    names: Names,
    channels: Mutex<BTreeMap<String, Channel>>,
}

/// Why a room stays.
#[derive(Debug, thiserror::Error)]
enum Stays {
    #[error("it is over, or about to be")]
    Ends,
    #[error("no other node takes rooms of this simulation")]
    NoHeir,
    #[error("it could not be written down in time")]
    Journal,
    #[error("{0} cannot be reached")]
    Reach(NodeId, #[source] rpc::transport::ConnectError),
    #[error("{0} did not take it")]
    Refused(NodeId, #[source] Box<tonic::Status>),
    #[error("{0} did not answer in time")]
    Silent(NodeId),
}

impl Handover {
    pub(crate) fn new(host: Arc<Host>, tenure: Arc<Tenure>, names: Names) -> Arc<Self> {
        let journal = tenure.journal();
        Arc::new(Self {
            host,
            tenure,
            journal,
            names,
            channels: Mutex::default(),
        })
    }

    /// Offers every room to the other nodes, until there is none left. Drop it to stop.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let rooms = self.host.placed();
            if rooms.is_empty() {
                return;
            }
            let heirs = self.heirs().await;
            let slots = Arc::new(Semaphore::new(AT_ONCE));
            let mut moving = tokio::task::JoinSet::new();
            for (index, (room, generation)) in rooms.into_iter().enumerate() {
                let Ok(slot) = slots.clone().acquire_owned().await else {
                    return;
                };
                let heir = match heirs.len() {
                    0 => None,
                    count => Some(heirs[index % count].clone()),
                };
                let this = self.clone();
                moving.spawn(async move {
                    this.offer(room, generation, heir).await;
                    drop(slot);
                });
            }
            while moving.join_next().await.is_some() {}
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Those who can go on with our rooms, the least busy first.
    async fn heirs(&self) -> Vec<NodeRecord> {
        let listed = self.tenure.engine.leases.list(NodeKind::Syncd);
        let Ok(Ok(mut nodes)) = timeout(STEP, listed).await else {
            return Vec::new();
        };
        let own = self.journal.who();
        nodes.retain(|node| {
            node.node != own.node
                && node.simulation == self.tenure.simulation
                && !node.load.draining
        });
        // Those that have time for it, if there are any.
        if nodes.iter().any(|node| !node.load.overloaded) {
            nodes.retain(|node| !node.load.overloaded);
        }
        nodes.sort_by_key(|node| (node.load.busy, node.load.rooms));
        nodes
    }

    async fn offer(&self, room: RoomId, generation: Generation, heir: Option<NodeRecord>) {
        // Out of our claims' way until it is known whose it is.
        let Some(_moving) = self.journal.moves().begin(room) else {
            return;
        };
        let began = tokio::time::Instant::now();
        match self.give(room, generation, heir).await {
            Ok(to) => {
                meters::handed_over(began.elapsed());
                tracing::info!(%room, to = %to.0, "a room was handed over");
                self.host.give_up(room, Some(to)).await;
                self.journal.forget(room);
            }
            Err(Stays::Ends | Stays::NoHeir) => {}
            Err(error) => {
                let error = chassis::telemetry::Chain(&error).to_string();
                tracing::warn!(%room, error, "a room was not handed over");
                self.settle(room, generation).await;
            }
        }
    }

    async fn give(
        &self,
        room: RoomId,
        generation: Generation,
        heir: Option<NodeRecord>,
    ) -> Result<(NodeId, Generation), Stays> {
        let heir = heir.ok_or(Stays::NoHeir)?;
        // Before the room stands still.
        let channel = self.channel(&heir).await?;
        let frozen = self.freeze(room).await?;
        self.confirmed(&frozen).await?;
        let own = self.journal.who();
        let request = pb::AdoptRoom {
            room: room.0,
            checkpoint: frozen.checkpoint,
            from_node: own.node.to_string(),
            from_node_generation: own.generation.0,
            generation: generation.0,
            simulation: self.tenure.simulation.clone(),
        };
        // From here on it may be the other's.
        self.host.offer(room);
        let mut client = RoomsClient::new(channel).max_encoding_message_size(MAX_RPC_MESSAGE);
        match timeout(STEP * 2, client.adopt(request)).await {
            Ok(Ok(adopted)) => {
                let generation = Generation(adopted.into_inner().node_generation);
                Ok((heir.node, generation))
            }
            Ok(Err(status)) => {
                self.disconnect(&heir);
                Err(Stays::Refused(heir.node, Box::new(status)))
            }
            Err(_) => {
                self.disconnect(&heir);
                Err(Stays::Silent(heir.node))
            }
        }
    }

    async fn channel(&self, heir: &NodeRecord) -> Result<Channel, Stays> {
        if let Some(channel) = self.channels.lock().get(&heir.endpoint) {
            return Ok(channel.clone());
        }
        let channel = self.names.endpoint(&heir.endpoint).connect(STEP).await;
        let channel = channel.map_err(|error| Stays::Reach(heir.node.clone(), error))?;
        let mut channels = self.channels.lock();
        channels.insert(heir.endpoint.clone(), channel.clone());
        Ok(channel)
    }

    /// The next room connects anew: by then its name may stand for another address.
    fn disconnect(&self, heir: &NodeRecord) {
        self.channels.lock().remove(&heir.endpoint);
    }

    async fn freeze(&self, room: RoomId) -> Result<Frozen, Stays> {
        let worker = self.host.worker_of(room).ok_or(Stays::Ends)?;
        let (reply, frozen) = oneshot::channel();
        let mail = Mail::Freeze { room, reply };
        if self.host.mailbox(worker).send(mail).await.is_err() {
            return Err(Stays::Ends);
        }
        match timeout(STEP, frozen).await {
            Ok(Ok(frozen)) => Ok(frozen),
            Ok(Err(_)) => Err(Stays::Ends),
            Err(_) => Err(Stays::Journal),
        }
    }

    /// Waits until all that the room has done is safe: what is not would be told by nobody.
    async fn confirmed(&self, frozen: &Frozen) -> Result<(), Stays> {
        let mut progress = self.journal.progress();
        let safe = progress.wait_for(|progress| progress.confirmed >= frozen.at || progress.sealed);
        match timeout(STEP, safe).await {
            Ok(Ok(progress)) if !progress.sealed => Ok(()),
            _ => Err(Stays::Journal),
        }
    }

    /// Nobody knows whether the room was taken. It is taken back by exchanging its placement, which
    /// fails if it was.
    async fn settle(&self, room: RoomId, generation: Generation) {
        let placements = &self.tenure.engine.placements;
        let of_ours = |generation| Placement {
            owner: self.journal.who().clone(),
            generation,
        };
        let next = Generation(generation.0 + 1);
        let (from, to) = (of_ours(generation), of_ours(next));
        let mut backoff = Backoff::new(Duration::from_millis(20), STEP);
        loop {
            match timeout(STEP, placements.claim(room, &from, &to)).await {
                Ok(Ok(true)) => return self.host.thaw(room, next).await,
                Ok(Ok(false)) => {}
                Ok(Err(_)) | Err(_) => {
                    tokio::time::sleep(backoff.next()).await;
                    continue;
                }
            }
            let found = timeout(STEP, placements.find(&[room])).await;
            let Ok(Ok(found)) = found else { continue };
            match found.into_iter().next().flatten() {
                Some(Placement { owner, .. }) => {
                    let Incarnation { node, generation } = owner;
                    self.host.give_up(room, Some((node, generation))).await;
                    return self.journal.forget(room);
                }
                // The store has lost it. Whoever says first that the room is there has it.
                None => match timeout(STEP, placements.place(room, &to)).await {
                    Ok(Ok(())) => return self.host.thaw(room, next).await,
                    _ => tokio::time::sleep(backoff.next()).await,
                },
            }
        }
    }
}
