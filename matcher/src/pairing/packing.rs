//! Which tickets fill a match, by their sizes alone: parties are whole, teams are equal.
//!
//! Exact, by dynamic programming over the free places of each team. Teams are interchangeable, so
//! a state is the sorted list of free places; the numbers of players that the remaining tickets
//! can still seat are the bits of a word. Where everyone comes alone, arithmetic does.

use std::cell::Cell;
use std::collections::HashMap;

use super::roles::{self, Masks, Roles};
use crate::config::MAX_TEAMS;

/// What a match must be.
#[derive(Debug)]
pub(super) struct Goal {
    pub(super) teams: u8,
    /// Fewest players in each team.
    pub(super) smallest: u8,
    /// Most players in each team.
    pub(super) largest: u8,
    /// Bots that may fill free places.
    pub(super) bots: usize,
    /// The roles of each team, if the mode has any.
    pub(super) roles: Option<Roles>,
    /// Dead ends that the search may yet find among roles, however often it chooses.
    pub(super) effort: Cell<usize>,
}

/// Which tickets make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    /// Places in the list that was given, rising.
    pub(super) chosen: Vec<usize>,
    pub(super) people: u8,
    pub(super) bots: usize,
    pub(super) team_size: u8,
}

impl Goal {
    /// Fewest people that can make a match.
    pub(super) fn fewest_people(&self) -> usize {
        let players = usize::from(self.teams) * usize::from(self.smallest);
        players.saturating_sub(self.bots).max(1)
    }

    /// The team size for `people`: the largest that they and the bots can fill.
    pub(super) fn team_size(&self, people: u8) -> Option<u8> {
        let players = |size: u8| usize::from(self.teams) * usize::from(size);
        (self.smallest..=self.largest).rev().find(|size| {
            let people = usize::from(people);
            people <= players(*size) && players(*size) <= people + self.bots
        })
    }
}

impl Choice {
    /// Orders choices: more people, then fuller teams.
    pub(super) fn rank(&self) -> (u8, u8) {
        (self.people, self.team_size)
    }
}

/// The choice with most people, then with the largest teams, then of the first tickets in the
/// list. The first ticket is always in it. `sizes` are in order of preference; `masks`, what the
/// members play, count in a mode with roles only.
pub(super) fn choose(sizes: &[u8], masks: &[Masks], goal: &Goal) -> Option<Choice> {
    if let Some(roles) = goal.roles {
        return roles::choose(sizes, masks, goal, roles);
    }
    let first = *sizes.first()?;
    let total: usize = sizes.iter().map(|size| usize::from(*size)).sum();
    if total < goal.fewest_people() || first > goal.largest {
        return None;
    }
    let most = goal.teams * goal.largest;
    let most = u8::try_from(total).map_or(most, |total| total.min(most));
    let alone = sizes.iter().all(|size| *size == 1);
    let mut packings: HashMap<u8, Packing<'_>> = HashMap::new();
    (first..=most).rev().find_map(|people| {
        // Larger teams only make room: if the parties do not fit here, they fit in no smaller.
        let team_size = goal.team_size(people)?;
        let chosen = if alone {
            (0..usize::from(people)).collect()
        } else {
            packings
                .entry(team_size)
                .or_insert_with(|| Packing::new(sizes, goal.teams, team_size))
                .choose(people)?
        };
        Some(Choice {
            chosen,
            people,
            bots: usize::from(goal.teams) * usize::from(team_size) - usize::from(people),
            team_size,
        })
    })
}

/// Free places of each team, most first; teams that there are not have none.
type Free = [u8; MAX_TEAMS as usize];

/// Most entries of such a table: 32 KiB.
const FEW: usize = 2048;

struct Packing<'a> {
    sizes: &'a [u8],
    free: Free,
    /// By the next ticket and the free places: how many players can still be seated, as bits, of
    /// which there is always one.
    known: Known,
}

impl<'a> Packing<'a> {
    fn new(sizes: &'a [u8], teams: u8, team_size: u8) -> Self {
        let mut free = [0; MAX_TEAMS as usize];
        free[..usize::from(teams)].fill(team_size);
        Self {
            sizes,
            free,
            known: Known::new(sizes.len(), teams, team_size),
        }
    }

    /// The first tickets in the list, with the first one of all, that seat exactly `people`.
    fn choose(&mut self, people: u8) -> Option<Vec<usize>> {
        let mut free = seat(self.free, 0, self.sizes[0])?;
        let mut missing = people.checked_sub(self.sizes[0])?;
        if !self.can_seat(1, free, missing) {
            return None;
        }
        let mut chosen = vec![0];
        for next in 1..self.sizes.len() {
            if missing == 0 {
                break;
            }
            let size = self.sizes[next];
            let Some(left) = missing.checked_sub(size) else {
                continue;
            };
            let after = seats(free, size).find(|after| self.can_seat(next + 1, *after, left));
            if let Some(after) = after {
                chosen.push(next);
                free = after;
                missing = left;
            }
        }
        debug_assert_eq!(missing, 0, "can_seat said that the rest fits");
        Some(chosen)
    }

