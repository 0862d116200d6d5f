//! The book in Redis, for any number of matchers. Time is the server's.
//!
//! Each call is one script (`lua/`), and all keys of an event share one hash slot. Scripts may be
//! run twice and do no harm. None is waited for on replicas: what must not be lost is in the ledger.

use std::sync::LazyLock;
use std::time::Duration;

use engine::redis::{Call, Heard, Redis, Script};
use engine::{BoxFuture, EngineError};
use protocol::id::{PlayerId, SeatNumber};
use protocol::time::Timestamp;
use tokio::sync::broadcast;
use tokio::task::AbortHandle;

use super::{MOST, NEWS, News, Part, Rebuilt, Sale, SeatStore, Swept, Told};
use crate::seats::{Begun, Counts, Released, Reserved};

macro_rules! scripts {
    ($($name:ident = $file:literal;)*) => {$(
        static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(concat!(
                include_str!("lua/prelude.lua"),
                include_str!(concat!("lua/", $file)),
            ))
        });
    )*};
}

scripts! {
    RESERVE = "reserve.lua";
    BEGIN = "begin.lua";
    SETTLE = "settle.lua";
    UNDO = "undo.lua";
    RELEASE = "release.lua";
    SWEEP = "sweep.lua";
    REBUILD = "rebuild.lua";
}

/// How long an event's keys are kept after it has closed.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// Books in Redis.
pub struct RedisSeats {
    redis: Redis,
    channel: String,
    news: broadcast::Sender<News>,
    listener: AbortHandle,
}

impl RedisSeats {
    /// Books in `redis`. It listens for news on the runtime that this is called on.
    pub fn new(redis: Redis) -> Self {
        let channel = redis.channel("seats");
        let news = broadcast::Sender::new(NEWS);
        let (tell, ears, topic) = (news.clone(), redis.clone(), channel.clone());
        let listener = tokio::spawn(async move {
            let each = |heard| {
                if let Heard::Message(bytes) = heard
                    && let Some(news) = parse_news(&bytes)
                {
                    // An error means that nobody listens.
                    let _ = tell.send(news);
                }
            };
            ears.hear(&topic, each).await
        });
        Self {
            redis,
            channel,
            news,
            listener: listener.abort_handle(),
        }
    }

    fn call(&self, script: &Script, sale: &Sale) -> Call {
        let keys = self.redis.key(&format!("seats:{}", sale.name), "");
        script
            .on(&[keys])
            .arg(sale.terms.seats)
            .arg(millis_at(sale.terms.closes_at + KEPT))
            .arg(&self.channel)
            .arg(sale.name.as_str())
    }

    async fn ask<T>(
        &self,
        operation: &'static str,
        call: Call,
        read: impl FnMut(&str) -> Option<T>,
    ) -> Result<Told<Vec<T>>, EngineError> {
        let reply: Vec<String> = self.redis.run(operation, call).await?;
        let mut words = reply.iter().map(String::as_str);
        match words.next() {
            Some("cold") => return Ok(Told::Cold),
            Some("known") => {}
            _ => return Err(damaged(operation)),
        }
        let counts = read_counts(&mut words);
        let outcomes: Option<Vec<T>> = words.map(read).collect();
        let (counts, outcomes) = counts.zip(outcomes).ok_or_else(|| damaged(operation))?;
        Ok(Told::Known(outcomes, counts))
    }
}

impl Drop for RedisSeats {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl SeatStore for RedisSeats {
    fn reserve<'a>(
        &'a self,
        sale: &'a Sale,
        players: &'a [PlayerId],
    ) -> BoxFuture<'a, Result<Told<Vec<Reserved>>, EngineError>> {
        Box::pin(async move {
            let call = self
                .call(&RESERVE, sale)
                .arg(millis_at(sale.terms.opens_at))
                .arg(millis_at(sale.terms.closes_at))
                .arg(millis(sale.terms.hold));
            let call = with_players(call, players);
            self.ask("reserving seats", call, reserved).await
        })
    }

    fn begin<'a>(
        &'a self,
        sale: &'a Sale,
        players: &'a [PlayerId],
        within: Duration,
    ) -> BoxFuture<'a, Result<Told<Vec<Begun>>, EngineError>> {
        Box::pin(async move {
            let call = self.call(&BEGIN, sale).arg(millis(within));
            let call = with_players(call, players);
            self.ask("beginning to write seats", call, begun).await
        })
    }

    fn settle<'a>(
        &'a self,
        sale: &'a Sale,
        seats: &'a [(PlayerId, SeatNumber)],
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let call = with_seats(self.call(&SETTLE, sale), seats);
            let _: Vec<String> = self.redis.run("settling seats", call).await?;
            Ok(())
        })
    }

    fn undo<'a>(
        &'a self,
        sale: &'a Sale,
        seats: &'a [(PlayerId, SeatNumber)],
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let call = with_seats(self.call(&UNDO, sale), seats);
            let _: Vec<String> = self.redis.run("freeing seats", call).await?;
            Ok(())
        })
    }

    fn release<'a>(
        &'a self,
        sale: &'a Sale,
        players: &'a [PlayerId],
    ) -> BoxFuture<'a, Result<Told<Vec<Released>>, EngineError>> {
        Box::pin(async move {
            let call = with_players(self.call(&RELEASE, sale), players);
            self.ask("giving seats back", call, released).await
        })
    }

    fn sweep<'a>(
        &'a self,
        sale: &'a Sale,
        seen: u64,
    ) -> BoxFuture<'a, Result<Told<Swept>, EngineError>> {
        Box::pin(async move {
            let operation = "sweeping seats";
            let call = self.call(&SWEEP, sale).arg(seen).arg(MOST);
            let told = self.ask(operation, call, |line| Some(line.to_owned()));
            let (lines, counts) = match told.await? {
                Told::Cold => return Ok(Told::Cold),
                Told::Known(lines, counts) => (lines, counts),
            };
            let swept = swept(&lines).ok_or_else(|| damaged(operation))?;
            Ok(Told::Known(swept, counts))
        })
    }

    fn rebuild<'a>(
        &'a self,
        sale: &'a Sale,
        part: &'a Part,
    ) -> BoxFuture<'a, Result<Rebuilt, EngineError>> {
        Box::pin(async move {
            let operation = "rebuilding seats";
            let call = self
                .call(&REBUILD, sale)
                .arg(part.token)
                .arg(part.index)
                .arg(u8::from(part.is_last));
            let call = with_seats(call, &part.seats);
            let reply: Vec<String> = self.redis.run(operation, call).await?;
            match reply.first().map(String::as_str) {
                Some("done") => Ok(Rebuilt::Done),
                Some("again") => Ok(Rebuilt::Again),
                _ => Err(damaged(operation)),
            }
        })
    }

    fn lineage(&self) -> BoxFuture<'_, Result<String, EngineError>> {
        Box::pin(self.redis.lineage("asking for the lineage of seats"))
    }

    fn news(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }
}

