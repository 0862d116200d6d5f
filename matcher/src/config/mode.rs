//! What can be set about a mode, parsed into what cannot be wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Most players of one match. Pairing counts them in the bits of a word.
pub const MAX_MATCH: u8 = 64;

/// The shortest time from what happens in a match to when it is shown to who watches: tapes come in
/// pieces of a second.
pub const LEAST_WATCH_DELAY: Duration = Duration::from_secs(2);

/// Most teams of one match.
pub const MAX_TEAMS: u8 = 4;

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $error:ident, $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        #[doc = concat!("Why a text cannot name ", $what, ".")]
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[error("the name of {} has 1 to 32 characters of a-z, 0-9, '-' and '_'", $what)]
        pub struct $error;

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                let well_formed = (1..=32).contains(&text.len())
                    && text
                        .bytes()
                        .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
                if well_formed { Ok(Self(text.into())) } else { Err($error) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

names! {
    /// Name of a mode.
    ModeName, ModeNameError, "a mode";
    /// Name of a region.
    Region, RegionNameError, "a region";
    /// Name of an event with a limited number of seats.
    EventName, EventNameError, "an event";
}

/// A mode: a way to play, with a queue of its own. Its [`ModeOptions`] fit together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ModeOptions", into = "ModeOptions")]
pub struct Mode(ModeOptions);

/// The settings of a mode, as they are written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModeOptions {
    /// The game, as syncd knows it.
    pub game: String,
    /// Teams in a match, up to [`MAX_TEAMS`]. 1: no teams, everyone for themselves. With more,
    /// all teams of a match have the same size.
    pub teams: u8,
    /// Players in a match, bots among them. With teams, both are multiples of `teams`.
    pub players: PlayerRange,
    /// Which ratings meet.
    pub window: RatingWindow,
    /// Which latencies are put up with.
    pub region: RegionRule,
    /// Once its oldest ticket has waited this long a match begins short-handed, with `players.min`
    /// or more.
    #[serde(with = "chassis::config::duration")]
    pub early_start_after: Duration,
    /// Whether bots fill free places.
    pub bots: bool,
    /// Once its oldest ticket has waited this long, bots fill what people leave free, and if there
    /// are none the match begins short-handed: people do not wait for bots.
    #[serde(with = "chassis::config::duration")]
    pub bots_after: Duration,
    /// A person who finds no match for this long is sent away with a reason.
    #[serde(with = "chassis::config::duration")]
    pub timeout: Duration,
    /// Whether who has no seat in a match may watch it.
    pub watch: bool,
    /// From what happens to when it is shown to them, at least [`LEAST_WATCH_DELAY`]: so long that
    /// it helps nobody who plays.
    #[serde(with = "chassis::config::duration")]
    pub watch_delay: Duration,
    /// The game's own settings, handed to it as they are.
    pub settings: serde_json::Map<String, serde_json::Value>,
}

/// Players in a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlayerRange {
    /// Fewest, at least 1.
    pub min: u8,
    /// Most, at most [`MAX_MATCH`].
    pub max: u8,
}

/// How far apart two ratings may be. Two tickets meet only if each is within the other's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RatingWindow {
    /// Rating points to either side at first.
    pub start: u32,
    /// Points that each second of waiting adds.
    pub widen_per_second: u32,
    /// Points that are never exceeded.
    pub cap: u32,
}

/// Which latency to a region a ticket accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionRule {
    /// Milliseconds of round trip at first.
    pub start_ms: u32,
    /// Milliseconds that each second of waiting adds.
    pub widen_ms_per_second: u32,
    /// Milliseconds that are never exceeded.
    pub cap_ms: u32,
}

/// Why settings do not make a mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModeError {
    /// No game.
    #[error("game is empty; it names a game that syncd knows, such as \"race\"")]
    NoGame,
    /// Too few or too many teams.
    #[error("teams is {0}; it must be 1 (no teams) to {MAX_TEAMS}")]
    Teams(u8),
    /// No possible number of players.
    #[error("players is {min} to {max}; it needs 1 <= min <= max <= {MAX_MATCH}")]
    Players {
        /// As set.
        min: u8,
        /// As set.
        max: u8,
    },
    /// Teams of equal size cannot be made of that many players.
    #[error("players is {min} to {max}; with {teams} teams both must be multiples of {teams}")]
    Uneven {
        /// As set.
        teams: u8,
        /// As set.
        min: u8,
        /// As set.
        max: u8,
    },
    /// A window that begins beyond its own cap.
    #[error("{0} begins above its cap")]
    BeyondCap(&'static str),
    /// Nobody could ever wait.
    #[error("timeout must be longer than nothing")]
    NoTime,
    /// Who watches would see too soon what helps those who play.
    #[error("watch_delay must be {LEAST_WATCH_DELAY:?} or longer; watch = false forbids watching")]
    WatchDelay,
}

impl Mode {
    /// A mode of `options`.
    ///
    /// # Errors
    /// [`ModeError`] if they do not fit together.
    pub fn new(options: ModeOptions) -> Result<Self, ModeError> {
        let PlayerRange { min, max } = options.players;
        let teams = options.teams;
        if options.game.is_empty() {
            return Err(ModeError::NoGame);
        }
        if !(1..=MAX_TEAMS).contains(&teams) {
            return Err(ModeError::Teams(teams));
        }
        if min < 1 || min > max || max > MAX_MATCH {
            return Err(ModeError::Players { min, max });
        }
        if min % teams != 0 || max % teams != 0 {
            return Err(ModeError::Uneven { teams, min, max });
        }
        if options.window.start > options.window.cap {
            return Err(ModeError::BeyondCap("window"));
        }
        if options.region.start_ms > options.region.cap_ms {
            return Err(ModeError::BeyondCap("region"));
        }
        if options.timeout.is_zero() {
            return Err(ModeError::NoTime);
        }
        if options.watch_delay < LEAST_WATCH_DELAY {
            return Err(ModeError::WatchDelay);
        }
        Ok(Self(options))
    }

