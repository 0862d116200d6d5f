//! Tickets in Redis, for any number of matchers: one script a call, all on one hash slot.
//!
//! Every script does no harm when it is run again, as calls are whose answer was lost. A settled
//! match waits for replicas as far as the configuration says; whatever else a fail-over loses,
//! matchers find out and mend (see `docs/MATCHING.md`).

mod feed;
mod replies;
mod scripts;
mod written;

use std::sync::Arc;
use std::time::Duration;

use engine::redis::{Call, Redis};
use engine::{BoxFuture, EngineError, Incarnation};
use protocol::id::{MatchId, PlayerId, TicketId};

use self::feed::fed;
use self::replies::{damaged, duration, gathered, in_order, kind, legible, private_room, standing};
use self::written::{about, attributes, json, list, millis, names, push_ticket, written};
use super::{
    Acceptance, Added, Answered, Asked, Changed, CoolDown, Cursor, EndedMatch, Ending, Entered,
    Entering, Expected, Fed, Gather, Gathered, MatchRecord, Page, PrivateChange, Removed, Restored,
    Settling, Sighting, Spot, Standing, Start, Swept, TicketStore, Wanted,
};
use crate::config::ModeName;
use crate::ticket::{Ticket, Version};

/// Tickets in Redis.
#[derive(Debug, Clone)]
pub struct RedisStore {
    redis: Redis,
    /// Begins every key. All are in one slot: a ticket, its players and its queue change together.
    keys: String,
    limit: usize,
}

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
                "cooling" => Ok(Added::Cooling(duration(operation, reply.get(1))?)),
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
                    .arg(one.enqueued_at.0)
                    .arg(one.version.as_ref().map_or("", Version::as_str))
                    .arg(attributes(&one.attributes));
            }
            let replies: Vec<Reply> = self.redis.run(operation, call).await?;
            let gathered = replies.iter().map(|reply| gathered(operation, reply));
            in_order(operation, gather.len(), gathered.collect())
        })
    }

    fn enter_private<'a>(
        &'a self,
        entering: &'a Entering,
        sighting: &'a Sighting,
    ) -> BoxFuture<'a, Result<Entered, EngineError>> {
        Box::pin(async move {
            let operation = "entering a private room";
            let (mode, most) = match &entering.open {
                Some((mode, most)) => (mode.as_str(), *most),
                None => ("", 0),
            };
            let call = self
                .call(&scripts::ENTER_PRIVATE)
                .arg(sighting.by.to_string())
                .arg(millis(sighting.grace))
                .arg(self.limit)
                .arg(entering.code.as_str())
                .arg(mode)
                .arg(most)
                .arg(entering.member.player.to_string())
                .arg(json(&entering.member));
            let reply: Reply = self.redis.run(operation, call).await?;
            match kind(&reply) {
                "private" => Ok(Entered::In(private_room(operation, &reply)?)),
                "kept" => Ok(Entered::Kept(standing(operation, &reply[1..])?)),
                "unknown" => Ok(Entered::Unknown),
                "sent_away" => Ok(Entered::SentAway),
                "no_place" => Ok(Entered::Full),
                "full" => Ok(Entered::StoreFull),
                _ => Err(damaged(operation)),
            }
        })
    }

    fn change_private(
        &self,
        player: PlayerId,
        change: PrivateChange,
    ) -> BoxFuture<'_, Result<Changed, EngineError>> {
        Box::pin(async move {
            let operation = "changing a private room";
            let (what, of) = match change {
                PrivateChange::Ready(true) => ("ready", player),
                PrivateChange::Ready(false) => ("unready", player),
                PrivateChange::SendAway(member) => ("send_away", member),
            };
            let call = self
                .call(&scripts::CHANGE_PRIVATE)
                .arg(player.to_string())
                .arg(what)
                .arg(of.to_string());
            let reply: Reply = self.redis.run(operation, call).await?;
            match kind(&reply) {
                "private" => Ok(Changed::Room(private_room(operation, &reply)?)),
                "not_there" => Ok(Changed::NotThere),
                "not_leader" => Ok(Changed::NotLeader),
                _ => Err(damaged(operation)),
            }
        })
    }

    fn start_private<'a>(
        &'a self,
        start: &'a Start,
        claimant: &'a Incarnation,
        claim_for: Duration,
    ) -> BoxFuture<'a, Result<bool, EngineError>> {
        Box::pin(async move {
            let mut call = self
                .call(&scripts::START_PRIVATE)
                .arg(claimant.to_string())
                .arg(millis(claim_for))
                .arg(start.code.as_str())
                .arg(start.match_id.to_string())
                .arg(list(&start.bots));
            for ticket in &start.tickets {
                call = call
                    .arg(ticket.id.to_string())
                    .arg(written(&**ticket))
                    .arg(ticket.mode.as_str())
                    .arg(ticket.rating())
                    .arg(names(&ticket.members));
            }
            self.redis.run("starting a private match", call).await
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
                let mut words = vec![wanted.match_id.to_string()];
                if let Some(question) = &wanted.ask {
                    words.push(format!("?{}", millis(question.within)));
                    words.extend(question.willing.iter().map(|player| format!("!{player}")));
                }
                words.push(list(&wanted.tickets));
                call.push(words.join(" "));
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

    fn answer<'a>(
        &'a self,
        player: PlayerId,
        match_id: MatchId,
        accepts: bool,
        cool_down: CoolDown,
    ) -> BoxFuture<'a, Result<Answered, EngineError>> {
        Box::pin(async move {
            let operation = "answering a match";
            let call = self
                .call(&scripts::ANSWER)
                .arg(millis(cool_down.first))
                .arg(millis(cool_down.most))
                .arg(player.to_string())
                .arg(match_id.to_string())
                .arg(u8::from(accepts));
            let reply: Reply = self.redis.run(operation, call).await?;
            match kind(&reply) {
                "accepted" => Ok(Answered::Accepted),
                "declined" => Ok(Answered::Declined(duration(operation, reply.get(1))?)),
                "unknown" => Ok(Answered::Unknown),
                _ => Err(damaged(operation)),
            }
        })
    }

    fn acceptance<'a>(
        &'a self,
        matches: &'a [MatchId],
        cool_down: CoolDown,
    ) -> BoxFuture<'a, Result<Vec<Acceptance>, EngineError>> {
        Box::pin(async move {
            let operation = "counting who accepted";
            let mut call = self
                .call(&scripts::ACCEPTANCE)
                .arg(millis(cool_down.first))
                .arg(millis(cool_down.most));
            for match_id in matches {
                call.push(match_id.to_string());
            }
            let replies: Vec<String> = self.redis.run(operation, call).await?;
            let stands = replies.iter().map(|reply| match reply.as_str() {
                "open" => Ok(Acceptance::Open),
                "complete" => Ok(Acceptance::Complete),
                "off" => Ok(Acceptance::Off),
                _ => Err(damaged(operation)),
            });
            in_order(operation, matches.len(), stands.collect())
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
            let at = None;
            let unknown = asked.iter().map(|asked| Expected { asked: *asked, at });
            let unknown: Vec<Expected> = unknown.collect();
            let standings = self.moved(&unknown, sighting).await?;
            // Nobody is expected anywhere.
            Ok(standings.into_iter().flatten().collect())
        })
    }

    fn moved<'a>(
        &'a self,
        expected: &'a [Expected],
        sighting: &'a Sighting,
    ) -> BoxFuture<'a, Result<Vec<Option<Standing>>, EngineError>> {
        Box::pin(async move {
            let operation = "asking where players stand";
            let mut call = self
                .call(&scripts::STANDING)
                .arg(sighting.by.to_string())
                .arg(millis(sighting.grace));
            for Expected { asked, at } in expected {
                let (player, is_here) = (asked.player, u8::from(asked.is_here));
                call.push(match at {
                    None => format!("{player} {is_here}"),
                    Some(Spot::Waiting(ticket)) => format!("{player} {is_here} t:{ticket}"),
                    Some(Spot::Playing(match_id)) => format!("{player} {is_here} m:{match_id}"),
                });
            }
            let replies: Vec<Reply> = self.redis.run(operation, call).await?;
            let news = |reply: &Reply| match reply.is_empty() {
                true => Ok(None),
                false => standing(operation, reply).map(Some),
            };
            in_order(
                operation,
                expected.len(),
                replies.iter().map(news).collect(),
            )
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
