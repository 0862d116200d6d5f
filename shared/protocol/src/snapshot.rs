//! Snapshot bodies: a room's state, quantised, bit-packed, as what differs from a baseline.
//!
//! Generic over games: a [`Schema`] says which fields there are and how many bits each has, a
//! [`View`] holds the values of one moment. Bits are packed as in [`crate::bits`].
//!
//! ```text
//! whole   = globals raw, then for each slot: present 1, if present: fields raw
//! delta   = globals changes, then for each slot: changed 1, if changed:
//!             present 1, if present: fields changes if the baseline has the slot, else raw
//! changes = for each field: changed 1, if changed:
//!             near 1 (only if the field has near bits), then the difference in `near` bits,
//!             two's complement, modulo 2^bits; or the value raw
//! raw     = the value in `bits` bits
//! ```
//!
//! Which of the two a body is, and its baseline, is in the frame's
//! [`SnapshotHead`](crate::frame::SnapshotHead).

mod schema;
mod view;

use crate::bits::{BitReader, BitWriter, BitsError};

pub use schema::{Field, MAX_CAPACITY, MAX_FIELDS, Schema, SchemaError};
pub use view::View;

/// Why a snapshot body cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// It ends too early.
    #[error("a snapshot body {0}")]
    Bits(#[from] BitsError),
    /// It goes on after its last slot, so it was written by another schema.
    #[error("a snapshot body has {0} bytes after its last slot")]
    Trailing(usize),
}

/// Packs `target`: whole without a `baseline`, else as what differs from it. Both views must be
/// of `schema`.
pub fn encode(schema: &Schema, baseline: Option<&View>, target: &View) -> Vec<u8> {
    let mut bits = BitWriter::with_capacity(64);
    match baseline {
        None => put_raw(&mut bits, schema.globals(), target.globals()),
        Some(baseline) => put_changes(
            &mut bits,
            schema.globals(),
            baseline.globals(),
            target.globals(),
        ),
    }
    for slot in 0..schema.capacity() {
        let to = target.entity(slot);
        match baseline {
            None => put_whole(&mut bits, schema.fields(), to),
            Some(baseline) => put_slot(&mut bits, schema.fields(), baseline.entity(slot), to),
        }
    }
    bits.finish()
}

/// Unpacks what [`encode`] packed against the same `baseline`.
///
/// # Errors
/// [`SnapshotError`]; the bytes are untrusted, and no bytes panic.
pub fn decode(
    schema: &Schema,
    baseline: Option<&View>,
    body: &[u8],
) -> Result<View, SnapshotError> {
    let mut bits = BitReader::new(body);
    let mut view = View::new(schema);
    for (index, field) in schema.globals().iter().enumerate() {
        let value = match baseline {
            None => bits.bits(field.bits())?,
            Some(baseline) => read_change(&mut bits, field, baseline.globals()[index])?,
        };
        view.set_global(index, value);
    }
    let mut values = vec![0; schema.fields().len()];
    for slot in 0..schema.capacity() {
        let from = baseline.and_then(|baseline| baseline.entity(slot));
        let changed = baseline.is_none() || bits.bit()?;
        if !changed {
            if let Some(from) = from {
                view.put(slot, from);
            }
            continue;
        }
        if !bits.bit()? {
            continue;
        }
        for (index, field) in schema.fields().iter().enumerate() {
            values[index] = match from {
                None => bits.bits(field.bits())?,
                Some(from) => read_change(&mut bits, field, from[index])?,
            };
        }
        view.put(slot, &values);
    }
    match bits.rest().len() {
        0 => Ok(view),
        trailing => Err(SnapshotError::Trailing(trailing)),
    }
}

/// Bits that the globals of `target` take in a body against `baseline`.
pub fn globals_cost(schema: &Schema, baseline: Option<&View>, target: &View) -> u32 {
    match baseline {
        None => schema.globals().iter().map(Field::bits).sum(),
        Some(baseline) => changes_cost(schema.globals(), baseline.globals(), target.globals()),
    }
}

/// Bits that one slot of `target` takes in a body against `baseline`.
pub fn slot_cost(schema: &Schema, baseline: Option<&View>, target: &View, slot: usize) -> u32 {
    let raw: u32 = schema.fields().iter().map(Field::bits).sum();
    let to = target.entity(slot);
    let Some(baseline) = baseline else {
        return 1 + to.map_or(0, |_| raw);
    };
    match (baseline.entity(slot), to) {
        (from, to) if from == to => 1,
        (_, None) => 2,
        (None, Some(_)) => 2 + raw,
        (Some(from), Some(to)) => 2 + changes_cost(schema.fields(), from, to),
    }
}

fn put_whole(bits: &mut BitWriter, fields: &[Field], to: Option<&[u32]>) {
    bits.bit(to.is_some());
    if let Some(to) = to {
        put_raw(bits, fields, to);
    }
}

fn put_slot(bits: &mut BitWriter, fields: &[Field], from: Option<&[u32]>, to: Option<&[u32]>) {
    bits.bit(from != to);
    if from == to {
        return;
    }
    match (from, to) {
        (Some(from), Some(to)) => {
            bits.bit(true);
            put_changes(bits, fields, from, to);
        }
        (_, to) => put_whole(bits, fields, to),
    }
}

fn put_raw(bits: &mut BitWriter, fields: &[Field], values: &[u32]) {
    for (field, value) in fields.iter().zip(values) {
        bits.bits(*value, field.bits());
    }
}

fn put_changes(bits: &mut BitWriter, fields: &[Field], from: &[u32], to: &[u32]) {
    for ((field, from), to) in fields.iter().zip(from).zip(to) {
        bits.bit(from != to);
        if from == to {
            continue;
        }
        let near = field.difference(*from, *to);
        if field.near() > 0 {
            bits.bit(near.is_some());
        }
        match near {
            Some(difference) => bits.bits(difference, field.near()),
            None => bits.bits(*to, field.bits()),
        }
    }
}

fn changes_cost(fields: &[Field], from: &[u32], to: &[u32]) -> u32 {
    let costs = fields.iter().zip(from).zip(to).map(|((field, from), to)| {
        if from == to {
            return 1;
        }
        let value = match field.difference(*from, *to) {
            Some(_) => field.near(),
            None => field.bits(),
        };
        1 + u32::from(field.near() > 0) + value
    });
    costs.sum()
}

fn read_change(bits: &mut BitReader<'_>, field: &Field, from: u32) -> Result<u32, BitsError> {
    if !bits.bit()? {
        return Ok(from);
    }
    if field.near() > 0 && bits.bit()? {
        let difference = bits.bits(field.near())?;
        return Ok(field.moved(from, difference));
    }
    bits.bits(field.bits())
}

#[cfg(test)]
mod tests;
