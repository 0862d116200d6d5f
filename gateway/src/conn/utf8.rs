//! Whether bytes that come piece by piece are UTF-8, known at the first that is not.

/// The state between two bytes. The ranges are those of the Unicode Standard, table 3-7, "Well-
/// Formed UTF-8 Byte Sequences".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Utf8Check {
    /// Bytes that the code point under way still needs.
    need: u8,
    /// What the next of them may be.
    low: u8,
    high: u8,
}

/// The bytes are not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotUtf8;

impl Default for Utf8Check {
    fn default() -> Self {
        Self::awaiting(0, 0x80, 0xbf)
    }
}

impl Utf8Check {
    /// Takes bytes that are masked as in RFC 6455, section 5.3; `turn` bytes of the frame came
    /// before them.
    pub(super) fn push_masked(
        &mut self,
        bytes: &[u8],
        mut mask: [u8; 4],
        turn: u8,
    ) -> Result<(), NotUtf8> {
        mask.rotate_left(usize::from(turn % 4));
        for piece in bytes.chunks(4) {
            for (byte, mask) in piece.iter().zip(mask) {
                *self = self.next(byte ^ mask)?;
            }
        }
        Ok(())
    }

    /// Whether no code point is left half.
    pub(super) fn is_complete(&self) -> bool {
        self.need == 0
    }

    fn next(self, byte: u8) -> Result<Self, NotUtf8> {
        if self.need > 0 {
            let fits = (self.low..=self.high).contains(&byte);
            return if fits {
                Ok(Self::awaiting(self.need - 1, 0x80, 0xbf))
            } else {
                Err(NotUtf8)
            };
        }
        Ok(match byte {
            0x00..=0x7f => self,
            0xc2..=0xdf => Self::awaiting(1, 0x80, 0xbf),
            0xe0 => Self::awaiting(2, 0xa0, 0xbf),
            0xed => Self::awaiting(2, 0x80, 0x9f),
            0xe1..=0xef => Self::awaiting(2, 0x80, 0xbf),
            0xf0 => Self::awaiting(3, 0x90, 0xbf),
            0xf1..=0xf3 => Self::awaiting(3, 0x80, 0xbf),
            0xf4 => Self::awaiting(3, 0x80, 0x8f),
            _ => return Err(NotUtf8),
        })
    }

    fn awaiting(need: u8, low: u8, high: u8) -> Self {
        Self { need, low, high }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_utf8(bytes: &[u8]) -> bool {
        let mut check = Utf8Check::default();
        let masked: Vec<u8> = bytes
            .iter()
            .zip([9, 8, 7, 6].into_iter().cycle())
            .map(|(a, b)| a ^ b)
            .collect();
        let whole = check.push_masked(&masked, [9, 8, 7, 6], 0).is_ok() && check.is_complete();
        let mut singly = Utf8Check::default();
        let piecewise = masked.iter().enumerate().all(|(at, byte)| {
            singly
                .push_masked(&[*byte], [9, 8, 7, 6], (at % 4) as u8)
                .is_ok()
        }) && singly.is_complete();
        assert_eq!(whole, piecewise);
        whole
    }

    #[test]
    fn it_agrees_with_the_standard_library_on_every_pair_and_edge() {
        for first in 0..=0xff {
            for second in 0..=0xff {
                let tails: [&[u8]; 4] = [&[], &[0x80], &[0x80, 0xbf], &[0xbf, 0x80, b'a']];
                for tail in tails {
                    let bytes = [&[first, second], tail].concat();
                    assert_eq!(
                        is_utf8(&bytes),
                        std::str::from_utf8(&bytes).is_ok(),
                        "{bytes:x?}"
                    );
                }
            }
        }
    }
}
