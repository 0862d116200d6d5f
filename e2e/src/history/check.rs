//! The rules that histories are held against.
//!
//! | file | rule |
//! | --- | --- |
//! | `order` | events of one history come once, in order, without a gap; no history breaks off |
//! | `agreement` | all players of a room were told the same |
//! | `matches` | one room and one result a match; nobody is in two matches |
//! | `progress` | nobody is stuck |
//! | `session` | no session ends by itself, nothing unreadable, no durable input undone |
//! | `stored` | the store has each result once, as the players saw it |
//! | `seats` | no seat is sold twice; clients, ledger and store agree |

mod agreement;
mod matches;
mod order;
mod progress;
mod seats;
mod session;
mod stored;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use engine::results::MAX_RECENT;
use engine::{Engine, EngineError, MatchResult};
use protocol::id::{MatchId, PlayerId, RoomId};
use serde::Serialize;

pub use seats::{SeatTelling, Seats, SeatsTold};

use super::{Entry, History, What, millis};

/// Longest from a result's last reader to its record.
const RECORDED: Duration = Duration::from_secs(35);

/// A fault, with what it is allowed to cost.
#[derive(Debug, Clone, Serialize)]
pub struct Strike {
    /// What was done, to whom.
    pub fault: String,
    /// When it began.
    #[serde(rename = "at_ms", serialize_with = "millis")]
    pub at: Duration,
    /// When everybody has to be well again: the end of the fault and the stated recovery time.
    #[serde(rename = "well_by_ms", serialize_with = "millis")]
    pub well_by: Duration,
    /// The losses that are documented for it.
    pub loses: Loses,
}

/// Losses that are documented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Loses {
    /// Matches under way may end without a result.
    pub matches: bool,
    /// Histories of rooms may break off, with the inputs that were not settled.
    pub histories: bool,
    /// What was recorded may be gone.
    pub results: bool,
    /// Clients may give up inputs because none is confirmed for too long.
    pub inputs: bool,
}

/// What the store has recorded.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// How many matches it counts.
    pub count: u64,
    /// What it gives for each player.
    pub results: BTreeMap<PlayerId, Vec<MatchResult>>,
}

/// What is known of a run beside its histories.
#[derive(Debug, Clone)]
pub struct Run {
    /// The faults, in order.
    pub strikes: Vec<Strike>,
    /// When it was over.
    pub ended: Duration,
    /// Longest that nothing may move for a player while there is no fault.
    pub patience: Duration,
    /// Longest wait for a match, and longest race, while there is no fault.
    pub stage: Duration,
    /// What the store has at the end; `None` if it was not asked.
    pub stored: Option<Stored>,
    /// The event whose seats were sold meanwhile, if there was one.
    pub seats: Option<Seats>,
}

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which rule.
    pub rule: &'static str,
    /// Whose histories show it.
    pub players: Vec<u64>,
    /// What is wrong.
    pub text: String,
}

/// Holds the histories against every rule, and gives all that is broken.
pub fn check(histories: &[History], run: &Run) -> Vec<Violation> {
    let matches = Matches::of(histories);
    let mut found = Vec::new();
    order::check(histories, run, &mut found);
    session::check(histories, run, &mut found);
    agreement::check(histories, &mut found);
    matches::check(histories, &matches, run, &mut found);
    progress::check(histories, run, &mut found);
    if let Some(stored) = &run.stored {
        stored::check(histories, &matches, run, stored, &mut found);
    }
    if let Some(seats) = &run.seats {
        seats::check(seats, &mut found);
    }
    found
}

impl Stored {
    /// What the store has of these players, as soon as it has all results that they saw: a result
    /// is recorded after the players have it. After [`RECORDED`] it is what is there.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub async fn of(engine: &Engine, histories: &[History]) -> Result<Self, EngineError> {
        let deadline = Instant::now() + RECORDED;
        loop {
            let stored = Self::now(engine, histories).await?;
            let matches = Matches::of(histories);
            if stored.has_all(histories, &matches) || Instant::now() >= deadline {
                return Ok(stored);
            }
            tokio::time::sleep(RECORDED / 100).await;
        }
    }

    async fn now(engine: &Engine, histories: &[History]) -> Result<Self, EngineError> {
        let mut results = BTreeMap::new();
        for player in histories.iter().filter_map(|history| history.player) {
            let recent = engine.results.recent(player, MAX_RECENT).await?;
            results.insert(player, recent);
        }
        let count = engine.results.count().await?;
        Ok(Self { count, results })
    }

    fn has_all(&self, histories: &[History], matches: &Matches) -> bool {
        let has = |history: &History| {
            let results = history.player.and_then(|player| self.results.get(&player));
            let recorded = results.map_or(0, Vec::len);
            let seen = matches.all.values();
            let seen = seen.filter(|one| one.results.contains_key(&history.number));
            recorded >= seen.count().min(MAX_RECENT)
        };
        histories.iter().all(has)
    }
}

