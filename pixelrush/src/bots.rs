//! Bots: clients like any other, over the real WebSocket, by the Rust client. They wait in the
//! queue as fillers, so that nobody races alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use client::address::Address;
use client::{Client, Options};
use e2e::racer::{Change, INPUT_EVERY, Racer};
use protocol::control::{ClientMessage, QueueJoin};
use protocol::id::{Channel, PlayerId};
use protocol::session::{Ended, SessionEvent};
use rpc::token::{Access, Identity, Signer};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

/// How often the pool looks whether enough bots wait.
const LOOK: Duration = Duration::from_millis(250);

/// A bot's token is good for this long; a bot that lives longer signs another.
const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// A bot that may not queue leaves its place after at least this long.
const REFUSED: Duration = Duration::from_secs(2);

/// What bots are called.
const NAMES: [&str; 16] = [
    "Rusty", "Pixel", "Turbo", "Gizmo", "Comet", "Mango", "Pepper", "Bolt", "Ziggy", "Waffle",
    "Sprocket", "Dash", "Nimbus", "Clutch", "Biscuit", "Echo",
];

/// Bots of the one-process mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct BotsConfig {
    /// Bots that wait in the queue at any time. 0 switches bots off.
    pub(crate) spare: usize,
    /// Most bots there are, waiting and racing. More races than that go without.
    pub(crate) most: usize,
    /// The mode that they queue for.
    pub(crate) mode: String,
}

impl Default for BotsConfig {
    fn default() -> Self {
        Self {
            spare: 8,
            most: 64,
            mode: "race".to_owned(),
        }
    }
}

/// Keeps enough bots waiting.
#[derive(Debug)]
pub(crate) struct Pool {
    config: BotsConfig,
    address: Address,
    signer: Signer,
    waiting: Arc<AtomicUsize>,
    alive: Arc<AtomicUsize>,
}

/// Counts one for as long as it lives.
struct Count(Arc<AtomicUsize>);

impl Count {
    fn new(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter.clone())
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    /// A pool whose bots play at `address`.
    pub(crate) fn new(config: BotsConfig, address: Address, signer: Signer) -> Self {
        Self {
            config,
            address,
            signer,
            waiting: Arc::default(),
            alive: Arc::default(),
        }
    }

    /// Runs until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut look = tokio::time::interval(LOOK);
        let mut number = 0;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = look.tick() => {}
            }
            let waiting = self.waiting.load(Ordering::Relaxed);
            let alive = self.alive.load(Ordering::Relaxed);
            let missing = self.config.spare.saturating_sub(waiting);
            let room = self.config.most.saturating_sub(alive);
            for _ in 0..missing.min(room) {
                self.spawn(number, stop.clone());
                number += 1;
            }
        }
    }

    fn spawn(&self, number: usize, stop: CancellationToken) {
        let identity = Identity {
            player: PlayerId(rand::random()),
            name: NAMES[number % NAMES.len()].to_owned(),
            bot: true,
            rating: 1500,
        };
        let bot = Bot {
            token: self.signer.sign(Access { identity }, TOKEN_LIFETIME),
            address: self.address.clone(),
            mode: self.config.mode.clone(),
            waiting: self.waiting.clone(),
            skill: rand::random(),
        };
        // Counted at once, so that the next look does not start it again.
        let (alive, waiting) = (Count::new(&self.alive), Count::new(&self.waiting));
        let spare = self.config.spare;
        tokio::spawn(async move {
            let _alive = alive;
            tokio::select! {
                () = stop.cancelled() => {}
                () = bot.live(waiting, spare) => {}
            }
        });
    }
}

struct Bot {
    token: String,
    address: Address,
    mode: String,
    waiting: Arc<AtomicUsize>,
    skill: u64,
}

impl Bot {
    /// Waits, races, and waits again, until more bots wait than are wanted or the session ends.
    async fn live(self, waiting: Count, spare: usize) {
        let mut client =
            Client::connect(Options::new(vec![self.address.clone()], self.token.clone()));
        let mut waiting = Some(waiting);
        let mut racer = Racer::new(self.skill);
        let mut step = tokio::time::interval(INPUT_EVERY);
        step.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let event = tokio::select! {
                event = client.next() => event,
                _ = step.tick(), if racer.is_racing() => {
                    client.input(racer.steps()).await;
                    continue;
                }
            };
            match event {
                None
                | Some(SessionEvent::Ended(
                    Ended::ByUs | Ended::Closed(_) | Ended::LoginNeeded(_),
                )) => return,
                // Whatever the reason, the pool makes another one; the pause keeps a lasting
                // refusal from becoming a storm.
                Some(SessionEvent::Refused(error)) if error.re.as_deref() == Some("queue.join") => {
                    let pause =
                        Duration::from_millis(error.retry_after_ms.unwrap_or(0)).max(REFUSED);
                    tokio::time::sleep(pause).await;
                    return;
                }
                Some(SessionEvent::Channel(attached)) if attached.ch == Channel::Match => {
                    if waiting.is_some() {
                        self.queue(&client).await;
                    }
                }
                Some(event) => match racer.handle(&event) {
                    Change::None => {}
                    Change::Found(ticket) => {
                        waiting = None;
                        client.join_room(ticket).await;
                    }
                    Change::Over => {
                        client.leave_room().await;
                        if self.waiting.load(Ordering::Relaxed) >= spare {
                            client.close().await;
                        } else {
                            waiting = Some(Count::new(&self.waiting));
                            self.queue(&client).await;
                        }
                    }
                },
            }
        }
    }

    async fn queue(&self, client: &Client) {
        let join = QueueJoin {
            mode: self.mode.clone(),
            ..QueueJoin::default()
        };
        client.say(ClientMessage::QueueJoin(join)).await;
    }
}
