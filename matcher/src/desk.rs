//! The desk: one task that owns what the matcher knows of players, parties and matches.
//!
//! It takes, in turn: what gateways say ([`attach`], [`hall`], [`queue`], [`joins`]), the rounds in which
//! matches are formed ([`rounds`]) out of what waits ([`queues`]), rooms that were found or not
//! ([`settling`]), news of syncd nodes ([`lost`]), wishes for seats of events ([`seating`]), and how
//! good players are ([`rating`]).
//! After each turn it sends what came of it, one batch a gateway ([`outbox`]).
//!
//! A ticket's way: `queue.join` -> store: waiting -> a round claims it for a match -> a room is
//! found: the store settles the match, the ticket is gone, `match.found` goes out, or none is: it
//! waits again, with its age. At every step it may be another matcher that does the next one; what
//! others did is learnt on each tick ([`standing`]).
//!
//! The desk waits for the ticket store where that is simple, with bounded patience ([`ask`]), not
//! where players come in crowds ([`calls`]), and for nothing else.

mod accepting;
mod ask;
mod attach;
mod calls;
mod hall;
mod joins;
mod leaving;
mod lobby;
mod lost;
mod matches;
mod outbox;
mod party;
mod pause;
mod player;
mod private;
mod private_talk;
mod queue;
mod queues;
mod rating;
mod receipts;
mod roster;
mod rounds;
mod seating;
mod settling;
mod standing;
mod wish;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chassis::drain::Drain;
use engine::Placements;
use protocol::close::CloseCode;
use protocol::id::{Generation, PlayerId};
use protocol::time::Timestamp;
use rpc::inbound::Inbound;
use rpc::origin::GATEWAY_SILENCE;
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
use crate::ratings::{Asking, Rated};
use crate::seats::board::Board;
use crate::seats::office::{Answered, Window};
use crate::store::{Standing, TicketStore};

use ask::Patience;
use calls::Reply;
use hall::Hall;
use joins::Joins;
use lobby::Lobby;
use lost::Looked;
use matches::Matches;
use outbox::Outbox;
use pause::Pause;
use queues::Queues;
use roster::Roster;
use rounds::{Claiming, Over};
use seating::{Caller, Seating};
use settling::Settled;

/// Items that one turn takes from the mailbox.
const TURN: usize = 256;

/// A draining matcher waits this long for clients to acknowledge their events.
const SETTLE: Duration = Duration::from_secs(3);

/// Every matcher looks for what others left behind this often.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// After a tick that came later than this after the one before, the process was frozen.
const FROZEN: Duration = Duration::from_secs(3);

/// What the desk is made of.
pub(crate) struct Parts {
    pub(crate) config: watch::Receiver<Arc<Config>>,
    pub(crate) store: Arc<dyn TicketStore>,
    /// Where rooms are, if they may move.
    pub(crate) placements: Option<Arc<dyn Placements>>,
    pub(crate) nodes: Nodes,
    /// This process among those of the matcher's name.
    pub(crate) generation: Generation,
    pub(crate) signer: Signer,
    pub(crate) drain: Drain,
    /// The box office; none without a ledger.
    pub(crate) seats: Option<(Window<Caller>, Arc<Board>)>,
    /// Where ratings are asked for; none where none are kept.
    pub(crate) ratings: Option<Asking>,
}

/// What the desk hears.
pub(crate) struct Inputs {
    pub(crate) mailbox: mpsc::Receiver<Mail>,
    pub(crate) news: mpsc::Receiver<News>,
    /// What came of wishes for seats.
    pub(crate) seats: mpsc::Receiver<Answered<Caller>>,
    /// What came of questions for ratings; closed where none are kept.
    pub(crate) ratings: mpsc::Receiver<Rated>,
    /// Players who were forgotten, and are to go.
    pub(crate) forgotten: mpsc::Receiver<PlayerId>,
}

/// What the desk hears of what it began itself.
pub(crate) struct Returns {
    outcomes: mpsc::Receiver<Outcome>,
    settled: mpsc::Receiver<Settled>,
    looked: mpsc::Receiver<Looked>,
    replies: mpsc::Receiver<Reply>,
}

