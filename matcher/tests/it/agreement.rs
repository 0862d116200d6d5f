//! The store on Redis and the one in memory, asked the same in any order: they agree on everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use engine::Incarnation;
use engine::redis::{Redis, RedisConfig};
use pixelrush_matcher::config::ModeName;
use pixelrush_matcher::store::{
    Asked, Change, Cursor, EndedMatch, Ending, Entering, Gather, MatchRecord, MemoryStore,
    PrivateChange, RedisStore, Settling, Sighting, Standing, TicketStore, Wanted, conformance,
};
use pixelrush_matcher::ticket::{Member, PartyCode, Ticket};
use protocol::id::{MatchId, PlayerId, RoomId, TicketId};
use protocol::time::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use servers::RedisServer;

/// Nothing ends by itself while the test runs.
const LONG: Duration = Duration::from_secs(3600);

const PLAYERS: u64 = 12;
const CALLS: u64 = 4_000;

struct Dice(StdRng);

impl Dice {
    fn up_to(&mut self, most: u64) -> u64 {
        self.0.random_range(1..=most)
    }

    /// A number near the newest of its kind: mostly one that was used, sometimes a new one.
    fn near(&mut self, newest: &mut u64) -> u64 {
        if self.up_to(3) == 1 {
            *newest += 1;
        }
        let back = self.0.random_range(0..6);
        newest.saturating_sub(back).max(1)
    }

    fn sighting(&mut self) -> Sighting {
        Sighting {
            by: self.matcher(),
            grace: LONG,
        }
    }

    fn matcher(&mut self) -> Incarnation {
        let name = format!("matcher-{}", self.up_to(2));
        conformance::sighting(&name).by
    }

    fn member(&mut self) -> Member {
        let player = self.up_to(PLAYERS);
        Member {
            player: PlayerId(player),
            name: format!("player {player}"),
            rating: 1500 - 7 * i32::try_from(player).unwrap(),
            deviation: u32::try_from(player % 3).unwrap() * 100,
            roles: match player % 4 {
                0 => vec!["tank".parse().unwrap()],
                _ => Vec::new(),
            },
            bot: player.is_multiple_of(5),
        }
    }

    fn gather(&mut self, ticket: u64, now: u64) -> Gather {
        let size = if self.up_to(8) == 1 { 3 } else { 2 };
        let mode = if self.up_to(8) == 1 { "duel" } else { "race" };
        let mut regions = BTreeMap::new();
        for region in ["east", "west"] {
            if self.up_to(3) == 1 {
                let latency = u32::try_from(self.up_to(200)).unwrap();
                regions.insert(region.parse().unwrap(), latency);
            }
        }
        Gather {
            code: PartyCode::new(&format!("code {}", self.up_to(3))),
            mode: mode.parse().unwrap(),
            size,
            member: self.member(),
            regions,
            version: (self.up_to(8) == 1).then(|| "1.2".parse().unwrap()),
            attributes: BTreeMap::new(),
            since: Timestamp(now),
            ticket: TicketId(ticket),
            enqueued_at: Timestamp(now),
        }
    }

    /// A match of what waits or, now and then, of what does not.
    fn record(&mut self, claims: &BTreeMap<u64, Vec<TicketId>>, newest: u64) -> MatchRecord {
        let back = self.0.random_range(0..6);
        let match_id = newest.saturating_sub(back).max(1);
        let tickets = claims.get(&match_id).cloned().unwrap_or_default();
        let players = (0..self.up_to(3)).map(|_| self.member()).collect();
        MatchRecord {
            id: MatchId(match_id),
            mode: "race".parse().unwrap(),
            room: RoomId(match_id * 10 + self.up_to(2)),
            node: "syncd-1".parse().unwrap(),
            players,
            tickets,
            began_at: Timestamp(match_id),
        }
    }
}

/// Asks both the same, and gives what both answer.
macro_rules! agree {
    ($pair:expr, $method:ident($($argument:expr),*)) => {{
        let memory = $pair.memory.$method($($argument),*).await.unwrap();
        let redis = $pair.redis.$method($($argument),*).await.unwrap();
        let asked = stringify!($method);
        assert_eq!(memory, redis, "{asked}, call {} of seed {}", $pair.call, $pair.seed);
        memory
    }};
}

