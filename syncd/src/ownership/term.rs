//! One incarnation after the other: each has a lease, a journal, and claims of its own. When the
//! journal is found sealed, the node's rooms are others', and it begins anew as an empty node.
//!
//! Names are unique: a process waits for the lease of the one before it to end, and ends itself if
//! that one lives, or if a later one comes.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use engine::leases::keeper::{LeaseConfig, LeaseState, keep};
use engine::{Incarnation, Load, NodeKind, NodeRecord};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::again::SayAgain;
use super::claimer::Claimer;
use super::tenure::Tenure;
use super::writer::Journal;
use crate::host::Host;
use crate::service::Failed;

/// How often somebody else's lease of our name is looked at, and how long an answer may take.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// A lease that is there for so much longer than leases last was renewed.
const MARGIN: Duration = Duration::from_millis(500);

/// How often the load goes out with the lease, if it has changed.
const LOAD_EVERY: Duration = Duration::from_secs(1);

/// What the node says of itself beside its load.
#[derive(Debug, Clone)]
pub(crate) struct Announcement {
    pub(crate) endpoint: String,
    pub(crate) region: String,
    pub(crate) lease: LeaseConfig,
}

/// See the module.
pub(crate) struct Terms {
    pub(crate) host: Arc<Host>,
    pub(crate) tenure: Arc<Tenure>,
    pub(crate) announcement: Announcement,
    /// Holds while the lease does and the journal is open.
    pub(crate) ready: chassis::readiness::Condition,
    /// Why the node cannot go on.
    pub(crate) failed: Arc<OnceLock<Failed>>,
}

