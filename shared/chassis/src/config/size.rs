//! Sizes with units.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

/// A number of bytes; as text with a unit of B, KiB, MiB or GiB (`"64KiB"`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(pub usize);

/// Why a text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a whole number and a unit of B, KiB, MiB or GiB, such as \"64KiB\"")]
pub struct ParseByteSizeError;

/// Smallest first; each divides the next.
const UNITS: [(&str, usize); 4] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

impl ByteSize {
    /// A size in KiB.
    pub const fn kib(count: usize) -> Self {
        Self(count << 10)
    }

    /// A size in MiB.
    pub const fn mib(count: usize) -> Self {
        Self(count << 20)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |(_, bytes): &&(&str, usize)| self.0 != 0 && self.0.is_multiple_of(*bytes);
        let (unit, bytes) = UNITS.iter().rev().find(exact).unwrap_or(&UNITS[0]);
        write!(f, "{}{unit}", self.0 / bytes)
    }
}

impl FromStr for ByteSize {
    type Err = ParseByteSizeError;

    fn from_str(text: &str) -> Result<Self, ParseByteSizeError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (count, unit) = text.split_at(digits);
        let known = UNITS.iter().find(|(name, _)| *name == unit.trim_start());
        let (_, bytes) = known.ok_or(ParseByteSizeError)?;
        let count: usize = count.parse().map_err(|_| ParseByteSizeError)?;
        let total = count.checked_mul(*bytes).ok_or(ParseByteSizeError)?;
        Ok(Self(total))
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_back_what_they_print() {
        for (text, bytes) in [
            ("0B", 0),
            ("100B", 100),
            ("64KiB", 65_536),
            ("3GiB", 3 << 30),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)));
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
        assert_eq!("16 MiB".parse(), Ok(ByteSize::mib(16)));
    }

    #[test]
    fn a_size_without_a_unit_or_beyond_memory_is_refused() {
        for text in ["64", "64KB", "KiB", "-1B", "1.5MiB", "99999999999GiB", ""] {
            assert_eq!(text.parse::<ByteSize>(), Err(ParseByteSizeError), "{text}");
        }
    }
}
