//! Splitting a match into teams with the smallest difference in rating.
//!
//! Depth first over all splits that differ, the heaviest tickets first and the weakest team first,
//! so that the first split found is already a fair one (Graham's rule of the longest processing
//! time, 1969) and the rest is improvement. Exact until [`BUDGET`] steps are spent, which two
//! teams of eight and three of four do not reach; beyond, the best so far.

use std::collections::BTreeSet;

use super::roles::{self, Masks, Places, Roles};

/// Steps after which the best split so far is taken. One that exists is always found.
const BUDGET: u32 = 50_000;

/// A ticket as teams see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) size: u8,
    /// Of its members together.
    pub(super) rating: i64,
    /// What they play, in a mode with roles.
    pub(super) masks: Masks,
}

/// The team of each unit, from 0. `units` must fit into `teams` of exactly `team_size`, and into
/// their roles.
pub(super) fn split(units: &[Unit], teams: u8, team_size: u8, roles: Option<Roles>) -> Vec<u8> {
    if teams == 1 {
        return vec![0; units.len()];
    }
    let mut order: Vec<usize> = (0..units.len()).collect();
    order.sort_by_key(|index| {
        let unit = units[*index];
        (std::cmp::Reverse(unit.size), std::cmp::Reverse(unit.rating))
    });
    let total: i64 = units.iter().map(|unit| unit.rating).sum();
    let mut search = Search {
        units,
        order: &order,
        team_size,
        teams: vec![Team::default(); usize::from(teams)],
        places: roles.map(|roles| vec![vec![roles.places]; usize::from(teams)]),
        split: vec![0; units.len()],
        best: None,
        // Equal sums are out of reach when they do not divide.
        goal: i64::from(total.rem_euclid(i64::from(teams)) != 0),
        steps: 0,
    };
    search.descend(0);
    let (_, split) = search
        .best
        .expect("packing chose tickets that fit into the teams");
    split
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Team {
    players: u8,
    rating: i64,
}

struct Search<'a> {
    units: &'a [Unit],
    order: &'a [usize],
    team_size: u8,
    teams: Vec<Team>,
    /// In a mode with roles, of each team: what may be free of it, by who plays what.
    places: Option<Vec<Vec<Places>>>,
    split: Vec<u8>,
    best: Option<(i64, Vec<u8>)>,
    goal: i64,
    steps: u32,
}

impl Search<'_> {
    fn descend(&mut self, depth: usize) {
        let Some(index) = self.order.get(depth).copied() else {
            self.finish();
            return;
        };
        let unit = self.units[index];
        let mut weakest_first: Vec<usize> = (0..self.teams.len()).collect();
        weakest_first.sort_by_key(|team| (self.teams[*team].rating, self.teams[*team].players));
        let mut tried: Option<(Team, Option<Vec<Places>>)> = None;
        for team in weakest_first {
            let before = self.teams[team];
            let free = self.places.as_ref().map(|places| places[team].clone());
            let is_mirrored = tried
                .as_ref()
                .is_some_and(|(one, places)| *one == before && *places == free);
            if is_mirrored || before.players + unit.size > self.team_size {
                continue; // no room, or the mirror image of what was tried
            }
            let after = free.as_ref().map(|free| seated(free, &unit));
            if after.as_ref().is_some_and(Vec::is_empty) {
                continue; // no role for somebody
            }
            if self.is_done() {
                return;
            }
            tried = Some((before, free.clone()));
            self.steps += 1;
            self.teams[team].players += unit.size;
            self.teams[team].rating += unit.rating;
            self.split[index] = u8::try_from(team).expect("at most MAX_TEAMS");
            self.set_places(team, after);
            self.descend(depth + 1);
            self.teams[team] = before;
            self.set_places(team, free);
        }
    }

    fn set_places(&mut self, team: usize, free: Option<Vec<Places>>) {
        if let (Some(places), Some(free)) = (&mut self.places, free) {
            places[team] = free;
        }
    }

    fn is_done(&self) -> bool {
        self.best
            .as_ref()
            .is_some_and(|(difference, _)| *difference <= self.goal || self.steps >= BUDGET)
    }

    fn finish(&mut self) {
        if self.teams.iter().any(|team| team.players != self.team_size) {
            return;
        }
        let ratings = || self.teams.iter().map(|team| team.rating);
        let difference = ratings().max().unwrap_or(0) - ratings().min().unwrap_or(0);
        if self
            .best
            .as_ref()
            .is_none_or(|(best, _)| difference < *best)
        {
            self.best = Some((difference, self.split.clone()));
        }
    }
}

/// What may be free of a team with one more unit.
fn seated(free: &[Places], unit: &Unit) -> Vec<Places> {
    let states = free.iter().copied();
    let states = states.flat_map(|state| roles::seatings(state, unit.masks, unit.size));
    let states: BTreeSet<Places> = states.collect();
    states.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn difference(units: &[Unit], split: &[u8], teams: u8, team_size: u8) -> Option<i64> {
        let mut sums = vec![Team::default(); usize::from(teams)];
        for (unit, team) in units.iter().zip(split) {
            sums[usize::from(*team)].players += unit.size;
            sums[usize::from(*team)].rating += unit.rating;
        }
        let full = sums.iter().all(|team| team.players == team_size);
        let ratings = || sums.iter().map(|team| team.rating);
        full.then(|| ratings().max().unwrap() - ratings().min().unwrap())
    }

    fn smallest_difference(units: &[Unit], teams: u8, team_size: u8) -> Option<i64> {
        let splits = usize::from(teams).pow(u32::try_from(units.len()).unwrap());
        (0..splits)
            .filter_map(|number| {
                let mut rest = number;
                let split: Vec<u8> = units
                    .iter()
                    .map(|_| {
                        let team = rest % usize::from(teams);
                        rest /= usize::from(teams);
                        u8::try_from(team).unwrap()
                    })
                    .collect();
                difference(units, &split, teams, team_size)
            })
            .min()
    }

    proptest! {
        #[test]
        fn the_split_is_as_fair_as_the_fairest_by_brute_force(
            teams in 2_u8..=3,
            units in prop::collection::vec((1_u8..=3, -500_i64..3000), 2..=8),
        ) {
            let units: Vec<Unit> = units
                .into_iter()
                .map(|(size, rating)| Unit { size, rating: rating * i64::from(size), masks: 0 })
                .collect();
            let players: u8 = units.iter().map(|unit| unit.size).sum();
            prop_assume!(players.is_multiple_of(teams));
            let team_size = players / teams;
            if let Some(fairest) = smallest_difference(&units, teams, team_size) {
                let split = split(&units, teams, team_size, None);
                prop_assert_eq!(difference(&units, &split, teams, team_size), Some(fairest));
            }
        }
    }

    #[test]
    fn a_large_match_is_split_within_the_budget() {
        let units: Vec<Unit> = (0..64)
            .map(|n| Unit {
                size: 1,
                rating: 1000 + n * n,
                masks: 0,
            })
            .collect();
        let split = split(&units, 2, 32, None);
        assert!(difference(&units, &split, 2, 32).is_some_and(|difference| difference <= 2));
    }
}
