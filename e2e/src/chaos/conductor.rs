//! Does faults, waits until everyone has got over them, and writes down when.

use std::time::Duration;

use chassis::faults::Point;
use rustix::process::Signal;
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep, sleep_until};

use super::fault::{Fault, Network, StoreFault};
use crate::crowd::Crowd;
use crate::database::Database;
use crate::fleet::{Fleet, NodeRef};
use crate::history::Strike;
use crate::proxy::{Conditions, Proxy};
use crate::store::Store;

/// When everyone has to be well, things have to move within this.
const MOVING: Duration = Duration::from_secs(10);

/// Longest until a process comes to where it is to die.
const PASSED: Duration = Duration::from_secs(90);

/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Has everything that can fail.
pub(super) struct Conductor {
    fleet: Fleet,
    store: Store,
    database: Option<Database>,
    proxies: Vec<Proxy>,
    strikes: Vec<Strike>,
}

impl Conductor {
    pub(super) fn new(
        fleet: Fleet,
        store: Store,
        database: Option<Database>,
        proxies: Vec<Proxy>,
    ) -> Self {
        Self {
            fleet,
            store,
            database,
            proxies,
            strikes: Vec::new(),
        }
    }

    /// The processes.
    pub(super) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// What was done so far.
    pub(super) fn strikes(&self) -> &[Strike] {
        &self.strikes
    }

    /// Does one fault, mends it, and comes back when everyone is well. An error says who is not,
    /// or what did not start again.
    pub(super) async fn strike(&mut self, crowd: &Crowd, fault: &Fault) -> Result<(), String> {
        let began = Instant::now();
        let recovery = fault.recovery(self.fleet.options().lease.ttl());
        self.note(crowd, fault, recovery);
        match *fault {
            Fault::Kill { node, down } => {
                self.fleet.kill(node);
                if down.is_zero() {
                    self.well(crowd, began + recovery).await?;
                } else {
                    sleep(down).await;
                }
                self.restart(node)?;
            }
            Fault::Stop { node, time } => {
                self.fleet.signal(node, Signal::STOP);
                sleep(time).await;
                self.fleet.signal(node, Signal::CONT);
                // What wakes up must do no harm, and it takes its time to see what has become.
                self.extend(crowd, recovery);
            }
            Fault::Drain { node } => {
                self.drain(node)?;
                self.extend(crowd, recovery);
                self.restart(node)?;
            }
            Fault::Roll => {
                for node in self.fleet.names() {
                    self.drain(node)?;
                    self.restart(node)?;
                    self.extend(crowd, recovery);
                    let now = Instant::now();
                    self.well(crowd, now + recovery).await?;
                }
            }
            Fault::Point { node, point, count } => {
                return self
                    .strike_at(crowd, node, Point(point), count, recovery)
                    .await;
            }
            Fault::Database { down } => {
                let database = self.database.as_mut().ok_or("there is no Postgres")?;
                block_in_place(|| database.kill());
                sleep(down).await;
                block_in_place(|| database.restart());
                self.extend(crowd, recovery);
            }
            Fault::Store(fault) => {
                self.strike_store(fault).await;
                self.extend(crowd, recovery);
            }
            Fault::Cut { gateway, how, time } => {
                let proxy = self.proxies.get(gateway).ok_or("there are no proxies")?;
                proxy.shape(how.conditions());
                if matches!(how, Network::Reset | Network::Refused) {
                    proxy.cut();
                }
                sleep(time).await;
                proxy.shape(Conditions::default());
            }
        }
        self.well(crowd, began + recovery).await
    }

    /// A process that dies by itself where it passes a point.
    async fn strike_at(
        &mut self,
        crowd: &Crowd,
        node: NodeRef,
        point: Point,
        count: u32,
        recovery: Duration,
    ) -> Result<(), String> {
        let armed = block_in_place(|| self.fleet.restart_to_die(node, point, count));
        armed.map_err(|error| error.to_string())?;
        let until = Instant::now() + PASSED;
        while !self.fleet.has_died(node) {
            if Instant::now() >= until {
                return Err(format!("{node} did not pass {} within {PASSED:?}", point.0));
            }
            sleep(LOOK).await;
        }
        self.extend(crowd, recovery);
        self.well(crowd, Instant::now() + recovery).await?;
        self.restart(node)?;
        self.well(crowd, Instant::now()).await
    }

    async fn strike_store(&mut self, fault: StoreFault) {
        match fault {
            StoreFault::Restart { down } => {
                block_in_place(|| self.store.kill_one());
                sleep(down).await;
                block_in_place(|| self.store.bring_back());
            }
            StoreFault::Empty => block_in_place(|| self.store.restart_empty()),
            StoreFault::Stop { time } => {
                block_in_place(|| self.store.pause());
                sleep(time).await;
                block_in_place(|| self.store.resume());
            }
            StoreFault::Slow { time } => {
                let until = Instant::now() + time;
                while Instant::now() < until {
                    block_in_place(|| self.store.pause());
                    sleep(Duration::from_millis(50)).await;
                    block_in_place(|| self.store.resume());
                    sleep(Duration::from_millis(50)).await;
                }
            }
            StoreFault::FailOver => {
                block_in_place(|| self.store.kill_one());
                // Brought back before it is replaced it would be an empty primary.
                block_in_place(|| self.store.wait_until_replaced());
                block_in_place(|| self.store.bring_back());
            }
        }
    }

    /// Waits until `due`, and then until things move for everyone.
    async fn well(&self, crowd: &Crowd, due: Instant) -> Result<(), String> {
        sleep_until(due).await;
        let moving = crowd.until_moving(crowd.now(), MOVING).await;
        moving.map_err(|error| error.to_string())
    }

    fn note(&mut self, crowd: &Crowd, fault: &Fault, recovery: Duration) {
        let at = crowd.now();
        self.strikes.push(Strike {
            fault: fault.to_string(),
            at,
            well_by: at + recovery,
            loses: fault.loses(self.database.is_some()),
        });
    }

    /// The fault has lasted until now: the recovery time begins.
    fn extend(&mut self, crowd: &Crowd, recovery: Duration) {
        if let Some(strike) = self.strikes.last_mut() {
            strike.well_by = crowd.now() + recovery;
        }
    }

    fn drain(&mut self, node: NodeRef) -> Result<(), String> {
        block_in_place(|| self.fleet.drain(node)).map_err(|error| error.to_string())
    }

    fn restart(&mut self, node: NodeRef) -> Result<(), String> {
        block_in_place(|| self.fleet.restart(node)).map_err(|error| error.to_string())
    }
}
