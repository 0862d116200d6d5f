//! The task that takes rooms over: it looks at the store, and does what [`Claims`] says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use engine::leases::keeper::LeaseConfig;
use engine::{EngineError, Estate, Incarnation, NodeKind, Placement};
use protocol::id::{Epoch, RoomId};
use protocol::time::Timestamp;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::claims::{Act, Answer, Ask, Claims, View};
use super::entry::{ReadError, Remains};
use super::moves::Move;
use super::tenure::{Tenure, write};
use super::writer::Journal;
use crate::host::Host;
use crate::meters;
use crate::room::Room;

/// The store is looked at this often, and for short leases ten times in each.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Longest that the store may take for one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// How long a restored room may take to be written into our journal.
const WRITE_WITHIN: Duration = Duration::from_secs(5);

/// See the module.
pub(crate) struct Claimer {
    host: Arc<Host>,
    tenure: Arc<Tenure>,
    journal: Arc<Journal>,
    claims: Claims,
    began: Instant,
    work: JoinSet<Done>,
    /// Rooms that are restored and not claimed yet, by id.
    prepared: BTreeMap<RoomId, Prepared>,
    /// How many rooms have been prepared.
    prepares: u64,
    /// Rooms that are to be prepared once those who move them are done.
    deferred: BTreeMap<RoomId, Act>,
    /// What is left of the last node whose rooms were restored.
    remains: Option<(Incarnation, Arc<Remains>)>,
}

/// A room that was restored and put into our journal.
struct Prepared {
    /// Which of all that were prepared.
    number: u64,
    room: Room,
    moving: Move,
}

enum Done {
    View(Result<View, EngineError>),
    Answer(Ask, Answer),
    Written {
        from: Incarnation,
        room: RoomId,
        number: u64,
        is_written: bool,
    },
    /// Nobody moved the room for a moment.
    Free(RoomId),
}

impl Claimer {
    pub(crate) fn new(
        host: Arc<Host>,
        tenure: Arc<Tenure>,
        journal: Arc<Journal>,
        lease: &LeaseConfig,
    ) -> Self {
        let claims = Claims::new(journal.who().clone(), lease.ttl);
        Self {
            host,
            tenure,
            journal,
            claims,
            began: Instant::now(),
            work: JoinSet::new(),
            prepared: BTreeMap::new(),
            prepares: 0,
            deferred: BTreeMap::new(),
            remains: None,
        }
    }

