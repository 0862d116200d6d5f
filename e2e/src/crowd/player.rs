//! One player of a crowd: logs in, queues, races, and does it again. It asks again for whatever was
//! not answered, as a good client does.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chassis::backoff::Backoff;
use client::address::Address;
use client::login::{self, Login};
use client::{Client, Options};
use protocol::control::{ChannelAttached, ClientMessage, ErrorMessage, QueueJoin, QueueLeave};
use protocol::id::{Channel, RoomId};
use protocol::session::{Ended, SessionEvent};
use tokio::sync::{mpsc, watch};

use super::{CrowdPlan, Record};
use crate::history::MatchState;
use crate::racer::{GameEvent, INPUT_EVERY, Racer};

/// Without a word from the queue for this long the player asks again.
const ASK_AGAIN: Duration = Duration::from_secs(3);

/// A queue that was left so often without a word is one that the player is not in.
const LEAVES: u32 = 2;

/// What was refused without a time is asked again after this.
const AFTER_REFUSAL: Duration = Duration::from_secs(1);

pub(super) struct Player {
    plan: CrowdPlan,
    number: u64,
    began: Instant,
    record: Record,
    racer: Racer,
    wish: Wish,
    /// Rooms that are over for this player.
    left: BTreeSet<RoomId>,
    races: u32,
    is_stopping: bool,
}

/// What the player is after.
#[derive(Debug, Clone)]
enum Wish {
    /// The first word of the matcher.
    Start,
    /// A match; asked for, or asked for again, at that time.
    Match {
        ask_at: Instant,
        /// How often the player has said that it leaves the queue since it heard of the queue.
        leaves: u32,
    },
    /// The race in this room.
    Race {
        room: RoomId,
        ticket: String,
        /// When to ask for the room again, if it was refused for now.
        ask_at: Option<Instant>,
    },
    /// Nothing.
    Rest,
}

impl Player {
    pub(super) fn new(plan: CrowdPlan, number: u64, began: Instant, record: Record) -> Self {
        Self {
            racer: Racer::new(plan.seed ^ number.wrapping_mul(0x9e37_79b9)),
            plan,
            number,
            began,
            record,
            wish: Wish::Start,
            left: BTreeSet::new(),
            races: 0,
            is_stopping: false,
        }
    }

    pub(super) async fn play(mut self, stop: watch::Receiver<bool>, mut cuts: mpsc::Receiver<()>) {
        let login = self.log_in().await;
        let mut client = Client::connect(Options::new(self.plan.targets.clone(), login.token));
        let mut beat = tokio::time::interval(INPUT_EVERY);
        while !matches!(self.wish, Wish::Rest) {
            tokio::select! {
                event = client.next() => match event {
                    Some(event) => self.handle(&client, event).await,
                    None => return,
                },
                _ = beat.tick() => {
                    let is_stopping = *stop.borrow();
                    self.beat(&client, is_stopping).await;
                }
                Some(()) = cuts.recv() => client.cut().await,
            }
        }
        self.record.lock().done(self.began.elapsed());
        client.close().await;
    }

    /// Logs in at any gateway that answers.
    async fn log_in(&self) -> Login {
        let device = format!("crowd-{}-{}", self.plan.seed, self.number);
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        let targets = &self.plan.targets;
        let mut next = self.number as usize;
        loop {
            let target: &Address = &targets[next % targets.len()];
            match login::guest(target, &device, "Racer").await {
                Ok(login) => return login,
                Err(_) => tokio::time::sleep(backoff.next()).await,
            }
            next += 1;
        }
    }

    async fn beat(&mut self, client: &Client, is_stopping: bool) {
        if self.racer.is_racing() {
            client.input(self.racer.steps()).await;
        }
        let now = Instant::now();
        let just_stopped = is_stopping && !self.is_stopping;
        self.is_stopping = is_stopping;
        match &mut self.wish {
            // Nobody has asked for anything yet.
            Wish::Start if is_stopping => self.wish = Wish::Rest,
            Wish::Match { ask_at, leaves } if *leaves >= LEAVES && *ask_at <= now => {
                self.wish = Wish::Rest;
            }
            Wish::Match { ask_at, leaves } if *ask_at <= now || just_stopped => {
                *ask_at = now + ASK_AGAIN;
                if is_stopping {
                    *leaves += 1;
                    client.say(ClientMessage::QueueLeave(QueueLeave {})).await;
                } else {
                    self.queue(client).await;
                }
            }
            Wish::Race { ticket, ask_at, .. } if ask_at.is_some_and(|at| at <= now) => {
                *ask_at = None;
                client.join_room(ticket.clone()).await;
            }
            _ => {}
        }
    }

