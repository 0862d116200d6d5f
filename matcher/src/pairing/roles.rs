//! Roles: who plays what, so that each team has as many of each role as the mode says.
//!
//! The free places of a team are a state: four bits for each role. To seat a ticket in a team is to
//! give each of its members a role that the member plays, and leads to one state for each way that
//! differs. Which tickets fill a match is a search over these states, first come first seated, that
//! remembers dead ends. It is exact until [`BUDGET`] dead ends; beyond, a match may be missed until
//! the queue changes. Who plays what in the end is the assignment with the smallest sum of
//! preferences (0 for what a member likes best), by dynamic programming over the same states.

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};

use super::packing::{Choice, Goal};
use crate::config::{MAX_ROLES, MAX_TEAMS, Mode, Role};
use crate::ticket::{Member, Ticket};

/// Dead ends after which the search for a match gives up, over all of its windows and regions.
pub(super) const BUDGET: usize = 1_000;

/// Roles that a member plays, as bits in the order of the mode's.
pub(super) type Mask = u8;

/// The masks of a ticket's members: a byte each, the first one lowest.
pub(super) type Masks = u64;

/// Free places by role: four bits each, the first one lowest.
pub(super) type Places = u32;

/// The roles of a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Roles {
    /// All places of a team.
    pub(super) places: Places,
    count: u8,
}

impl Roles {
    /// Those of a mode, if it has any.
    pub(super) fn of(mode: &Mode) -> Option<Self> {
        if mode.roles.is_empty() {
            return None;
        }
        let places = mode.roles.values().enumerate();
        let places = places.fold(0, |places, (role, count)| {
            places | Places::from(*count) << (4 * role)
        });
        let count = u8::try_from(mode.roles.len()).expect("at most MAX_ROLES");
        Some(Self { places, count })
    }

    /// The mask of who plays anything.
    fn any(self) -> Mask {
        Mask::MAX >> (MAX_ROLES - usize::from(self.count))
    }
}

/// What the members of a ticket play in `mode`. Who names nothing that it has plays anything.
pub(super) fn masks(mode: &Mode, ticket: &Ticket) -> Masks {
    let Some(roles) = Roles::of(mode) else {
        return 0;
    };
    let members = ticket.members.iter().take(MAX_ROLES).enumerate();
    members.fold(0, |masks, (place, member)| {
        let wanted = wanted(mode, likes(member));
        let mask = wanted.fold(0, |mask, role| mask | 1 << role);
        let mask = if mask == 0 { roles.any() } else { mask };
        masks | Masks::from(mask) << (8 * place)
    })
}

/// The states that seating a ticket in a team leads to.
pub(super) fn seatings(places: Places, masks: Masks, size: u8) -> Vec<Places> {
    let mut states = vec![places];
    for member in 0..size {
        let mask = (masks >> (8 * u32::from(member))) as Mask;
        let mut next = Vec::with_capacity(states.len() * 2);
        for state in states {
            let free = (0..MAX_ROLES).filter(|role| mask & 1 << role != 0 && has(state, *role));
            for after in free.map(|role| take(state, role)) {
                if !next.contains(&after) {
                    next.push(after);
                }
            }
        }
        states = next;
    }
    states
}

/// As [`packing::choose`](super::packing::choose), for a mode with roles.
pub(super) fn choose(sizes: &[u8], masks: &[Masks], goal: &Goal, roles: Roles) -> Option<Choice> {
    let first = *sizes.first()?;
    let fewest = u8::try_from(goal.fewest_people()).ok()?.max(first);
    let most = most_seated(sizes, masks, goal.teams, roles).min(goal.teams * goal.largest);
    (fewest..=most).rev().find_map(|people| {
        let team_size = goal.team_size(people)?;
        let mut search = Search {
            sizes,
            masks,
            effort: &goal.effort,
            dead: HashSet::new(),
        };
        let chosen = search.choose(people, goal.teams, roles)?;
        Some(Choice {
            chosen,
            people,
            bots: usize::from(goal.teams) * usize::from(team_size) - usize::from(people),
            team_size,
        })
    })
}

