//! What a simulation has to be, seen from outside.

#[path = "it/page.rs"]
mod page;
#[path = "it/reports.rs"]
mod reports;
#[path = "it/worlds.rs"]
mod worlds;

use pixelrush_match_sim::scenario::Scenario;

/// Some thousand tickets.
fn small() -> Scenario {
    let mut scenario = Scenario {
        hours: 1.0,
        from_hour: 18.0,
        bots: 40,
        ..Scenario::default()
    };
    scenario.arrivals.sessions_per_hour = 300.0;
    scenario.arrivals.peaks.truncate(1);
    scenario.sweep.hours = 0.5;
    scenario.sweep.starts = vec![50, 200];
    scenario.sweep.widen_per_second = vec![10, 50];
    scenario
}
