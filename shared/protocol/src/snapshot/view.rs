//! The values of one moment.

use super::schema::Schema;

/// A room's state as a client sees it: the globals, and the entities by slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    masks: Masks,
    globals: Vec<u32>,
    present: Vec<bool>,
    values: Vec<u32>,
}

/// Values are cut to their fields' widths where they are set, so that what a server remembers as
/// a baseline is what its clients decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Masks {
    globals: Box<[u32]>,
    fields: Box<[u32]>,
}

impl View {
    /// A view whose globals are 0 and whose slots are empty.
    pub fn new(schema: &Schema) -> Self {
        let masks = Masks {
            globals: schema.globals().iter().map(|field| field.mask()).collect(),
            fields: schema.fields().iter().map(|field| field.mask()).collect(),
        };
        Self {
            globals: vec![0; masks.globals.len()],
            present: vec![false; schema.capacity()],
            values: vec![0; schema.capacity() * masks.fields.len()],
            masks,
        }
    }

    /// Sets a global, by its index in the schema; bits above its width are cut.
    pub fn set_global(&mut self, index: usize, value: u32) {
        self.globals[index] = value & self.masks.globals[index];
    }

    /// Puts an entity into a slot, its values in the schema's order; bits above a field's width
    /// are cut.
    pub fn put(&mut self, slot: usize, values: &[u32]) {
        let width = self.masks.fields.len();
        assert_eq!(values.len(), width, "a value for each field of the schema");
        let own = &mut self.values[slot * width..(slot + 1) * width];
        for ((own, value), mask) in own.iter_mut().zip(values).zip(&self.masks.fields) {
            *own = value & mask;
        }
        self.present[slot] = true;
    }

    /// Empties a slot.
    pub fn remove(&mut self, slot: usize) {
        let width = self.masks.fields.len();
        self.values[slot * width..(slot + 1) * width].fill(0);
        self.present[slot] = false;
    }

    /// Makes a slot what it is in `other`, a view of the same schema.
    pub fn copy_slot(&mut self, slot: usize, other: &Self) {
        match other.entity(slot) {
            Some(values) => self.put(slot, values),
            None => self.remove(slot),
        }
    }

    /// Makes the globals what they are in `other`, a view of the same schema.
    pub fn copy_globals(&mut self, other: &Self) {
        self.globals.copy_from_slice(&other.globals);
    }

    /// The globals, in the schema's order.
    pub fn globals(&self) -> &[u32] {
        &self.globals
    }

    /// The values of the entity in `slot`, in the schema's order; `None` if it is empty.
    pub fn entity(&self, slot: usize) -> Option<&[u32]> {
        let width = self.masks.fields.len();
        self.present[slot].then(|| &self.values[slot * width..(slot + 1) * width])
    }
}