/// An upper bound: how many members get a place if parties and teams did not matter. By König's
/// theorem that is the least, over all sets of roles, of the places of these roles and the members
/// who play another one too.
fn most_seated(sizes: &[u8], masks: &[Masks], teams: u8, roles: Roles) -> u8 {
    const SETS: usize = 1 << MAX_ROLES;
    // By set of roles: members who play nothing else.
    let mut within = [0_u16; SETS];
    let mut members = 0;
    for (size, masks) in sizes.iter().zip(masks) {
        for member in 0..*size {
            within[usize::from((masks >> (8 * u32::from(member))) as Mask)] += 1;
            members += 1;
        }
    }
    for role in 0..usize::from(roles.count) {
        for set in (0..SETS).filter(|set| set & 1 << role != 0) {
            within[set] += within[set & !(1 << role)];
        }
    }
    let sets = 0..=usize::from(roles.any());
    let covers = sets.map(|set| {
        let of_these = (0..MAX_ROLES).filter(|role| set & 1 << role != 0);
        let places: u16 = of_these.map(|role| count(roles.places, role)).sum();
        places * u16::from(teams) + members - within[set]
    });
    covers
        .min()
        .map_or(0, |least| u8::try_from(least).unwrap_or(u8::MAX))
}

/// The free places of each team, most first; teams that there are not have none.
type Free = [Places; MAX_TEAMS as usize];

struct Search<'a> {
    sizes: &'a [u8],
    masks: &'a [Masks],
    /// Dead ends that may yet be found.
    effort: &'a Cell<usize>,
    /// By the next ticket and the free places: what seats nobody else. How many are missing follows
    /// from the places.
    dead: HashSet<(usize, Free)>,
}

impl Search<'_> {
    /// The first tickets in the list, with the first one of all, that seat exactly `people`.
    fn choose(&mut self, people: u8, teams: u8, roles: Roles) -> Option<Vec<usize>> {
        let mut free = [0; MAX_TEAMS as usize];
        free[..usize::from(teams)].fill(roles.places);
        let missing = people.checked_sub(self.sizes[0])?;
        let mut chosen = Vec::new();
        for after in self.after(0, free) {
            chosen.push(0);
            if self.fill(1, after, missing, &mut chosen) {
                return Some(chosen);
            }
            chosen.clear();
        }
        None
    }

    fn fill(&mut self, next: usize, free: Free, missing: u8, chosen: &mut Vec<usize>) -> bool {
        if missing == 0 {
            return true;
        }
        let left = self.sizes[next..].iter().map(|size| usize::from(*size));
        if left.sum::<usize>() < usize::from(missing)
            || self.effort.get() == 0
            || self.dead.contains(&(next, free))
        {
            return false;
        }
        if let Some(missing) = missing.checked_sub(self.sizes[next]) {
            chosen.push(next);
            for after in self.after(next, free) {
                if self.fill(next + 1, after, missing, chosen) {
                    return true;
                }
            }
            chosen.pop();
        }
        let found = self.fill(next + 1, free, missing, chosen);
        if !found && self.dead.insert((next, free)) {
            self.effort.set(self.effort.get().saturating_sub(1));
        }
        found
    }

    /// The states after a ticket is seated in one team, for each way that differs.
    fn after(&self, ticket: usize, free: Free) -> Vec<Free> {
        let (masks, size) = (self.masks[ticket], self.sizes[ticket]);
        let differ = (0..free.len()).filter(|team| *team == 0 || free[*team] != free[*team - 1]);
        let states = differ.flat_map(|team| {
            let states = seatings(free[team], masks, size);
            states.into_iter().map(move |state| {
                let mut after = free;
                after[team] = state;
                after.sort_unstable_by(|a, b| b.cmp(a));
                after
            })
        });
        states.collect()
    }
}

/// Who plays what: the role of each member of a team, who are as many as it has places. `wanted`
/// are their roles in order of preference; none: anything, equally liked.
///
/// `None` if there is no way to do it.
pub(super) fn assign(mode: &Mode, wanted: &[&[Role]]) -> Option<Vec<Role>> {
    let roles = Roles::of(mode)?;
    let mut ways = BTreeMap::from([(roles.places, (0, Vec::new()))]);
    for roles in wanted {
        let liked: Vec<usize> = self::wanted(mode, roles).collect();
        let liked: Vec<(usize, usize)> = match liked.is_empty() {
            true => (0..mode.roles.len()).map(|role| (0, role)).collect(),
            false => liked.into_iter().enumerate().collect(),
        };
        let mut next: BTreeMap<Places, (usize, Vec<usize>)> = BTreeMap::new();
        for (state, (cost, way)) in ways {
            for (dislike, role) in liked.iter().filter(|(_, role)| has(state, *role)) {
                let (after, cost) = (take(state, *role), cost + dislike);
                if next.get(&after).is_none_or(|(known, _)| cost < *known) {
                    let way = way.iter().copied().chain([*role]).collect();
                    next.insert(after, (cost, way));
                }
            }
        }
        ways = next;
    }
    let (_, way) = ways.into_values().min_by_key(|(cost, _)| *cost)?;
    let names: Vec<&Role> = mode.roles.keys().collect();
    Some(way.into_iter().map(|role| names[role].clone()).collect())
}

