//! Metrics, with handles that are looked up once.

use std::collections::BTreeMap;

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};
use protocol::id::RoomId;
use tokio::time::Instant;

use crate::room::EndReason;

/// What workers count.
#[derive(Clone)]
pub(crate) struct Meters {
    pub(crate) rooms: Gauge,
    pub(crate) players: Gauge,
    pub(crate) busy: Gauge,
    pub(crate) tick: Histogram,
    pub(crate) inputs_late: Histogram,
    pub(crate) client_bytes: Histogram,
    pub(crate) overruns: Counter,
    pub(crate) stalls: Counter,
    pub(crate) tapes_lost: Counter,
    pub(crate) inputs_lost: Counter,
    pub(crate) snapshots_sent: Counter,
    pub(crate) snapshots_encoded: Counter,
    pub(crate) snapshot_bytes: Counter,
}

impl Meters {
    pub(crate) fn new() -> Self {
        describe_gauge!("syncd_rooms", "Rooms that this node runs");
        describe_gauge!("syncd_players", "Players present in them");
        describe_gauge!(
            "syncd_busy",
            "Share of the time for its steps that the busiest worker uses"
        );
        describe_histogram!(
            "syncd_input_late_seconds",
            "How long after its tick a step of input came, of those that were late"
        );
        describe_histogram!(
            "syncd_client_tick_bytes",
            "Bytes of the body of one tick's snapshot for one player"
        );
        describe_histogram!(
            "syncd_tick_seconds",
            "Time to step all rooms of a worker once"
        );
        describe_counter!(
            "syncd_tick_overruns_total",
            "Steps given up because a worker was too late"
        );
        describe_counter!(
            "syncd_journal_stalls_total",
            "Steps not taken because too much waited for the journal"
        );
        describe_counter!(
            "syncd_tape_segments_lost_total",
            "Pieces of tapes that were not kept because too many waited for the store"
        );
        describe_counter!(
            "syncd_inputs_lost_total",
            "Steps of input that were dropped"
        );
        describe_counter!("syncd_snapshots_sent_total", "Snapshots sent to players");
        describe_counter!(
            "syncd_snapshots_encoded_total",
            "Snapshot bodies encoded; players with the same baseline share one"
        );
        describe_counter!(
            "syncd_snapshot_bytes_total",
            "Bytes of snapshot bodies sent to players"
        );
        Self {
            rooms: gauge!("syncd_rooms"),
            players: gauge!("syncd_players"),
            busy: gauge!("syncd_busy"),
            tick: histogram!("syncd_tick_seconds"),
            inputs_late: histogram!("syncd_input_late_seconds"),
            client_bytes: histogram!("syncd_client_tick_bytes"),
            overruns: counter!("syncd_tick_overruns_total"),
            stalls: counter!("syncd_journal_stalls_total"),
            tapes_lost: counter!("syncd_tape_segments_lost_total"),
            inputs_lost: counter!("syncd_inputs_lost_total"),
            snapshots_sent: counter!("syncd_snapshots_sent_total"),
            snapshots_encoded: counter!("syncd_snapshots_encoded_total"),
            snapshot_bytes: counter!("syncd_snapshot_bytes_total"),
        }
    }
}

/// Rooms end rarely: no cached handle.
pub(crate) fn room_ended(reason: EndReason) {
    counter!("syncd_rooms_ended_total", "reason" => reason.as_str()).increment(1);
}

/// What became of a result: `recorded`, `already_there`, `left` in the journal for whoever takes
/// the room over, `lost`.
pub(crate) fn result(outcome: &'static str) {
    counter!("syncd_results_total", "outcome" => outcome).increment(1);
}

/// Results that are not recorded yet.
pub(crate) struct WaitingResults {
    count: Gauge,
    oldest: Gauge,
    since: BTreeMap<RoomId, Instant>,
}

impl WaitingResults {
    pub(crate) fn new() -> Self {
        Self {
            count: gauge!("syncd_results_waiting"),
            oldest: gauge!("syncd_results_oldest_seconds"),
            since: BTreeMap::new(),
        }
    }

    /// The result of a room waits from now on.
    pub(crate) fn came(&mut self, room: RoomId) {
        self.since.insert(room, Instant::now());
        self.show();
    }

    /// It does no more.
    pub(crate) fn went(&mut self, room: RoomId) {
        self.since.remove(&room);
        self.show();
    }

    /// Brings what is shown up to date: what waits gets older.
    pub(crate) fn show(&self) {
        self.count.set(self.since.len() as f64);
        let oldest = self.since.values().min().map(Instant::elapsed);
        self.oldest.set(oldest.unwrap_or_default().as_secs_f64());
    }
}

/// What the writer of a journal shows.
pub(crate) struct JournalMeters {
    pub(crate) kept: Gauge,
    pub(crate) calls: Counter,
    pub(crate) failures: Counter,
}

impl JournalMeters {
    pub(crate) fn new() -> Self {
        describe_gauge!(
            "syncd_journal_kept_bytes",
            "Bytes of journal entries kept in memory: not confirmed, or after the oldest checkpoint"
        );
        describe_counter!("syncd_journal_calls_total", "Calls that wrote the journal");
        describe_counter!(
            "syncd_journal_failures_total",
            "Calls that the store did not answer"
        );
        Self {
            kept: gauge!("syncd_journal_kept_bytes"),
            calls: counter!("syncd_journal_calls_total"),
            failures: counter!("syncd_journal_failures_total"),
        }
    }
}

/// What became of a room of a dead node: `taken`, `unreadable`.
pub(crate) fn room_claimed(outcome: &'static str) {
    counter!("syncd_rooms_claimed_total", "outcome" => outcome).increment(1);
}

/// How long restoring a room took.
pub(crate) fn restored(took: std::time::Duration) {
    histogram!("syncd_room_restore_seconds").record(took.as_secs_f64());
}

/// How long a room stood still while it was handed over.
pub(crate) fn handed_over(took: std::time::Duration) {
    histogram!("syncd_room_handover_seconds").record(took.as_secs_f64());
}

/// What the stage counts.
pub(crate) struct StageMeters {
    pub(crate) watchers: Gauge,
    pub(crate) shows: Gauge,
    pub(crate) refused: Counter,
}

impl StageMeters {
    pub(crate) fn new() -> Self {
        describe_gauge!("syncd_watchers", "Who watches by this node without a seat");
        describe_gauge!("syncd_shows", "Races that are run again for them");
        describe_counter!(
            "syncd_watches_refused_total",
            "Wishes to watch that were refused"
        );
        Self {
            watchers: gauge!("syncd_watchers"),
            shows: gauge!("syncd_shows"),
            refused: counter!("syncd_watches_refused_total"),
        }
    }
}
