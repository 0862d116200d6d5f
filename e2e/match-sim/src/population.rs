//! Who comes, drawn from the scenario.
//!
//! Each group of people has a generator of its own, so what it is like, and how patient it is, does
//! not depend on how the queue is run: settings are compared over the same people.

use std::collections::BTreeMap;
use std::time::Duration;

use matcher::config::{Mode, Region};
use matcher::ticket::{Member, Ticket};
use protocol::id::{PlayerId, TicketId};
use protocol::random::Random;
use protocol::time::Timestamp;

use crate::random::{even, exponential, normal, weighted};
use crate::scenario::Scenario;

/// The simulation begins here: ages are looked back at.
pub(crate) const BEGINNING: Timestamp = Timestamp(1 << 40);

/// People who play together, or one alone, from their coming to their going.
#[derive(Debug)]
pub(crate) struct Group {
    /// When they come.
    pub(crate) at: Timestamp,
    /// Place of their region among the scenario's.
    pub(crate) home: usize,
    /// They play on until then.
    until: Timestamp,
    first_player: u64,
    ratings: Vec<i32>,
    regions: BTreeMap<Region, u32>,
    random: Random,
}

/// Draws groups one after the other.
#[derive(Debug)]
pub(crate) struct Population<'a> {
    scenario: &'a Scenario,
    mode: &'a Mode,
    names: Vec<Region>,
    random: Random,
    now: Timestamp,
    end: Timestamp,
    /// No hour has a greater rate, in sessions a second.
    highest: f64,
    players: u64,
}

impl<'a> Population<'a> {
    pub(crate) fn new(scenario: &'a Scenario, mode: &'a Mode) -> Self {
        let peaks = scenario.arrivals.peaks.iter();
        let highest: f64 = peaks.map(|peak| peak.sessions_per_hour).sum();
        Self {
            scenario,
            mode,
            names: scenario.regions.keys().cloned().collect(),
            random: Random::new(scenario.seed),
            now: BEGINNING,
            end: BEGINNING + Duration::from_secs_f64(scenario.hours * 3600.0),
            highest: (highest + scenario.arrivals.sessions_per_hour) / 3600.0,
            players: 0,
        }
    }

    pub(crate) fn end(&self) -> Timestamp {
        self.end
    }

    /// The next ones who come: a Poisson process whose rate is the sum of the regions' curves, by
    /// thinning (Lewis and Shedler, 1979).
    pub(crate) fn next(&mut self) -> Option<Group> {
        if self.highest <= 0.0 {
            return None;
        }
        loop {
            let step = exponential(
                &mut self.random,
                Duration::from_secs_f64(1.0 / self.highest),
            );
            self.now = self.now + step;
            if self.now >= self.end {
                return None;
            }
            let homes = self.scenario.regions.values();
            let home = weighted(&mut self.random, homes.map(|home| home.share));
            let share = self.rate(home) / self.highest;
            if even(&mut self.random) < share {
                return Some(self.group(home));
            }
        }
    }

    /// Sessions a second at this hour, if all regions had the clock of `home`.
    fn rate(&self, home: usize) -> f64 {
        let clock = self.scenario.regions.values().nth(home);
        let clock = clock.map_or(0.0, |home| home.clock);
        let hour =
            self.now.since(BEGINNING).as_secs_f64() / 3600.0 + self.scenario.from_hour + clock;
        let arrivals = &self.scenario.arrivals;
        let peaks = arrivals.peaks.iter().map(|peak| {
            // Around the clock: 23 h is two hours from 1 h.
            let apart = (hour - peak.at + 12.0).rem_euclid(24.0) - 12.0;
            peak.sessions_per_hour * (-0.5 * (apart / peak.width).powi(2)).exp()
        });
        (arrivals.sessions_per_hour + peaks.sum::<f64>()) / 3600.0
    }

    fn group(&mut self, home: usize) -> Group {
        let mut random = Random::new(self.random.next_u64());
        let parties = self.scenario.parties.shares.iter().copied();
        let size = weighted(&mut random, parties) + 1;
        let size = size.min(usize::from(self.mode.largest_team()));
        let ratings = self.ratings(&mut random, size);
        let access = self.scenario.latency.access_ms;
        let own = &self.names[home];
        let regions = self.names.iter().map(|name| {
            let access = u64::from(access[0]) + random.below(u64::from(access[1] - access[0]) + 1);
            let access = u32::try_from(access).unwrap_or(u32::MAX);
            (name.clone(), access + self.scenario.between_ms(own, name))
        });
        let regions = regions.collect();
        let stays = exponential(&mut random, self.scenario.sessions.mean);
        let first_player = self.players + 1;
        self.players += size as u64;
        Group {
            at: self.now,
            home,
            until: self.now + stays,
            first_player,
            ratings,
            regions,
            random,
        }
    }

    fn ratings(&self, random: &mut Random, size: usize) -> Vec<i32> {
        let ratings = &self.scenario.ratings;
        let shares = ratings.mixture.iter().map(|part| part.share);
        let part = ratings.mixture[weighted(random, shares)];
        let middle = normal(random, part.mean, part.deviation);
        let member = |random: &mut Random| match size {
            1 => middle,
            _ => normal(random, middle, ratings.within_party),
        };
        (0..size)
            .map(|_| (member(random).round() as i32).clamp(ratings.lowest, ratings.highest))
            .collect()
    }
}

impl Group {
    /// Their wish to play, as of now, and when they give up.
    pub(crate) fn ticket(
        &mut self,
        id: TicketId,
        scenario: &Scenario,
        mode: &Mode,
        now: Timestamp,
    ) -> (Ticket, Timestamp) {
        let patience = exponential(&mut self.random, scenario.patience.mean);
        let patience = (scenario.patience.least + patience).min(mode.timeout);
        let members = (self.first_player..).zip(&self.ratings);
        let ticket = Ticket {
            id,
            mode: scenario.mode.clone(),
            members: members
                .map(|(player, rating)| member(player, *rating, false))
                .collect(),
            party: None,
            private: None,
            version: None,
            attributes: BTreeMap::default(),
            regions: self.regions.clone(),
            enqueued_at: now,
        };
        (ticket, now + patience)
    }

    /// When they queue again after a match that begins now; never, if they go.
    pub(crate) fn again(&mut self, scenario: &Scenario, now: Timestamp) -> Option<Timestamp> {
        let pause = exponential(&mut self.random, scenario.sessions.pause);
        let at = now + scenario.sessions.match_length + pause;
        (at < self.until).then_some(at)
    }
}

/// The wish of a bot.
pub(crate) fn bot(id: TicketId, scenario: &Scenario, now: Timestamp) -> Ticket {
    Ticket {
        id,
        mode: scenario.mode.clone(),
        members: vec![member(u64::MAX - id.0, 0, true)],
        party: None,
        private: None,
        version: None,
        attributes: BTreeMap::default(),
        regions: BTreeMap::new(),
        enqueued_at: now,
    }
}

fn member(player: u64, rating: i32, bot: bool) -> Member {
    Member {
        player: PlayerId(player),
        name: String::new(),
        rating,
        deviation: 0,
        roles: Vec::new(),
        bot,
    }
}
