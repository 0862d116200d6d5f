//! Tickets in Redis, for any number of matchers: one script a call, all on one hash slot.
//!
//! Every script does no harm when it is run again, as calls are whose answer was lost. A settled
//! match waits for replicas as far as the configuration says; whatever else a fail-over loses,
//! matchers find out and mend (see `docs/MATCHING.md`).

mod feed;
mod scripts;

use std::sync::Arc;
use std::time::Duration;

use engine::redis::{Call, Redis};
use engine::{BoxFuture, EngineError, Incarnation};
use protocol::id::{MatchId, PlayerId, TicketId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::feed::fed;
use super::{
    Added, Asked, Cursor, Disagreement, EndedMatch, Ending, Fed, Found, Gather, Gathered,
    Gathering, MatchRecord, Page, Removed, Restored, Settling, Sighting, Standing, Swept,
    TicketStore, Wanted,
};
use crate::config::ModeName;
use crate::ticket::{Member, PartyCode, Ticket};
use protocol::time::Timestamp;

/// Tickets in Redis.
#[derive(Debug, Clone)]
pub struct RedisStore {
    redis: Redis,
    /// Begins every key. All are in one slot: a ticket, its players and its queue change together.
    keys: String,
    limit: usize,
}

/// What is written: the form, and what is in it.
#[derive(Serialize)]
struct Written<'a, T> {
    v: u8,
    #[serde(flatten)]
    content: &'a T,
}

/// The form that this release writes. It reads all that have its fields.
const FORM: u8 = 1;

/// What a script answers: a kind, and what belongs to it.
type Reply = Vec<String>;

/// An entry of a stream: its name, and fields with their values.
type Entry = (String, Vec<String>);

/// Entries of a feed that are read at once, with the one that is known.
const FEED_PAGE: usize = 64;

/// Tickets that are read at once, about: a millisecond of Redis.
const SCAN_PAGE: usize = 256;

impl RedisStore {
    /// A store of at most `limit` players who wait. Over it nobody is let in.
    pub fn new(redis: Redis, limit: usize) -> Self {
        let keys = redis.key("mm", "");
        Self { redis, keys, limit }
    }

    fn call(&self, script: &engine::redis::Script) -> Call {
        script.on(&[&self.keys])
    }
}

