//! One incarnation after the other: each has a lease, a journal, and claims of its own. When the
//! journal is found sealed, the node's rooms are others', and it begins anew as an empty node.

use std::sync::Arc;
use std::time::Duration;

use engine::leases::keeper::{LeaseConfig, LeaseState, keep};
use engine::{Load, NodeKind, NodeRecord};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::again::SayAgain;
use super::claimer::Claimer;
use super::tenure::Tenure;
use super::writer::Journal;
use crate::host::Host;

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
}

impl Terms {
    /// Runs until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut journal = self.tenure.journal();
        let (record, records) = watch::channel(self.record(&journal));
        let (state, states) = watch::channel(LeaseState::Waiting);
        let leases = self.tenure.engine.leases.clone();
        let lease = self.announcement.lease;
        let keeping = tokio::spawn(keep(leases, records, lease, state, stop.clone()));
        self.ready.unready("the store has not answered yet");
        while !stop.is_cancelled() {
            record.send_replace(self.record(&journal));
            self.serve(&journal, &record, states.clone(), &stop).await;
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
    }

    /// One incarnation, until it is fenced off.
    async fn serve(
        &self,
        journal: &Arc<Journal>,
        record: &watch::Sender<NodeRecord>,
        mut lease: watch::Receiver<LeaseState>,
        stop: &CancellationToken,
    ) {
        let own = journal.who().generation;
        let over = stop.child_token();
        let _over_on_return = over.clone().drop_guard();
        // The lease first: a journal without one is a dead node's.
        let held = lease.wait_for(|state| *state == LeaseState::Held(own));
        if stop.run_until_cancelled(held).await.is_none() {
            return;
        }
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
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                changed = progress.changed() => {
                    let now = *progress.borrow_and_update();
                    if changed.is_err() || now.sealed {
                        break;
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
        }
        over.cancel();
        let _ = claiming.await;
        let _ = writing.await;
        let _ = said.await;
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
