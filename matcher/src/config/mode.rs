//! What can be set about a mode, parsed into what cannot be wrong.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::names::{Attribute, ModeName, Role};
use super::rules::{
    ACCEPT_WITHIN, AcceptRule, AttributeRule, LONGEST_COOL_DOWN, PlayerRange, RatingWindow,
    RegionRule, deviation_percent,
};

/// Most players of one match. Pairing counts them in the bits of a word.
pub const MAX_MATCH: u8 = 64;

/// The shortest time from what happens in a match to when it is shown to who watches: tapes come in
/// pieces of a second.
pub const LEAST_WATCH_DELAY: Duration = Duration::from_secs(2);

/// Most attributes of a mode, and most values of one.
pub const MAX_ATTRIBUTES: usize = 8;

/// See [`MAX_ATTRIBUTES`].
pub const MAX_VALUES: usize = 64;

/// Most roles of a team, and most players of a team that has roles.
pub const MAX_ROLES: usize = 8;

/// Most players of a match with roles.
pub const MAX_WITH_ROLES: u8 = 16;

/// Most teams of one match.
pub const MAX_TEAMS: u8 = 4;

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
    /// Roles of each team and how many play them: at most [`MAX_ROLES`], which are all places of a
    /// team of at most [`MAX_ROLES`] players. Empty: there are none. A match with roles is always
    /// full, of [`MAX_WITH_ROLES`] players at most.
    pub roles: BTreeMap<Role, u8>,
    /// Which ratings meet.
    pub window: RatingWindow,
    /// Which latencies are put up with.
    pub region: RegionRule,
    /// Whether who plays one version of the game never meets who plays another.
    pub by_version: bool,
    /// What else tickets meet by, at most [`MAX_ATTRIBUTES`].
    pub attributes: BTreeMap<Attribute, AttributeRule>,
    /// Once its oldest ticket has waited this long a match begins short-handed, with `players.min`
    /// or more.
    #[serde(with = "chassis::config::duration")]
    pub early_start_after: Duration,
    /// Whether everyone is asked before a match begins, and how. `None`: nobody is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept: Option<AcceptRule>,
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
    /// Roles that are not all places of a team, or teams that are not always full.
    #[error(
        "roles: they are {roles} places of a team of {places}; a mode with roles has players.min = \
         players.max, at most {MAX_WITH_ROLES}, and each role at least one place, together all of \
         a team's, at most {MAX_ROLES}"
    )]
    Roles {
        /// Places that the roles have together.
        roles: usize,
        /// Places of a team.
        places: u8,
    },
    /// Too many attributes, or one without values or with too many.
    #[error(
        "attributes: a mode has at most {MAX_ATTRIBUTES}, and each has 1 to {MAX_VALUES} values"
    )]
    Attributes,
    /// Times to accept that are none.
    #[error(
        "accept: within is {:?} to {:?}, and cool_down <= cool_down_most <= {LONGEST_COOL_DOWN:?}",
        ACCEPT_WITHIN.0, ACCEPT_WITHIN.1
    )]
    Accept,
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
        if !options.roles.is_empty() {
            let counts = || options.roles.values().map(|count| usize::from(*count));
            let (roles, places) = (counts().sum::<usize>(), max / teams);
            let fit = roles == usize::from(places) && roles <= MAX_ROLES;
            if !fit || counts().any(|count| count == 0) || min != max || max > MAX_WITH_ROLES {
                return Err(ModeError::Roles { roles, places });
            }
        }
        let counts = options.attributes.values().map(|rule| rule.values.len());
        if options.attributes.len() > MAX_ATTRIBUTES
            || counts
                .into_iter()
                .any(|count| !(1..=MAX_VALUES).contains(&count))
        {
            return Err(ModeError::Attributes);
        }
        if let Some(rule) = &options.accept {
            let in_time = (ACCEPT_WITHIN.0..=ACCEPT_WITHIN.1).contains(&rule.within);
            let most = rule.cool_down_most;
            if !in_time || rule.cool_down > most || most > LONGEST_COOL_DOWN {
                return Err(ModeError::Accept);
            }
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
            roles: BTreeMap::new(),
            window: RatingWindow {
                start: 200,
                widen_per_second: 25,
                cap: 1000,
                deviation_percent: deviation_percent(),
            },
            region: RegionRule {
                start_ms: 60,
                widen_ms_per_second: 10,
                cap_ms: 200,
            },
            by_version: false,
            attributes: BTreeMap::new(),
            early_start_after: Duration::from_secs(15),
            accept: None,
            bots: true,
            bots_after: Duration::from_secs(3),
            timeout: Duration::from_secs(120),
            watch: true,
            watch_delay: Duration::from_secs(5),
            settings: serde_json::Map::new(),
        }
    }
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
            deviation_percent: deviation_percent(),
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
            deviation_percent: deviation_percent(),
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
    fn a_file_of_the_last_release_is_a_mode() {
        let text = r#"{"window":{"start":1,"widen_per_second":2,"cap":3}}"#;
        let mode: Mode = serde_json::from_str(text).unwrap();
        assert_eq!(mode.window.deviation_percent, 50);
        assert!(!mode.by_version && mode.attributes.is_empty());
    }

    #[test]
    fn roles_are_all_places_of_a_team() {
        let mode = |players: &str, roles: &str| {
            let text = format!(r#"{{"teams":2,"players":{players},"roles":{roles}}}"#);
            serde_json::from_str::<Mode>(&text).map_err(|error| error.to_string())
        };
        let always_full = r#"{"min":6,"max":6}"#;
        assert!(mode(always_full, r#"{"tank":1,"damage":2}"#).is_ok());
        for (players, roles) in [
            (always_full, r#"{"tank":1,"damage":1}"#),
            (always_full, r#"{"tank":0,"damage":3}"#),
            (r#"{"min":4,"max":6}"#, r#"{"tank":1,"damage":2}"#),
            (r#"{"min":18,"max":18}"#, r#"{"tank":1,"damage":8}"#),
        ] {
            let error = mode(players, roles).unwrap_err();
            assert!(error.contains("places of a team"), "{error}");
        }
    }

    #[test]
    fn acceptance_has_bounds() {
        let mode = |accept: &str| {
            let text = format!(r#"{{"accept":{accept}}}"#);
            serde_json::from_str::<Mode>(&text).map_err(|error| error.to_string())
        };
        let within = mode(r#"{"within":"20s"}"#).unwrap().accept.unwrap();
        assert_eq!(within.cool_down, Duration::from_secs(15));
        assert_eq!(within.within, Duration::from_secs(20));
        for accept in [
            r#"{"within":"1s"}"#,
            r#"{"within":"2m"}"#,
            r#"{"cool_down":"10m"}"#,
            r#"{"cool_down_most":"25h"}"#,
        ] {
            let error = mode(accept).unwrap_err();
            assert!(error.contains("accept: within is 2s to 60s"), "{error}");
        }
    }

    #[test]
    fn an_attribute_has_values() {
        let rule = |text| serde_json::from_str::<Mode>(text).map_err(|error| error.to_string());
        assert!(rule(r#"{"attributes":{"input":{"values":["pad","mouse"]}}}"#).is_ok());
        let error = rule(r#"{"attributes":{"input":{"values":[]}}}"#).unwrap_err();
        assert!(error.contains("1 to 64 values"), "{error}");
    }

    #[test]
    fn a_mode_is_refused_by_what_is_wrong_with_it() {
        let error = serde_json::from_str::<Mode>(r#"{"teams":2,"players":{"min":3,"max":8}}"#);
        assert!(error.unwrap_err().to_string().contains("multiples of 2"));
    }
}
