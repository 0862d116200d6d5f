//! Who comes, and what became of whom.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use rand::RngExt;

use super::Latency;

/// Of a hundred tickets, so many are parties of two to four.
const PARTIES: u32 = 20;

const REGIONS: [&str; 4] = ["east", "north", "south", "west"];

/// What those who come are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wishes {
    /// Four regions, ratings around 1500, parties.
    Varied,
    /// Alone, each with a rating of its own.
    Lonely,
}

/// Everyone there will be, by number from 1.
pub(super) struct Population {
    wishes: Wishes,
    began: Instant,
    next_player: AtomicU64,
    next_ticket: AtomicU64,
    /// When each player's join was sent, in microseconds; 0: not yet.
    sent: Vec<AtomicU64>,
    measuring: AtomicBool,
    injected: AtomicU64,
    players: AtomicU64,
    joins: AtomicU64,
    matched: AtomicU64,
    matches: AtomicU64,
    found: AtomicU64,
    samples: Mutex<Samples>,
}

/// In microseconds.
#[derive(Default)]
struct Samples {
    claimed: Vec<u64>,
    told: Vec<u64>,
    joined: Vec<u64>,
}

/// One ticket that comes.
pub(super) struct Coming {
    pub(super) players: Vec<(u64, i32)>,
    /// `queue.join` of each.
    pub(super) join: String,
}

/// So far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    pub(super) injected: u64,
    pub(super) players: u64,
    /// Players who were told that they wait.
    pub(super) joined: u64,
    /// Tickets.
    pub(super) matched: u64,
    pub(super) matches: u64,
    /// Players who were told of their match.
    pub(super) found: u64,
}

impl Counts {
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            injected: self.injected - before.injected,
            players: self.players - before.players,
            joined: self.joined - before.joined,
            matched: self.matched - before.matched,
            matches: self.matches - before.matches,
            found: self.found - before.found,
        }
    }
}

impl Population {
    pub(super) fn new(tickets: u64, wishes: Wishes) -> Self {
        let players = usize::try_from(tickets * 2).expect("they fit in memory");
        Self {
            wishes,
            began: Instant::now(),
            next_player: AtomicU64::new(1),
            next_ticket: AtomicU64::new(1),
            sent: (0..players).map(|_| AtomicU64::new(0)).collect(),
            measuring: AtomicBool::new(false),
            injected: AtomicU64::new(0),
            players: AtomicU64::new(0),
            joins: AtomicU64::new(0),
            matched: AtomicU64::new(0),
            matches: AtomicU64::new(0),
            found: AtomicU64::new(0),
            samples: Mutex::default(),
        }
    }

