//! Seats of events: what clients ask goes to the box office ([`crate::seats::office`]), and what
//! comes of it back to them. Whoever has asked for the list is told from then on how events stand.

use std::collections::BTreeMap;
use std::time::Duration;

use chassis::clock::unix_ms;
use protocol::control::{
    ClientMessage, ErrorCode, ErrorMessage, EventCounts, EventInfo, EventList, EventSeat,
    EventsListed, SeatState, ServerMessage,
};
use protocol::id::{PlayerId, SeatNumber, SessionId};
use protocol::time::Timestamp;
use rpc::origin::StreamId;

use super::Desk;
use super::queue::RETRY_MS;
use crate::config::EventName;
use crate::seats::office::{Answered, Asked, Outcome, Wish};
use crate::seats::{Counts, Released, Reserved};

/// Most sessions that are told how events stand. Over it lists are answered, and nothing follows.
const WATCHERS: usize = 200_000;

/// Most events in one list: it has to fit into a message.
const LISTED: usize = 48;

/// How far ahead of this clock the version of a count may be that a client says it has seen.
const AHEAD_MS: u64 = 60_000;

/// Shortest and longest time that a client is told to wait for a seat to come back.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Who asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    stream: StreamId,
    session: SessionId,
    /// Only the answer to a list: of a player without a seat it says nothing.
    is_look: bool,
}

/// Who is told how events stand.
#[derive(Debug, Default)]
pub(super) struct Seating {
    watchers: BTreeMap<SessionId, Watcher>,
    next_push: Timestamp,
}

#[derive(Debug)]
struct Watcher {
    stream: StreamId,
    /// The newest version that the client has of each event.
    seen: BTreeMap<EventName, u64>,
}

/// Whether a message is for the box office.
pub(super) fn is_of_events(message: &ClientMessage) -> bool {
    matches!(
        message,
        ClientMessage::EventList(_)
            | ClientMessage::EventReserve(_)
            | ClientMessage::EventConfirm(_)
            | ClientMessage::EventRelease(_)
    )
}

impl Desk {
    /// Something that a client wants of an event.
    pub(super) fn event_message(
        &mut self,
        id: PlayerId,
        line: (StreamId, SessionId),
        message: &ClientMessage,
    ) -> Result<(), ErrorMessage> {
        let (event, wish) = match message {
            ClientMessage::EventList(list) => {
                self.list_events(id, line, list);
                return Ok(());
            }
            ClientMessage::EventReserve(event) => (event, Wish::Reserve),
            ClientMessage::EventConfirm(event) => (event, Wish::Confirm),
            ClientMessage::EventRelease(event) => (event, Wish::Release),
            other => {
                let error = ErrorMessage::new(ErrorCode::OutOfOrder, "not about an event");
                return Err(error.re(other.kind()));
            }
        };
        let refused = |error: ErrorMessage| Err(error.re(message.kind()));
        if self.parts.drain.is_draining() && wish != Wish::Confirm {
            return refused(away());
        }
        let Ok(event) = event.event.parse::<EventName>() else {
            return refused(unknown());
        };
        self.ask_office(id, line, event, wish, false)
            .or_else(refused)
    }

    fn ask_office(
        &self,
        player: PlayerId,
        (stream, session): (StreamId, SessionId),
        event: EventName,
        wish: Wish,
        is_look: bool,
    ) -> Result<(), ErrorMessage> {
        let Some((window, _)) = &self.parts.seats else {
            return Err(unknown());
        };
        let asked = Asked {
            caller: Caller {
                stream,
                session,
                is_look,
            },
            player,
            event,
            wish,
        };
        window.ask(asked).map_err(|_| away())
    }

    /// Which events there are. What the player has of those that are open follows.
    fn list_events(&mut self, id: PlayerId, line: (StreamId, SessionId), list: &EventList) {
        let (stream, session) = line;
        let now_ms = unix_ms();
        let mut events = Vec::new();
        let mut seen = BTreeMap::new();
        let config = self.config();
        for (name, event) in config.events.iter().take(LISTED) {
            let (opens_at_ms, closes_at_ms) =
                (event.opens_at().0 / 1000, event.closes_at().0 / 1000);
            let have = list.have.get(name.as_str()).copied();
            // Versions are microseconds: nobody has seen one that lies far ahead.
            let have = have
                .filter(|have| *have / 1000 <= now_ms + AHEAD_MS)
                .unwrap_or_default();
            let counts = self.counts_after(name, have);
            seen.insert(name.clone(), counts.map_or(have, |counts| counts.version));
            events.push(EventInfo {
                event: name.to_string(),
                title: event.title.clone(),
                opens_at_ms,
                closes_at_ms,
                seats: event.seats,
                free: counts.map(|counts| counts.free()),
                version: counts.map(|counts| counts.version),
            });
            if opens_at_ms <= now_ms {
                // An office that is overrun tells nothing of a seat; who has one asks for it.
                let _ = self.ask_office(id, line, name.clone(), Wish::Look, true);
            }
        }
        let listed = EventsListed {
            events,
            server_time_ms: now_ms,
        };
        if let Some(batch) = self.outbox.to(stream) {
            batch.text(session, ServerMessage::EventsListed(listed).to_text());
        }
        let watchers = &mut self.seating.watchers;
        if watchers.len() < WATCHERS || watchers.contains_key(&session) {
            watchers.insert(session, Watcher { stream, seen });
        }
    }

