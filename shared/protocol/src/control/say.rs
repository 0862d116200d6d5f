//! Messages between the members of a room.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// Most bytes of a message's data, as JSON text.
pub const MAX_DATA: usize = 1024;

/// Deepest nesting of a message's data: every JSON reader takes what carries it.
pub const MAX_DATA_DEPTH: usize = 32;

/// Body of `room.say`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomSay {
    /// What is said.
    pub data: Data,
    /// The seat that it is for. Absent: everyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u16>,
}

/// Any JSON value, kept as it was written: at most [`MAX_DATA`] bytes, nested at most
/// [`MAX_DATA_DEPTH`] deep, and one that every JSON reader takes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Box<RawValue>")]
pub struct Data(Box<RawValue>);

/// Why a value cannot be said.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Too much of it.
    #[error("at most {MAX_DATA} bytes of JSON, not {0}")]
    TooLong(usize),
    /// Arrays and objects in each other.
    #[error("nested deeper than {MAX_DATA_DEPTH}")]
    TooDeep,
    /// No JSON, or JSON that some readers do not take, such as half a surrogate pair.
    #[error("not JSON that everybody can read")]
    Unreadable(#[source] serde_json::Error),
}

impl Data {
    /// Takes JSON text.
    ///
    /// # Errors
    /// [`DataError`] if it is none, or over a limit.
    pub fn parse(text: &str) -> Result<Self, DataError> {
        if text.len() > MAX_DATA {
            return Err(DataError::TooLong(text.len()));
        }
        let value: Value = serde_json::from_str(text).map_err(DataError::Unreadable)?;
        if depth(&value) > MAX_DATA_DEPTH {
            return Err(DataError::TooDeep);
        }
        let raw = RawValue::from_string(text.to_owned()).map_err(DataError::Unreadable)?;
        Ok(Self(raw))
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl TryFrom<Box<RawValue>> for Data {
    type Error = DataError;

    fn try_from(raw: Box<RawValue>) -> Result<Self, DataError> {
        Self::parse(raw.get())
    }
}

impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Data {}

/// How many arrays and objects are in each other. The parser bounds the recursion.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use crate::control::{ClientMessage, ErrorCode};

    use super::*;

    fn say(data: &str) -> String {
        format!(r#"{{"t":"room.say","data":{data}}}"#)
    }

    #[test]
    fn any_json_is_said_as_it_was_written() {
        for data in ["null", "7.50", r#""hé""#, r#"{"b":[1, 2],"a":{}}"#] {
            let Ok(ClientMessage::RoomSay(said)) = ClientMessage::parse(&say(data)) else {
                panic!("{data}");
            };
            assert_eq!((said.data.as_str(), said.to), (data, None));
            let message = ClientMessage::RoomSay(RoomSay {
                to: Some(3),
                ..said
            });
            let text = message.to_text();
            assert!(text.contains(data) && text.contains(r#""to":3"#), "{text}");
            assert_eq!(ClientMessage::parse(&text), Ok(message));
        }
    }

    #[test]
    fn data_over_a_limit_is_refused_by_name() {
        let quoted = |bytes: usize| say(&format!("\"{}\"", "x".repeat(bytes - 2)));
        let nested = |depth: usize| say(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
        assert!(ClientMessage::parse(&quoted(MAX_DATA)).is_ok());
        assert!(ClientMessage::parse(&nested(MAX_DATA_DEPTH)).is_ok());
        for text in [
            quoted(MAX_DATA + 1),
            nested(MAX_DATA_DEPTH + 1),
            nested(500),
            say(r#""\ud800""#),
            say("1e999"),
            r#"{"t":"room.say"}"#.to_owned(),
        ] {
            let error = ClientMessage::parse(&text).expect_err(&text);
            assert_eq!(error.code, ErrorCode::BadField, "{error}");
            assert_eq!(error.field.as_deref(), Some("data"), "{error}");
            assert_eq!(error.re.as_deref(), Some("room.say"));
        }
    }

    #[test]
    fn a_seat_that_is_no_number_is_refused_by_name() {
        for to in ["-1", "65536", r#""all""#] {
            let text = format!(r#"{{"t":"room.say","data":1,"to":{to}}}"#);
            let error = ClientMessage::parse(&text).expect_err(to);
            assert_eq!(error.field.as_deref(), Some("to"));
        }
    }
}
