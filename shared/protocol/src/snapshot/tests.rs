use proptest::prelude::*;

use super::*;

fn schemas() -> impl Strategy<Value = Schema> {
    let field = (1u32..=32, any::<prop::sample::Index>())
        .prop_map(|(bits, near)| Field::new("f", bits, near.index(bits as usize + 1) as u32));
    let fields = || prop::collection::vec(field.clone(), 0..6);
    (0usize..10, fields(), fields())
        .prop_map(|(capacity, globals, fields)| Schema::new(capacity, globals, fields).unwrap())
}

/// A view of which about a quarter of the slots is empty; `base` moves its values a little.
fn view(schema: &Schema, seed: u64, base: Option<&View>) -> View {
    let mut random = crate::random::Random::new(seed);
    let mut pick = |from: Option<u32>| match (from, random.below(4)) {
        (Some(from), 0) => from,
        (Some(from), 1 | 2) => from.wrapping_add(random.below(9) as u32).wrapping_sub(4),
        _ => random.next_u64() as u32,
    };
    let mut view = View::new(schema);
    for index in 0..schema.globals().len() {
        view.set_global(index, pick(base.map(|base| base.globals()[index])));
    }
    for slot in 0..schema.capacity() {
        let from = base.and_then(|base| base.entity(slot));
        if pick(None) % 4 == 0 {
            continue;
        }
        let values: Vec<u32> = (0..schema.fields().len())
            .map(|index| pick(from.map(|from| from[index])))
            .collect();
        view.put(slot, &values);
    }
    view
}

fn cost(schema: &Schema, baseline: Option<&View>, target: &View) -> usize {
    let slots = (0..schema.capacity()).map(|slot| slot_cost(schema, baseline, target, slot));
    let bits = globals_cost(schema, baseline, target) + slots.sum::<u32>();
    bits.div_ceil(8) as usize
}

proptest! {
    #[test]
    fn every_view_reads_back(schema in schemas(), seeds in any::<(u64, u64)>()) {
        let first = view(&schema, seeds.0, None);
        let second = view(&schema, seeds.1, Some(&first));
        let whole = encode(&schema, None, &first);
        prop_assert_eq!(decode(&schema, None, &whole), Ok(first.clone()));
        prop_assert_eq!(whole.len(), cost(&schema, None, &first));
        let delta = encode(&schema, Some(&first), &second);
        prop_assert_eq!(decode(&schema, Some(&first), &delta), Ok(second.clone()));
        prop_assert_eq!(delta.len(), cost(&schema, Some(&first), &second));
    }

    #[test]
    fn no_bytes_panic(schema in schemas(), seed in any::<u64>(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let baseline = view(&schema, seed, None);
        let _ = decode(&schema, None, &bytes);
        let _ = decode(&schema, Some(&baseline), &bytes);
    }

    #[test]
    fn near_differences_wrap_around(bits in 1u32..=32, from in any::<u32>(), to in any::<u32>()) {
        let field = Field::new("f", bits, bits);
        let (from, to) = (from & field.mask(), to & field.mask());
        let difference = field.difference(from, to).expect("every difference fits in all bits");
        prop_assert_eq!(field.moved(from, difference), to);
    }
}

#[test]
fn a_heading_that_passes_zero_is_a_near_change() {
    let heading = Field::new("heading", 10, 6);
    assert_eq!(heading.difference(1020, 4), Some(8));
    assert_eq!(heading.moved(1020, 8), 4);
    assert_eq!(heading.difference(4, 1020), Some(0b11_1000));
    assert_eq!(heading.difference(0, 31), Some(31));
    assert_eq!(heading.difference(0, 32), None);
    assert_eq!(heading.difference(32, 0), Some(32));
    assert_eq!(heading.difference(33, 0), None);
}

#[test]
fn the_same_view_costs_a_bit_for_each_global_and_slot() {
    let fields = || vec![Field::new("x", 16, 8), Field::new("y", 16, 8)];
    let schema = Schema::new(6, fields(), fields()).unwrap();
    let view = view(&schema, 7, None);
    assert_eq!(encode(&schema, Some(&view), &view), [0]);
}

#[test]
fn a_body_of_another_schema_is_refused() {
    let schema = Schema::new(1, vec![], vec![Field::new("x", 16, 8)]).unwrap();
    let body = [0b1, 0, 0, 0, 0];
    assert_eq!(
        decode(&schema, None, &body),
        Err(SnapshotError::Trailing(2))
    );
    assert_eq!(
        decode(&schema, None, &body[..1]),
        Err(SnapshotError::Bits(BitsError::Truncated))
    );
}

#[test]
fn a_schema_reads_back_and_a_wrong_one_is_refused() {
    let schema = Schema::new(8, vec![], vec![Field::new("x", 16, 8)]).unwrap();
    let text = serde_json::to_string(&schema).unwrap();
    assert_eq!(
        text,
        r#"{"capacity":8,"globals":[],"fields":[{"name":"x","bits":16,"near":8}]}"#
    );
    assert_eq!(serde_json::from_str::<Schema>(&text).unwrap(), schema);
    for wrong in [
        text.replace("16", "33"),
        text.replace("\"near\":8", "\"near\":17"),
        text.replace("\"capacity\":8", "\"capacity\":5000"),
    ] {
        assert!(serde_json::from_str::<Schema>(&wrong).is_err(), "{wrong}");
    }
}

/// A snapshot of `vectors.json`.
#[derive(serde::Deserialize)]
struct Vector {
    name: String,
    schema: Schema,
    baseline: Option<State>,
    new: State,
    hex: String,
}

#[derive(serde::Deserialize)]
struct State {
    globals: Vec<u32>,
    slots: Vec<Option<Vec<u32>>>,
}

impl State {
    fn view(&self, schema: &Schema) -> View {
        let mut view = View::new(schema);
        for (index, value) in self.globals.iter().enumerate() {
            view.set_global(index, *value);
        }
        for (slot, values) in self.slots.iter().enumerate() {
            if let Some(values) = values {
                view.put(slot, values);
            }
        }
        view
    }
}

#[test]
fn the_vectors_hold() {
    #[derive(serde::Deserialize)]
    struct Vectors {
        snapshots: Vec<Vector>,
    }
    let text = include_str!("../../vectors.json");
    let vectors: Vectors = serde_json::from_str(text).unwrap();
    assert!(!vectors.snapshots.is_empty());
    for vector in vectors.snapshots {
        let baseline = vector.baseline.map(|state| state.view(&vector.schema));
        let view = vector.new.view(&vector.schema);
        let body = encode(&vector.schema, baseline.as_ref(), &view);
        let hex: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, vector.hex, "{}", vector.name);
        let read = decode(&vector.schema, baseline.as_ref(), &body);
        assert_eq!(read, Ok(view), "{}", vector.name);
    }
}
