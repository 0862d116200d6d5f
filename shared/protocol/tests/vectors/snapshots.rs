//! Bodies of snapshots: schema, baseline and new state to hex.
//!
//! This encoder follows `docs/PROTOCOL.md` word for word; [`protocol::snapshot`] must agree with
//! it both ways.

use protocol::snapshot::{self, View};
use serde_json::{Value, json};

use super::packer::{Packer, hex};

#[derive(Clone, serde::Serialize)]
struct Field {
    name: &'static str,
    bits: u32,
    near: u32,
}

#[derive(Clone, serde::Serialize)]
struct Schema {
    capacity: usize,
    globals: Vec<Field>,
    fields: Vec<Field>,
}

#[derive(Clone, serde::Serialize)]
struct State {
    globals: Vec<u32>,
    slots: Vec<Option<Vec<u32>>>,
}

pub(super) fn snapshots() -> Vec<Value> {
    let mut rows = small();
    rows.extend(race());
    rows
}

/// A schema that shows each rule on its own.
fn small() -> Vec<Value> {
    let field = |name, bits, near| Field { name, bits, near };
    let schema = Schema {
        capacity: 2,
        globals: vec![field("phase", 2, 0)],
        fields: vec![field("x", 8, 4), field("on", 1, 0)],
    };
    let state = |phase, slots: [Option<[u32; 2]>; 2]| State {
        globals: vec![phase],
        slots: slots.map(|slot| slot.map(Vec::from)).to_vec(),
    };
    let base = state(1, [Some([100, 1]), None]);
    let rows = [
        ("whole, empty", None, state(0, [None, None])),
        ("whole", None, base.clone()),
        (
            "whole, all highest",
            None,
            state(3, [Some([255, 1]), Some([255, 1])]),
        ),
        ("nothing changed", Some(&base), base.clone()),
        (
            "a global changed",
            Some(&base),
            state(2, [Some([100, 1]), None]),
        ),
        (
            "near, up to 7",
            Some(&base),
            state(1, [Some([107, 1]), None]),
        ),
        (
            "raw from 8 on",
            Some(&base),
            state(1, [Some([108, 1]), None]),
        ),
        (
            "near, down to -8",
            Some(&base),
            state(1, [Some([92, 1]), None]),
        ),
        (
            "raw from -9 on",
            Some(&base),
            state(1, [Some([91, 1]), None]),
        ),
        (
            "a field without near",
            Some(&base),
            state(1, [Some([100, 0]), None]),
        ),
        ("one leaves", Some(&base), state(1, [None, None])),
        (
            "one comes",
            Some(&base),
            state(1, [Some([100, 1]), Some([3, 0])]),
        ),
        (
            "one leaves, one comes",
            Some(&base),
            state(1, [None, Some([200, 1])]),
        ),
    ];
    let mut vectors: Vec<Value> = rows
        .into_iter()
        .map(|(name, base, new)| row(name, &schema, base, &new))
        .collect();
    let high = state(1, [Some([254, 1]), Some([1, 1])]);
    let wrapped = state(1, [Some([3, 1]), Some([250, 1])]);
    vectors.push(row(
        "near wraps around both ends",
        &schema,
        Some(&high),
        &wrapped,
    ));
    let wide = Schema {
        capacity: 1,
        globals: vec![],
        fields: vec![
            field("id", 32, 0),
            field("angle", 32, 1),
            field("flag", 1, 1),
        ],
    };
    let one = |values: [u32; 3]| State {
        globals: vec![],
        slots: vec![Some(values.to_vec())],
    };
    let before = one([u32::MAX, 0, 1]);
    let after = one([0, u32::MAX, 0]);
    vectors.push(row("fields of 32 bits", &wide, None, &before));
    vectors.push(row(
        "near of one bit is 0 or -1",
        &wide,
        Some(&before),
        &after,
    ));
    vectors
}