    /// Takes rooms over until `stop`.
    pub(crate) async fn run(mut self, lease: LeaseConfig, stop: CancellationToken) {
        let every = (lease.ttl / 10).clamp(Duration::from_millis(20), LOOK_EVERY);
        let mut look = interval(every);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looking = false;
        loop {
            self.act();
            self.ask();
            let wake = self.claims.poll_timeout().map(|at| at.since(self.now()));
            let done = tokio::select! {
                () = stop.cancelled() => return,
                _ = look.tick(), if !looking => {
                    looking = true;
                    self.look();
                    continue;
                }
                () = tokio::time::sleep(wake.unwrap_or(LOOK_EVERY)), if wake.is_some() => continue,
                Some(done) = self.work.join_next() => done,
            };
            let now = self.now();
            match done {
                Ok(Done::View(view)) => {
                    looking = false;
                    match view {
                        Ok(view) => self.claims.handle_view(now, view),
                        Err(error) => {
                            tracing::debug!(error = %chassis::telemetry::Chain(&error), "the store cannot be looked at");
                        }
                    }
                }
                Ok(Done::Answer(ask, answer)) => {
                    note(&ask, &answer);
                    self.claims.handle_answer(now, &ask, answer);
                }
                Ok(Done::Written {
                    from,
                    room,
                    number,
                    is_written,
                }) => self.written(&from, room, number, is_written),
                Ok(Done::Free(room)) => {
                    if let Some(act) = self.deferred.remove(&room) {
                        self.act_one(act);
                    }
                }
                Err(_) => return, // the runtime is going down
            }
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp(0) + self.began.elapsed()
    }

    fn look(&mut self) {
        let tenure = self.tenure.clone();
        let busiest = self.host.limits().rescue.permille();
        self.work.spawn(async move {
            let view = match timeout(ANSWER_WITHIN, view(&tenure, busiest)).await {
                Ok(view) => view,
                Err(_) => Err(EngineError::Deadline {
                    operation: "looking at nodes and journals",
                }),
            };
            Done::View(view)
        });
    }

    fn ask(&mut self) {
        while let Some(ask) = self.claims.poll_ask(self.now()) {
            let (tenure, me) = (self.tenure.clone(), self.journal.who().clone());
            self.work.spawn(async move {
                let answer = timeout(ANSWER_WITHIN, answer(&tenure, &me, &ask)).await;
                Done::Answer(ask, answer.unwrap_or(Answer::Unknown))
            });
        }
    }

    fn act(&mut self) {
        while let Some(act) = self.claims.poll_act() {
            self.act_one(act);
        }
    }

    fn act_one(&mut self, act: Act) {
        match act {
            Act::Prepare { room, .. } => match self.journal.moves().begin(room) {
                Some(moving) => self.prepare(act, moving),
                None => self.defer(room, act),
            },
            Act::Adopt { room, placement } => self.adopt(room, placement),
            Act::Abandon(room) => {
                self.deferred.remove(&room);
                // What others have of it here is theirs.
                if let Some(_prepared) = self.prepared.remove(&room) {
                    self.journal.forget(room);
                }
            }
        }
    }

    fn defer(&mut self, room: RoomId, act: Act) {
        self.deferred.insert(room, act);
        let moves = self.journal.moves().clone();
        self.work.spawn(async move {
            moves.ended(room).await;
            Done::Free(room)
        });
    }

    fn prepare(&mut self, act: Act, moving: Move) {
        let Act::Prepare {
            room,
            from,
            estate,
            is_suspect,
        } = act
        else {
            return;
        };
        if self.host.generation_of(room).is_some() {
            // It has come here by hand-over, and is ahead of what its last owner left. The claim
            // finds that out, or says again that it is here.
            return self.claims.handle_prepared(self.now(), &from, room, true);
        }
        let began = Instant::now();
        let restored = self.restore(room, &from, &estate);
        let mut restored = match restored {
            Ok(restored) => restored,
            Err(error) => {
                tracing::error!(%room, %from, error = %chassis::telemetry::Chain(&error), "a room cannot be restored here");
                meters::room_claimed("unreadable");
                self.claims.handle_prepared(self.now(), &from, room, false);
                return;
            }
        };
        if is_suspect {
            restored.break_histories(|_| true, || Epoch(rand::random_range(1..=u32::MAX)));
        }
        meters::restored(began.elapsed());
        let journal = self.journal.clone();
        write(&journal, room, restored.checkpoint());
        self.prepares += 1;
        let number = self.prepares;
        let prepared = Prepared {
            number,
            room: restored,
            moving,
        };
        self.prepared.insert(room, prepared);
        self.work.spawn(async move {
            let written = journal.written(room, WRITE_WITHIN).await;
            Done::Written {
                from,
                room,
                number,
                is_written: written.is_ok(),
            }
        });
    }

    fn written(&mut self, from: &Incarnation, room: RoomId, number: u64, is_written: bool) {
        let prepared = self.prepared.get(&room);
        if prepared.is_none_or(|prepared| prepared.number != number) {
            return; // it was abandoned since
        }
        if !is_written {
            self.prepared.remove(&room);
            self.journal.forget(room);
        }
        self.claims
            .handle_prepared(self.now(), from, room, is_written);
    }

    fn restore(
        &mut self,
        room: RoomId,
        from: &Incarnation,
        estate: &Estate,
    ) -> Result<Room, ReadError> {
        let known = self.remains.take().filter(|(whose, _)| whose == from);
        let remains = match known {
            Some((_, remains)) => remains,
            None => Arc::new(Remains::read(estate)?),
        };
        let restored = remains.restore(self.host.games(), room);
        self.remains = Some((from.clone(), remains));
        restored
    }

    fn adopt(&mut self, room: RoomId, placement: Placement) {
        let Some(Prepared {
            room: restored,
            moving,
            ..
        }) = self.prepared.remove(&room)
        else {
            return;
        };
        let host = self.host.clone();
        meters::room_claimed("taken");
        tracing::info!(%room, generation = %placement.generation, "a room was taken over");
        self.host.drain.spawn("adopt", async move {
            host.adopt(restored, placement).await;
            drop(moving);
        });
    }
}

/// Nodes over `busiest` leave rooms to the others, while there are others.
async fn view(tenure: &Tenure, busiest: u32) -> Result<View, EngineError> {
    let engine = &tenure.engine;
    // The lineage first: if the primary changes in between, the next view shows it.
    let lineage = engine.journals.lineage().await?;
    let journals = engine.journals.list().await?;
    // Leases last: who has a journal has had a lease before.
    let nodes = engine.leases.list(NodeKind::Syncd).await?;
    let heirs = |most: u32| -> BTreeSet<Incarnation> {
        let heirs = nodes.iter().filter(|node| {
            node.simulation == tenure.simulation && !node.load.draining && node.load.busy <= most
        });
        heirs.map(engine::NodeRecord::incarnation).collect()
    };
    let rested = heirs(busiest);
    Ok(View {
        lineage,
        heirs: match rested.is_empty() {
            true => heirs(u32::MAX),
            false => rested,
        },
        alive: nodes
            .iter()
            .map(engine::NodeRecord::incarnation)
            .collect::<BTreeSet<_>>(),
        journals,
    })
}

async fn answer(tenure: &Tenure, me: &Incarnation, ask: &Ask) -> Answer {
    let (journals, placements) = (&tenure.engine.journals, &tenure.engine.placements);
    let answer = match ask {
        Ask::Seal(who) => journals.seal(who, me).await.map(Answer::Sealed),
        Ask::Estate(who) => journals.estate(who).await.map(Answer::Estate),
        Ask::Find(_, rooms) => placements.find(rooms).await.map(Answer::Found),
        Ask::Claim { room, from, to } => {
            placements.claim(*room, from, to).await.map(Answer::Claimed)
        }
        Ask::Retire(who) => journals.retire(who).await.map(|()| Answer::Retired),
    };
    answer.unwrap_or_else(|error| {
        tracing::debug!(?ask, error = %chassis::telemetry::Chain(&error), "the store gave no answer");
        Answer::Unknown
    })
}

fn note(ask: &Ask, answer: &Answer) {
    match (ask, answer) {
        (Ask::Seal(who), Answer::Sealed(Some(seal))) => {
            tracing::warn!(
                node = %who.node, generation = %who.generation,
                entries = seal.last.0, suspect = seal.is_suspect, sealed_by = %seal.by,
                "a node is gone; its journal is sealed"
            );
        }
        (Ask::Estate(who), Answer::Estate(estate)) => {
            tracing::info!(
                node = %who.node,
                rooms = estate.checkpoints.len(), entries = estate.entries.len(),
                "what is left of a node was read"
            );
        }
        _ => {}
    }
}
