//! Players that race, and race again, until they are told to stop; what each of them saw is
//! written down as it comes.

mod player;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use client::address::Address;
use protocol::id::RoomId;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::history::{History, Phase, Recorder};
use player::Player;

/// How often a crowd that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Who plays, and where.
#[derive(Debug, Clone)]
pub struct CrowdPlan {
    /// Public addresses of the gateways.
    pub targets: Vec<Address>,
    /// The mode to play.
    pub mode: String,
    /// How many players.
    pub players: u64,
    /// How many races each plays; none: until they are told to stop.
    pub races: Option<u32>,
    /// Makes the players' ids and ways.
    pub seed: u64,
}

/// Players at play. They end with this value.
#[derive(Debug)]
pub struct Crowd {
    began: Instant,
    stop: watch::Sender<bool>,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    record: Record,
    cuts: mpsc::Sender<()>,
    task: JoinHandle<()>,
}

/// A recorder that its player writes and that others look at.
#[derive(Debug, Clone)]
struct Record(Arc<Mutex<Recorder>>);

impl Record {
    fn lock(&self) -> MutexGuard<'_, Recorder> {
        // What a player that panicked has written counts all the same.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a crowd that was waited for did not do.
#[derive(Debug, thiserror::Error)]
#[error("not within {patience:?}: {what}; of {players} players {}", .waiting.join(", "))]
pub struct Impatient {
    what: String,
    patience: Duration,
    players: usize,
    waiting: Vec<String>,
}

impl Crowd {
    /// Sends everyone on their way.
    pub fn start(plan: &CrowdPlan) -> Self {
        let began = Instant::now();
        let (stop, stopped) = watch::channel(false);
        let member = |number| {
            let record = Record(Arc::new(Mutex::new(Recorder::new(number))));
            let (cuts, cut) = mpsc::channel(1);
            let player = Player::new(plan.clone(), number, began, record.clone());
            let task = tokio::spawn(player.play(stopped.clone(), cut));
            Member { record, cuts, task }
        };
        Self {
            began,
            members: (0..plan.players).map(member).collect(),
            stop,
        }
    }

    /// Time since the run began, as the histories count it.
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// How many players there are.
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// Tells everyone to play the present race to its end and no other.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Cuts a player's connection, as a network does.
    pub async fn cut(&self, index: usize) {
        // A player that is done has nothing to cut.
        let _ = self.members[index].cuts.send(()).await;
    }

    /// What every player waits for, and where it is.
    pub fn phases(&self) -> Vec<(Phase, Option<RoomId>)> {
        let look = |member: &Member| {
            let record = member.record.lock();
            (record.phase(), record.room())
        };
        self.members.iter().map(look).collect()
    }

    /// When each player last made progress.
    pub fn progress(&self) -> Vec<Duration> {
        let look = |member: &Member| member.record.lock().history().progress;
        self.members.iter().map(look).collect()
    }

    /// What everyone has seen so far.
    pub fn histories(&self) -> Vec<History> {
        let copy = |member: &Member| member.record.lock().history().clone();
        self.members.iter().map(copy).collect()
    }

    /// Waits until `holds`.
    ///
    /// # Errors
    /// [`Impatient`], with what the players wait for.
    pub async fn until(
        &self,
        what: &str,
        patience: Duration,
        holds: impl Fn(&Self) -> bool,
    ) -> Result<(), Impatient> {
        let deadline = Instant::now() + patience;
        while !holds(self) {
            if Instant::now() >= deadline {
                return Err(self.impatient(what, patience));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until every car is under way.
    ///
    /// # Errors
    /// [`Impatient`].
    pub async fn until_racing(&self, patience: Duration) -> Result<(), Impatient> {
        let racing = |crowd: &Self| crowd.members.iter().all(|it| it.record.lock().is_racing());
        self.until("everyone races", patience, racing).await
    }

    /// Waits until everyone has seen things move after `since`.
    ///
    /// # Errors
    /// [`Impatient`].
    pub async fn until_moving(&self, since: Duration, patience: Duration) -> Result<(), Impatient> {
        let moving = |crowd: &Self| crowd.progress().iter().all(|at| *at > since);
        self.until("things move for everyone", patience, moving)
            .await
    }

    /// Tells everyone to stop, waits until they have, and gives what they saw. Who has not stopped
    /// in time is not waited for: the histories show it.
    pub async fn finish(self, patience: Duration) -> Vec<History> {
        self.stop();
        let done = |crowd: &Self| {
            let mut members = crowd.members.iter();
            members.all(|member| member.record.lock().history().is_done)
        };
        // The check of the histories tells of those who have not.
        let _ = self.until("everyone has stopped", patience, done).await;
        self.histories()
    }

    fn impatient(&self, what: &str, patience: Duration) -> Impatient {
        let phases = self.phases();
        let each = [
            Phase::Session,
            Phase::Match,
            Phase::Room,
            Phase::Race,
            Phase::Nothing,
        ];
        let count = |phase| phases.iter().filter(|(found, _)| *found == phase).count();
        Impatient {
            what: what.to_owned(),
            patience,
            players: phases.len(),
            waiting: each
                .into_iter()
                .filter(|phase| count(*phase) > 0)
                .map(|phase| format!("{} in {phase:?}", count(phase)))
                .collect(),
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for member in &self.members {
            member.task.abort();
        }
    }
}
