//! What a game's snapshots hold: which fields, how many bits each.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Most entity slots of a schema.
pub const MAX_CAPACITY: usize = 4096;

/// Most globals, and most fields of an entity.
pub const MAX_FIELDS: usize = 64;

/// A value of a snapshot: unsigned, of a fixed number of bits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    name: Cow<'static, str>,
    bits: u32,
    /// Bits of a small difference to the baseline; 0: changes are always sent raw.
    #[serde(default)]
    near: u32,
}

/// The fields of a room's state and of each entity in it. Entities live in slots `0..capacity`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Schema {
    capacity: usize,
    globals: Vec<Field>,
    fields: Vec<Field>,
}

/// Why fields make no schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Too many slots or fields.
    #[error("a schema has at most {MAX_CAPACITY} slots and {MAX_FIELDS} fields of a kind")]
    TooBig,
    /// A width that is not allowed.
    #[error("field {name} must have 1 to 32 bits, and at most as many near bits")]
    Width {
        /// Which field.
        name: String,
    },
}

#[derive(Deserialize)]
struct Unchecked {
    capacity: usize,
    globals: Vec<Field>,
    fields: Vec<Field>,
}

impl Field {
    /// A field of `bits` bits (1 to 32) whose small changes are sent in `near` bits (0: never).
    pub const fn new(name: &'static str, bits: u32, near: u32) -> Self {
        Self {
            name: Cow::Borrowed(name),
            bits,
            near,
        }
    }

    /// Its name, for clients.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many bits a value has.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// How many bits a small difference has; 0 if there is none.
    pub fn near(&self) -> u32 {
        self.near
    }

    pub(super) fn mask(&self) -> u32 {
        mask(self.bits)
    }

    /// The difference modulo 2^bits in `near` bits, two's complement, if it fits.
    pub(super) fn difference(&self, from: u32, to: u32) -> Option<u32> {
        if self.near == 0 {
            return None;
        }
        let difference = to.wrapping_sub(from) & self.mask();
        let half = 1u32 << (self.near - 1);
        let shifted = difference.wrapping_add(half) & self.mask();
        (shifted <= mask(self.near)).then(|| difference & mask(self.near))
    }

    /// The value that lies `difference` from `from`.
    pub(super) fn moved(&self, from: u32, difference: u32) -> u32 {
        let unused = 32 - self.near;
        let signed = (difference << unused) as i32 >> unused;
        from.wrapping_add_signed(signed) & self.mask()
    }
}

fn mask(bits: u32) -> u32 {
    ((1u64 << bits) - 1) as u32
}

impl Schema {
    /// A schema of `capacity` slots.
    ///
    /// # Errors
    /// [`SchemaError`] over the limits.
    pub fn new(
        capacity: usize,
        globals: Vec<Field>,
        fields: Vec<Field>,
    ) -> Result<Self, SchemaError> {
        if capacity > MAX_CAPACITY || globals.len() > MAX_FIELDS || fields.len() > MAX_FIELDS {
            return Err(SchemaError::TooBig);
        }
        for field in globals.iter().chain(&fields) {
            if !(1..=32).contains(&field.bits) || field.near > field.bits {
                return Err(SchemaError::Width {
                    name: field.name.clone().into_owned(),
                });
            }
        }
        Ok(Self {
            capacity,
            globals,
            fields,
        })
    }

    /// How many entity slots there are.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The fields of the room as a whole.
    pub fn globals(&self) -> &[Field] {
        &self.globals
    }

    /// The fields of each entity.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Index of the entity field `name`.
    pub fn field(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// Index of the global `name`.
    pub fn global(&self, name: &str) -> Option<usize> {
        self.globals.iter().position(|field| field.name == name)
    }
}

impl TryFrom<Unchecked> for Schema {
    type Error = SchemaError;

    fn try_from(unchecked: Unchecked) -> Result<Self, SchemaError> {
        Self::new(unchecked.capacity, unchecked.globals, unchecked.fields)
    }
}
