//! The task that plays all shows of a node, and speaks for them to the gateways: one batch for
//! each of their streams and moment, as workers do.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use engine::Engine;
use protocol::close::CloseCode;
use protocol::frame::Ack;
use protocol::id::{RoomId, SessionId};
use protocol::time::Timestamp;
use rpc::batch::Batch;
use rpc::inbound::AttachRequest;
use rpc::origin::StreamId;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::reel::{News, Reel};
use super::show::{Going, Show};
use super::{Refusal, ShowId};
use crate::host::Host;
use crate::meters::StageMeters;
use crate::room::TICK_HZ;
use crate::worker::{Lines, Link};

/// Ticks that all shows together are brought on in one go, before others get the core again: some
/// milliseconds.
const BUDGET: u32 = 600;

/// What comes to the stage.
#[derive(Debug)]
pub(crate) enum Mail {
    /// Somebody wants to watch.
    Watch {
        /// Comes by this stream.
        link: Link,
        /// Whose `watch` says with which delay.
        request: Box<AttachRequest>,
    },
    /// Somebody watches no more.
    Leave {
        stream: StreamId,
        session: SessionId,
        attempt: u32,
    },
    /// Somebody has events up to here.
    Ack {
        stream: StreamId,
        session: SessionId,
        ack: Ack,
    },
    /// A reader found this.
    Tape { show: ShowId, news: News },
}

/// What a stage is made from.
pub(crate) struct StageParts {
    pub(crate) host: Arc<Host>,
    pub(crate) engine: Engine,
    pub(crate) mailbox: mpsc::Receiver<Mail>,
    pub(crate) limits: Limits,
}

/// How much is played at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) watchers: usize,
    pub(crate) shows: usize,
}

/// See the module.
pub(crate) struct Stage {
    parts: StageParts,
    began: Instant,
    last: u64,
    shows: BTreeMap<ShowId, Staged>,
    /// Where a session watches, and by which stream. An entry may outlast its watcher, up to the
    /// end of the show. Never iterated in an order that matters.
    sessions: HashMap<SessionId, (ShowId, StreamId)>,
    lines: Lines,
    meters: StageMeters,
}

struct Staged {
    show: Show,
    /// Ends with the show.
    reel: Option<AbortOnDropHandle<()>>,
}

impl Stage {
    pub(crate) fn new(parts: StageParts) -> Self {
        Self {
            parts,
            began: Instant::now(),
            last: 0,
            shows: BTreeMap::new(),
            sessions: HashMap::new(),
            lines: Lines::new(false),
            meters: StageMeters::new(),
        }
    }