impl TicketStore for RedisStore {
    fn add<'a>(
        &'a self,
        tickets: &'a [Arc<Ticket>],
        sighting: &'a Sighting,
    ) -> BoxFuture<'a, Result<Vec<Added>, EngineError>> {
        Box::pin(async move {
            let operation = "adding tickets";
            let mut call = self
                .call(&scripts::ADD)
                .arg(sighting.by.to_string())
                .arg(millis(sighting.grace))
                .arg(self.limit);
            for ticket in tickets {
                push_ticket(&mut call, ticket);
            }
            let replies: Vec<Reply> = self.redis.run(operation, call).await?;
            let added = |reply: &Reply| match kind(reply) {
                "waiting" => Ok(Added::Waiting),
                "gone" => Ok(Added::Gone),
                "full" => Ok(Added::Full),
                _ => Ok(Added::Kept(standing(operation, reply)?)),
            };
            in_order(
                operation,
                tickets.len(),
                replies.iter().map(added).collect(),
            )
        })
    }

    fn gather<'a>(
        &'a self,
        gather: &'a [Gather],
        sighting: &'a Sighting,
    ) -> BoxFuture<'a, Result<Vec<Gathered>, EngineError>> {
        Box::pin(async move {
            let operation = "gathering parties";
            let mut call = self
                .call(&scripts::GATHER)
                .arg(sighting.by.to_string())
                .arg(millis(sighting.grace))
                .arg(self.limit);
            for one in gather {
                call = call
                    .arg(one.code.as_str())
                    .arg(json(&one.code))
                    .arg(one.mode.as_str())
                    .arg(one.size)
                    .arg(one.member.player.to_string())
                    .arg(json(&one.member))
                    .arg(one.member.rating)
                    .arg(json(&one.regions))
                    .arg(one.since.0)
                    .arg(one.ticket.to_string())
                    .arg(one.enqueued_at.0);
            }
            let replies: Vec<Reply> = self.redis.run(operation, call).await?;
            let gathered = replies.iter().map(|reply| gathered(operation, reply));
            in_order(operation, gather.len(), gathered.collect())
        })
    }

    fn remove<'a>(
        &'a self,
        player: PlayerId,
        unseen_by: Option<&'a Incarnation>,
    ) -> BoxFuture<'a, Result<Removed, EngineError>> {
        Box::pin(async move {
            let operation = "removing a player";
            let by = unseen_by.map(ToString::to_string).unwrap_or_default();
            let call = self.call(&scripts::REMOVE).arg(player.to_string()).arg(by);
            let reply: Reply = self.redis.run(operation, call).await?;
            match (kind(&reply), reply.get(1)) {
                ("gone", _) => Ok(Removed::Gone),
                ("kept", _) => Ok(Removed::Kept),
                ("unknown", _) => Ok(Removed::Unknown),
                ("claimed", Some(by)) => {
                    let by = by.parse().map_err(|_| damaged(operation))?;
                    Ok(Removed::Claimed(by))
                }
                _ => Err(damaged(operation)),
            }
        })
    }

    fn feed_end<'a>(&'a self, mode: &'a ModeName) -> BoxFuture<'a, Result<Cursor, EngineError>> {
        Box::pin(async move {
            let call = self.call(&scripts::FEED_END).arg(mode.as_str());
            let name: u64 = rand::random();
            let call = call.arg(format!("={name:016x}"));
            let (place, content) = self.redis.run("finding a feed's end", call).await?;
            Ok(Cursor { place, content })
        })
    }

    fn feed<'a>(
        &'a self,
        mode: &'a ModeName,
        since: &'a Cursor,
    ) -> BoxFuture<'a, Result<Option<Fed>, EngineError>> {
        Box::pin(async move {
            let operation = "reading a feed";
            let key = format!("{}f:{mode}", self.keys);
            let call = Call::command("XRANGE", &key)
                .arg(&since.place)
                .arg("+")
                .arg("COUNT")
                .arg(FEED_PAGE);
            let entries: Vec<Entry> = self.redis.run(operation, call).await?;
            fed(operation, since, entries)
        })
    }

    fn scan<'a>(
        &'a self,
        mode: &'a ModeName,
        from: u64,
    ) -> BoxFuture<'a, Result<Page, EngineError>> {
        Box::pin(async move {
            let operation = "reading a queue";
            let call = self.call(&scripts::SCAN).arg(mode.as_str());
            let call = call.arg(from).arg(SCAN_PAGE);
            let page: Vec<String> = self.redis.run(operation, call).await?;
            let (next, jsons) = page.split_first().ok_or_else(|| damaged(operation))?;
            let next: u64 = next.parse().map_err(|_| damaged(operation))?;
            Ok(Page {
                tickets: legible(operation, jsons),
                next: (next != 0).then_some(next),
            })
        })
    }

    fn find<'a>(
        &'a self,
        tickets: &'a [TicketId],
    ) -> BoxFuture<'a, Result<Vec<Arc<Ticket>>, EngineError>> {
        Box::pin(async move {
            let operation = "finding tickets";
            let mut call = self.call(&scripts::FIND);
            for ticket in tickets {
                call.push(ticket.to_string());
            }
            let jsons: Vec<String> = self.redis.run(operation, call).await?;
            Ok(legible(operation, &jsons))
        })
    }

    fn claim<'a>(
        &'a self,
        wanted: &'a [Wanted],
        claimant: &'a Incarnation,
        claim_for: Duration,
    ) -> BoxFuture<'a, Result<Vec<bool>, EngineError>> {
        Box::pin(async move {
            let mut call = self
                .call(&scripts::CLAIM)
                .arg(claimant.to_string())
                .arg(millis(claim_for));
            for wanted in wanted {
                call.push(format!("{} {}", wanted.match_id, list(&wanted.tickets)));
            }
            self.redis.run("claiming tickets", call).await
        })
    }

    fn renew<'a>(
        &'a self,
        matches: &'a [MatchId],
        claim_for: Duration,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let mut call = self.call(&scripts::RENEW).arg(millis(claim_for));
            for match_id in matches {
                call.push(match_id.to_string());
            }
            self.redis.run("renewing claims", call).await
        })
    }

    fn settle<'a>(
        &'a self,
        settling: &'a [Settling],
    ) -> BoxFuture<'a, Result<Vec<bool>, EngineError>> {
        Box::pin(async move {
            let operation = "settling matches";
            let mut call = self.call(&scripts::SETTLE);
            for one in settling {
                call = about(call, &one.record, one.lifetime);
            }
            let stand: Vec<bool> = self.redis.run_durable(operation, call).await?;
            in_order(
                operation,
                settling.len(),
                stand.into_iter().map(Ok).collect(),
            )
        })
    }

    fn give_back(&self, match_id: MatchId) -> BoxFuture<'_, Result<(), EngineError>> {
        Box::pin(async move {
            let call = self.call(&scripts::GIVE_BACK).arg(match_id.to_string());
            self.redis.run("giving tickets back", call).await
        })
    }

    fn restore<'a>(
        &'a self,
        record: &'a MatchRecord,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Restored, EngineError>> {
        Box::pin(async move {
            let operation = "restoring a match";
            let call = about(self.call(&scripts::RESTORE), record, lifetime);
            let reply: Reply = self.redis.run(operation, call).await?;
            match (kind(&reply), reply.get(1).map(String::as_str)) {
                ("restored", _) => Ok(Restored::Restored),
                ("stands", _) => Ok(Restored::Stands),
                ("ended", Some("lost")) => Ok(Restored::Ended(Ending::Lost)),
                ("ended", Some(_)) => Ok(Restored::Ended(Ending::Finished)),
                _ => Err(damaged(operation)),
            }
        })
    }

    fn end<'a>(&'a self, ended: &'a [EndedMatch]) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let mut call = self.call(&scripts::END);
            for ended in ended {
                let ending = match ended.ending {
                    Ending::Finished => "finished",
                    Ending::Lost => "lost",
                };
                call.push(format!("{} {} {ending}", ended.match_id, ended.room));
            }
            self.redis.run("ending matches", call).await
        })
    }

    fn depart(
        &self,
        player: PlayerId,
        match_id: MatchId,
    ) -> BoxFuture<'_, Result<(), EngineError>> {
        Box::pin(async move {
            let call = self.call(&scripts::DEPART);
            let call = call.arg(player.to_string()).arg(match_id.to_string());
            self.redis.run("leaving a match", call).await
        })
    }

    fn standing<'a>(
        &'a self,
        asked: &'a [Asked],
        sighting: &'a Sighting,
    ) -> BoxFuture<'a, Result<Vec<Standing>, EngineError>> {
        Box::pin(async move {
            let operation = "asking where players stand";
            let mut call = self
                .call(&scripts::STANDING)
                .arg(sighting.by.to_string())
                .arg(millis(sighting.grace));
            for asked in asked {
                call.push(format!("{} {}", asked.player, u8::from(asked.is_here)));
            }
            let replies: Vec<Reply> = self.redis.run(operation, call).await?;
            let standings = replies.iter().map(|reply| standing(operation, reply));
            in_order(operation, asked.len(), standings.collect())
        })
    }

    fn sweep(&self) -> BoxFuture<'_, Result<Swept, EngineError>> {
        Box::pin(async move {
            let call = self.call(&scripts::SWEEP);
            let (claims, players) = self.redis.run("sweeping", call).await?;
            Ok(Swept { claims, players })
        })
    }
}

