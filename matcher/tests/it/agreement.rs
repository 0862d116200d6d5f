//! The store on Redis and the one in memory, asked the same in any order: they agree on everything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::Incarnation;
use engine::redis::{Redis, RedisConfig};
use pixelrush_matcher::store::{
    Asked, EndedMatch, Ending, Gather, MatchRecord, MemoryStore, RedisStore, Sighting, Standing,
    TicketStore, Wanted, conformance,
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
const CALLS: usize = 4_000;

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
    ($seed:expr, $call:expr, $memory:expr, $redis:expr, $method:ident($($argument:expr),*)) => {{
        let memory = $memory.$method($($argument),*).await.unwrap();
        let redis = $redis.$method($($argument),*).await.unwrap();
        let asked = stringify!($method);
        assert_eq!(memory, redis, "{asked}, call {} of seed {}", $call, $seed);
        memory
    }};
}

#[tokio::test]
async fn both_stores_answer_alike() {
    let server = RedisServer::start();
    let config = RedisConfig {
        urls: vec![server.url()],
        ..RedisConfig::default()
    };
    let redis = Redis::connect(&config).await.expect("Redis is there");
    let redis: Arc<dyn TicketStore> = Arc::new(RedisStore::new(redis, 1000));
    let memory: Arc<dyn TicketStore> = Arc::new(MemoryStore::new(1000));
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut dice = Dice(StdRng::seed_from_u64(seed));
    let (mut tickets, mut matches) = (1, 1);
    let mut known: Vec<Ticket> = Vec::new();
    let mut claims: BTreeMap<u64, Vec<TicketId>> = BTreeMap::new();
    for call in 0..CALLS {
        let now = call as u64;
        let sighting = dice.sighting();
        match dice.up_to(12) {
            1 | 2 => {
                tickets += 1;
                let mut players = vec![dice.up_to(PLAYERS)];
                if dice.up_to(4) == 1 {
                    players.push(players[0] % PLAYERS + 1);
                }
                let mode = if dice.up_to(4) == 1 { "duel" } else { "race" };
                let mut ticket = conformance::ticket(tickets, mode, &players, now);
                if players.len() > 1 {
                    ticket.party = Some(PartyCode::new(&format!("code {}", dice.up_to(3))));
                }
                // Now and then one that was there before: a name is of one ticket for ever.
                if dice.up_to(3) == 1 && !known.is_empty() {
                    let back = usize::try_from(dice.up_to(6)).unwrap();
                    ticket = known[known.len().saturating_sub(back)].clone();
                } else {
                    known.push(ticket.clone());
                }
                agree!(seed, call, memory, redis, add(&ticket, &sighting));
            }
            3 | 4 => {
                tickets += 1;
                let gather = dice.gather(tickets, now);
                agree!(seed, call, memory, redis, gather(&gather, &sighting));
            }
            5 => {
                let by = (dice.up_to(2) == 1).then(|| dice.matcher());
                let player = PlayerId(dice.up_to(PLAYERS));
                agree!(seed, call, memory, redis, remove(player, by.as_ref()));
            }
            6 | 7 => {
                let mode = "race".parse().unwrap();
                let waiting = agree!(seed, call, memory, redis, waiting(&mode));
                let match_id = dice.near(&mut matches);
                let count = usize::try_from(dice.up_to(3)).unwrap();
                let mut wanted: Vec<TicketId> =
                    waiting.iter().take(count).map(|one| one.id).collect();
                if dice.up_to(5) == 1 {
                    wanted.push(TicketId(dice.near(&mut tickets)));
                }
                let all = [Wanted {
                    match_id: MatchId(match_id),
                    tickets: wanted.clone(),
                }];
                let claimant = dice.matcher();
                let granted = agree!(seed, call, memory, redis, claim(&all, &claimant, LONG));
                if granted[0] {
                    claims.insert(match_id, wanted);
                }
            }
            8 => {
                let record = dice.record(&claims, matches);
                agree!(seed, call, memory, redis, settle(&record, LONG));
            }
            9 => {
                let match_id = MatchId(dice.near(&mut matches));
                agree!(seed, call, memory, redis, give_back(match_id));
            }
            10 => {
                let record = dice.record(&claims, matches);
                if dice.up_to(3) == 1 {
                    agree!(seed, call, memory, redis, restore(&record, LONG));
                }
            }
            11 => {
                let match_id = dice.near(&mut matches);
                let ended = [EndedMatch {
                    match_id: MatchId(match_id),
                    room: RoomId(match_id * 10 + dice.up_to(2)),
                    ending: Ending::Lost,
                }];
                agree!(seed, call, memory, redis, end(&ended));
            }
            _ => {
                let player = PlayerId(dice.up_to(PLAYERS));
                let match_id = MatchId(dice.near(&mut matches));
                agree!(seed, call, memory, redis, depart(player, match_id));
            }
        }
        let asked: Vec<Asked> = (1..=PLAYERS)
            .map(|player| Asked {
                player: PlayerId(player),
                is_here: player == now % PLAYERS,
            })
            .collect();
        let standings = agree!(seed, call, memory, redis, standing(&asked, &sighting));
        for (asked, standing) in asked.iter().zip(&standings) {
            assert!(
                has(standing, asked.player),
                "{standing:?}, call {call} of seed {seed}"
            );
        }
        for mode in ["race", "duel"] {
            let mode = mode.parse().unwrap();
            let waiting = agree!(seed, call, memory, redis, waiting(&mode));
            for ticket in waiting {
                for member in &ticket.members {
                    let index = usize::try_from(member.player.0).unwrap() - 1;
                    assert!(
                        matches!(&standings[index], Standing::Ticket(found) if found.ticket == ticket),
                        "a ticket waits without its members, call {call} of seed {seed}"
                    );
                }
            }
        }
    }
}

/// Whether the player is really there.
fn has(standing: &Standing, player: PlayerId) -> bool {
    match standing {
        Standing::Nothing | Standing::Gathering(_) => true,
        Standing::Ticket(found) => found.ticket.members.iter().any(|one| one.player == player),
        // These records have any players.
        Standing::Match(_) => true,
    }
}
