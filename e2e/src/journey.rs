//! One player's way from login to result, and all that it saw on it: the history that the suites
//! check.

use std::collections::BTreeMap;
use std::time::Duration;

use client::address::Address;
use client::login;
use client::{Client, Options};
use protocol::close::CloseCode;
use protocol::control::{ChannelAttached, ClientMessage, QueueJoin};
use protocol::id::{Channel, Epoch, Offset, RoomId};
use protocol::session::{Ended, SessionEvent};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::racer::{Change, GameEvent, INPUT_EVERY, Racer};

/// Who plays, and where.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Public addresses of the gateways.
    pub targets: Vec<Address>,
    /// The mode to play.
    pub mode: String,
    /// Device id of the guest.
    pub device: String,
    /// Makes the racer's ways.
    pub seed: u64,
}

/// What a player saw.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The gateways that welcomed it, in order.
    pub nodes: Vec<String>,
    /// The rooms that it was given.
    pub rooms: Vec<RoomId>,
    /// For each attach of the room channel, whether it continued the one before.
    pub attaches: Vec<(Epoch, bool)>,
    /// Where each history begins that this client knows nothing of from before.
    begins: BTreeMap<(Channel, Epoch), Offset>,
    /// Every event that took effect, by channel and history, in order of arrival.
    pub events: Vec<(Channel, Epoch, Offset, GameEvent)>,
    /// Snapshots that arrived.
    pub snapshots: usize,
    /// Connections that were lost.
    pub losses: usize,
    /// How long the player saw nothing, for each loss that was mended.
    pub freezes: Vec<Duration>,
    /// Whether the cars are under way.
    pub is_racing: bool,
    /// The race's result.
    pub result: Option<serde_json::Value>,
    /// What went wrong, if anything.
    pub failure: Option<String>,
}

/// What happens to a player on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mishap {
    /// The connection is cut, as a network does.
    Cut,
    /// The page is loaded anew: nobody says goodbye, and nothing is kept.
    Refresh,
    /// The same player opens the game elsewhere, while it is still open here.
    OtherDevice,
}

/// A player under way.
#[derive(Debug)]
pub struct Journey {
    seen: watch::Receiver<Seen>,
    mishaps: mpsc::Sender<Mishap>,
    task: JoinHandle<()>,
}

impl Journey {
    /// Sends a player on its way.
    pub fn start(plan: Plan) -> Self {
        let (tell, seen) = watch::channel(Seen::default());
        let (tell_mishap, mishaps) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            let outcome = Traveller {
                plan,
                tell: tell.clone(),
            }
            .travel(mishaps)
            .await;
            if let Err(failure) = outcome {
                tell.send_modify(|seen| seen.failure = Some(failure));
            }
        });
        Self {
            seen,
            mishaps: tell_mishap,
            task,
        }
    }

    /// Waits until what was seen fits `wanted`, or the journey fails.
    ///
    /// # Errors
    /// Why the journey failed.
    pub async fn until(&mut self, wanted: impl Fn(&Seen) -> bool) -> Result<Seen, String> {
        let seen = self
            .seen
            .wait_for(|seen| seen.failure.is_some() || wanted(seen))
            .await
            .map_err(|_| "the journey ended before".to_owned())?
            .clone();
        match seen.failure {
            Some(failure) => Err(failure),
            None => Ok(seen),
        }
    }

    /// Cuts the connection, as a network does.
    pub async fn cut(&self) {
        self.suffer(Mishap::Cut).await;
    }

    /// Starts the client anew without a word to the server. What was seen begins anew, too.
    pub async fn refresh(&self) {
        self.suffer(Mishap::Refresh).await;
    }

    /// Starts another client of the same player, which has to replace this one. What was seen
    /// begins anew, too.
    pub async fn change_device(&self) {
        self.suffer(Mishap::OtherDevice).await;
    }

    async fn suffer(&self, mishap: Mishap) {
        // To a journey that is over nothing happens any more.
        let _ = self.mishaps.send(mishap).await;
    }

    /// Waits for the result.
    ///
    /// # Errors
    /// Why the journey failed.
    pub async fn finish(mut self) -> Result<Seen, String> {
        self.until(|seen| seen.result.is_some()).await
    }
}

impl Drop for Journey {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Traveller {
    plan: Plan,
    tell: watch::Sender<Seen>,
}

impl Traveller {
    async fn travel(self, mut mishaps: mpsc::Receiver<Mishap>) -> Result<(), String> {
        let mut client = self.connect().await?;
        let mut racer = Racer::new(self.plan.seed);
        let mut queued = false;
        let mut beat = tokio::time::interval(INPUT_EVERY);
        while self.tell.borrow().result.is_none() {
            let event = tokio::select! {
                event = client.next() => event.ok_or("the session ended without a word")?,
                _ = beat.tick(), if racer.is_racing() => {
                    client.input(racer.steps()).await;
                    continue;
                }
                Some(mishap) = mishaps.recv() => {
                    match mishap {
                        Mishap::Cut => client.cut().await,
                        Mishap::Refresh => {
                            drop(client);
                            client = self.start_again().await?;
                            racer = Racer::new(self.plan.seed);
                        }
                        Mishap::OtherDevice => {
                            let first = client;
                            client = self.start_again().await?;
                            racer = Racer::new(self.plan.seed);
                            replaced(first).await?;
                        }
                    }
                    continue;
                }
            };
            let change = racer.handle(&event);
            let is_racing = racer.car().is_some_and(|car| car.speed > 0);
            self.note(&event, is_racing)?;
            if is_match_channel(&event) && !queued {
                queued = true;
                let join = QueueJoin {
                    mode: self.plan.mode.clone(),
                    ..QueueJoin::default()
                };
                client.say(ClientMessage::QueueJoin(join)).await;
            }
            if let Change::Found(ticket) = change {
                client.join_room(ticket).await;
            }
        }
        client.leave_room().await;
        client.close().await;
        Ok(())
    }