    fn can_seat(&mut self, next: usize, free: Free, players: u8) -> bool {
        self.totals(next, free) & (1 << players) != 0
    }

    fn totals(&mut self, next: usize, free: Free) -> u128 {
        if next == self.sizes.len() || free[0] == 0 {
            return 1;
        }
        let known = *self.known.of(next, free);
        if known != 0 {
            return known;
        }
        let size = self.sizes[next];
        let mut totals = self.totals(next + 1, free);
        for after in seats(free, size) {
            totals |= self.totals(next + 1, after) << size;
        }
        *self.known.of(next, free) = totals;
        totals
    }
}

/// What is known of states: a table where they are few, as in most modes.
enum Known {
    Few {
        /// By ticket, then by state.
        table: Vec<u128>,
        /// How many states there are of one ticket.
        states: usize,
        /// The free places of a team are a digit to this base.
        base: usize,
    },
    Many(HashMap<(usize, Free), u128>),
}

impl Known {
    fn new(tickets: usize, teams: u8, team_size: u8) -> Self {
        let base = usize::from(team_size) + 1;
        let states = base.pow(u32::from(teams));
        if states * tickets <= FEW {
            Self::Few {
                table: vec![0; states * tickets],
                states,
                base,
            }
        } else {
            Self::Many(HashMap::new())
        }
    }

    fn of(&mut self, next: usize, free: Free) -> &mut u128 {
        match self {
            Self::Few {
                table,
                states,
                base,
            } => {
                // Teams that there are not are the highest digits, and 0.
                let digits = free.iter().rev();
                let state = digits.fold(0, |state, free| state * *base + usize::from(*free));
                &mut table[next * *states + state]
            }
            Self::Many(known) => known.entry((next, free)).or_default(),
        }
    }
}

/// The states after `size` players were seated in one team, for each team that differs.
fn seats(free: Free, size: u8) -> impl Iterator<Item = Free> {
    (0..free.len())
        .filter(move |team| *team == 0 || free[*team] != free[*team - 1])
        .filter_map(move |team| seat(free, team, size))
}

fn seat(mut free: Free, team: usize, size: u8) -> Option<Free> {
    free[team] = free[team].checked_sub(size)?;
    free.sort_unstable_by(|a, b| b.cmp(a));
    Some(free)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goal(teams: u8, smallest: u8, largest: u8, bots: usize) -> Goal {
        Goal {
            teams,
            smallest,
            largest,
            bots,
            roles: None,
            effort: Cell::new(0),
        }
    }

    fn chosen(sizes: &[u8], goal: Goal) -> Option<(Vec<usize>, usize)> {
        choose(sizes, &[], &goal).map(|choice| (choice.chosen, choice.bots))
    }

    #[test]
    fn the_first_in_the_list_fill_a_match() {
        assert_eq!(chosen(&[1; 5], goal(1, 3, 3, 0)), Some((vec![0, 1, 2], 0)));
        assert_eq!(chosen(&[1; 2], goal(1, 3, 3, 0)), None);
    }

    #[test]
    fn a_party_that_does_not_fit_is_passed_over() {
        assert_eq!(
            chosen(&[2, 3, 1, 1], goal(1, 4, 4, 0)),
            Some((vec![0, 2, 3], 0))
        );
        assert_eq!(chosen(&[3, 3, 1], goal(2, 4, 4, 0)), None);
        assert_eq!(
            chosen(&[3, 3, 1, 1], goal(2, 4, 4, 0)),
            Some((vec![0, 1, 2, 3], 0))
        );
    }

    #[test]
    fn bots_fill_what_people_leave() {
        assert_eq!(chosen(&[1], goal(1, 2, 8, 7)), Some((vec![0], 7)));
        assert_eq!(chosen(&[1], goal(1, 2, 8, 3)), Some((vec![0], 3)));
        assert_eq!(chosen(&[1], goal(1, 2, 8, 0)), None);
        assert_eq!(chosen(&[3, 3, 3], goal(2, 4, 4, 4)), Some((vec![0, 1], 2)));
    }

    #[test]
    fn teams_of_a_short_match_are_equal() {
        let choice = choose(&[1; 5], &[], &goal(2, 1, 4, 0)).unwrap();
        assert_eq!((choice.people, choice.team_size), (4, 2));
    }
}
