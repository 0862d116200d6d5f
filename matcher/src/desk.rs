//! The desk: one task that owns what the matcher knows of players, parties and matches.
//!
//! It takes, in turn: what gateways say ([`attach`], [`queue`]), the tick on which matches are
//! formed ([`rounds`]), rooms that were found or not, and news of syncd nodes ([`matches`]). After
//! each turn it sends what came of it, one batch a gateway ([`outbox`]).
//!
//! A ticket's way: `queue.join` -> store: waiting -> a round claims it for a match -> a room is
//! found: the ticket is gone, `match.found` goes out, or none is: it waits again, with its age.
//!
//! The desk waits for the ticket store, whose calls have deadlines of their own, and for nothing
//! else.

mod attach;
mod matches;
mod outbox;
mod party;
mod pause;
mod player;
mod queue;
mod roster;
mod rounds;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chassis::drain::Drain;
use engine::EngineError;
use protocol::close::CloseCode;
use protocol::id::PlayerId;
use protocol::time::Timestamp;
use rpc::inbound::Inbound;
use rpc::token::Signer;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{Config, ModeName};
use crate::estimate::Estimator;
use crate::event::MatchEvent;
use crate::grpc::Mail;
use crate::metrics::Metrics;
use crate::nodes::{News, Nodes};
use crate::placing::Outcome;
use crate::store::TicketStore;

use matches::Matches;
use outbox::Outbox;
use party::Parties;
use pause::Pause;
use roster::Roster;

/// Items that one turn takes from the mailbox.
const TURN: usize = 256;

/// A draining matcher waits this long for clients to acknowledge their events.
const SETTLE: Duration = Duration::from_secs(3);

/// What the desk is made of.
pub(crate) struct Parts {
    pub(crate) config: watch::Receiver<Arc<Config>>,
    pub(crate) store: Arc<dyn TicketStore>,
    pub(crate) nodes: Nodes,
    pub(crate) signer: Signer,
    pub(crate) drain: Drain,
}

/// What the desk hears.
pub(crate) struct Inputs {
    pub(crate) mailbox: mpsc::Receiver<Mail>,
    pub(crate) news: mpsc::Receiver<News>,
}

/// See the module.
pub(crate) struct Desk {
    parts: Parts,
    /// What is in force: as of the last tick, and never without modes.
    config: Arc<Config>,
    clock: Clock,
    roster: Roster,
    parties: Parties,
    matches: Matches,
    estimates: BTreeMap<ModeName, Estimator>,
    /// Players in each queue, as of the last round.
    sizes: BTreeMap<ModeName, u32>,
    outbox: Outbox,
    metrics: Metrics,
    /// Where rooms are found: `placing.at_once` of them at most, so sending never blocks long.
    outcomes: mpsc::Sender<Outcome>,
    /// Of modes whose last match found no room.
    pauses: BTreeMap<ModeName, Pause>,
    draining_since: Option<Timestamp>,
}

impl Desk {
    /// A desk with nothing on it, and where it hears of the rooms it looks for.
    pub(crate) fn new(parts: Parts) -> (Self, mpsc::Receiver<Outcome>) {
        let (outcomes, found) = mpsc::channel(64);
        let config = Arc::clone(&parts.config.borrow());
        let desk = Self {
            config,
            parts,
            clock: Clock::start(),
            roster: Roster::default(),
            parties: Parties::default(),
            matches: Matches::default(),
            estimates: BTreeMap::new(),
            sizes: BTreeMap::new(),
            outbox: Outbox::default(),
            metrics: Metrics::new(),
            outcomes,
            pauses: BTreeMap::new(),
            draining_since: None,
        };
        (desk, found)
    }

