//! A replay, and who watches it. No I/O, no clock: what leaves goes into the batches of the
//! gateways' streams.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;
use chassis::telemetry::Chain;
use engine::Segment;
use protocol::close::CloseCode;
use protocol::frame::{Ack, SnapshotHead};
use protocol::id::{Channel, Epoch, InputSeq, RoomId, SessionId, Tick};
use protocol::log::{Attach, EventLog, LOG_LIMITS};
use protocol::snapshot;
use protocol::time::Timestamp;
use rpc::origin::StreamId;
use tokio::time::Instant;

use super::Refusal;
use super::pace::Pace;
use super::reel::News;
use crate::game::{Audience, GameEvent};
use crate::games::Games;
use crate::replay::{Replay, ReplayError};
use crate::room::{EndReason, TICK_HZ, tell};
use crate::worker::Lines;

/// Longest that the first piece of a tape is waited for.
const OPEN_WITHIN: Duration = Duration::from_secs(10);

/// A show that is this far behind is brought to its place without being shown.
const BEHIND: u32 = TICK_HZ;

/// Longest that who watched to the end may take to have all of it.
const CURTAIN: Duration = Duration::from_secs(10);

/// Longest that anybody can wish to be behind.
const LONGEST_DELAY: Duration = Duration::from_secs(600);

/// Who watches, by stream, so that one batch after the other is filled.
type Audiences = BTreeMap<(StreamId, SessionId), Watcher>;

/// See the module.
#[derive(Debug)]
pub(super) struct Show {
    room: RoomId,
    /// As its audience wishes; what is shown may be later.
    wished: Duration,
    every: u32,
    since: Instant,
    played: Option<Played>,
    audience: Audiences,
    /// How it ended, and when.
    over: Option<(EndReason, Instant)>,
}

/// A tape that runs.
#[derive(Debug)]
struct Played {
    replay: Replay,
    pace: Pace,
    delay: Option<Duration>,
    /// Kept for its memory.
    events: Vec<GameEvent>,
}

/// Somebody who watches.
#[derive(Debug)]
struct Watcher {
    attempt: u32,
    log: EventLog,
    /// Whether the channel stands for it.
    is_told: bool,
}

/// Whether a show goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Going {
    On,
    /// It waits for more time to be brought to its place.
    Behind,
    /// Nobody watches it any more.
    Done,
}

impl Show {
    /// A show of whose tape nothing is known yet.
    pub(super) fn new(room: RoomId, wished: Duration, every: u32, now: Instant) -> Self {
        Self {
            room,
            wished,
            every,
            since: now,
            played: None,
            audience: BTreeMap::new(),
            over: None,
        }
    }

    /// Whether somebody with that wish can watch it with the others.
    pub(super) fn suits(&self, room: RoomId, wished: Duration) -> bool {
        let has_begun = |played: &Played| match played.pace {
            Pace::Live { .. } => false,
            Pace::Recorded { .. } => played.replay.tick() > Tick(0),
        };
        self.room == room
            && self.wished == wished
            && self.over.is_none()
            && !self.played.as_ref().is_some_and(has_begun)
    }

    pub(super) fn room(&self) -> RoomId {
        self.room
    }

    /// Somebody watches from now on.
    pub(super) fn enter(&mut self, who: (StreamId, SessionId), attempt: u32) {
        let epoch = || Epoch(rand::random::<u32>().max(1));
        let watcher = Watcher {
            attempt,
            log: EventLog::new(Channel::Room, epoch(), LOG_LIMITS),
            is_told: false,
        };
        self.audience.insert(who, watcher);
    }

    /// The connection by which somebody watches, if anybody by that stream.
    pub(super) fn attempt_of(&self, who: (StreamId, SessionId)) -> Option<u32> {
        self.audience.get(&who).map(|watcher| watcher.attempt)
    }

    pub(super) fn leave(&mut self, who: (StreamId, SessionId)) {
        self.audience.remove(&who);
    }

    /// Those who come by a stream leave.
    pub(super) fn leave_by(&mut self, stream: StreamId) -> Vec<SessionId> {
        let gone = self.audience.extract_if(.., |(by, _), _| *by == stream);
        gone.map(|((_, session), _)| session).collect()
    }

    /// Everybody leaves; gives who that was.
    pub(super) fn clear(&mut self) -> Vec<((StreamId, SessionId), u32)> {
        let all = std::mem::take(&mut self.audience).into_iter();
        all.map(|(who, watcher)| (who, watcher.attempt)).collect()
    }

    pub(super) fn acknowledge(&mut self, now: Timestamp, who: (StreamId, SessionId), ack: Ack) {
        if let Some(watcher) = self.audience.get_mut(&who) {
            watcher.log.handle_ack(now, ack);
        }
    }

    /// Whether its tape has to be read on.
    pub(super) fn wants_tape(&self) -> bool {
        let is_whole = |played: &Played| played.replay.is_whole();
        self.over.is_none() && !self.played.as_ref().is_some_and(is_whole)
    }