    /// How an event stands, unless that is older than what the client has. Then the office finds
    /// out, and it is told later.
    fn counts_after(&self, event: &EventName, have: u64) -> Option<Counts> {
        let (_, board) = self.parts.seats.as_ref()?;
        board.want(event, have);
        board.counts(event).filter(|counts| counts.version >= have)
    }

    /// What came of wishes.
    pub(super) fn seat_answers(&mut self, answers: &mut Vec<Answered<Caller>>) {
        for Answered { asked, outcome } in answers.drain(..) {
            let Caller {
                stream,
                session,
                is_look,
            } = asked.caller;
            // Who has gone asks again, wherever that is.
            let is_here = self.roster.attached(session, stream) == Some(asked.player);
            let Some(batch) = self.outbox.to(stream).filter(|_| is_here) else {
                continue;
            };
            let message = match told(&asked.event, outcome) {
                Ok(seat) => ServerMessage::EventSeat(seat),
                Err(_) if is_look => ServerMessage::EventSeat(seat(&asked.event, SeatState::None)),
                Err(error) => ServerMessage::Error(error.re(match asked.wish {
                    Wish::Reserve | Wish::Look => "event.reserve",
                    Wish::Confirm => "event.confirm",
                    Wish::Release => "event.release",
                })),
            };
            batch.text(session, message.to_text());
        }
    }

    /// Tells those who watch how events stand that have changed since they were told.
    pub(super) fn push_counts(&mut self, now: Timestamp) {
        if now < self.seating.next_push || self.seating.watchers.is_empty() {
            return;
        }
        let Some((_, board)) = &self.parts.seats else {
            return;
        };
        let config = self.config();
        self.seating.next_push = now + config.state_every;
        let counts = config.events.keys().filter_map(|event| {
            let counts = board.counts(event)?;
            let message = ServerMessage::EventCounts(EventCounts {
                event: event.to_string(),
                version: counts.version,
                seats: counts.seats,
                free: counts.free(),
            });
            Some((event, counts.version, message.to_text()))
        });
        let counts: Vec<(&EventName, u64, String)> = counts.collect();
        let (roster, outbox) = (&self.roster, &mut self.outbox);
        self.seating.watchers.retain(|session, watcher| {
            if roster.attached(*session, watcher.stream).is_none() {
                return false;
            }
            let Some(batch) = outbox.to(watcher.stream) else {
                return false;
            };
            for (event, version, text) in &counts {
                let seen = watcher.seen.get(*event).copied().unwrap_or_default();
                if *version > seen {
                    watcher.seen.insert((*event).clone(), *version);
                    batch.droppable_text(*session, text.clone());
                }
            }
            true
        });
    }
}

/// What a client is told.
fn told(event: &EventName, outcome: Outcome) -> Result<EventSeat, ErrorMessage> {
    let with = |state, number: SeatNumber| EventSeat {
        seat: Some(number),
        ..seat(event, state)
    };
    Ok(match outcome {
        Outcome::Reserved(Reserved::Held(number, left)) => EventSeat {
            left_ms: Some(millis(left)),
            ..with(SeatState::Reserved, number)
        },
        Outcome::Reserved(Reserved::Writing(number)) => with(SeatState::Confirming, number),
        Outcome::Reserved(Reserved::Confirmed(number)) | Outcome::Confirmed(number) => {
            with(SeatState::Confirmed, number)
        }
        Outcome::Released(Released::Released | Released::Nothing) => seat(event, SeatState::None),
        Outcome::Reserved(Reserved::NotOpen(left)) => {
            let error = ErrorMessage::new(ErrorCode::EventNotOpen, "the event has not opened yet");
            return Err(error.retry_after_ms(millis(left)));
        }
        Outcome::Reserved(Reserved::Closed) => {
            let text = "the event has closed";
            return Err(ErrorMessage::new(ErrorCode::EventClosed, text));
        }
        Outcome::Reserved(Reserved::Full(None)) => {
            let text = "all seats are sold";
            return Err(ErrorMessage::new(ErrorCode::EventFull, text));
        }
        Outcome::Reserved(Reserved::Full(Some(left))) => {
            let text = "no seat is free just now; one may come back";
            let error = ErrorMessage::new(ErrorCode::EventFull, text);
            return Err(error.retry_after_ms(millis(left.clamp(RETRY.0, RETRY.1))));
        }
        Outcome::Lapsed => {
            let text = "you have no seat there, or not any more: it was not confirmed in time";
            return Err(ErrorMessage::new(ErrorCode::SeatLapsed, text));
        }
        Outcome::Released(Released::Confirmed(_) | Released::Writing(_)) => {
            let text = "a seat that is confirmed is kept";
            return Err(ErrorMessage::new(ErrorCode::SeatConfirmed, text));
        }
        Outcome::Unknown => return Err(unknown()),
        Outcome::Away => return Err(away()),
    })
}

fn seat(event: &EventName, state: SeatState) -> EventSeat {
    EventSeat {
        event: event.to_string(),
        state,
        seat: None,
        left_ms: None,
    }
}

fn unknown() -> ErrorMessage {
    let text = "no such event; event.list names those that there are";
    ErrorMessage::new(ErrorCode::EventUnknown, text).field("event")
}

fn away() -> ErrorMessage {
    let error = ErrorMessage::new(ErrorCode::Unavailable, "seats are out of reach; try again");
    error.retry_after_ms(RETRY_MS)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