/// The roles that a member takes, the dearest first; none: any, as bots do.
pub(super) fn likes(member: &Member) -> &[Role] {
    match member.bot {
        true => &[],
        false => &member.roles,
    }
}

/// Places of wanted roles among the mode's, in order of preference.
fn wanted<'a>(mode: &'a Mode, roles: &'a [Role]) -> impl Iterator<Item = usize> + 'a {
    let place = |role: &Role| mode.roles.keys().position(|known| known == role);
    roles.iter().filter_map(place)
}

fn count(places: Places, role: usize) -> u16 {
    (places >> (4 * role) & 0xf) as u16
}

fn has(places: Places, role: usize) -> bool {
    count(places, role) > 0
}

fn take(places: Places, role: usize) -> Places {
    places - (1 << (4 * role))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ModeOptions, PlayerRange};

    fn mode() -> Mode {
        let roles = [("healer", 1), ("tank", 1), ("damage", 2)];
        Mode::new(ModeOptions {
            teams: 2,
            players: PlayerRange { min: 8, max: 8 },
            roles: roles.map(|(name, count)| (role(name), count)).into(),
            ..ModeOptions::default()
        })
        .unwrap()
    }

    fn role(name: &str) -> Role {
        name.parse().unwrap()
    }

    fn roles(names: &[&str]) -> Vec<Role> {
        names.iter().copied().map(role).collect()
    }

    fn assigned(wanted: &[&[&str]]) -> Option<Vec<String>> {
        let wanted: Vec<Vec<Role>> = wanted.iter().map(|one| roles(one)).collect();
        let wanted: Vec<&[Role]> = wanted.iter().map(Vec::as_slice).collect();
        let assigned = assign(&mode(), &wanted)?;
        Some(assigned.into_iter().map(String::from).collect())
    }

    #[test]
    fn everyone_gets_what_is_liked_best_as_far_as_that_goes() {
        let wanted: [&[&str]; 4] = [&["tank", "damage"], &["tank"], &[], &["damage", "healer"]];
        assert_eq!(
            assigned(&wanted).unwrap(),
            ["damage", "tank", "healer", "damage"]
        );
        assert_eq!(assigned(&[&["tank"], &["tank"], &[], &[]]), None);
    }

    #[test]
    fn the_bound_counts_places_of_the_roles_that_are_played() {
        let mode = mode();
        let roles = Roles::of(&mode).unwrap();
        // By name: damage, healer, tank.
        let (damage, tank, any) = (1, 4, 7);
        let bound = |masks: &[Masks]| most_seated(&vec![1; masks.len()], masks, 2, roles);
        assert_eq!(bound(&[tank; 9]), 2);
        assert_eq!(bound(&[damage; 9]), 4);
        assert_eq!(bound(&[tank, tank, tank, damage, any]), 4);
        assert_eq!(bound(&[any; 9]), 8);
    }

    #[test]
    fn a_search_without_end_gives_up() {
        let mode = mode();
        let roles = Roles::of(&mode).unwrap();
        let goal = Goal {
            teams: 2,
            smallest: 4,
            largest: 4,
            bots: 0,
            roles: Some(roles),
            effort: Cell::new(BUDGET),
        };
        // Pairs of which each needs the only tank and the only healer of a team, and no damage.
        let pair = 4 << 8 | 2;
        assert_eq!(choose(&[2; 64], &[pair; 64], &goal, roles), None);
        let mut masks = vec![pair; 2];
        masks.extend([1; 4]);
        let choice = choose(&[2, 2, 1, 1, 1, 1], &masks, &goal, roles).unwrap();
        assert_eq!(choice.chosen, [0, 1, 2, 3, 4, 5]);
    }
}