impl Terms {
    /// Runs until `stop`, or until the name turns out to be another process's.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let ending = stop.child_token();
        if let Err(failed) = self.run_terms(&ending).await {
            tracing::error!(error = %failed, "the node's name is another process's");
            let _ = self.failed.set(failed);
        }
        ending.cancel();
    }

    async fn run_terms(&self, stop: &CancellationToken) -> Result<(), Failed> {
        let mut journal = self.tenure.journal();
        self.ready.unready("the store has not answered yet");
        let name = self.name_is_free(journal.who());
        match stop.run_until_cancelled(name).await {
            Some(free) => free?,
            None => return Ok(()),
        }
        let (record, records) = watch::channel(self.record(&journal));
        let (state, states) = watch::channel(LeaseState::Waiting);
        let leases = self.tenure.engine.leases.clone();
        let lease = self.announcement.lease;
        let keeping = tokio::spawn(keep(leases, records, lease, state, stop.clone()));
        while !stop.is_cancelled() {
            record.send_replace(self.record(&journal));
            self.serve(&journal, &record, states.clone(), stop).await?;
            if stop.is_cancelled() {
                break;
            }
            self.ready.unready("the rooms were taken over");
            journal = self.tenure.renew();
            tracing::warn!(generation = %journal.who().generation, "this node begins anew");
            self.host.begin_journal(&journal).await;
        }
        // Gives the lease back.
        let _ = keeping.await;
        Ok(())
    }

    /// Waits until no other process has a lease of our name. One that was killed keeps it for a
    /// lease at most; one that has it for longer lives.
    async fn name_is_free(&self, own: &Incarnation) -> Result<(), Failed> {
        let leases = &self.tenure.engine.leases;
        let mut seen: Option<(NodeRecord, Instant)> = None;
        loop {
            let listed = timeout(ANSWER_WITHIN, leases.list(NodeKind::Syncd)).await;
            if let Ok(Ok(nodes)) = listed {
                let other = nodes.into_iter().find(|node| node.node == own.node);
                let Some(other) = other else { return Ok(()) };
                let (first, since) = seen.get_or_insert_with(|| {
                    tracing::info!(
                        endpoint = other.endpoint, generation = %other.generation,
                        "waiting for the lease of the process before this one to end"
                    );
                    self.ready
                        .unready("the process before this one has the lease");
                    (other.clone(), Instant::now())
                });
                let is_renewed = since.elapsed() > self.announcement.lease.ttl + MARGIN;
                if is_renewed || first.generation != other.generation {
                    return Err(Failed::NameTaken {
                        node: other.node,
                        endpoint: other.endpoint,
                    });
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// One incarnation, until it is fenced off.
    async fn serve(
        &self,
        journal: &Arc<Journal>,
        record: &watch::Sender<NodeRecord>,
        mut lease: watch::Receiver<LeaseState>,
        stop: &CancellationToken,
    ) -> Result<(), Failed> {
        let own = journal.who().generation;
        let replaced = || Failed::Replaced {
            node: journal.who().node.clone(),
        };
        let over = stop.child_token();
        let _over_on_return = over.clone().drop_guard();
        // The lease first: a journal without one is a dead node's.
        let is_settled = |state: &LeaseState| state.is_held_by(own) || *state == LeaseState::Fenced;
        let settled = lease.wait_for(is_settled);
        match stop
            .run_until_cancelled(settled)
            .await
            .map(|state| state.map(|state| *state))
        {
            Some(Ok(LeaseState::Fenced)) => return Err(replaced()),
            Some(_) => {}
            None => return Ok(()),
        }
        journal.hold(lease.clone());
        let (host, tenure) = (self.host.clone(), self.tenure.clone());
        let journals = tenure.engine.journals.clone();
        let writing = journal.clone().run(journals, over.clone());
        let writing = host.drain.spawn("journal", writing);
        let claimer = Claimer::new(host, tenure, journal.clone(), &self.announcement.lease);
        let claiming = claimer.run(self.announcement.lease, over.clone());
        let claiming = self.host.drain.spawn("claims", claiming);

        let said = SayAgain::new(self.host.clone(), self.tenure.clone(), journal.clone());
        let said = self
            .host
            .drain
            .spawn("placements", said.run(lease.clone(), over.clone()));
        let mut progress = journal.progress();
        let mut load = tokio::time::interval(LOAD_EVERY);
        let fenced = async {
            let fenced = lease
                .wait_for(|state| *state == LeaseState::Fenced)
                .await
                .is_ok();
            if !fenced {
                std::future::pending::<()>().await;
            }
        };
        tokio::pin!(fenced);
        let ended = loop {
            tokio::select! {
                () = stop.cancelled() => break Ok(()),
                () = &mut fenced => break Err(replaced()),
                changed = progress.changed() => {
                    let now = *progress.borrow_and_update();
                    if changed.is_err() || now.sealed {
                        break Ok(());
                    }
                    if now.open {
                        self.ready.ready();
                    }
                }
                () = self.host.drain.started(), if !record.borrow().load.draining => {
                    record.send_replace(self.record(journal));
                }
                _ = load.tick() => {
                    let new = self.record(journal);
                    record.send_if_modified(|old| {
                        let changed = *old != new;
                        *old = new;
                        changed
                    });
                }
            }
        };
        over.cancel();
        let _ = claiming.await;
        let _ = writing.await;
        let _ = said.await;
        ended
    }

    fn record(&self, journal: &Journal) -> NodeRecord {
        let load = self.host.load();
        NodeRecord {
            node: journal.who().node.clone(),
            kind: NodeKind::Syncd,
            generation: journal.who().generation,
            endpoint: self.announcement.endpoint.clone(),
            load: Load {
                rooms: load.rooms,
                sessions: load.players,
                capacity: load.capacity,
                draining: load.draining,
                // Not said anew for every change of it.
                busy: load.busy.next_multiple_of(50),
                overloaded: load.overloaded,
            },
            build: env!("CARGO_PKG_VERSION").to_owned(),
            simulation: self.tenure.simulation.clone(),
            region: self.announcement.region.clone(),
        }
    }
}