    async fn connect(&self) -> Result<Client, String> {
        let first = self.plan.targets.first();
        let first = first.ok_or("no address to connect to")?;
        let login = login::guest(first, &self.plan.device, "Racer")
            .await
            .map_err(|error| error.to_string())?;
        let options = Options::new(self.plan.targets.clone(), login.token);
        Ok(Client::connect(options))
    }

    /// A client that knows nothing of the one before.
    async fn start_again(&self) -> Result<Client, String> {
        self.tell.send_modify(|seen| *seen = Seen::default());
        self.connect().await
    }

    fn note(&self, event: &SessionEvent, is_racing: bool) -> Result<(), String> {
        let mut outcome = Ok(());
        self.tell.send_modify(|seen| {
            outcome = seen.note(event);
            seen.is_racing = is_racing;
        });
        outcome
    }
}

impl Seen {
    fn note(&mut self, event: &SessionEvent) -> Result<(), String> {
        match event {
            SessionEvent::Welcome(welcome) => self.nodes.push(welcome.node.clone()),
            SessionEvent::Snapshot(_) => self.snapshots += 1,
            SessionEvent::Lost { .. } => self.losses += 1,
            SessionEvent::Restored { freeze } => self.freezes.push(*freeze),
            SessionEvent::Channel(attached) => {
                let history = (attached.ch, attached.epoch);
                self.begins.entry(history).or_insert(attached.offset);
                if attached.ch == Channel::Room {
                    self.attaches.push((attached.epoch, attached.recovered));
                } else if let Some(room) = room_of(attached) {
                    self.enter(room);
                }
            }
            SessionEvent::Ended(why) => return Err(format!("the session ended: {why:?}")),
            SessionEvent::Malformed(what) => return Err(format!("malformed: {what}")),
            SessionEvent::Refused(error) => return Err(format!("refused: {error}")),
            SessionEvent::Event(event) => {
                let said = GameEvent::of(event).map_err(|error| error.to_string())?;
                match &said {
                    GameEvent::MatchFound { room, .. } => self.enter(*room),
                    GameEvent::RoomEnded { result } => self.result = Some(result.clone()),
                    GameEvent::QueueLeft { reason } => {
                        return Err(format!("left the queue: {reason}"));
                    }
                    _ => {}
                }
                self.events
                    .push((event.channel, event.epoch, event.offset, said));
            }
            _ => {}
        }
        Ok(())
    }

    /// The player is given a room, or told again of the one that it has.
    fn enter(&mut self, room: RoomId) {
        if self.rooms.last() != Some(&room) {
            self.rooms.push(room);
        }
    }

    /// Checks that every event took effect once and in order, with none missing, and that the
    /// room's history was never broken off.
    ///
    /// # Errors
    /// The first thing that is out of place.
    pub fn check_history(&self) -> Result<(), String> {
        let mut last: BTreeMap<(Channel, Epoch), Offset> = BTreeMap::new();
        for (channel, epoch, offset, event) in &self.events {
            let history = (*channel, *epoch);
            let before = last.insert(history, *offset);
            let before = before.or_else(|| self.begins.get(&history).copied());
            if before.is_none_or(|before| offset.0 != before.0 + 1) {
                return Err(format!(
                    "{channel:?} {epoch}/{offset} after {before:?}: {event:?}"
                ));
            }
        }
        match self
            .attaches
            .iter()
            .skip(1)
            .find(|(_, recovered)| !recovered)
        {
            Some((epoch, _)) => Err(format!("the room's history was broken off at {epoch}")),
            None => Ok(()),
        }
    }

    /// What the room told, without what is this player's alone.
    pub fn told_to_all(&self) -> Vec<&GameEvent> {
        let shared = |event: &&GameEvent| {
            matches!(
                event,
                GameEvent::RaceStart { .. }
                    | GameEvent::RaceLap { .. }
                    | GameEvent::RaceFinish { .. }
                    | GameEvent::RoomEnded { .. }
            )
        };
        self.events
            .iter()
            .filter(|(channel, ..)| *channel == Channel::Room)
            .map(|(.., event)| event)
            .filter(shared)
            .collect()
    }
}

/// Waits until a client is told that another one of its player has taken its place.
async fn replaced(mut client: Client) -> Result<(), String> {
    while let Some(event) = client.next().await {
        if let SessionEvent::Ended(why) = event {
            return match why {
                Ended::Closed(Some(code)) if code == CloseCode::Replaced.code() => Ok(()),
                why => Err(format!("the first device's session ended: {why:?}")),
            };
        }
    }
    Err("the first device's session ended without a word".to_owned())
}

/// The room that the state of an attached match channel names.
fn room_of(attached: &ChannelAttached) -> Option<RoomId> {
    let state: serde_json::Value = serde_json::from_str(attached.state.as_ref()?.get()).ok()?;
    state["match"]["room"].as_str()?.parse().ok()
}

fn is_match_channel(event: &SessionEvent) -> bool {
    matches!(event, SessionEvent::Channel(attached) if attached.ch == Channel::Match)
}