    /// Plays until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let every = self.parts.host.rules().snapshot_every;
        let mut beat = tokio::time::interval(Duration::from_secs(1) * every / TICK_HZ);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let drain = self.parts.host.drain.clone();
        let mut is_closed = false;
        loop {
            let is_idle = self.shows.is_empty();
            let mail = tokio::select! {
                () = stop.cancelled() => return,
                () = drain.started(), if !is_closed => {
                    is_closed = true;
                    self.close();
                    None
                }
                mail = self.parts.mailbox.recv() => match mail {
                    Some(mail) => Some(mail),
                    None => return,
                },
                _ = beat.tick(), if !is_idle => None,
            };
            match mail {
                Some(mail) => self.take(mail),
                None => {
                    self.drop_ended_links();
                    while self.play() {
                        self.lines.send();
                        // Whoever else has something to do on this core does it first.
                        tokio::task::yield_now().await;
                    }
                }
            }
            self.lines.send();
        }
    }

    fn take(&mut self, mail: Mail) {
        match mail {
            Mail::Watch { link, request } => self.watch(&link, &request),
            Mail::Leave {
                stream,
                session,
                attempt,
            } => self.leave(stream, session, attempt),
            Mail::Ack {
                stream,
                session,
                ack,
            } => {
                let clock = self.clock();
                if let Some(staged) = self.watched(stream, session) {
                    staged.show.acknowledge(clock, (stream, session), ack);
                }
            }
            Mail::Tape { show, news } => self.take_news(show, news),
        }
    }

    fn watch(&mut self, link: &Link, request: &AttachRequest) {
        let (session, attempt) = (request.claim.session, request.claim.attempt);
        let (Some(room), Some(wished)) = (request.room, request.watch) else {
            return;
        };
        if link.is_ended() {
            return;
        }
        if let Some((before, by)) = self.sessions.get(&session).copied()
            && let Some(staged) = self.shows.get_mut(&before)
            && let Some(known) = staged.show.attempt_of((by, session))
        {
            let batch = self.lines.batch(link, Some(room));
            if known > attempt {
                return batch.close_connection(session, attempt, CloseCode::Superseded);
            }
            staged.show.leave((by, session));
        }
        match self.show_for(room, wished) {
            Ok(id) => {
                let watched = self.shows.get_mut(&id).expect("it is there");
                watched.show.enter((link.id(), session), attempt);
                self.sessions.insert(session, (id, link.id()));
                self.lines.batch(link, None);
            }
            Err(refusal) => {
                self.meters.refused.increment(1);
                let batch = self.lines.batch(link, Some(room));
                batch.refused(session, attempt, &refusal.error());
            }
        }
    }

    /// The show that somebody with that wish is to watch.
    fn show_for(&mut self, room: RoomId, wished: Duration) -> Result<ShowId, Refusal> {
        let parts = &self.parts;
        if parts.host.drain.is_draining() {
            // Others may have it.
            return Err(Refusal::Unknown);
        }
        // Finer wishes would make more shows for nothing.
        let wished = Duration::from_secs(wished.as_millis().div_ceil(1_000) as u64);
        let watchers: usize = self
            .shows
            .values()
            .map(|staged| staged.show.audience())
            .sum();
        if watchers >= parts.limits.watchers {
            return Err(Refusal::Full);
        }
        let mut shows = self.shows.iter();
        if let Some((id, _)) = shows.find(|(_, staged)| staged.show.suits(room, wished)) {
            return Ok(*id);
        }
        if self.shows.len() >= parts.limits.shows {
            return Err(Refusal::Full);
        }
        self.last += 1;
        let id = ShowId(self.last);
        let reel = Reel {
            engine: parts.engine.clone(),
            host: parts.host.clone(),
            show: id,
            room,
            stage: parts.host.stage.clone(),
        };
        let every = parts.host.rules().snapshot_every;
        let staged = Staged {
            show: Show::new(room, wished, every, Instant::now()),
            reel: Some(AbortOnDropHandle::new(tokio::spawn(reel.run()))),
        };
        self.shows.insert(id, staged);
        Ok(id)
    }

    fn leave(&mut self, stream: StreamId, session: SessionId, attempt: u32) {
        if let Some(staged) = self.watched(stream, session)
            && staged.show.attempt_of((stream, session)) == Some(attempt)
        {
            staged.show.leave((stream, session));
            self.sessions.remove(&session);
        }
    }

    fn take_news(&mut self, id: ShowId, news: News) {
        // One that has ended meanwhile.
        let Some(staged) = self.shows.get_mut(&id) else {
            return;
        };
        let games = self.parts.host.games();
        if let Err(refusal) = staged.show.take(games, Instant::now(), news) {
            self.meters.refused.increment(staged.show.audience() as u64);
            staged.show.turn_away(refusal, &mut self.lines);
            self.end(id);
        } else if !staged.show.wants_tape() {
            staged.reel = None;
        }
    }

    /// Brings every show on. Gives whether one has to be brought on further.
    fn play(&mut self) -> bool {
        let (now, clock, mut budget) = (Instant::now(), self.clock(), BUDGET);
        let (mut done, mut is_behind) = (Vec::new(), false);
        for (id, staged) in &mut self.shows {
            match staged.show.go_on(now, clock, &mut budget, &mut self.lines) {
                Going::On => {}
                Going::Behind => is_behind = true,
                Going::Done => done.push(*id),
            }
        }
        done.into_iter().for_each(|id| self.end(id));
        let watchers: usize = self
            .shows
            .values()
            .map(|staged| staged.show.audience())
            .sum();
        self.meters.watchers.set(watchers as f64);
        self.meters.shows.set(self.shows.len() as f64);
        is_behind
    }

    fn end(&mut self, id: ShowId) {
        self.shows.remove(&id);
        self.sessions.retain(|_, (show, _)| *show != id);
    }

    /// The node is going away. Where rooms outlive it, so does who watches: others have the tapes.
    fn close(&mut self) {
        if self.parts.host.tenure().is_none() {
            return;
        }
        for staged in self.shows.values_mut() {
            let room = staged.show.room();
            for ((stream, session), attempt) in staged.show.clear() {
                if let Some(batch) = self.lines.batch_of(stream, room) {
                    batch.moved(session, attempt, room, None);
                }
            }
        }
        self.shows.clear();
        self.sessions.clear();
    }

    fn drop_ended_links(&mut self) {
        for stream in self.lines.take_ended() {
            for staged in self.shows.values_mut() {
                for session in staged.show.leave_by(stream) {
                    self.sessions.remove(&session);
                }
            }
        }
    }

    fn watched(&mut self, stream: StreamId, session: SessionId) -> Option<&mut Staged> {
        let (show, by) = self.sessions.get(&session)?;
        self.shows.get_mut(show).filter(|_| *by == stream)
    }

    /// For event logs.
    fn clock(&self) -> Timestamp {
        Timestamp(self.began.elapsed().as_micros() as u64)
    }
}

/// Answers for a stage that takes nothing: a flood of those who want to watch must not hold up
/// what players send by the same stream.
pub(crate) fn turn_away(link: &Link, request: &AttachRequest) {
    let mut batch = Batch::new();
    batch.speak_of(request.room.unwrap_or(RoomId(0)));
    let (session, attempt) = (request.claim.session, request.claim.attempt);
    batch.refused(session, attempt, &Refusal::Unavailable.error());
    link.send(batch);
}