/// See the module.
pub(crate) struct Desk {
    parts: Parts,
    /// What is in force: as of the last tick, and never without modes.
    config: Arc<Config>,
    clock: Clock,
    roster: Roster,
    /// Who is not known here, and cannot be answered while the store is away.
    lobby: Lobby,
    patience: Patience,
    /// Mail that waits for the store.
    hall: Hall,
    matches: Matches,
    /// Who joins.
    joins: Joins,
    /// Matches whose tickets are being claimed.
    claiming: Option<Claiming>,
    /// What waits, to form matches out of.
    queues: Queues,
    /// When the next round is to be, if one is wanted before the tick.
    next_round: Option<Instant>,
    last_round: Instant,
    estimates: BTreeMap<ModeName, Estimator>,
    /// Players in each queue, as of the last round.
    sizes: BTreeMap<ModeName, u32>,
    outbox: Outbox,
    /// Who is told how events stand.
    seating: Seating,
    metrics: Metrics,
    /// Where rooms are found: `placing.at_once` of them at most, so sending never blocks long.
    outcomes: mpsc::Sender<Outcome>,
    /// Where the store says which of them stand.
    settled: mpsc::Sender<Settled>,
    /// Where the store replies, to one call of a kind at a time.
    replies: mpsc::Sender<Reply>,
    /// Where rooms in doubt are found, one look-up at a time.
    looked: mpsc::Sender<Looked>,
    looking: bool,
    /// Of modes whose last match found no room.
    pauses: BTreeMap<ModeName, Pause>,
    draining_since: Option<Timestamp>,
    last_tick: Timestamp,
    last_sweep: Timestamp,
    /// Until then this process does not know what it missed while it was frozen.
    behind_until: Timestamp,
}

impl Desk {
    /// A desk with nothing on it, and where it hears of the rooms it looks for.
    pub(crate) fn new(parts: Parts) -> (Self, Returns) {
        let (outcomes, found) = mpsc::channel(64);
        let (settled, answers) = mpsc::channel(64);
        let (looked, looked_up) = mpsc::channel(1);
        let (replies, replied) = mpsc::channel(8);
        let clock = Clock::start();
        let now = clock.now();
        let config = Arc::clone(&parts.config.borrow());
        let desk = Self {
            config,
            parts,
            clock,
            roster: Roster::default(),
            lobby: Lobby::default(),
            patience: Patience::default(),
            matches: Matches::default(),
            hall: Hall::default(),
            joins: Joins::default(),
            claiming: None,
            queues: Queues::default(),
            next_round: None,
            last_round: Instant::now(),
            estimates: BTreeMap::new(),
            sizes: BTreeMap::new(),
            outbox: Outbox::default(),
            seating: Seating::default(),
            metrics: Metrics::new(),
            outcomes,
            settled,
            replies,
            looked,
            looking: false,
            pauses: BTreeMap::new(),
            draining_since: None,
            last_tick: now,
            last_sweep: now,
            behind_until: now,
        };
        let returns = Returns {
            outcomes: found,
            settled: answers,
            looked: looked_up,
            replies: replied,
        };
        (desk, returns)
    }