/// Both stores, and what was asked of them.
struct Pair {
    memory: MemoryStore,
    redis: RedisStore,
    seed: u64,
    call: u64,
    dice: Dice,
    /// The newest.
    tickets: u64,
    matches: u64,
    known: Vec<Ticket>,
    claims: BTreeMap<u64, Vec<TicketId>>,
    /// Of the feed of races in each.
    readers: [Reader; 2],
}

/// Who follows a queue by its feed.
struct Reader {
    cursor: Cursor,
    known: BTreeSet<TicketId>,
}

impl Reader {
    async fn of(store: &dyn TicketStore) -> Self {
        let mode = "race".parse().unwrap();
        Self {
            cursor: store.feed_end(&mode).await.unwrap(),
            known: BTreeSet::new(),
        }
    }
}

impl Pair {
    async fn ask(&mut self) {
        let sighting = self.dice.sighting();
        match self.dice.up_to(14) {
            1 | 2 => {
                // Some that need not agree with each other.
                let count = self.dice.up_to(3);
                let tickets: Vec<Arc<Ticket>> =
                    (0..count).map(|_| Arc::new(self.ticket())).collect();
                agree!(self, add(&tickets, &sighting));
            }
            3 | 4 => {
                let mut gather = Vec::new();
                for _ in 0..self.dice.up_to(2) {
                    self.tickets += 1;
                    gather.push(self.dice.gather(self.tickets, self.call));
                }
                agree!(self, gather(&gather, &sighting));
            }
            5 => {
                let by = (self.dice.up_to(2) == 1).then(|| self.dice.matcher());
                let player = PlayerId(self.dice.up_to(PLAYERS));
                agree!(self, remove(player, by.as_ref()));
            }
            6 | 7 => self.claim().await,
            8 => {
                let record = self.dice.record(&self.claims, self.matches);
                let settling = [Settling {
                    record: Arc::new(record),
                    lifetime: LONG,
                }];
                agree!(self, settle(&settling));
            }
            9 => {
                let match_id = MatchId(self.dice.near(&mut self.matches));
                agree!(self, give_back(match_id));
            }
            10 => {
                let record = self.dice.record(&self.claims, self.matches);
                if self.dice.up_to(3) == 1 {
                    agree!(self, restore(&record, LONG));
                }
            }
            11 => {
                let match_id = self.dice.near(&mut self.matches);
                let ended = [EndedMatch {
                    match_id: MatchId(match_id),
                    room: RoomId(match_id * 10 + self.dice.up_to(2)),
                    ending: Ending::Lost,
                }];
                agree!(self, end(&ended));
            }
            12 => {
                let open = (self.dice.up_to(2) == 1).then(|| ("race".parse().unwrap(), 3));
                let entering = Entering {
                    code: PartyCode::new(&format!("room {}", self.dice.up_to(3))),
                    open,
                    member: self.dice.member(),
                };
                agree!(self, enter_private(&entering, &sighting));
            }
            13 => {
                let player = PlayerId(self.dice.up_to(PLAYERS));
                let change = match self.dice.up_to(3) {
                    1 => PrivateChange::SendAway(PlayerId(self.dice.up_to(PLAYERS))),
                    ready => PrivateChange::Ready(ready == 2),
                };
                agree!(self, change_private(player, change));
            }
            _ => {
                let player = PlayerId(self.dice.up_to(PLAYERS));
                let match_id = MatchId(self.dice.near(&mut self.matches));
                agree!(self, depart(player, match_id));
            }
        }
    }

    /// A new ticket, or now and then one that was there before: a name is of one ticket for ever.
    fn ticket(&mut self) -> Ticket {
        if self.dice.up_to(3) == 1 && !self.known.is_empty() {
            let back = usize::try_from(self.dice.up_to(6)).unwrap();
            return self.known[self.known.len().saturating_sub(back)].clone();
        }
        self.tickets += 1;
        let mut players = vec![self.dice.up_to(PLAYERS)];
        if self.dice.up_to(4) == 1 {
            players.push(players[0] % PLAYERS + 1);
        }
        let mode = if self.dice.up_to(4) == 1 {
            "duel"
        } else {
            "race"
        };
        let mut ticket = conformance::ticket(self.tickets, mode, &players, self.call);
        if players.len() > 1 {
            let code = format!("code {}", self.dice.up_to(3));
            ticket.party = Some(PartyCode::new(&code));
        }
        self.known.push(ticket.clone());
        ticket
    }