    /// Takes what the reader found.
    ///
    /// # Errors
    /// Why nobody can watch it.
    pub(super) fn take(&mut self, games: &Games, now: Instant, news: News) -> Result<(), Refusal> {
        match news {
            News::Unknown => Err(Refusal::Unknown),
            News::Lost => {
                self.end(EndReason::Failed, now);
                Ok(())
            }
            News::Pieces(pieces, at) => self.take_pieces(games, &pieces, at),
        }
    }

    fn take_pieces(
        &mut self,
        games: &Games,
        pieces: &[Segment],
        at: Instant,
    ) -> Result<(), Refusal> {
        let mut rest = pieces;
        if self.played.is_none() {
            let Some((first, others)) = pieces.split_first() else {
                return Ok(());
            };
            let replay = Replay::new(games, &first.bytes);
            let replay = replay.map_err(|error| Self::unreadable(self.room, &error))?;
            let Some(least) = replay.watch_delay() else {
                return Err(Refusal::Forbidden);
            };
            let least = Duration::from_millis(u64::from(least) * 1000 / u64::from(TICK_HZ));
            let delay = self.wished.min(LONGEST_DELAY).max(least);
            self.played = Some(Played {
                replay,
                pace: Pace::live(delay),
                delay: Some(delay),
                events: Vec::new(),
            });
            rest = others;
        }
        let Some(played) = &mut self.played else {
            return Ok(());
        };
        for piece in rest {
            if let Err(error) = played.replay.push(&piece.bytes) {
                let is_begun = self.audience.values().any(|watcher| watcher.is_told);
                let refusal = Self::unreadable(self.room, &error);
                if !is_begun {
                    return Err(refusal);
                }
                self.end(EndReason::Failed, at);
                return Ok(());
            }
        }
        if rest.len() < pieces.len() && played.replay.is_whole() {
            // Over before anybody asked: there is nothing left to be kept from players.
            (played.pace, played.delay) = (Pace::Recorded { began: at }, None);
        }
        played.pace.hear(played.replay.until(), at);
        Ok(())
    }

    fn unreadable(room: RoomId, error: &ReplayError) -> Refusal {
        tracing::warn!(%room, error = %Chain(error), "a tape cannot be watched");
        // Another node may run another build.
        Refusal::Unknown
    }

    /// Goes on as far as it may be shown, at most `budget` ticks, which it takes from it.
    pub(super) fn go_on(
        &mut self,
        now: Instant,
        clock: Timestamp,
        budget: &mut u32,
        lines: &mut Lines,
    ) -> Going {
        if self.audience.is_empty() {
            return Going::Done;
        }
        let Some(played) = &mut self.played else {
            return match now - self.since >= OPEN_WITHIN {
                true => self.turn_away(Refusal::Empty, lines),
                false => self.close_if_over(now, lines),
            };
        };
        let due = played.pace.due(now).min(played.replay.until());
        let behind = due.0 - played.replay.tick().0.min(due.0);
        // Shown in even steps, and twice as fast while it catches up.
        let steps = match behind > BEHIND {
            true => behind.min(*budget),
            false => behind.min(2 * self.every),
        };
        *budget = budget.saturating_sub(steps);
        for _ in 0..steps {
            if self.over.is_some() || !self.step(now, lines, behind > BEHIND) {
                break;
            }
        }
        if self.over.is_none() && behind > BEHIND && steps < behind {
            return Going::Behind;
        }
        self.speak(clock, lines);
        self.close_if_over(now, lines)
    }

    /// One tick; `false` if there is none, or it fails.
    fn step(&mut self, now: Instant, lines: &mut Lines, is_hidden: bool) -> bool {
        let Some(played) = &mut self.played else {
            return false;
        };
        let (replay, events) = (&mut played.replay, &mut played.events);
        let stepped = catch_unwind(AssertUnwindSafe(|| {
            replay.step_with(events, &mut |setup, events, seat, departure| {
                let payload = match departure {
                    None => tell::joined(seat, &setup.seats[seat.index()]),
                    Some(departure) => tell::left(seat, departure),
                };
                let to = Audience::All;
                events.push(GameEvent { to, payload });
            })
        }));
        if stepped.is_err() || replay.diverged().is_some() {
            tracing::error!(room = %self.room, "a replay is not the race; it ends");
            self.end(EndReason::Failed, now);
            return false;
        }
        let mut told: Vec<Bytes> = Vec::new();
        for event in events.drain(..) {
            if event.to == Audience::All {
                told.push(event.payload);
            }
        }
        let is_last = replay.is_whole() && replay.tick() == replay.until();
        let is_shown = !is_hidden && replay.tick().0.is_multiple_of(self.every);
        let ending = is_last.then(|| match replay.result() {
            Some(result) => {
                told.push(tell::ended(&tell::result(&replay.setup().seats, &result)));
                EndReason::Finished
            }
            None => EndReason::Abandoned,
        });
        for payload in told {
            self.tell(&payload, lines);
        }
        if is_shown || is_last {
            self.show(lines, |watcher| watcher.is_told);
        }
        if let Some(reason) = ending {
            self.end(reason, now);
        }
        stepped.unwrap_or(false)
    }

