//! What can be set about an event with a limited number of seats.

use std::ops::Deref;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Most seats of one event. Its seats are rebuilt in one go when the store has lost them, and are
/// that many entries of about 200 bytes there.
pub const MAX_SEATS: u32 = 10_000;

/// An event with a limited number of seats. Its [`EventOptions`] fit together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "EventOptions", into = "EventOptions")]
pub struct Event(EventOptions);

/// The settings of an event, as they are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventOptions {
    /// What players see. 1 to 80 characters.
    pub title: String,
    /// From when seats can be reserved, such as "2027-01-01T18:00:00Z".
    #[serde(with = "chassis::config::duration")]
    pub opens_at: SystemTime,
    /// From when they cannot any more.
    #[serde(with = "chassis::config::duration")]
    pub closes_at: SystemTime,
    /// How many there are, 1 to [`MAX_SEATS`]. When it is lowered, who has a seat keeps it.
    pub seats: u32,
    /// How long a seat is kept for a player who has not confirmed it.
    #[serde(default = "hold", with = "chassis::config::duration")]
    pub hold: Duration,
}

/// Longest title, in characters.
const MAX_TITLE: usize = 80;

/// Why settings do not make an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Nothing to show, or too much.
    #[error("title has {0} characters; it needs 1 to {MAX_TITLE}")]
    Title(usize),
    /// It would never be open.
    #[error("closes_at must be later than opens_at")]
    Times,
    /// None, or more than can be kept.
    #[error("seats is {0}; it must be 1 to {MAX_SEATS}")]
    Seats(u32),
    /// Nobody could confirm in time, or one player could block a seat.
    #[error("hold must be 1s to 10m")]
    Hold,
}

impl Event {
    /// An event of `options`.
    ///
    /// # Errors
    /// [`EventError`] if they do not fit together.
    pub fn new(options: EventOptions) -> Result<Self, EventError> {
        let title = options.title.chars().count();
        if !(1..=MAX_TITLE).contains(&title) {
            return Err(EventError::Title(title));
        }
        if options.closes_at <= options.opens_at {
            return Err(EventError::Times);
        }
        if !(1..=MAX_SEATS).contains(&options.seats) {
            return Err(EventError::Seats(options.seats));
        }
        if !(Duration::from_secs(1)..=Duration::from_secs(600)).contains(&options.hold) {
            return Err(EventError::Hold);
        }
        Ok(Self(options))
    }

    /// [`EventOptions::opens_at`], in microseconds since 1970.
    pub fn opens_at(&self) -> Timestamp {
        timestamp(self.opens_at)
    }

    /// [`EventOptions::closes_at`], in microseconds since 1970.
    pub fn closes_at(&self) -> Timestamp {
        timestamp(self.closes_at)
    }
}

impl Deref for Event {
    type Target = EventOptions;

    fn deref(&self) -> &EventOptions {
        &self.0
    }
}

impl TryFrom<EventOptions> for Event {
    type Error = EventError;

    fn try_from(options: EventOptions) -> Result<Self, EventError> {
        Self::new(options)
    }
}

impl From<Event> for EventOptions {
    fn from(event: Event) -> Self {
        event.0
    }
}

fn hold() -> Duration {
    Duration::from_secs(5)
}

fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(change: &str) -> Result<Event, String> {
        let mut options = serde_json::json!({
            "title": "Opening night", "seats": 200,
            "opens_at": "2027-01-01T18:00:00Z", "closes_at": "2027-01-01T20:00:00Z",
        });
        let change: serde_json::Value = serde_json::from_str(change).unwrap();
        for (key, value) in change.as_object().unwrap() {
            options[key] = value.clone();
        }
        serde_json::from_value(options).map_err(|error| error.to_string())
    }

    #[test]
    fn an_event_is_written_with_times_that_people_read() {
        let event = read("{}").unwrap();
        assert_eq!(event.hold, Duration::from_secs(5));
        assert_eq!(event.opens_at(), Timestamp(1_798_826_400_000_000));
        let text = serde_json::to_string(&event).unwrap();
        assert!(
            text.contains(r#""opens_at":"2027-01-01T18:00:00Z""#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }

    #[test]
    fn an_event_is_refused_by_what_is_wrong_with_it() {
        for (change, told) in [
            (r#"{"title":""}"#, "title has 0"),
            (
                r#"{"closes_at":"2027-01-01T18:00:00Z"}"#,
                "closes_at must be later",
            ),
            (r#"{"seats":0}"#, "seats is 0"),
            (r#"{"seats":10001}"#, "seats is 10001"),
            (r#"{"hold":"900ms"}"#, "hold must be"),
            (r#"{"opens_at":"tomorrow"}"#, "expected a timestamp"),
        ] {
            let error = read(change).unwrap_err();
            assert!(error.contains(told), "{change}: {error}");
        }
    }
}