    /// Works until `stop`. When a drain has nothing left to wait for, the desk cancels it itself.
    pub(crate) async fn run(
        mut self,
        mut inputs: Inputs,
        mut outcomes: mpsc::Receiver<Outcome>,
        stop: CancellationToken,
    ) {
        let mut mail = Vec::with_capacity(TURN);
        let mut next_tick = Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = inputs.mailbox.recv_many(&mut mail, TURN), if !inputs.mailbox.is_closed() => {
                    for item in mail.drain(..) {
                        self.handle(item).await;
                    }
                }
                Some(outcome) = outcomes.recv() => self.placed(outcome).await,
                Some(news) = inputs.news.recv() => self.heard(news),
                () = tokio::time::sleep_until(next_tick) => {
                    next_tick = Instant::now() + self.config().tick;
                    self.tick(&stop).await;
                }
            }
            self.outbox.flush();
        }
    }

    async fn handle(&mut self, mail: Mail) {
        let stream = mail.gateway.id();
        self.outbox.open(mail.gateway, mail.alive);
        match mail.inbound {
            Inbound::Attach(request) => self.attach(stream, request),
            Inbound::Detach {
                session,
                attempt,
                leave,
            } => self.detach(stream, session, attempt, leave).await,
            Inbound::Ack { session, ack } => self.acknowledge(stream, session, ack),
            Inbound::Text { session, text } => self.text(stream, session, &text).await,
            // Inputs are for rooms.
            Inbound::Input { .. } => {}
        }
    }

    async fn tick(&mut self, stop: &CancellationToken) {
        let now = self.clock.now();
        if self.parts.config.has_changed().unwrap_or(false) {
            let new = Arc::clone(&self.parts.config.borrow_and_update());
            self.apply_config(new);
            for player in self.roster.ids() {
                self.touch(player);
            }
        }
        for stream in self.outbox.sweep() {
            self.stream_ended(stream).await;
        }
        for player in self.roster.due(now) {
            self.look_after(player, now).await;
        }
        self.expire_matches(now);
        self.round(now).await;
        self.metrics.players.set(self.roster.len() as f64);
        self.metrics.matches_open.set(self.matches.len() as f64);
        if self.parts.drain.is_draining() && self.is_drained(now) {
            stop.cancel();
        }
    }

    fn apply_config(&mut self, new: Arc<Config>) {
        if !new.modes.is_empty() {
            self.config = new;
            return;
        }
        tracing::error!("the new settings have no modes; those there were stay in force");
        let modes = self.config.modes.clone();
        self.config = Arc::new(Config {
            modes,
            ..Config::clone(&new)
        });
    }

    /// Whether a drain can end: nobody is between queue and match, and what is reliable has
    /// arrived, as far as it can.
    fn is_drained(&mut self, now: Timestamp) -> bool {
        let since = *self.draining_since.get_or_insert(now);
        self.matches.placing() == 0 && (now.since(since) >= SETTLE || !self.roster.any_unsettled())
    }

    /// Brings what was changed about a player under way: events to the client, deadlines to the
    /// table. To be called after every change.
    fn touch(&mut self, id: PlayerId) {
        let now = self.clock.now();
        if let Some(player) = self.roster.player_mut(id)
            && let Some((stream, session)) = player.line()
            && let Some(batch) = self.outbox.to(stream)
        {
            while let Some(event) = player.log.poll_transmit(now) {
                batch.event(session, &event);
            }
        }
        let config = self.config();
        self.roster.reschedule(id, &config);
    }

    /// Appends an event for a player.
    fn notify(&mut self, id: PlayerId, event: &MatchEvent<'_>) {
        self.append(id, event.payload());
    }

    fn append(&mut self, id: PlayerId, payload: Bytes) {
        let Some(player) = self.roster.player_mut(id) else {
            return;
        };
        if player.log.append(payload).is_err() {
            self.metrics.log_overflows.increment(1);
            if let Some((stream, session)) = player.line()
                && let Some(batch) = self.outbox.to(stream)
            {
                // It comes back, and gets whole state.
                let attempt = player.claim().attempt;
                batch.close_connection(session, attempt, CloseCode::SlowConsumer);
            }
        }
        self.touch(id);
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config)
    }

    /// Logs and counts a failure of the store. Players keep what they have; the next tick or the
    /// client tries again.
    fn store_failed(&self, error: &EngineError) {
        self.metrics.store_failures.increment(1);
        tracing::warn!(
            error = %chassis::telemetry::Chain(error),
            "the ticket store failed"
        );
    }
}
