//! Names of regions as bits, so that "is there one region for both" is one instruction.

use crate::config::Region;

/// Names that one queue knows at once. A ticket keeps those of its regions that find a place; one
/// of which none does counts as if it had measured nothing.
const MOST: usize = 128;

/// A set of regions.
pub(super) type Regions = u128;

/// The names that tickets of a queue use.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(Vec<Option<(Region, usize)>>);

impl Names {
    /// The bit of a name that one more ticket uses.
    pub(super) fn take(&mut self, name: &Region) -> Option<u8> {
        let is_it =
            |slot: &Option<(Region, usize)>| slot.as_ref().is_some_and(|(known, _)| known == name);
        let known = self.0.iter().position(is_it);
        let free = || self.0.iter().position(Option::is_none);
        let place = known.or_else(free).unwrap_or(self.0.len());
        if place == MOST {
            return None;
        }
        if place == self.0.len() {
            self.0.push(None);
        }
        let slot = &mut self.0[place];
        let (_, users) = slot.get_or_insert_with(|| (name.clone(), 0));
        *users += 1;
        u8::try_from(place).ok()
    }

    /// A ticket uses it no more.
    pub(super) fn give_back(&mut self, bit: u8) {
        if let Some(slot) = self.0.get_mut(usize::from(bit))
            && let Some((_, users)) = slot
        {
            *users -= 1;
            if *users == 0 {
                *slot = None;
            }
        }
    }

    /// The name of a bit that some ticket uses.
    pub(super) fn name(&self, bit: u8) -> Option<&Region> {
        let slot = self.0.get(usize::from(bit))?;
        slot.as_ref().map(|(name, _)| name)
    }

    /// The bits of a set, by name.
    pub(super) fn sorted(&self, set: Regions) -> Vec<u8> {
        let mut bits: Vec<u8> = (0..128).filter(|bit| set & bit_of(*bit) != 0).collect();
        bits.sort_unstable_by_key(|bit| self.name(*bit));
        bits
    }
}

/// The set of one.
pub(super) fn bit_of(bit: u8) -> Regions {
    1 << bit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_bit_while_a_ticket_uses_it() {
        let region = |name: &str| -> Region { name.parse().unwrap() };
        let mut names = Names::default();
        let east = names.take(&region("east"));
        assert_eq!(east, names.take(&region("east")));
        let west = names.take(&region("west")).unwrap();
        names.give_back(east.unwrap());
        assert_eq!(names.take(&region("east")), east);
        names.give_back(west);
        assert_eq!(
            names.take(&region("south")),
            Some(west),
            "a free bit is used again"
        );
        assert_eq!(names.name(west), Some(&region("south")));
    }

    #[test]
    fn names_beyond_the_most_find_no_place() {
        let mut names = Names::default();
        for number in 0..MOST {
            assert!(names.take(&format!("r{number}").parse().unwrap()).is_some());
        }
        assert_eq!(names.take(&"one-more".parse().unwrap()), None);
    }
}
