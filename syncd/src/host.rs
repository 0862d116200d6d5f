//! The node as a whole: which rooms there are, on which worker, and who is told of them.

mod busy;
mod directory;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chassis::drain::Drain;
use engine::{Placement, Segment};
use parking_lot::Mutex;
use protocol::id::{Generation, NodeId, RoomId};
use rpc::pb;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::Instant;

use crate::games::Games;
use crate::load::Load;
use crate::ownership::tenure::{NotOurs, Tenure};
use crate::ownership::writer::Journal;
use crate::results::Ending;
use crate::room::{Room, RoomSetup, Rules};
use crate::spectators;
use crate::worker::{Mail, NewRoom};
use directory::{Directory, Place};

pub(crate) use busy::LoadLimits;

/// News that may wait for one watcher. Over it its stream is ended, and it starts anew from the
/// list of open rooms.
pub(crate) const NEWS: usize = 1_024;

/// How long a new room may wait for its worker's mailbox.
const HAND_OVER: Duration = Duration::from_secs(1);

/// The node.
pub(crate) struct Host {
    pub(crate) node: NodeId,
    generation: Generation,
    /// Where rooms outlive the node.
    tenure: Option<Arc<Tenure>>,
    pub(crate) drain: Drain,
    /// Where pieces of tapes are kept.
    pub(crate) tapes: mpsc::Sender<(RoomId, Segment)>,
    /// Where who watches is heard.
    pub(crate) stage: mpsc::Sender<spectators::Mail>,
    games: Games,
    rules: Rules,
    capacity: usize,
    limits: LoadLimits,
    directory: Mutex<Directory>,
    /// How many rooms there are.
    rooms: watch::Sender<usize>,
    /// How many are gone without anybody having been told.
    untold: watch::Sender<usize>,
    mailboxes: Vec<mpsc::Sender<Mail>>,
    players: Vec<AtomicUsize>,
    /// By worker.
    loads: Mutex<Vec<Load>>,
    news: broadcast::Sender<pb::RoomEnded>,
}

/// Index of a worker.
pub(crate) type WorkerIndex = usize;

/// How a room comes here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    /// It begins: refused when the node is full or draining.
    New,
    /// It was another node's.
    Adopted,
}

/// What a [`Host`] is made from.
pub(crate) struct HostParts {
    pub(crate) node: NodeId,
    pub(crate) generation: Generation,
    pub(crate) tenure: Option<Arc<Tenure>>,
    pub(crate) drain: Drain,
    pub(crate) tapes: mpsc::Sender<(RoomId, Segment)>,
    pub(crate) stage: mpsc::Sender<spectators::Mail>,
    pub(crate) games: Games,
    pub(crate) rules: Rules,
    pub(crate) capacity: usize,
    pub(crate) limits: LoadLimits,
    pub(crate) mailboxes: Vec<mpsc::Sender<Mail>>,
}