fn with_players(mut call: Call, players: &[PlayerId]) -> Call {
    assert!(players.len() <= MOST, "callers cut what is more");
    for player in players {
        call.push(player.to_string());
    }
    call
}

fn with_seats(mut call: Call, seats: &[(PlayerId, SeatNumber)]) -> Call {
    assert!(seats.len() <= MOST, "callers cut what is more");
    for (player, seat) in seats {
        call.push(player.to_string());
        call.push(seat.0);
    }
    call
}

fn reserved(line: &str) -> Option<Reserved> {
    let mut words = line.split(' ');
    let (kind, first, second) = (words.next()?, words.next(), words.next());
    Some(match kind {
        "held" => Reserved::Held(number(first?)?, duration(second?)?),
        "writing" => Reserved::Writing(number(first?)?),
        "confirmed" => Reserved::Confirmed(number(first?)?),
        "full" => Reserved::Full(match first {
            Some(millis) => Some(duration(millis)?),
            None => None,
        }),
        "early" => Reserved::NotOpen(duration(first?)?),
        "closed" => Reserved::Closed,
        _ => return None,
    })
}

fn begun(line: &str) -> Option<Begun> {
    match line.split_once(' ') {
        None => (line == "lapsed").then_some(Begun::Lapsed),
        Some(("writing", seat)) => Some(Begun::Writing(number(seat)?)),
        Some(("confirmed", seat)) => Some(Begun::Confirmed(number(seat)?)),
        Some(_) => None,
    }
}

fn released(line: &str) -> Option<Released> {
    match line.split_once(' ') {
        None if line == "released" => Some(Released::Released),
        None => (line == "nothing").then_some(Released::Nothing),
        Some(("writing", seat)) => Some(Released::Writing(number(seat)?)),
        Some(("confirmed", seat)) => Some(Released::Confirmed(number(seat)?)),
        Some(_) => None,
    }
}

fn swept(lines: &[String]) -> Option<Swept> {
    let (lapsed, doubtful) = lines.split_first()?;
    let doubtful = doubtful.iter().map(|line| {
        let (player, seat) = line.split_once(' ')?;
        Some((player.parse().ok()?, number(seat)?))
    });
    Some(Swept {
        lapsed: lapsed.parse().ok()?,
        doubtful: doubtful.collect::<Option<_>>()?,
    })
}

fn read_counts<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Counts> {
    Some(Counts {
        version: words.next()?.parse().ok()?,
        seats: words.next()?.parse().ok()?,
        reserved: words.next()?.parse().ok()?,
        confirmed: words.next()?.parse().ok()?,
    })
}

fn parse_news(bytes: &[u8]) -> Option<News> {
    let (event, counts) = std::str::from_utf8(bytes).ok()?.split_once(' ')?;
    Some(News {
        event: event.parse().ok()?,
        counts: read_counts(&mut counts.split(' '))?,
    })
}

fn number(text: &str) -> Option<SeatNumber> {
    text.parse().ok().map(SeatNumber)
}

fn duration(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_millis)
}

fn damaged(operation: &'static str) -> EngineError {
    EngineError::Damaged {
        operation,
        detail: "no release has written this".to_owned(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Of what Redis keeps exactly: its scripts count in floating point.
fn millis_at(time: Timestamp) -> u64 {
    (time.0 / 1000).min(1 << 50)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_read_as_scripts_write_them() {
        let news = parse_news(b"opening-night 1798826400000000 200 3 4").unwrap();
        assert_eq!(news.event.as_str(), "opening-night");
        let counts = Counts {
            version: 1_798_826_400_000_000,
            seats: 200,
            reserved: 3,
            confirmed: 4,
        };
        assert_eq!(news.counts, counts);
        assert_eq!(parse_news(b"opening-night 1 200 3"), None);
    }

    #[test]
    fn what_a_script_says_of_a_full_event_tells_whether_it_is_sold_out() {
        assert_eq!(reserved("full"), Some(Reserved::Full(None)));
        let later = Duration::from_millis(40);
        assert_eq!(reserved("full 40"), Some(Reserved::Full(Some(later))));
        assert_eq!(reserved("held 3"), None);
    }
}
