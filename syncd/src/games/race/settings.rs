//! What a mode may set.

use std::time::Duration;

use serde::Deserialize;

use crate::game::{Setup, SetupError};

/// Settings of a mode.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    laps: Laps,
    /// From "all are here" to the start.
    #[serde(with = "humantime_serde")]
    pub(super) countdown: Duration,
    /// Longest wait for players to be here.
    #[serde(with = "humantime_serde")]
    pub(super) join_wait: Duration,
    /// How long the car of a player who is away coasts before a bot drives it.
    #[serde(with = "humantime_serde")]
    pub(super) away_grace: Duration,
    /// How long a player may be away and still finish.
    #[serde(with = "humantime_serde")]
    pub(super) away_limit: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            laps: Laps(2),
            countdown: Duration::from_secs(3),
            join_wait: Duration::from_secs(8),
            away_grace: Duration::from_secs(3),
            away_limit: Duration::from_secs(60),
        }
    }
}

/// 1 to 9.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "u32")]
struct Laps(u32);

impl TryFrom<u32> for Laps {
    type Error = String;

    fn try_from(laps: u32) -> Result<Self, String> {
        match laps {
            1..=9 => Ok(Self(laps)),
            _ => Err(format!("expected 1 to 9 laps, not {laps}")),
        }
    }
}

impl Settings {
    /// The settings in a setup.
    pub(super) fn of(setup: &Setup) -> Result<Self, SetupError> {
        let settings: Self = setup.parse_settings()?;
        for (field, time, most) in [
            ("settings.countdown", settings.countdown, 60),
            ("settings.join_wait", settings.join_wait, 60),
            ("settings.away_grace", settings.away_grace, 60),
            ("settings.away_limit", settings.away_limit, 600),
        ] {
            if time > Duration::from_secs(most) {
                return Err(SetupError::new(field, format!("at most {most}s")));
            }
        }
        Ok(settings)
    }

    /// Laps to drive.
    pub(super) fn laps(&self) -> u32 {
        self.laps.0
    }
}