/// Why a room is not opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("this node is draining")]
    Draining,
    #[error("this node runs as many rooms as it takes: {0}")]
    Full(usize),
    #[error("this node is too busy for more rooms: {0} thousandths of the time for steps are used")]
    Overloaded(u32),
    #[error("room {0} has ended")]
    Ended(RoomId),
    #[error("game {game:?} is unknown; this node has {known}")]
    UnknownGame { game: String, known: String },
    #[error("{0}")]
    Setup(#[from] crate::game::SetupError),
    #[error("game {0:?} panicked at the start")]
    Failed(String),
    #[error("the room's worker takes nothing")]
    Busy,
    #[error("the room would not outlive this node")]
    NotOurs(#[from] NotOurs),
}

impl Host {
    pub(crate) fn new(parts: HostParts) -> Self {
        let workers = parts.mailboxes.len();
        Self {
            node: parts.node,
            generation: parts.generation,
            tenure: parts.tenure,
            drain: parts.drain,
            tapes: parts.tapes,
            stage: parts.stage,
            games: parts.games,
            rules: parts.rules,
            capacity: parts.capacity,
            limits: parts.limits,
            loads: Mutex::new(vec![Load::default(); workers]),
            directory: Mutex::new(Directory::new(workers)),
            rooms: watch::Sender::new(0),
            untold: watch::Sender::new(0),
            mailboxes: parts.mailboxes,
            players: (0..workers).map(|_| AtomicUsize::new(0)).collect(),
            news: broadcast::Sender::new(NEWS),
        }
    }

    /// How rooms run here.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Opens a room of the game called `game`. Opening one that is open changes nothing.
    pub(crate) async fn open(&self, game: &str, setup: RoomSetup) -> Result<(), OpenError> {
        let id = setup.room;
        if self.is_known(id)? {
            return Ok(());
        }
        let kind = self
            .games
            .find(game)
            .ok_or_else(|| OpenError::UnknownGame {
                game: game.to_owned(),
                known: self.games.names().collect::<Vec<_>>().join(", "),
            })?;
        // Nothing is left of a room that panicked here.
        let room = catch_unwind(AssertUnwindSafe(|| Room::new(kind, setup)))
            .map_err(|_| OpenError::Failed(game.to_owned()))?;
        let room = room?;
        let Some(worker) = self.place(id, Generation(1), Admission::New)? else {
            return Ok(());
        };
        let owner = match &self.tenure {
            None => None,
            Some(tenure) => match tenure.register(id, room.checkpoint()).await {
                Ok(owner) => Some(owner),
                Err(error) => {
                    self.forget(id);
                    return Err(error.into());
                }
            },
        };
        let new = NewRoom {
            room,
            owner,
            is_adopted: false,
        };
        if !self.hand(worker, new).await {
            self.close(id);
            return Err(OpenError::Busy);
        }
        tracing::info!(room = %id, game, "room opened");
        Ok(())
    }

    /// Hosts a room that was another node's and has been claimed.
    pub(crate) async fn adopt(&self, room: Room, placement: Placement) {
        let id = room.id();
        // Full or draining, it goes on here: nobody else may have it.
        let place = self.place(id, placement.generation, Admission::Adopted);
        let Ok(Some(worker)) = place else {
            return;
        };
        let new = NewRoom {
            room,
            owner: Some(placement.owner),
            is_adopted: true,
        };
        if !self.hand(worker, new).await {
            tracing::error!(room = %id, "a room was taken over and cannot be stepped");
            self.close(id);
        }
    }

    async fn hand(&self, worker: WorkerIndex, new: NewRoom) -> bool {
        let mail = Mail::Host(Box::new(new));
        let sent = self.mailboxes[worker].send_timeout(mail, HAND_OVER);
        sent.await.is_ok()
    }

    /// This node's incarnation.
    pub(crate) fn generation(&self) -> Generation {
        let tenure = self.tenure.as_ref();
        tenure.map_or(self.generation, |tenure| tenure.journal().who().generation)
    }

    /// Where rooms outlive the node.
    pub(crate) fn tenure(&self) -> Option<&Arc<Tenure>> {
        self.tenure.as_ref()
    }

    /// The games that rooms are of.
    pub(crate) fn games(&self) -> &Games {
        &self.games
    }

    /// The rooms that are here, not over and not offered to others, with the terms in which they
    /// are ours.
    pub(crate) fn placed(&self) -> Vec<(RoomId, Generation)> {
        let directory = self.directory.lock();
        let ours = |place: &Place| !place.over && !place.offered;
        let open = directory.rooms.iter().filter(|(_, place)| ours(place));
        open.map(|(room, place)| (*room, place.generation))
            .collect()
    }

    /// Those, and the rooms that are gone and whose result is still being recorded: they are placed
    /// here, so that others find them if this node goes.
    pub(crate) fn owned(&self) -> Vec<(RoomId, Generation)> {
        let mut owned = self.placed();
        let directory = self.directory.lock();
        let untold = directory.untold.iter();
        owned.extend(untold.filter_map(|(room, generation)| Some((*room, (*generation)?))));
        owned
    }

    /// The term in which a room is ours, if it is here and not offered to others.
    pub(crate) fn generation_of(&self, room: RoomId) -> Option<Generation> {
        let directory = self.directory.lock();
        let place = directory.rooms.get(&room)?;
        (!place.offered).then_some(place.generation)
    }

    /// A room is another node's; `to` is where its players find it, if that is known.
    pub(crate) async fn give_up(&self, room: RoomId, to: Option<(NodeId, Generation)>) {
        self.post(room, Mail::Moved { room, to }).await;
    }

    /// A room is offered to another node from now on.
    pub(crate) fn offer(&self, room: RoomId) {
        if let Some(place) = self.directory.lock().rooms.get_mut(&room) {
            place.offered = true;
        }
    }

    /// A room that stood still goes on here, in a new term.
    pub(crate) async fn thaw(&self, room: RoomId, generation: Generation) {
        if let Some(place) = self.directory.lock().rooms.get_mut(&room) {
            place.generation = generation;
            place.offered = false;
        }
        self.post(room, Mail::Thaw(room)).await;
    }

    /// Every room begins new histories for those who have not been here since before `since`.
    pub(crate) async fn break_histories(&self, since: Instant) {
        for mailbox in &self.mailboxes {
            let _ = mailbox.send(Mail::BreakHistories(since)).await;
        }
    }

    /// The node begins anew, without rooms.
    pub(crate) async fn begin_journal(&self, journal: &Arc<Journal>) {
        let rooms: Vec<RoomId> = {
            let mut directory = self.directory.lock();
            // Whoever sealed the last journal has them by now, or finds them in it.
            directory.untold.values_mut().for_each(|term| *term = None);
            directory.rooms.keys().copied().collect()
        };
        for mailbox in &self.mailboxes {
            // One that is gone has no rooms.
            let _ = mailbox.send(Mail::Journal(journal.clone())).await;
        }
        rooms.into_iter().for_each(|room| self.forget(room));
    }

    async fn post(&self, room: RoomId, mail: Mail) {
        if let Some(worker) = self.worker_of(room) {
            let _ = self.mailboxes[worker].send(mail).await;
        }
    }

    /// The worker of an open room.
    pub(crate) fn worker_of(&self, room: RoomId) -> Option<WorkerIndex> {
        let directory = self.directory.lock();
        directory.rooms.get(&room).map(|place| place.worker)
    }

    /// A worker's mailbox. Sending waits while it is full: that is the back-pressure.
    pub(crate) fn mailbox(&self, worker: WorkerIndex) -> &mpsc::Sender<Mail> {
        &self.mailboxes[worker]
    }

    /// A worker says how many players are present in its rooms.
    pub(crate) fn set_players(&self, worker: WorkerIndex, players: usize) {
        self.players[worker].store(players, Ordering::Relaxed);
    }

    /// A room is gone.
    pub(crate) fn close(&self, room: RoomId) {
        let mut directory = self.directory.lock();
        directory.remember(room);
        let place = directory.rooms.get(&room).copied();
        if place.is_some_and(|place| !place.over) {
            directory
                .untold
                .insert(room, place.map(|place| place.generation));
        }
        self.untold.send_replace(directory.untold.len());
        drop(directory);
        if let Some(place) = place.filter(|place| place.over) {
            self.over(room, place.generation);
        }
        self.forget(room);
    }

    /// Nobody has to go on with a room: its result is recorded, and its players know it.
    fn over(&self, room: RoomId, generation: Generation) {
        if let Some(tenure) = &self.tenure {
            let owner = tenure.journal().who().clone();
            tenure.over(room, generation, owner);
        }
    }

    /// Tells those who watch that a room ended.
    pub(crate) fn tell_ended(&self, ending: &Ending) {
        let ended = pb::RoomEnded {
            room: ending.room.0,
            r#match: ending.match_id.0,
            reason: ending.reason.as_str().to_owned(),
        };
        let gone = {
            let mut directory = self.directory.lock();
            let gone = directory.told(ending.room, ended.clone());
            self.untold.send_replace(directory.untold.len());
            gone
        };
        if let Some(generation) = gone {
            self.over(ending.room, generation);
        }
        // Nobody watching is fine: who comes later gets the list.
        let _ = self.news.send(ended);
    }

    /// The rooms whose end has not been told and those that ended of late, then what ends.
    pub(crate) fn watch(&self) -> (pb::OpenRooms, broadcast::Receiver<pb::RoomEnded>) {
        // In this order, so that an end in between is told twice rather than not at all.
        let news = self.news.subscribe();
        let (rooms, ended) = {
            let mut directory = self.directory.lock();
            directory.forget_old(Instant::now());
            let running = directory.rooms.iter().filter(|(_, place)| !place.over);
            let running = running.map(|(room, _)| room);
            let rooms = running.chain(directory.untold.keys()).map(|room| room.0);
            let ended = directory.recent.iter().map(|(_, ended)| ended.clone());
            (rooms.collect(), ended.collect())
        };
        let load = Some(self.load());
        let open = pb::OpenRooms { rooms, load, ended };
        (open, news)
    }

    /// Waits until there is no room. Cancel safe.
    pub(crate) async fn emptied(&self) {
        let mut rooms = self.rooms.subscribe();
        let waited = rooms.wait_for(|rooms| *rooms == 0).await;
        debug_assert!(waited.is_ok(), "self keeps the sender alive");
    }

    /// Rooms that are gone, and whose result is still being recorded.
    pub(crate) fn untold(&self) -> usize {
        *self.untold.borrow()
    }

    /// Waits until everybody has been told of every room that is gone. Cancel safe.
    pub(crate) async fn all_told(&self) {
        let mut untold = self.untold.subscribe();
        let waited = untold.wait_for(|untold| *untold == 0).await;
        debug_assert!(waited.is_ok(), "self keeps the sender alive");
    }

    fn is_known(&self, room: RoomId) -> Result<bool, OpenError> {
        let directory = self.directory.lock();
        if directory.ended.contains(&room) {
            return Err(OpenError::Ended(room));
        }
        Ok(directory.rooms.contains_key(&room))
    }

    /// Gives a new room to the worker with the fewest; `None` if it has been opened meanwhile.
    fn place(
        &self,
        room: RoomId,
        generation: Generation,
        admission: Admission,
    ) -> Result<Option<WorkerIndex>, OpenError> {
        let mut directory = self.directory.lock();
        if directory.rooms.contains_key(&room) {
            return Ok(None);
        }
        let is_new = admission == Admission::New;
        if is_new && self.drain.is_draining() {
            return Err(OpenError::Draining);
        }
        if is_new && directory.rooms.len() >= self.capacity {
            return Err(OpenError::Full(self.capacity));
        }
        let (_, expected) = self.busyness(&directory.rooms_on);
        if is_new && expected > self.limits.begin.permille() {
            return Err(OpenError::Overloaded(expected));
        }
        let counts = directory.rooms_on.iter().enumerate();
        let fewest = counts.min_by_key(|(_, count)| **count);
        let worker = fewest.map_or(0, |(index, _)| index);
        directory.rooms_on[worker] += 1;
        let place = Place {
            worker,
            generation,
            over: false,
            offered: false,
        };
        directory.rooms.insert(room, place);
        self.rooms.send_replace(directory.rooms.len());
        Ok(Some(worker))
    }

    /// A room is not here any more.
    pub(crate) fn forget(&self, room: RoomId) {
        let mut directory = self.directory.lock();
        if let Some(place) = directory.rooms.remove(&room) {
            directory.rooms_on[place.worker] -= 1;
            self.rooms.send_replace(directory.rooms.len());
        }
    }
}
