//! Reports, and the command that writes them.

use pixelrush_match_sim::command::{Options, simulate};
use pixelrush_match_sim::reference;
use pixelrush_match_sim::report::Report;
use pixelrush_match_sim::scenario::Scenario;
use pixelrush_match_sim::world;
use serde_json::Value;

use crate::small;

fn report(scenario: &Scenario) -> String {
    let mode = scenario.check().expect("a good scenario");
    Report::of(scenario, mode, true).expect("a report").json()
}

#[test]
fn the_same_seed_gives_the_same_report_and_another_one_does_not() {
    let scenario = small();
    let first = report(&scenario);
    assert_eq!(first, report(&scenario));
    let other = Scenario {
        seed: 2,
        ..scenario
    };
    assert_ne!(first, report(&other));
}

#[test]
fn a_report_has_the_trade_off_and_adds_up() {
    let report: Value = serde_json::from_str(&report(&small())).expect("JSON");
    let counts = &report["figures"]["counts"];
    let count = |name: &str| counts[name].as_u64().expect("a count");
    assert_eq!(
        count("tickets"),
        count("matched") + count("gave_up") + count("waiting")
    );
    let tickets = |groups: &str| -> u64 {
        let groups = report["figures"][groups].as_array().expect("groups");
        groups
            .iter()
            .filter_map(|group| group["tickets"].as_u64())
            .sum()
    };
    for groups in ["regions", "hours", "bands"] {
        assert_eq!(tickets(groups), count("tickets"), "{groups}");
    }
    let sweep = report["sweep"].as_array().expect("points");
    assert_eq!(sweep.len(), 4);
    for point in sweep {
        assert!(
            point["full"]["ratio"]
                .as_f64()
                .is_some_and(|ratio| ratio > 0.5),
            "{point}"
        );
    }
}

#[test]
fn hindsight_keeps_to_the_wait_and_gets_better_with_more_of_it() {
    let mut scenario = small();
    scenario.mode = "duel".parse().expect("a name");
    let trace = world::run(&scenario, scenario.check().expect("good"));
    let at = |wait| reference::at_wait(&trace, 2, wait).expect("there are matches");
    let (short, long) = (at(1.0), at(8.0));
    assert!(short.wait_p50_s <= 1.0 && long.wait_p50_s <= 8.0);
    assert!(long.spread < short.spread, "{long:?} {short:?}");
}

#[test]
fn a_file_and_flags_set_what_is_simulated() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("scenario.toml");
    let text = "hours = 0.2\nbots = 0\n[arrivals]\nsessions_per_hour = 100.0\n[modes.blitz]\nplayers = { min = 2, max = 4 }\n";
    std::fs::write(&file, text).expect("written");
    let options = Options {
        scenario: Some(file.clone()),
        mode: Some("blitz".parse().expect("a name")),
        window_start: Some(77),
        crowd: Some(2.0),
        no_sweep: true,
        json: Some(folder.path().join("report.json")),
        html: Some(folder.path().join("report.html")),
        ..Options::default()
    };
    let said = simulate(&options).expect("a simulation");
    assert!(said.starts_with("blitz: "), "{said}");
    let json = std::fs::read(folder.path().join("report.json")).expect("written");
    let report: Value = serde_json::from_slice(&json).expect("JSON");
    let scenario = &report["scenario"];
    assert_eq!(scenario["modes"]["blitz"]["window"]["start"], 77);
    assert_eq!(scenario["arrivals"]["sessions_per_hour"], 200.0);
    assert!(folder.path().join("report.html").is_file());

    std::fs::write(&file, "pationce = 1\n").expect("written");
    let refused = simulate(&options).expect_err("no such key").to_string();
    assert!(refused.contains("did you mean patience"), "{refused}");
    std::fs::write(&file, "hours = 0\n").expect("written");
    let refused = simulate(&options).expect_err("no time").to_string();
    assert!(refused.contains("hours"), "{refused}");
}
