//! Values of fixed width, and numbers of variable length.

use protocol::bits::{BitReader, BitWriter, BitsError};
use serde_json::{Value, json};

use super::packer::{Packer, hex};

pub(super) fn bits() -> Vec<Value> {
    let rows: [&[(u32, u32)]; 9] = [
        &[],
        &[(1, 1)],
        &[(0b101, 3), (0, 1), (0b11, 2)],
        &[(0xab, 8)],
        &[(1, 1), (0xab, 8)],
        &[(0x1234, 16), (0x5, 4), (0x6789_abcd, 32)],
        &[(u32::MAX, 32), (0, 1), (u32::MAX, 32)],
        &[(0, 0), (3, 2), (0, 0), (1, 1)],
        &[(1, 7), (1, 9), (1, 17), (1, 25)],
    ];
    rows.iter().map(|values| fixed(values)).collect()
}

fn fixed(values: &[(u32, u32)]) -> Value {
    let (mut packer, mut writer) = (Packer::default(), BitWriter::default());
    for (value, width) in values {
        packer.put(u64::from(*value), *width);
        writer.bits(*value, *width);
    }
    let bytes = packer.packed();
    assert_eq!(bytes, writer.finish());
    let mut reader = BitReader::new(&bytes);
    for (value, width) in values {
        assert_eq!(reader.bits(*width), Ok(*value));
    }
    json!({"values": values, "hex": hex(&bytes)})
}

pub(super) fn var() -> Vec<Value> {
    [
        0,
        1,
        127,
        128,
        300,
        16_383,
        16_384,
        2_097_151,
        2_097_152,
        268_435_455,
        268_435_456,
        u32::MAX,
    ]
    .into_iter()
    .map(|value| {
        let (mut packer, mut writer) = (Packer::default(), BitWriter::default());
        packer.var(u64::from(value));
        writer.var(value);
        let length = packer.len();
        let bytes = packer.packed();
        assert_eq!((length, &bytes), (writer.bit_len(), &writer.finish()));
        assert_eq!(BitReader::new(&bytes).var(), Ok(value));
        json!({"value": value, "bits": length, "hex": hex(&bytes)})
    })
    .collect()
}

pub(super) fn var_errors() -> Vec<Value> {
    let rows: [&[u8]; 5] = [
        &[],
        &[0x80],
        &[0xff, 0xff, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff, 0x1f],
    ];
    rows.iter()
        .map(|bytes| {
            let error = match BitReader::new(bytes).var() {
                Err(BitsError::Truncated) => "truncated",
                Err(BitsError::Overlong) => "overlong",
                Ok(value) => panic!("{bytes:?} read as {value}"),
            };
            json!({"hex": hex(bytes), "error": error})
        })
        .collect()
}