    async fn queue(&mut self, client: &Client) {
        self.record.lock().queued(self.began.elapsed());
        let join = QueueJoin {
            mode: self.plan.mode.clone(),
            ..QueueJoin::default()
        };
        client.say(ClientMessage::QueueJoin(join)).await;
    }

    async fn handle(&mut self, client: &Client, event: SessionEvent) {
        self.racer.handle(&event);
        {
            let mut record = self.record.lock();
            record.note(self.began.elapsed(), &event);
            record.set_racing(self.racer.car().is_some_and(|car| car.speed > 0));
        }
        match event {
            SessionEvent::Channel(attached) if attached.ch == Channel::Match => {
                self.matched(client, &attached).await;
            }
            SessionEvent::Event(event) => match GameEvent::of(&event) {
                Ok(GameEvent::MatchFound { room, ticket }) => {
                    self.enter(client, room, ticket).await
                }
                Ok(GameEvent::RoomEnded { .. }) => self.leave(client).await,
                Ok(GameEvent::MatchEnded { room, reason }) if reason != "finished" => {
                    self.give_up(client, room).await;
                }
                Ok(GameEvent::QueueLeft { .. }) => self.out_of_queue(),
                _ => {}
            },
            SessionEvent::QueueState(_) => self.heard_of_queue(),
            SessionEvent::ChannelClosed(closed)
                if closed.ch == Channel::Room && closed.reason != "left" =>
            {
                self.leave(client).await;
            }
            SessionEvent::Refused(error) => self.refused(client, &error).await,
            SessionEvent::Ended(Ended::LoginNeeded(_)) => {
                let login = self.log_in().await;
                client.log_in(login.token).await;
            }
            _ => {}
        }
    }

    /// The match channel stands.
    async fn matched(&mut self, client: &Client, attached: &ChannelAttached) {
        let Some(state) = MatchState::of(attached) else {
            // What was asked just before the loss may not have arrived.
            if let Wish::Match { ask_at, .. } = &mut self.wish {
                *ask_at = Instant::now();
            }
            return;
        };
        let is_queued = state.queue.is_some();
        match state.current {
            Some(current) => self.enter(client, current.room, current.ticket).await,
            None if is_queued => self.heard_of_queue(),
            None => self.out_of_queue(),
        }
    }

    fn heard_of_queue(&mut self) {
        if let Wish::Match { ask_at, leaves } = &mut self.wish {
            *ask_at = Instant::now() + ASK_AGAIN;
            *leaves = 0;
        }
    }

    fn out_of_queue(&mut self) {
        if matches!(self.wish, Wish::Start | Wish::Match { .. }) {
            self.wish = self.next_wish();
        }
    }

    async fn enter(&mut self, client: &Client, room: RoomId, ticket: String) {
        let is_there = matches!(&self.wish, Wish::Race { room: current, .. } if *current == room);
        // The session itself says again that it has left a room.
        if is_there || self.left.contains(&room) {
            return;
        }
        self.record.lock().entering();
        client.join_room(ticket.clone()).await;
        let ask_at = None;
        self.wish = Wish::Race {
            room,
            ticket,
            ask_at,
        };
    }

    /// The room is over.
    async fn leave(&mut self, client: &Client) {
        let Wish::Race { room, .. } = self.wish else {
            return;
        };
        self.record.lock().left(self.began.elapsed(), room);
        self.left.insert(room);
        self.races += 1;
        client.leave_room().await;
        self.wish = self.next_wish();
    }

    /// The matcher gives a match up; with the race that this player still sees, if it does.
    async fn give_up(&mut self, client: &Client, ended: RoomId) {
        if matches!(self.wish, Wish::Race { room, .. } if room == ended) {
            self.leave(client).await;
        }
    }

    async fn refused(&mut self, client: &Client, error: &ErrorMessage) {
        let pause = error.retry_after_ms.map(Duration::from_millis);
        let again = Instant::now() + pause.unwrap_or(AFTER_REFUSAL);
        match (error.re.as_deref(), &mut self.wish) {
            (Some("queue.join"), Wish::Match { ask_at, .. }) => *ask_at = again,
            (Some("room.join"), Wish::Race { ask_at, .. }) if pause.is_some() => {
                *ask_at = Some(again);
            }
            (Some("room.join"), Wish::Race { .. }) => self.leave(client).await,
            _ => {}
        }
    }

    /// The next match, at the next beat, or rest.
    fn next_wish(&self) -> Wish {
        let has_enough = self.plan.races.is_some_and(|races| self.races >= races);
        if self.is_stopping || has_enough {
            return Wish::Rest;
        }
        Wish::Match {
            ask_at: Instant::now(),
            leaves: 0,
        }
    }
}
