//! Bits as a text of `0` and `1`: slow, obvious, and no code in common with `protocol::bits`.

/// Packs bits, least significant first.
#[derive(Default)]
pub(super) struct Packer(String);

impl Packer {
    pub(super) fn put(&mut self, value: u64, width: u32) -> &mut Self {
        for bit in 0..width {
            self.0.push(if value >> bit & 1 == 1 { '1' } else { '0' });
        }
        self
    }

    pub(super) fn var(&mut self, mut value: u64) -> &mut Self {
        while value > 127 {
            self.put(value % 128, 7).put(1, 1);
            value /= 128;
        }
        self.put(value, 7).put(0, 1)
    }

    pub(super) fn align(&mut self) -> &mut Self {
        while !self.0.len().is_multiple_of(8) {
            self.0.push('0');
        }
        self
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.align();
        for byte in bytes {
            self.put(u64::from(*byte), 8);
        }
        self
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The bytes, the last one padded with zeros.
    pub(super) fn packed(&self) -> Vec<u8> {
        let bits: Vec<char> = self.0.chars().collect();
        bits.chunks(8)
            .map(|byte| {
                let text: String = byte.iter().rev().collect();
                u8::from_str_radix(&text, 2).unwrap()
            })
            .collect()
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
