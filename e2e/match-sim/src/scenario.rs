//! What is simulated, as it is written: a TOML file that states what differs from the defaults.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chassis::config::ConfigError;
use matcher::config::{Mode, ModeName, Region};
use serde::{Deserialize, Serialize};

/// Most hours of one run.
pub const MOST_HOURS: f64 = 24.0 * 7.0;

/// All that a run follows from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scenario {
    /// All chance follows from it.
    pub seed: u64,
    /// Hour of the day at which it begins, on the simulation's clock.
    pub from_hour: f64,
    /// How long is simulated, up to [`MOST_HOURS`].
    pub hours: f64,
    /// The mode whose queue it is.
    pub mode: ModeName,
    /// When people come.
    pub arrivals: Arrivals,
    /// How well they play.
    pub ratings: Ratings,
    /// Where they are, by region.
    pub regions: BTreeMap<Region, Home>,
    /// How far regions are from each other and from people.
    pub latency: Latency,
    /// How many come together.
    pub parties: Parties,
    /// How long they stay.
    pub sessions: Sessions,
    /// How long they wait before they give up.
    pub patience: Patience,
    /// Bots that wait for matches.
    pub bots: u32,
    /// Settings of the window to try.
    pub sweep: Sweep,
    /// The modes, as under `matcher.modes`. A file that has any replaces all of the defaults.
    pub modes: BTreeMap<ModeName, Mode>,
}

/// When sessions begin: at a base rate, and more around peaks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Arrivals {
    /// Sessions that begin in an hour at any time, of all regions together.
    pub sessions_per_hour: f64,
    /// What is added.
    pub peaks: Vec<Peak>,
}

/// A time of day at which more people come, bell-shaped.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Peak {
    /// Hour of the day in a region's own time, 0 to 24.
    pub at: f64,
    /// Sessions that it adds in an hour at its top.
    pub sessions_per_hour: f64,
    /// Hours from its top to where it adds 61 % of that (one standard deviation).
    pub width: f64,
}

/// How well people play: a mixture of bell curves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ratings {
    /// The parts.
    pub mixture: Vec<Part>,
    /// Standard deviation of a party's members around the party.
    pub within_party: f64,
    /// Ratings below are this one.
    pub lowest: i32,
    /// Ratings above are this one.
    pub highest: i32,
}

/// One bell curve of a mixture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Its weight among the parts.
    pub share: f64,
    /// Its middle.
    pub mean: f64,
    /// Its standard deviation.
    pub deviation: f64,
}

/// A region's people.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Home {
    /// Its weight among the regions.
    pub share: f64,
    /// Hours that its clock is ahead of the simulation's.
    #[serde(default)]
    pub clock: f64,
}

/// Round trips.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// From people to their own region, in milliseconds: least and most.
    pub access_ms: [u32; 2],
    /// From region to region, in milliseconds; named "a-b" by the alphabet.
    pub between_ms: BTreeMap<String, u32>,
    /// Between regions that `between_ms` does not name.
    pub elsewhere_ms: u32,
}

/// How many come together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Parties {
    /// Weights of parties of one, two, three … players. Larger ones than the mode takes come as
    /// the largest that it does.
    pub shares: Vec<f64>,
}

/// How long people stay. They queue again after each match, until their session is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sessions {
    /// Mean length, exponential. Everyone queues at least once.
    #[serde(with = "chassis::config::duration")]
    pub mean: Duration,
    /// Length of a match.
    #[serde(with = "chassis::config::duration")]
    pub match_length: Duration,
    /// Mean time from a match to the next wish to play, exponential.
    #[serde(with = "chassis::config::duration")]
    pub pause: Duration,
}

/// How long people wait before they give up and go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Patience {
    /// Nobody gives up before.
    #[serde(with = "chassis::config::duration")]
    pub least: Duration,
    /// Mean of what comes on top, exponential. The mode's `timeout` ends every wait.
    #[serde(with = "chassis::config::duration")]
    pub mean: Duration,
}

/// Settings of the window to try: each start with each widening, and the same cap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sweep {
    /// Rating points at first.
    pub starts: Vec<u32>,
    /// Points that a second adds.
    pub widen_per_second: Vec<u32>,
    /// Points that are never exceeded; the mode's own if 0.
    pub cap: u32,
    /// The part of the day that each setting is tried on: from this hour on …
    pub from_hour: f64,
    /// … for so long.
    pub hours: f64,
}

/// Why there is nothing to simulate.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A setting that nothing can follow from.
    #[error("{key} {expected}")]
    Invalid {
        /// Dotted path of the key.
        key: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
    /// The mode is not among the modes.
    #[error("there is no mode {0}")]
    NoMode(ModeName),
}

impl Scenario {
    /// The scenario of `file`; the default one without.
    ///
    /// # Errors
    /// [`ScenarioError::Config`] for the file; what [`Scenario::check`] finds is found there.
    pub fn load(file: Option<&Path>) -> Result<Self, ScenarioError> {
        Ok(chassis::config::load(file, std::iter::empty())?)
    }