    /// Most players on one side: the largest party that the mode takes.
    pub fn largest_team(&self) -> u8 {
        self.players.max / self.teams
    }

    /// Fewest players on one side.
    pub fn smallest_team(&self) -> u8 {
        self.players.min / self.teams
    }

    /// Whether a match whose oldest ticket has waited for `waited` may begin with free places.
    pub fn may_start_short(&self, waited: Duration) -> bool {
        waited >= self.early_start_after || self.may_fill_with_bots(waited)
    }

    /// Whether bots may fill a match whose oldest ticket has waited for `waited`.
    pub fn may_fill_with_bots(&self, waited: Duration) -> bool {
        self.bots && waited >= self.bots_after
    }
}

impl Deref for Mode {
    type Target = ModeOptions;

    fn deref(&self) -> &ModeOptions {
        &self.0
    }
}

impl TryFrom<ModeOptions> for Mode {
    type Error = ModeError;

    fn try_from(options: ModeOptions) -> Result<Self, ModeError> {
        Self::new(options)
    }
}

impl From<Mode> for ModeOptions {
    fn from(mode: Mode) -> Self {
        mode.0
    }
}

impl Default for ModeOptions {
    /// The mode `race`.
    fn default() -> Self {
        Self {
            game: "race".to_owned(),
            teams: 1,
            players: PlayerRange { min: 2, max: 8 },
            window: RatingWindow {
                start: 200,
                widen_per_second: 25,
                cap: 1000,
            },
            region: RegionRule {
                start_ms: 60,
                widen_ms_per_second: 10,
                cap_ms: 200,
            },
            early_start_after: Duration::from_secs(15),
            bots: true,
            bots_after: Duration::from_secs(3),
            timeout: Duration::from_secs(120),
            watch: true,
            watch_delay: Duration::from_secs(5),
            settings: serde_json::Map::new(),
        }
    }
}

impl RatingWindow {
    /// Points to either side after `waited`.
    pub fn reach(&self, waited: Duration) -> u32 {
        widened(self.start, self.widen_per_second, self.cap, waited)
    }
}

impl RegionRule {
    /// Milliseconds that are accepted after `waited`.
    pub fn reach_ms(&self, waited: Duration) -> u32 {
        widened(self.start_ms, self.widen_ms_per_second, self.cap_ms, waited)
    }
}

fn widened(start: u32, per_second: u32, cap: u32, waited: Duration) -> u32 {
    let millis = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
    let added = u64::from(per_second).saturating_mul(millis) / 1000;
    let reach = u64::from(start).saturating_add(added);
    u32::try_from(reach).map_or(cap, |reach| reach.min(cap))
}

/// The modes of a deployment that configures none.
pub(super) fn defaults() -> BTreeMap<ModeName, Mode> {
    let race = ModeOptions::default();
    let duel = ModeOptions {
        players: PlayerRange { min: 2, max: 2 },
        window: RatingWindow {
            start: 100,
            widen_per_second: 25,
            cap: 600,
        },
        bots: false,
        timeout: Duration::from_secs(180),
        ..ModeOptions::default()
    };
    let team = ModeOptions {
        teams: 2,
        window: RatingWindow {
            start: 250,
            widen_per_second: 15,
            cap: 1000,
        },
        bots_after: Duration::from_secs(5),
        ..ModeOptions::default()
    };
    [("race", race), ("duel", duel), ("team", team)]
        .into_iter()
        .map(|(name, options)| {
            let name = name.parse().expect("a good name");
            (name, Mode::new(options).expect("options that fit"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_do_not_fit_are_refused() {
        let refused = |change: fn(&mut ModeOptions)| {
            let mut options = ModeOptions::default();
            change(&mut options);
            Mode::new(options).unwrap_err()
        };
        assert_eq!(refused(|o| o.game.clear()), ModeError::NoGame);
        assert_eq!(refused(|o| o.teams = 5), ModeError::Teams(5));
        assert_eq!(
            refused(|o| o.players.min = 9),
            ModeError::Players { min: 9, max: 8 }
        );
        assert!(matches!(refused(|o| o.teams = 3), ModeError::Uneven { .. }));
        assert_eq!(
            refused(|o| o.window.cap = 1),
            ModeError::BeyondCap("window")
        );
        assert_eq!(refused(|o| o.timeout = Duration::ZERO), ModeError::NoTime);
        assert_eq!(
            refused(|o| o.watch_delay = Duration::from_secs(1)),
            ModeError::WatchDelay
        );
    }

    #[test]
    fn a_window_widens_up_to_its_cap_and_never_overflows() {
        let window = RatingWindow {
            start: 100,
            widen_per_second: 20,
            cap: 300,
        };
        assert_eq!(window.reach(Duration::ZERO), 100);
        assert_eq!(window.reach(Duration::from_millis(500)), 110);
        assert_eq!(window.reach(Duration::from_secs(60)), 300);
        assert_eq!(window.reach(Duration::MAX), 300);
    }

    #[test]
    fn a_mode_is_refused_by_what_is_wrong_with_it() {
        let error = serde_json::from_str::<Mode>(r#"{"teams":2,"players":{"min":3,"max":8}}"#);
        assert!(error.unwrap_err().to_string().contains("multiples of 2"));
    }
}
