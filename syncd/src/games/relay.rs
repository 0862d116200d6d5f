//! The relay room: no simulation, only members who talk to each other.
//!
//! - A message goes to everyone, its sender among them, or to one member, as an event: reliable,
//!   and in the same order for all. A member who is away gets it on coming back, as far as the
//!   event log reaches.
//! - One member who is present is the host. It stays that until it is away or leaves; then the
//!   lowest seat that is present is.
//! - The room is over when its time is up or when everyone has left. Seats whose players have
//!   never come hold it open for [`JOIN_WAIT`].

use std::time::Duration;

use protocol::control::{Data, ErrorCode, ErrorMessage};
use protocol::snapshot::{Field, Schema, View};
use serde::{Deserialize, Serialize};

use crate::game::{
    Departure, Game, GameEvent, GameKind, Priority, RestoreError, Seat, SeatInput, SeatResult,
    Setup, SetupError, load, store,
};
use crate::room::ticks;

/// The relay room, for [`Games`](crate::games::Games).
pub const KIND: GameKind = GameKind {
    name: "relay",
    // The least that there may be; nothing reads it.
    input_bits: 1,
    schema,
    version: 1,
    create: |setup| Ok(Box::new(Relay::new(setup)?)),
    restore: |setup, bytes| Ok(Box::new(Relay::restore(setup, bytes)?)),
};

/// Most members.
pub const MEMBERS: usize = 32;

/// How long those who left do not end the room while others are still to come.
pub const JOIN_WAIT: Duration = Duration::from_secs(30);

/// The global `host` while nobody is present.
pub const NO_HOST: u32 = 255;

/// The fields of a snapshot: who is the host, when the room is over, and which seats are present.
pub fn schema() -> Schema {
    let globals = vec![Field::new("host", 8, 0), Field::new("ends_tick", 24, 0)];
    let fields = vec![Field::new("present", 1, 0)];
    Schema::new(MEMBERS, globals, fields).expect("within the limits of a schema")
}

/// Settings of a mode.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Life time.
    minutes: Minutes,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            minutes: Minutes(10),
        }
    }
}

/// 1 to 1440: a day.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "u32")]
struct Minutes(u32);

impl TryFrom<u32> for Minutes {
    type Error = String;

    fn try_from(minutes: u32) -> Result<Self, String> {
        match minutes {
            1..=1440 => Ok(Self(minutes)),
            _ => Err(format!("expected 1 to 1440 minutes, not {minutes}")),
        }
    }
}

/// What the room tells exactly once.
#[derive(Debug, Serialize)]
#[serde(tag = "e")]
enum RelayEvent<'a> {
    #[serde(rename = "relay.said")]
    Said { from: Seat, data: &'a Data },
    #[serde(rename = "relay.host")]
    Host { seat: Seat },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Presence {
    /// Has never been here.
    Expected,
    Present,
    Away,
    /// For good.
    Left,
}

/// One room.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Relay {
    tick: u32,
    ends_tick: u32,
    members: Vec<Presence>,
    host: Option<Seat>,
    over: bool,
}

impl Relay {
    fn new(setup: &Setup) -> Result<Self, SetupError> {
        let seats = setup.seats.len();
        if !(1..=MEMBERS).contains(&seats) {
            let problem = format!("a relay room has 1 to {MEMBERS} seats, not {seats}");
            return Err(SetupError::new("seats", problem));
        }
        let Settings {
            minutes: Minutes(minutes),
        } = setup.parse_settings()?;
        Ok(Self {
            tick: 0,
            ends_tick: ticks(Duration::from_secs(60)) * minutes,
            members: vec![Presence::Expected; seats],
            host: None,
            over: false,
        })
    }

    fn restore(setup: &Setup, bytes: &[u8]) -> Result<Self, RestoreError> {
        let new = Self::new(setup)?;
        let saved: Self = load("a relay room", bytes)?;
        let is_seat = |seat: Seat| seat.index() < new.members.len();
        if saved.members.len() != new.members.len() || !saved.host.is_none_or(is_seat) {
            return Err(RestoreError::Damaged("seats of a relay room"));
        }
        Ok(saved)
    }

    fn is_present(&self, seat: Seat) -> bool {
        self.members[seat.index()] == Presence::Present
    }

    fn choose_host(&mut self, events: &mut Vec<GameEvent>) {
        if self.host.is_some_and(|host| self.is_present(host)) {
            return;
        }
        let mut seats = (0..self.members.len()).map(|index| Seat(index as u16));
        self.host = seats.find(|seat| self.is_present(*seat));
        if let Some(seat) = self.host {
            events.push(GameEvent::to_all(&RelayEvent::Host { seat }));
        }
    }

    fn has_emptied(&self) -> bool {
        let waited = self.tick >= ticks(JOIN_WAIT);
        let gone = |presence: &Presence| match presence {
            Presence::Left => true,
            Presence::Expected => waited,
            Presence::Present | Presence::Away => false,
        };
        self.members.contains(&Presence::Left) && self.members.iter().all(gone)
    }
}

impl Game for Relay {
    fn join(&mut self, seat: Seat) {
        self.members[seat.index()] = Presence::Present;
    }

    fn leave(&mut self, seat: Seat, departure: Departure) {
        self.members[seat.index()] = match departure {
            Departure::Lost => Presence::Away,
            Departure::Left => Presence::Left,
        };
    }

    fn say(
        &mut self,
        from: Seat,
        to: Option<Seat>,
        data: &Data,
        events: &mut Vec<GameEvent>,
    ) -> Result<(), ErrorMessage> {
        let said = RelayEvent::Said { from, data };
        let Some(to) = to else {
            events.push(GameEvent::to_all(&said));
            return Ok(());
        };
        if matches!(
            self.members[to.index()],
            Presence::Expected | Presence::Left
        ) {
            let text = format!("the player of seat {to} is not in the room");
            return Err(ErrorMessage::new(ErrorCode::NotInRoom, text).field("to"));
        }
        events.push(GameEvent::to_seat(to, &said));
        Ok(())
    }

    fn step(&mut self, _inputs: &[SeatInput], events: &mut Vec<GameEvent>) {
        self.tick += 1;
        self.choose_host(events);
        self.over |= self.tick >= self.ends_tick || self.has_emptied();
    }

    fn save(&self) -> Vec<u8> {
        store(self)
    }

    fn encode(&self, view: &mut View) {
        view.set_global(0, self.host.map_or(NO_HOST, |host| u32::from(host.0)));
        view.set_global(1, self.ends_tick);
        for (slot, presence) in self.members.iter().enumerate() {
            view.put(slot, &[u32::from(*presence == Presence::Present)]);
        }
    }

    fn interest(&self, _viewer: Seat, _entity: usize) -> Priority {
        Priority(1)
    }

    /// What members say to each other is theirs alone, and there is nothing else to see.
    fn is_taped(&self) -> bool {
        false
    }

    fn setup(&self) -> serde_json::Value {
        serde_json::json!({ "host": self.host, "ends_tick": self.ends_tick })
    }

    fn is_over(&self) -> bool {
        self.over
    }

    /// Every member, by seat: nobody is before another.
    fn result(&self) -> Vec<SeatResult> {
        let member = |seat| SeatResult {
            seat: Seat(seat),
            place: 1,
            ticks: None,
        };
        (0..self.members.len() as u16).map(member).collect()
    }
}

#[cfg(test)]
mod tests;