    /// The next ticket, as of now.
    pub(super) fn come(&self) -> Coming {
        let mut random = rand::rng();
        let ticket = self.next_ticket.fetch_add(1, Relaxed);
        let is_party = self.wishes == Wishes::Varied && random.random_range(0..100) < PARTIES;
        let size = if is_party {
            random.random_range(2..=4)
        } else {
            1
        };
        let first = self.next_player.fetch_add(size, Relaxed);
        let players: Vec<(u64, i32)> = (first..first + size)
            .map(|player| (player, self.rating(player)))
            .collect();
        let now = self.now();
        for (player, _) in &players {
            if let Some(sent) = self.sent.get(*player as usize) {
                sent.store(now, Relaxed);
            }
        }
        self.injected.fetch_add(1, Relaxed);
        self.players.fetch_add(size, Relaxed);
        let party = match is_party {
            true => format!(r#","party":{{"code":"party-{ticket}","size":{size}}}"#),
            false => String::new(),
        };
        let regions = match self.wishes {
            Wishes::Varied => format!(r#","regions":{{{}}}"#, latencies()),
            Wishes::Lonely => String::new(),
        };
        let join = format!(r#"{{"t":"queue.join","mode":"squad"{party}{regions}}}"#);
        Coming { players, join }
    }

    fn rating(&self, player: u64) -> i32 {
        if self.wishes == Wishes::Lonely {
            return i32::try_from(player).unwrap_or(i32::MAX);
        }
        // Twelve uniform ones: nearly normal, 300 around 1500.
        let mut random = rand::rng();
        let sum: i32 = (0..12).map(|_| random.random_range(-150..=150)).sum();
        1500 + sum
    }

    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn sent(&self, player: u64) -> u64 {
        let sent = usize::try_from(player)
            .ok()
            .and_then(|at| self.sent.get(at));
        sent.map_or(0, |sent| sent.load(Relaxed))
    }

    /// A match was claimed for these players.
    pub(super) fn is_claimed(&self, players: &[u64]) {
        let now = self.now();
        let last = players.iter().map(|player| self.sent(*player)).max();
        let last = last.unwrap_or(now);
        let tickets = self.tickets(players);
        self.matches.fetch_add(1, Relaxed);
        self.matched.fetch_add(tickets, Relaxed);
        self.sample(|samples| &mut samples.claimed, now.saturating_sub(last));
    }

    /// Parties are told by their members' neighbouring numbers and one moment.
    fn tickets(&self, players: &[u64]) -> u64 {
        let is_same =
            |pair: &&[u64]| pair[1] == pair[0] + 1 && self.sent(pair[0]) == self.sent(pair[1]);
        let together = players.windows(2).filter(is_same).count();
        (players.len() - together) as u64
    }

    /// A player was told of the match, whose last ticket is not known here: the player's own wait.
    pub(super) fn is_told(&self, player: u64) {
        self.found.fetch_add(1, Relaxed);
        let wait = self.now().saturating_sub(self.sent(player));
        self.sample(|samples| &mut samples.told, wait);
    }

    /// A player was told of waiting, for the first time.
    pub(super) fn has_joined(&self, player: u64) {
        self.joins.fetch_add(1, Relaxed);
        let wait = self.now().saturating_sub(self.sent(player));
        self.sample(|samples| &mut samples.joined, wait);
    }

    fn sample(&self, of: impl Fn(&mut Samples) -> &mut Vec<u64>, micros: u64) {
        if self.measuring.load(Relaxed) {
            of(&mut self.samples.lock().expect("nobody panics with it")).push(micros);
        }
    }

    pub(super) fn begin_measuring(&self) {
        self.measuring.store(true, Relaxed);
    }

    pub(super) fn end_measuring(&self) {
        self.measuring.store(false, Relaxed);
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            injected: self.injected.load(Relaxed),
            players: self.players.load(Relaxed),
            joined: self.joins.load(Relaxed),
            matched: self.matched.load(Relaxed),
            matches: self.matches.load(Relaxed),
            found: self.found.load(Relaxed),
        }
    }

    pub(super) fn claimed(&self) -> Latency {
        latency(&mut self.samples.lock().expect("nobody panics with it").claimed)
    }

    pub(super) fn told(&self) -> Latency {
        latency(&mut self.samples.lock().expect("nobody panics with it").told)
    }

    pub(super) fn joined(&self) -> Latency {
        latency(&mut self.samples.lock().expect("nobody panics with it").joined)
    }
}

/// One region is near, the others are not.
fn latencies() -> String {
    let mut random = rand::rng();
    let home = random.random_range(0..REGIONS.len());
    let one = |(index, name): (usize, &&str)| {
        let latency = match index == home {
            true => random.random_range(8..50),
            false => random.random_range(80..220),
        };
        format!(r#""{name}":{latency}"#)
    };
    REGIONS
        .iter()
        .enumerate()
        .map(one)
        .collect::<Vec<_>>()
        .join(",")
}

fn latency(micros: &mut [u64]) -> Latency {
    if micros.is_empty() {
        return Latency::default();
    }
    micros.sort_unstable();
    let at = |share: f64| micros[((micros.len() - 1) as f64 * share) as usize] as f64 / 1000.0;
    Latency {
        p50: at(0.5),
        p99: at(0.99),
        most: at(1.0),
    }
}