    /// The mode that is simulated, if all can be.
    ///
    /// # Errors
    /// [`ScenarioError::Invalid`], [`ScenarioError::NoMode`].
    pub fn check(&self) -> Result<&Mode, ScenarioError> {
        let is_amount = |number: f64| number.is_finite() && number >= 0.0;
        let is_length = |hours: f64| hours > 0.0 && hours <= MOST_HOURS;
        let some = |mut weights: Box<dyn Iterator<Item = f64> + '_>| {
            let mut total = 0.0;
            weights.all(|weight| {
                total += weight;
                is_amount(weight)
            }) && total > 0.0
        };
        let peaks = &self.arrivals.peaks;
        let [least, most] = self.latency.access_ms;
        let ratings = &self.ratings;
        let rules = [
            (
                self.from_hour.is_finite() && self.sweep.from_hour.is_finite(),
                "from_hour",
                "is a number",
            ),
            (
                is_length(self.hours),
                "hours",
                "is more than 0 and at most 168",
            ),
            (
                is_length(self.sweep.hours),
                "sweep.hours",
                "is more than 0 and at most 168",
            ),
            (
                is_amount(self.arrivals.sessions_per_hour),
                "arrivals.sessions_per_hour",
                "is 0 or more",
            ),
            (
                peaks
                    .iter()
                    .all(|peak| is_amount(peak.sessions_per_hour) && peak.width > 0.0),
                "arrivals.peaks",
                "have sessions_per_hour of 0 or more, and a width of more than 0",
            ),
            (
                some(Box::new(ratings.mixture.iter().map(|part| part.share))),
                "ratings.mixture",
                "needs a part with a share of more than 0",
            ),
            (
                ratings.lowest <= ratings.highest,
                "ratings.lowest",
                "is at most ratings.highest",
            ),
            (
                some(Box::new(self.regions.values().map(|home| home.share))),
                "regions",
                "need one with a share of more than 0",
            ),
            (self.regions.len() <= 32, "regions", "are at most 32"),
            (least <= most, "latency.access_ms", "is [least, most]"),
            (
                some(Box::new(self.parties.shares.iter().copied())),
                "parties.shares",
                "needs one of more than 0",
            ),
            (
                !self.sessions.match_length.is_zero(),
                "sessions.match_length",
                "is longer than nothing",
            ),
        ];
        for (holds, key, expected) in rules {
            if !holds {
                return Err(ScenarioError::Invalid { key, expected });
            }
        }
        let mode = self.modes.get(&self.mode);
        mode.ok_or_else(|| ScenarioError::NoMode(self.mode.clone()))
    }

    /// The round trip between two regions, in milliseconds.
    pub fn between_ms(&self, one: &Region, other: &Region) -> u32 {
        if one == other {
            return 0;
        }
        let (first, second) = (one.min(other), one.max(other));
        let named = self.latency.between_ms.get(&format!("{first}-{second}"));
        named.copied().unwrap_or(self.latency.elsewhere_ms)
    }
}

impl Default for Scenario {
    fn default() -> Self {
        let home = |name: &str, share, clock| {
            let region: Region = name.parse().expect("a good name");
            (region, Home { share, clock })
        };
        Self {
            seed: 1,
            from_hour: 0.0,
            hours: 24.0,
            mode: "race".parse().expect("a good name"),
            arrivals: Arrivals::default(),
            ratings: Ratings::default(),
            regions: [
                home("asia", 0.30, 8.0),
                home("eu", 0.35, 1.0),
                home("us-east", 0.22, -5.0),
                home("us-west", 0.13, -8.0),
            ]
            .into(),
            latency: Latency::default(),
            parties: Parties::default(),
            sessions: Sessions::default(),
            patience: Patience::default(),
            bots: 400,
            sweep: Sweep::default(),
            modes: matcher::Config::default().modes,
        }
    }
}

impl Default for Arrivals {
    fn default() -> Self {
        let peak = |at, sessions_per_hour, width| Peak {
            at,
            sessions_per_hour,
            width,
        };
        Self {
            sessions_per_hour: 600.0,
            peaks: vec![peak(13.0, 1200.0, 2.0), peak(20.5, 3600.0, 2.2)],
        }
    }
}

impl Default for Ratings {
    fn default() -> Self {
        let part = |share, mean, deviation| Part {
            share,
            mean,
            deviation,
        };
        Self {
            mixture: vec![part(0.8, 1500.0, 250.0), part(0.2, 1250.0, 120.0)],
            within_party: 120.0,
            lowest: 0,
            highest: 3500,
        }
    }
}

impl Default for Latency {
    fn default() -> Self {
        let between = [
            ("asia-eu", 170),
            ("asia-us-east", 190),
            ("asia-us-west", 120),
            ("eu-us-east", 80),
            ("eu-us-west", 140),
            ("us-east-us-west", 62),
        ];
        Self {
            access_ms: [8, 45],
            between_ms: between.map(|(name, ms)| (name.to_owned(), ms)).into(),
            elsewhere_ms: 150,
        }
    }
}

impl Default for Parties {
    fn default() -> Self {
        Self {
            shares: vec![0.80, 0.12, 0.05, 0.03],
        }
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            mean: Duration::from_secs(25 * 60),
            match_length: Duration::from_secs(150),
            pause: Duration::from_secs(20),
        }
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            least: Duration::from_secs(20),
            mean: Duration::from_secs(60),
        }
    }
}

impl Default for Sweep {
    fn default() -> Self {
        Self {
            starts: vec![25, 50, 100, 150, 250, 400],
            widen_per_second: vec![5, 15, 40, 75],
            cap: 0,
            from_hour: 19.0,
            hours: 1.0,
        }
    }
}
