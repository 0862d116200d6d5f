//! Bit packing, least significant bit first.
//!
//! Bit `n` of a packed text is bit `n % 8` of byte `n / 8`. The last byte is padded with zeros.

/// Why packed bits cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BitsError {
    /// The input ended inside a value.
    #[error("ends inside a value")]
    Truncated,
    /// A variable-length number has more than 32 bits.
    #[error("a variable-length number exceeds 32 bits")]
    Overlong,
}

/// Appends values of 1 to 32 bits to a byte buffer.
#[derive(Debug, Default)]
pub struct BitWriter {
    bytes: Vec<u8>,
    pending: u64,
    pending_bits: u32,
}

impl BitWriter {
    /// An empty writer with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(capacity),
            pending: 0,
            pending_bits: 0,
        }
    }

    /// Appends the low `width` bits of `value`; `width` is 0 to 32.
    pub fn bits(&mut self, value: u32, width: u32) {
        debug_assert!(
            width <= 32 && (width == 32 || value >> width == 0),
            "{value} in {width}"
        );
        self.pending |= u64::from(value) << self.pending_bits;
        self.pending_bits += width;
        while self.pending_bits >= 8 {
            self.bytes.push(self.pending as u8);
            self.pending >>= 8;
            self.pending_bits -= 8;
        }
    }

    /// Appends one bit.
    pub fn bit(&mut self, value: bool) {
        self.bits(u32::from(value), 1);
    }

    /// Appends a number in groups of seven bits, low group first, each followed by a bit that
    /// says whether another group comes.
    pub fn var(&mut self, mut value: u32) {
        loop {
            let more = value > 0x7f;
            self.bits(value & 0x7f, 7);
            self.bit(more);
            if !more {
                return;
            }
            value >>= 7;
        }
    }

    /// Pads with zeros to the next byte.
    pub fn align(&mut self) {
        if self.pending_bits > 0 {
            self.bytes.push(self.pending as u8);
            self.pending = 0;
            self.pending_bits = 0;
        }
    }

    /// Appends whole bytes, after padding to a byte.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.align();
        self.bytes.extend_from_slice(bytes);
    }

    /// Bits written so far.
    pub fn bit_len(&self) -> usize {
        self.bytes.len() * 8 + self.pending_bits as usize
    }

    /// The packed bytes.
    pub fn finish(mut self) -> Vec<u8> {
        self.align();
        self.bytes
    }
}

/// Reads what [`BitWriter`] wrote.
#[derive(Debug, Clone)]
pub struct BitReader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> BitReader<'a> {
    /// A reader at the first bit of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Reads `width` bits, 0 to 32.
    pub fn bits(&mut self, width: u32) -> Result<u32, BitsError> {
        debug_assert!(width <= 32);
        let end = self.position + width as usize;
        if end > self.bytes.len() * 8 {
            return Err(BitsError::Truncated);
        }
        let first = self.position / 8;
        let last = end.div_ceil(8);
        let mut word = 0u64;
        for (index, byte) in self.bytes[first..last].iter().enumerate() {
            word |= u64::from(*byte) << (8 * index);
        }
        self.position = end;
        let shifted = word >> (end - width as usize - first * 8);
        Ok((shifted & ((1u64 << width) - 1)) as u32)
    }

    /// Reads one bit.
    pub fn bit(&mut self) -> Result<bool, BitsError> {
        Ok(self.bits(1)? == 1)
    }

    /// Reads a variable-length number of at most five groups.
    pub fn var(&mut self) -> Result<u32, BitsError> {
        let mut value = 0u32;
        for group in 0..5 {
            let part = self.bits(7)?;
            if group == 4 && part > 0x0f {
                return Err(BitsError::Overlong);
            }
            value |= part << (7 * group);
            if !self.bit()? {
                return Ok(value);
            }
        }
        Err(BitsError::Overlong)
    }

    /// Skips to the next byte and gives all that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        let start = self.position.div_ceil(8);
        self.position = self.bytes.len() * 8;
        &self.bytes[start.min(self.bytes.len())..]
    }

    /// Index of the byte at which [`rest`](Self::rest) would start.
    pub fn byte_position(&self) -> usize {
        self.position.div_ceil(8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_of_any_width_read_back(values in prop::collection::vec((any::<u32>(), 0u32..=32), 0..100)) {
            let mut writer = BitWriter::default();
            for (value, width) in &values {
                writer.bits((u64::from(*value) & ((1u64 << width) - 1)) as u32, *width);
            }
            let bytes = writer.finish();
            let mut reader = BitReader::new(&bytes);
            for (value, width) in &values {
                prop_assert_eq!(reader.bits(*width), Ok((u64::from(*value) & ((1u64 << width) - 1)) as u32));
            }
        }

        #[test]
        fn variable_length_numbers_read_back(values in prop::collection::vec(any::<u32>(), 0..50)) {
            let mut writer = BitWriter::default();
            writer.bit(true);
            values.iter().for_each(|value| writer.var(*value));
            let bytes = writer.finish();
            let mut reader = BitReader::new(&bytes);
            prop_assert_eq!(reader.bit(), Ok(true));
            for value in values {
                prop_assert_eq!(reader.var(), Ok(value));
            }
        }
    }

    #[test]
    fn an_overlong_number_is_refused() {
        assert_eq!(BitReader::new(&[0xff; 5]).var(), Err(BitsError::Overlong));
        assert_eq!(BitReader::new(&[0xff; 2]).var(), Err(BitsError::Truncated));
    }
}
