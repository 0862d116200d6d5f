//! Runs of the queue.

use std::time::Duration;

use matcher::config::Mode;
use pixelrush_match_sim::scenario::Scenario;
use pixelrush_match_sim::trace::{Outcome, Trace};
use pixelrush_match_sim::world;

use crate::small;

fn each_mode(check: impl Fn(&Scenario, &Mode, &Trace)) {
    for mode in ["race", "duel", "team"] {
        let scenario = Scenario {
            mode: mode.parse().expect("a name"),
            ..small()
        };
        let mode = scenario.check().expect("a good scenario");
        let trace = world::run(&scenario, mode);
        assert!(trace.matches.len() > 50, "{}", trace.matches.len());
        check(&scenario, mode, &trace);
    }
}

#[test]
fn every_ticket_is_matched_once_or_given_up_or_waits() {
    each_mode(|_, mode, trace| {
        let mut people = vec![0; trace.matches.len()];
        for wish in &trace.tickets {
            match wish.outcome {
                Outcome::Matched { place, .. } => {
                    people[place] += u32::from(wish.size);
                    assert!(trace.matches[place].at >= wish.came);
                }
                Outcome::GaveUp { at } => assert!(at <= trace.ended && at > wish.came),
                Outcome::Waits => assert!(trace.ended.since(wish.came) <= mode.timeout),
            }
        }
        for (formed, people) in trace.matches.iter().zip(people) {
            assert_eq!(u32::from(formed.people), people, "all of them are there");
            let players = formed.people + formed.bots;
            assert!((mode.players.min..=mode.players.max).contains(&players));
            assert_eq!(players % mode.teams, 0, "teams are equal");
        }
    });
}

#[test]
fn caps_are_never_crossed() {
    each_mode(|_, mode, trace| {
        for wish in &trace.tickets {
            let Some((formed, latency)) = trace.match_of(wish) else {
                continue;
            };
            let waited = formed.at.since(wish.came);
            assert!(formed.spread <= mode.window.cap);
            assert!(
                latency <= mode.region.reach_ms(waited),
                "{latency} ms after {waited:?}"
            );
            // Nobody waits for longer than the mode and the round allow.
            assert!(waited <= mode.timeout + Duration::from_millis(20));
        }
    });
}

#[test]
fn settings_are_compared_over_the_same_people() {
    let scenario = small();
    let came = |start| {
        let mut options: matcher::config::ModeOptions =
            scenario.check().expect("good").clone().into();
        options.window.start = start;
        let trace = world::run(&scenario, &Mode::new(options).expect("a mode"));
        // Those of their first wish: later ones depend on when matches began.
        trace
            .tickets
            .iter()
            .take(20)
            .map(|wish| (wish.rating, wish.home))
            .collect::<Vec<_>>()
    };
    assert_eq!(came(10), came(400));
}

#[test]
fn nobody_comes_where_nobody_is() {
    let mut scenario = small();
    scenario.arrivals.sessions_per_hour = 0.0;
    scenario.arrivals.peaks.clear();
    let trace = world::run(&scenario, scenario.check().expect("good"));
    assert!(trace.tickets.is_empty() && trace.matches.is_empty());
}