/// A ticket, for the script that adds it.
fn push_ticket(call: &mut Call, ticket: &Ticket) {
    call.push(ticket.id.to_string());
    call.push(written(ticket));
    call.push(ticket.mode.as_str());
    call.push(ticket.rating());
    call.push(names(&ticket.members));
    let Some(code) = &ticket.party else {
        call.push("");
        call.push(0);
        return;
    };
    call.push(code.as_str());
    call.push(2 + 2 * ticket.members.len());
    call.push(json(&ticket.regions));
    call.push(ticket.enqueued_at.0);
    for member in &ticket.members {
        call.push(json(member));
        call.push(member.rating);
    }
}

/// Answers, if there is one for each thing that was asked.
fn in_order<T>(
    operation: &'static str,
    asked: usize,
    answers: Result<Vec<T>, EngineError>,
) -> Result<Vec<T>, EngineError> {
    let answers = answers?;
    if answers.len() != asked {
        return Err(damaged(operation));
    }
    Ok(answers)
}

/// Tickets, without those that cannot be read: they are of a later release, and matched by it.
fn legible(operation: &'static str, jsons: &[String]) -> Vec<Arc<Ticket>> {
    let tickets = jsons.iter().filter_map(|json| parse(operation, json).ok());
    tickets.map(Arc::new).collect()
}

