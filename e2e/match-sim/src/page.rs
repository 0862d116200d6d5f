//! The report as one HTML page that needs nothing else.

mod plots;

use std::fmt::Write;

use crate::plot::escape;
use crate::report::Report;

const STYLE: &str = include_str!("page/style.css");

/// The page.
pub fn of(report: &Report) -> String {
    let title = format!("match-sim: {}", report.scenario.mode);
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n\
         <h1>{title}</h1>\n<p>{}</p>\n</header>\n<main>\n",
        escape(&subtitle(report)),
    );
    html += &tiles(report);
    html.push_str("<div class=\"plots\">\n");
    for plot in plots::all(report) {
        html += &plot.figure();
    }
    html.push_str("</div>\n");
    html += &scenario(report);
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

fn subtitle(report: &Report) -> String {
    let scenario = &report.scenario;
    let counts = &report.figures.counts;
    let window = scenario.modes.get(&scenario.mode).map(|mode| mode.window);
    let window = window.map_or(String::new(), |window| {
        format!(
            "; window {} + {} a second, at most {}",
            window.start, window.widen_per_second, window.cap
        )
    });
    format!(
        "{} hours, {} tickets of {} players, seed {}{window}",
        scenario.hours, counts.tickets, counts.players, scenario.seed
    )
}

fn tiles(report: &Report) -> String {
    let quality = &report.figures.quality;
    let counts = &report.figures.counts;
    let gave_up = counts.gave_up as f64 / counts.tickets.max(1) as f64;
    let mut tiles = vec![
        ("median wait", format!("{:.1} s", quality.wait_s.p50)),
        ("p95 wait", format!("{:.1} s", quality.wait_s.p95)),
        ("median spread", format!("{:.0}", quality.spread.p50)),
        ("p95 spread", format!("{:.0}", quality.spread.p95)),
        ("people in a match", format!("{:.1}", quality.people.mean)),
        ("seats of bots", format!("{:.1} %", 100.0 * report.bots())),
        ("given up", format!("{:.1} %", 100.0 * gave_up)),
        ("p95 latency", format!("{:.0} ms", quality.latency_ms.p95)),
    ];
    if let Some(ratio) = report.comparison.and_then(|comparison| comparison.ratio) {
        tiles.push(("spread to hindsight's", format!("{ratio:.2} ×")));
    }
    let mut html = String::from("<dl class=\"tiles\">\n");
    for (name, value) in tiles {
        let _ = writeln!(html, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    html.push_str("</dl>\n");
    html
}

fn scenario(report: &Report) -> String {
    let text = serde_json::to_string_pretty(&report.scenario).expect("its keys are strings");
    format!(
        "<details><summary>The scenario</summary><pre>{}</pre></details>\n",
        escape(&text)
    )
}
