//! What a matcher measures.

use std::collections::BTreeMap;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::config::ModeName;

/// Handles of all metrics, made once.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// Players that are known.
    pub(crate) players: Gauge,
    /// Matches that are being played.
    pub(crate) matches_open: Gauge,
    /// Matches whose tickets another matcher took first.
    pub(crate) claims_refused: Counter,
    /// Matches whose claim had run out when their room was found.
    pub(crate) claims_lost: Counter,
    /// Tickets and matches that the store had lost and was given back.
    pub(crate) restored: Counter,
    /// Claims of others that ran out, and were given back here.
    pub(crate) claims_swept: Counter,
    /// Players whom no matcher had seen, and who lost their places here.
    pub(crate) players_swept: Counter,
    /// Matches that found no room.
    pub(crate) placement_failures: Counter,
    /// Calls to the ticket store that failed.
    pub(crate) store_failures: Counter,
    /// Match channels whose log overflowed.
    pub(crate) log_overflows: Counter,
    modes: BTreeMap<ModeName, ModeMetrics>,
}

/// Handles of the metrics of one mode.
#[derive(Debug)]
pub(crate) struct ModeMetrics {
    /// Tickets that wait.
    pub(crate) tickets: Gauge,
    /// Players on them.
    pub(crate) queued: Gauge,
    /// Tickets that came.
    pub(crate) joined: Counter,
    /// Tickets that timed out.
    pub(crate) timeouts: Counter,
    /// Matches that got their room.
    pub(crate) matches: Counter,
    /// Matches that not everyone accepted.
    pub(crate) declined: Counter,
    /// Matches that ended because their room or node was lost.
    pub(crate) lost: Counter,
    /// Seats given to people and to bots.
    pub(crate) seats_people: Counter,
    pub(crate) seats_bots: Counter,
    /// How long each person waited for a match.
    wait: Histogram,
    /// Rating points between the ends of a match.
    pub(crate) spread: Histogram,
    /// How far the estimate at joining was off.
    estimate_error: Histogram,
}

impl Metrics {
    /// Registers everything that has no mode.
    pub(crate) fn new() -> Self {
        Self {
            players: gauge!("matcher_players"),
            matches_open: gauge!("matcher_matches_open"),
            claims_refused: counter!("matcher_claims_refused_total"),
            claims_lost: counter!("matcher_claims_lost_total"),
            restored: counter!("matcher_restored_total"),
            claims_swept: counter!("matcher_swept_total", "what" => "claim"),
            players_swept: counter!("matcher_swept_total", "what" => "player"),
            placement_failures: counter!("matcher_placement_failures_total"),
            store_failures: counter!("matcher_store_failures_total"),
            log_overflows: counter!("matcher_log_overflows_total"),
            modes: BTreeMap::new(),
        }
    }

    /// Those of one mode. Modes come from the configuration, so there are few.
    pub(crate) fn of(&mut self, mode: &ModeName) -> &ModeMetrics {
        self.modes
            .entry(mode.clone())
            .or_insert_with(|| ModeMetrics::new(mode))
    }
}

impl ModeMetrics {
    fn new(mode: &ModeName) -> Self {
        let mode = || mode.to_string();
        Self {
            tickets: gauge!("matcher_queue_tickets", "mode" => mode()),
            queued: gauge!("matcher_queue_players", "mode" => mode()),
            joined: counter!("matcher_tickets_total", "mode" => mode()),
            timeouts: counter!("matcher_timeouts_total", "mode" => mode()),
            matches: counter!("matcher_matches_total", "mode" => mode()),
            declined: counter!("matcher_matches_declined_total", "mode" => mode()),
            lost: counter!("matcher_matches_lost_total", "mode" => mode()),
            seats_people: counter!("matcher_seats_total", "mode" => mode(), "kind" => "person"),
            seats_bots: counter!("matcher_seats_total", "mode" => mode(), "kind" => "bot"),
            wait: histogram!("matcher_wait_seconds", "mode" => mode()),
            spread: histogram!("matcher_rating_spread", "mode" => mode()),
            estimate_error: histogram!("matcher_estimate_error_seconds", "mode" => mode()),
        }
    }

    /// A person got a match.
    pub(crate) fn waited(&self, waited: Duration, expected: Option<Duration>) {
        self.wait.record(waited.as_secs_f64());
        if let Some(expected) = expected {
            self.estimate_error
                .record(waited.abs_diff(expected).as_secs_f64());
        }
    }
}