/// A match, for the scripts that keep it.
fn about(call: Call, record: &MatchRecord, lifetime: Duration) -> Call {
    call.arg(record.id.to_string())
        .arg(record.room.to_string())
        .arg(written(record))
        .arg(names(&record.players))
        .arg(list(&record.tickets))
        .arg(millis(lifetime).max(1))
}

fn kind(reply: &Reply) -> &str {
    reply.first().map_or("", String::as_str)
}

fn standing(operation: &'static str, reply: &[String]) -> Result<Standing, EngineError> {
    let fields: Vec<&str> = reply.iter().map(String::as_str).collect();
    match fields[..] {
        ["nothing"] => Ok(Standing::Nothing),
        ["ticket", json, by] => {
            let claimed_by = match by {
                "" => None,
                by => Some(by.parse().map_err(|_| damaged(operation))?),
            };
            Ok(Standing::Ticket(Found {
                ticket: Arc::new(parse(operation, json)?),
                claimed_by,
            }))
        }
        ["gathering", ..] => Ok(Standing::Gathering(gathering(operation, reply)?)),
        ["match", json] => Ok(Standing::Match(Arc::new(parse(operation, json)?))),
        _ => Err(damaged(operation)),
    }
}

fn gathering(operation: &'static str, reply: &[String]) -> Result<Gathering, EngineError> {
    let [_, code, mode, size, present, regions, since] = reply else {
        return Err(damaged(operation));
    };
    Ok(Gathering {
        code: PartyCode::new(code),
        mode: mode.parse().map_err(|_| damaged(operation))?,
        size: size.parse().map_err(|_| damaged(operation))?,
        present: present.parse().map_err(|_| damaged(operation))?,
        regions: parse(operation, regions)?,
        since: Timestamp(since.parse().map_err(|_| damaged(operation))?),
    })
}

fn gathered(operation: &'static str, reply: &Reply) -> Result<Gathered, EngineError> {
    match (kind(reply), reply.get(1).map(String::as_str)) {
        ("gathering", _) => Ok(Gathered::Gathering(gathering(operation, reply)?)),
        ("complete", Some(json)) => Ok(Gathered::Complete(Arc::new(parse(operation, json)?))),
        ("kept", _) => Ok(Gathered::Kept(standing(operation, &reply[1..])?)),
        ("mismatch", Some("mode")) => Ok(Gathered::Mismatch(Disagreement::Mode)),
        ("mismatch", Some("size")) => Ok(Gathered::Mismatch(Disagreement::Size)),
        ("mismatch", Some("full")) => Ok(Gathered::Mismatch(Disagreement::Full)),
        ("mismatch", Some("regions")) => Ok(Gathered::Mismatch(Disagreement::Regions)),
        ("full", _) => Ok(Gathered::Full),
        _ => Err(damaged(operation)),
    }
}

fn written<T: Serialize>(content: &T) -> String {
    json(&Written { v: FORM, content })
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("what is stored has string keys only")
}

fn parse<T: DeserializeOwned>(operation: &'static str, json: &str) -> Result<T, EngineError> {
    serde_json::from_str(json).map_err(|error| {
        tracing::error!(operation, %error, "what the ticket store holds cannot be read");
        damaged(operation)
    })
}

fn damaged(operation: &'static str) -> EngineError {
    EngineError::Damaged {
        operation,
        detail: "no release has written this".to_owned(),
    }
}

fn names(members: &[Member]) -> String {
    let players: Vec<PlayerId> = members.iter().map(|member| member.player).collect();
    list(&players)
}

fn list<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(" ")
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