    async fn claim(&mut self) {
        let mode = "race".parse().unwrap();
        let waiting = self.waiting(&mode).await;
        let match_id = self.dice.near(&mut self.matches);
        let count = usize::try_from(self.dice.up_to(3)).unwrap();
        let mut tickets: Vec<TicketId> = waiting.iter().take(count).map(|one| one.id).collect();
        if self.dice.up_to(5) == 1 {
            tickets.push(TicketId(self.dice.near(&mut self.tickets)));
        }
        let wanted = [Wanted {
            match_id: MatchId(match_id),
            tickets: tickets.clone(),
            ask: None,
        }];
        let claimant = self.dice.matcher();
        let granted = agree!(self, claim(&wanted, &claimant, LONG));
        if granted[0] {
            self.claims.insert(match_id, tickets);
        }
    }

    /// What waits, as both show it.
    async fn waiting(&self, mode: &ModeName) -> Vec<Arc<Ticket>> {
        let memory = conformance::waiting(&self.memory, mode).await;
        let redis = conformance::waiting(&self.redis, mode).await;
        assert_eq!(memory, redis, "call {} of seed {}", self.call, self.seed);
        memory
    }

    /// What waits, as a reader of each store's feed knows it.
    async fn follow(&mut self) {
        let mode = "race".parse().unwrap();
        let waiting = self.waiting(&mode).await;
        let ids: BTreeSet<TicketId> = waiting.iter().map(|ticket| ticket.id).collect();
        let stores: [&dyn TicketStore; 2] = [&self.memory, &self.redis];
        for (store, reader) in stores.into_iter().zip(&mut self.readers) {
            let fed = store.feed(&mode, &reader.cursor).await.unwrap();
            let fed = fed.expect("a reader that is near has no gap");
            for change in fed.changes {
                match change {
                    Change::Waits(ticket) => reader.known.insert(ticket),
                    Change::Gone(ticket) => reader.known.remove(&ticket),
                };
            }
            reader.cursor = fed.upto;
            assert_eq!(
                reader.known, ids,
                "call {} of seed {}",
                self.call, self.seed
            );
        }
    }

    /// Looks at everything: both show the same, and everyone is in one place.
    async fn look(&mut self) {
        let sighting = self.dice.sighting();
        let asked: Vec<Asked> = (1..=PLAYERS)
            .map(|player| Asked {
                player: PlayerId(player),
                is_here: player == self.call % PLAYERS,
            })
            .collect();
        let standings = agree!(self, standing(&asked, &sighting));
        let (call, seed) = (self.call, self.seed);
        for (asked, standing) in asked.iter().zip(&standings) {
            assert!(
                has(standing, asked.player),
                "{standing:?}, call {call} of seed {seed}"
            );
        }
        for mode in ["race", "duel"] {
            let mode = mode.parse().unwrap();
            for ticket in self.waiting(&mode).await {
                for member in &ticket.members {
                    let standing = &standings[usize::try_from(member.player.0).unwrap() - 1];
                    assert!(
                        matches!(standing, Standing::Ticket(found) if found.ticket == ticket),
                        "a ticket waits without its members, call {call} of seed {seed}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn both_stores_answer_alike() {
    let server = RedisServer::start();
    let config = RedisConfig {
        urls: vec![server.url()],
        ..RedisConfig::default()
    };
    let redis = Redis::connect(&config).await.expect("Redis is there");
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let (memory, redis) = (MemoryStore::new(1000), RedisStore::new(redis, 1000));
    let mut pair = Pair {
        readers: [Reader::of(&memory).await, Reader::of(&redis).await],
        memory,
        redis,
        seed,
        call: 0,
        dice: Dice(StdRng::seed_from_u64(seed)),
        tickets: 1,
        matches: 1,
        known: Vec::new(),
        claims: BTreeMap::new(),
    };
    for call in 0..CALLS {
        pair.call = call;
        pair.ask().await;
        pair.look().await;
        pair.follow().await;
    }
}

/// Whether the player is really there.
fn has(standing: &Standing, player: PlayerId) -> bool {
    match standing {
        Standing::Nothing | Standing::Gathering(_) | Standing::Private(_) => true,
        Standing::Ticket(found) => found.ticket.members.iter().any(|one| one.player == player),
        // These records have any players.
        Standing::Match(_) => true,
    }
}