impl Run {
    /// A run without faults whose store was not asked.
    pub fn new(ended: Duration) -> Self {
        Self {
            strikes: Vec::new(),
            ended,
            patience: Duration::from_secs(5),
            stage: Duration::from_secs(150),
            stored: None,
            seats: None,
        }
    }

    /// Whether a documented loss of a fault reaches into the time from `from` to `until`.
    fn excuses(&self, from: Duration, until: Duration, which: impl Fn(&Loses) -> bool) -> bool {
        self.strikes
            .iter()
            .any(|strike| which(&strike.loses) && strike.at <= until && from <= strike.well_by)
    }

    /// When something that takes `limit` at the most, and began at `from`, has to be over by: the
    /// clock starts again when everybody has to be well after a fault.
    fn due(&self, from: Duration, limit: Duration) -> Duration {
        let mut due = from + limit;
        for strike in &self.strikes {
            if strike.at <= due && strike.well_by >= from {
                due = due.max(strike.well_by + limit);
            }
        }
        due
    }
}

impl Violation {
    fn new(rule: &'static str, players: Vec<u64>, text: String) -> Self {
        Self {
            rule,
            players,
            text,
        }
    }
}

/// What all histories say of matches.
#[derive(Debug, Default)]
struct Matches {
    all: BTreeMap<MatchId, Match>,
    of_room: BTreeMap<RoomId, MatchId>,
}

/// What all histories say of one match.
#[derive(Debug, Default)]
struct Match {
    /// Where it is played, as each telling has it.
    rooms: BTreeMap<RoomId, Vec<u64>>,
    /// Who was told of it, and when first.
    told: BTreeMap<u64, Duration>,
    /// What each player saw as its result, and when.
    results: BTreeMap<u64, Vec<(Duration, serde_json::Value)>>,
    /// Whom the matcher told that it is over, and why.
    ended: BTreeMap<u64, Vec<(Duration, String)>>,
}

/// An event of the match channel.
#[derive(Debug)]
enum Told {
    Found { id: MatchId, room: RoomId },
    Ended { id: MatchId, reason: String },
}

impl Matches {
    fn of(histories: &[History]) -> Self {
        let mut matches = Self::default();
        for history in histories {
            for entry in &history.entries {
                matches.take_telling(history.number, entry);
            }
        }
        for history in histories {
            for entry in &history.entries {
                matches.take_result(history.number, entry);
            }
        }
        matches
    }

    fn take_telling(&mut self, player: u64, entry: &Entry) {
        match told(&entry.what) {
            Some(Told::Found { id, room }) => {
                self.of_room.entry(room).or_insert(id);
                let found = self.all.entry(id).or_default();
                found.told.entry(player).or_insert(entry.at);
                let tellers = found.rooms.entry(room).or_default();
                if !tellers.contains(&player) {
                    tellers.push(player);
                }
            }
            Some(Told::Ended { id, reason }) => {
                let ended = &mut self.all.entry(id).or_default().ended;
                ended.entry(player).or_default().push((entry.at, reason));
            }
            None => {}
        }
    }

    fn take_result(&mut self, player: u64, entry: &Entry) {
        let What::Event {
            room: Some(room),
            payload,
            ..
        } = &entry.what
        else {
            return;
        };
        let (Some(result), Some(id)) = (result_in(payload), self.of_room.get(room)) else {
            return;
        };
        let results = &mut self.all.entry(*id).or_default().results;
        results.entry(player).or_default().push((entry.at, result));
    }
}

/// What an entry tells of a match, be it by an event or by the channel's state.
fn told(what: &What) -> Option<Told> {
    match what {
        What::Attached {
            seat: Some(seat), ..
        } => Some(Told::Found {
            id: seat.match_id,
            room: seat.room,
        }),
        What::Event {
            room: None,
            payload,
            ..
        } => {
            let event: serde_json::Value = serde_json::from_str(payload).ok()?;
            let id = event.get("match")?.as_str()?.parse().ok()?;
            match event.get("e")?.as_str()? {
                "match.found" => {
                    let room = event.get("room")?.as_str()?.parse().ok()?;
                    Some(Told::Found { id, room })
                }
                "match.ended" => {
                    let reason = event.get("reason")?.as_str()?.to_owned();
                    Some(Told::Ended { id, reason })
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// The result in an event of a room, if it is the last one.
fn result_in(payload: &str) -> Option<serde_json::Value> {
    if !payload.contains("room.ended") {
        return None;
    }
    let mut event: serde_json::Value = serde_json::from_str(payload).ok()?;
    (event.get("e")?.as_str()? == "room.ended").then(|| event["result"].take())
}