    /// Works until `stop`. When a drain has nothing left to wait for, the desk cancels it itself.
    pub(crate) async fn run(
        mut self,
        mut inputs: Inputs,
        mut returns: Returns,
        stop: CancellationToken,
    ) {
        let mut mail = Vec::with_capacity(TURN);
        let mut outcomes = Vec::with_capacity(TURN);
        let mut seats = Vec::with_capacity(TURN);
        let mut next_tick = Instant::now();
        loop {
            let next_round = self.next_round.unwrap_or(next_tick).min(next_tick);
            tokio::select! {
                () = stop.cancelled() => break,
                _ = inputs.mailbox.recv_many(&mut mail, TURN),
                    if self.hall.has_room() && !inputs.mailbox.is_closed() =>
                {
                    self.turn(&mut mail).await;
                }
                _ = returns.outcomes.recv_many(&mut outcomes, TURN) => {
                    self.placed(&mut outcomes).await;
                }
                Some(reply) = returns.replies.recv() => self.replied(reply).await,
                Some(settled) = returns.settled.recv() => self.settled(settled).await,
                Some(looked) = returns.looked.recv() => self.looked_up(looked).await,
                Some(rated) = inputs.ratings.recv() => self.rated(rated).await,
                Some(player) = inputs.forgotten.recv() => self.dismiss(player).await,
                Some(news) = inputs.news.recv() => self.heard(news).await,
                _ = inputs.seats.recv_many(&mut seats, TURN), if !inputs.seats.is_closed() => {
                    self.seat_answers(&mut seats);
                }
                () = tokio::time::sleep_until(next_tick) => {
                    next_tick = Instant::now() + self.config().tick;
                    self.tick(&stop).await;
                }
                () = tokio::time::sleep_until(next_round) => {
                    self.round(self.clock.now(), Over::Due).await;
                }
            }
            self.outbox.flush();
        }
    }

    async fn turn(&mut self, mail: &mut Vec<Mail>) {
        for item in mail.drain(..) {
            self.receive(item).await;
        }
        self.go_on().await;
    }

    /// `standing`: where the store says that a newcomer stands, if it was asked and has answered.
    async fn handle(&mut self, mail: Mail, standing: Option<Standing>) {
        let stream = mail.gateway.id();
        self.outbox.open(mail.gateway, mail.alive);
        match mail.inbound {
            Inbound::Attach(request) => {
                self.attach(stream, request, standing).await;
            }
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
        self.patience.renew();
        if now.since(self.last_tick) >= FROZEN {
            tracing::warn!("this process was frozen; others may have acted in its place");
            self.behind_until = now + GATEWAY_SILENCE;
        }
        self.last_tick = now;
        for stream in self.outbox.sweep() {
            self.stream_ended(stream).await;
        }
        self.open_lobby().await;
        self.carry_on_placing(now).await;
        self.flush_ends().await;
        self.go_on().await;
        self.look_around(now).await;
        for player in self.roster.due(now) {
            self.look_after(player, now).await;
        }
        self.push_counts(now);
        self.expire_matches(now).await;
        self.look_for_lost(now).await;
        self.sweep(now).await;
        self.round(now, Over::All).await;
        self.metrics.players.set(self.roster.len() as f64);
        self.metrics.matches_open.set(self.matches.len() as f64);
        if self.parts.drain.is_draining() && self.is_drained(now) {
            stop.cancel();
        }
    }

    fn apply_config(&mut self, new: Arc<Config>) {
        if !new.modes.is_empty() {
            self.queues.apply(&new, self.clock.now());
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

    /// Takes back what matchers that died had claimed, and the places of players whom nobody sees.
    async fn sweep(&mut self, now: Timestamp) {
        if now.since(self.last_sweep) < SWEEP_EVERY {
            return;
        }
        self.last_sweep = now;
        let store = Arc::clone(&self.parts.store);
        if let Ok(swept) = self.ask("sweep", store.sweep()).await {
            self.metrics.claims_swept.increment(swept.claims as u64);
            self.metrics.players_swept.increment(swept.players as u64);
            if swept.claims > 0 {
                tracing::warn!(claims = swept.claims, "claims ran out: a matcher has died");
            }
        }
    }

    /// Whether what happened while this process was frozen may not have arrived yet.
    fn is_behind(&self, now: Timestamp) -> bool {
        now < self.behind_until
    }

    /// Whether a drain can end: nobody is between queue and match, and what is reliable has
    /// arrived, as far as it can. What waits for a store that is away, another matcher finds in it.
    fn is_drained(&mut self, now: Timestamp) -> bool {
        let since = *self.draining_since.get_or_insert(now);
        let is_late = now.since(since) >= SETTLE;
        match self.matches.placing() {
            0 if self.claiming.is_some() => is_late,
            0 => is_late || !self.roster.any_unsettled(),
            _ => is_late && !self.matches.any_looking(),
        }
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
}
