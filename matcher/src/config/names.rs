//! Names that operators give, and clients say.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $error:ident, $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        #[doc = concat!("Why a text cannot name ", $what, ".")]
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[error("the name of {} has 1 to 32 characters of a-z, 0-9, '-' and '_'", $what)]
        pub struct $error;

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                let well_formed = (1..=32).contains(&text.len())
                    && text
                        .bytes()
                        .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
                if well_formed { Ok(Self(text.into())) } else { Err($error) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

names! {
    /// Name of a mode.
    ModeName, ModeNameError, "a mode";
    /// Name of a region.
    Region, RegionNameError, "a region";
    /// Name of a role in a team.
    Role, RoleError, "a role";
    /// Name of an attribute of tickets.
    Attribute, AttributeError, "an attribute";
    /// Value of an attribute of tickets.
    AttributeValue, AttributeValueError, "an attribute's value";
    /// Name of an event with a limited number of seats.
    EventName, EventNameError, "an event";
}