/// The schema of the race.
fn race() -> Vec<Value> {
    let field = |name, bits, near| Field { name, bits, near };
    let schema = Schema {
        capacity: 8,
        globals: vec![
            field("phase", 2, 0),
            field("start_tick", 24, 0),
            field("laps", 4, 0),
        ],
        fields: vec![
            field("x", 16, 8),
            field("y", 16, 8),
            field("heading", 10, 6),
            field("speed", 10, 6),
            field("lap", 4, 0),
            field("place", 4, 0),
            field("finished", 1, 0),
            field("away", 1, 0),
        ],
    };
    let car = |place: u32| {
        vec![
            8_000 + place * 64,
            5_000 + place * 16,
            1_000,
            0,
            0,
            place,
            0,
            0,
        ]
    };
    let mut grid = State {
        globals: vec![0, 240, 3],
        slots: vec![None; 8],
    };
    (0..8).for_each(|seat| grid.slots[seat] = Some(car(seat as u32 + 1)));
    let mut going = grid.clone();
    going.globals[0] = 1;
    for (seat, slot) in going.slots.iter_mut().enumerate() {
        let car = slot.as_mut().unwrap();
        car[0] += 20 + seat as u32;
        car[1] -= 3;
        car[2] = (car[2] + 28) % 1_024;
        car[3] += 25;
    }
    let mut later = going.clone();
    later.slots[2] = None;
    later.slots[5].as_mut().unwrap()[7] = 1;
    vec![
        row("race: the grid", &schema, None, &grid),
        row("race: three ticks later", &schema, Some(&grid), &going),
        row("race: one left, one is away", &schema, Some(&going), &later),
    ]
}

fn row(name: &str, schema: &Schema, baseline: Option<&State>, new: &State) -> Value {
    let mut bits = Packer::default();
    match baseline {
        None => whole(&mut bits, schema, new),
        Some(base) => delta(&mut bits, schema, base, new),
    }
    let body = bits.packed();
    agree(name, schema, baseline, new, &body);
    json!({
        "name": name, "schema": schema, "baseline": baseline, "new": new, "hex": hex(&body),
    })
}

fn agree(name: &str, schema: &Schema, baseline: Option<&State>, new: &State, body: &[u8]) {
    let schema: snapshot::Schema = serde_json::from_value(json!(schema)).unwrap();
    let view = |state: &State| {
        let mut view = View::new(&schema);
        for (index, value) in state.globals.iter().enumerate() {
            view.set_global(index, *value);
        }
        for (slot, values) in state.slots.iter().enumerate() {
            if let Some(values) = values {
                view.put(slot, values);
            }
        }
        view
    };
    let (baseline, new) = (baseline.map(view), view(new));
    let encoded = snapshot::encode(&schema, baseline.as_ref(), &new);
    assert_eq!(hex(&encoded), hex(body), "{name}");
    let decoded = snapshot::decode(&schema, baseline.as_ref(), body);
    assert_eq!(decoded, Ok(new), "{name}");
}

fn whole(bits: &mut Packer, schema: &Schema, new: &State) {
    raw(bits, &schema.globals, &new.globals);
    for slot in &new.slots {
        bits.put(u64::from(slot.is_some()), 1);
        if let Some(values) = slot {
            raw(bits, &schema.fields, values);
        }
    }
}

fn delta(bits: &mut Packer, schema: &Schema, base: &State, new: &State) {
    changes(bits, &schema.globals, &base.globals, &new.globals);
    for (before, after) in base.slots.iter().zip(&new.slots) {
        bits.put(u64::from(before != after), 1);
        if before == after {
            continue;
        }
        bits.put(u64::from(after.is_some()), 1);
        match (before, after) {
            (Some(before), Some(after)) => changes(bits, &schema.fields, before, after),
            (None, Some(after)) => raw(bits, &schema.fields, after),
            (_, None) => {}
        }
    }
}

fn raw(bits: &mut Packer, fields: &[Field], values: &[u32]) {
    for (field, value) in fields.iter().zip(values) {
        bits.put(u64::from(*value), field.bits);
    }
}

fn changes(bits: &mut Packer, fields: &[Field], before: &[u32], after: &[u32]) {
    for (index, field) in fields.iter().enumerate() {
        let (old, new) = (i64::from(before[index]), i64::from(after[index]));
        bits.put(u64::from(old != new), 1);
        if old == new {
            continue;
        }
        match (field.near, nearest(field, old, new)) {
            (0, _) => bits.put(new as u64, field.bits),
            (_, None) => bits.put(0, 1).put(new as u64, field.bits),
            (near, Some(difference)) => bits.put(1, 1).put(difference as u64, near),
        };
    }
}

/// The difference that leads from `old` to `new`, if one fits: tried one by one.
fn nearest(field: &Field, old: i64, new: i64) -> Option<i64> {
    let half = 1i64 << field.near >> 1;
    (-half..half.max(1)).find(|difference| {
        *difference < half && (old + difference).rem_euclid(1 << field.bits) == new
    })
}