    fn end(&mut self, reason: EndReason, now: Instant) {
        self.over.get_or_insert((reason, now));
    }

    /// A reliable event to all who know the state before it.
    fn tell(&mut self, payload: &Bytes, lines: &mut Lines) {
        let room = self.room;
        let full = self.audience.extract_if(.., |_, watcher| {
            watcher.is_told && watcher.log.append(payload.clone()).is_err()
        });
        for ((stream, session), watcher) in full {
            if let Some(batch) = lines.batch_of(stream, room) {
                batch.close_connection(session, watcher.attempt, CloseCode::SlowConsumer);
            }
        }
    }

    /// The state as it is, whole, to those that `is_for` picks.
    fn show(&self, lines: &mut Lines, is_for: impl Fn(&Watcher) -> bool) {
        let Some(played) = &self.played else { return };
        let replay = &played.replay;
        let mut streams: BTreeMap<StreamId, Vec<SessionId>> = BTreeMap::new();
        for ((stream, session), watcher) in &self.audience {
            if is_for(watcher) {
                streams.entry(*stream).or_default().push(*session);
            }
        }
        if streams.is_empty() {
            return;
        }
        let view = replay.view();
        let body = Bytes::from(snapshot::encode(replay.schema(), None, &view));
        let head = SnapshotHead {
            tick: replay.tick(),
            distance: 0,
            processed: InputSeq(0),
            durable_lag: 0,
            queued: 0,
        };
        for (stream, sessions) in streams {
            if let Some(batch) = lines.batch_of(stream, self.room) {
                batch.broadcast(body.clone(), &head, sessions);
            }
        }
    }

    /// Newcomers get the state; then everybody what is reliable.
    fn speak(&mut self, clock: Timestamp, lines: &mut Lines) {
        let newcomers = self.audience.values().any(|watcher| !watcher.is_told);
        if newcomers && let Some(state) = self.state() {
            for ((stream, session), watcher) in &mut self.audience {
                if watcher.is_told {
                    continue;
                }
                if let Some(batch) = lines.batch_of(*stream, self.room) {
                    let epoch = watcher.log.epoch();
                    let attached = watcher.log.attach(Attach::Fresh, epoch);
                    batch.attached(*session, watcher.attempt, attached, state.clone());
                }
            }
            self.show(lines, |watcher| !watcher.is_told);
            for watcher in self.audience.values_mut() {
                watcher.is_told = true;
            }
        }
        for ((stream, session), watcher) in &mut self.audience {
            watcher.log.handle_timeout(clock);
            while let Some(event) = watcher.log.poll_transmit(clock) {
                if let Some(batch) = lines.batch_of(*stream, self.room) {
                    batch.event(*session, &event);
                }
            }
        }
    }

    fn state(&self) -> Option<String> {
        let played = self.played.as_ref()?;
        let replay = &played.replay;
        let result = replay.result();
        let seats = &replay.setup().seats;
        Some(tell::state(&tell::RoomState {
            room: self.room,
            game: replay.game(),
            seat: None,
            tick: replay.tick(),
            tick_hz: TICK_HZ,
            snapshot_every: self.every,
            input_width: replay.input_bits(),
            schema: replay.schema(),
            setup: replay.state(),
            seats: tell::seats(seats, &replay.present()),
            processed: None,
            watch: Some(tell::WatchState {
                delay_ms: played.delay.map(|delay| delay.as_millis() as u64),
            }),
            result: result.map(|result| tell::result(seats, &result)),
        }))
    }

    /// Once it is over, those who have all of it are told so, and the others after a while.
    fn close_if_over(&mut self, now: Instant, lines: &mut Lines) -> Going {
        let Some((reason, at)) = self.over else {
            return Going::On;
        };
        let is_late = now - at >= CURTAIN;
        let room = self.room;
        let done = self.audience.extract_if(.., |_, watcher| {
            is_late || !watcher.is_told || watcher.log.is_settled()
        });
        for ((stream, session), watcher) in done {
            if let Some(batch) = lines.batch_of(stream, room) {
                batch.close_channel(session, watcher.attempt, reason.as_str());
            }
        }
        match self.audience.is_empty() {
            true => Going::Done,
            false => Going::On,
        }
    }

    /// Nobody can watch it.
    pub(super) fn turn_away(&mut self, refusal: Refusal, lines: &mut Lines) -> Going {
        let error = refusal.error();
        for ((stream, session), attempt) in self.clear() {
            if let Some(batch) = lines.batch_of(stream, self.room) {
                batch.refused(session, attempt, &error);
            }
        }
        Going::Done
    }

    /// How many watch it.
    pub(super) fn audience(&self) -> usize {
        self.audience.len()
    }
}

#[cfg(test)]
mod tests;
