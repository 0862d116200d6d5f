//! Which drawings the page has.

use crate::figures::{Group, Quality};
use crate::plot::{Axis, Plot, Series, Style};
use crate::report::Report;
use crate::sweep::Point;

/// Colours of lines; 5 and 6 are hindsight's and the mode's own.
const LINES: [usize; 6] = [0, 1, 2, 3, 4, 7];

/// All drawings, in the order of the page.
pub(super) fn all(report: &Report) -> Vec<Plot> {
    let mut plots = Vec::new();
    if !report.sweep.is_empty() {
        plots.push(trade_off(report));
        plots.push(rules(report));
    }
    plots.extend([
        waits(report),
        spreads(report),
        by_band(report),
        by_region(report),
        arrivals(report),
        waits_over_the_day(report),
        spreads_over_the_day(report),
        fill(report),
        bots_over_the_day(report),
        latencies(report),
    ]);
    plots
}

/// Wait against spread of full matches, for each setting, with hindsight's beside it.
fn trade_off(report: &Report) -> Plot {
    let mut series = by_start(report, |point| (point.full.wait_p50_s, point.full.spread));
    let mut reference: Vec<(f64, f64)> = report
        .sweep
        .iter()
        .filter_map(|point| Some((point.full.wait_p50_s, point.full.reference?.spread)))
        .collect();
    reference.sort_by(|one, other| one.0.total_cmp(&other.0));
    series.push(Series::new("with hindsight", Style::Dashes, 5, reference));
    let own = report.comparison.iter();
    let own = own.map(|own| (own.wait_p50_s, own.spread)).collect();
    series.push(Series::new("the mode as it is", Style::Ring, 6, own));
    Plot {
        title: "Wait against spread: full matches".to_owned(),
        note: "Each dot is a setting of the window, each line a start that widens faster to the left; bots and short matches are off.".to_owned(),
        x: Axis::Numbers("median wait, s"),
        y: "mean spread of ratings",
        series,
    }
}

/// Wait against spread with the mode's rules.
fn rules(report: &Report) -> Plot {
    let series = by_start(report, |point| (point.ruled.wait_p50_s, point.ruled.spread));
    Plot {
        title: "Wait against spread: as the mode plays".to_owned(),
        note: "The same settings with the mode's rules for bots and short matches.".to_owned(),
        x: Axis::Numbers("median wait, s"),
        y: "mean spread of ratings",
        series,
    }
}

fn by_start(report: &Report, place: impl Fn(&Point) -> (f64, f64)) -> Vec<Series> {
    let points = report
        .sweep
        .chunk_by(|one, next| one.window.start == next.window.start);
    let lines = points.enumerate().map(|(at, points)| {
        let places = points.iter().map(&place).collect();
        let start = points[0].window.start;
        let notes = points.iter().map(|point| {
            let (x, y) = place(point);
            let window = point.window;
            format!(
                "{} + {} a second: {x:.1} s, spread {y:.0}",
                window.start, window.widen_per_second
            )
        });
        Series {
            notes: notes.collect(),
            ..Series::new(
                format!("start {start}"),
                Style::LineAndDots,
                LINES[at % LINES.len()],
                places,
            )
        }
    });
    lines.collect()
}

fn waits(report: &Report) -> Plot {
    curve(
        "Wait by percentile",
        "Of 100 players, so many wait at most this long.",
        "wait, s",
        &report.figures.quality.wait_s.curve,
        0,
    )
}

fn spreads(report: &Report) -> Plot {
    curve(
        "Spread by percentile",
        "Of 100 players, so many have a match with at most this between its ends.",
        "spread of ratings",
        &report.figures.quality.spread.curve,
        1,
    )
}

fn latencies(report: &Report) -> Plot {
    let quality = &report.figures.quality;
    let numbers = |curve: &[f64]| (0..).map(f64::from).zip(curve.iter().copied()).collect();
    Plot {
        title: "Latency by percentile".to_owned(),
        note: "Round trip to where the match is held, and the difference inside it.".to_owned(),
        x: Axis::Numbers("percentile of players"),
        y: "ms",
        series: vec![
            Series::new(
                "to the match",
                Style::Line,
                2,
                numbers(&quality.latency_ms.curve),
            ),
            Series::new(
                "nearest to farthest",
                Style::Dashes,
                3,
                numbers(&quality.latency_spread_ms.curve),
            ),
        ],
    }
}

fn curve(title: &str, note: &str, y: &'static str, curve: &[f64], colour: usize) -> Plot {
    let points = (0..).map(f64::from).zip(curve.iter().copied()).collect();
    Plot {
        title: title.to_owned(),
        note: note.to_owned(),
        x: Axis::Numbers("percentile of players"),
        y,
        series: vec![Series::new("", Style::Line, colour, points)],
    }
}

fn by_band(report: &Report) -> Plot {
    let bands = &report.figures.bands;
    Plot {
        title: "By rating".to_owned(),
        note: "Each band has as many players; those at the ends have fewer near them.".to_owned(),
        x: Axis::Names("rating", names(bands)),
        y: "spread of ratings",
        series: vec![
            of(bands, "median spread", Style::LineAndDots, 1, |quality| {
                quality.spread.p50
            }),
            of(bands, "p95 spread", Style::Dashes, 1, |quality| {
                quality.spread.p95
            }),
            of(
                bands,
                "10 × p95 wait, s",
                Style::LineAndDots,
                0,
                |quality| 10.0 * quality.wait_s.p95,
            ),
        ],
    }
}

fn by_region(report: &Report) -> Plot {
    let regions = &report.figures.regions;
    Plot {
        title: "By region".to_owned(),
        note: "Of players by their own region.".to_owned(),
        x: Axis::Names("region", names(regions)),
        y: "see the legend",
        series: vec![
            of(regions, "median spread", Style::Bars, 1, |quality| {
                quality.spread.p50
            }),
            of(regions, "10 × p95 wait, s", Style::Bars, 0, |quality| {
                10.0 * quality.wait_s.p95
            }),
            of(regions, "p95 latency, ms", Style::Bars, 2, |quality| {
                quality.latency_ms.p95
            }),
            share(regions, "% abroad", Style::Bars, 4, |region| region.abroad),
        ],
    }
}

fn arrivals(report: &Report) -> Plot {
    let hours = &report.figures.hours;
    let count = |of: fn(&Group) -> usize| numbered(hours, |group| of(group) as f64);
    Plot {
        title: "Over the day: tickets".to_owned(),
        note: "Tickets that came in an hour, and those of them that were given up.".to_owned(),
        x: Axis::Names("hour", names(hours)),
        y: "tickets an hour",
        series: vec![
            Series::new("came", Style::Bars, 5, count(|group| group.tickets)),
            Series::new("given up", Style::Bars, 6, count(|group| group.gave_up)),
        ],
    }
}

fn waits_over_the_day(report: &Report) -> Plot {
    let hours = &report.figures.hours;
    Plot {
        title: "Over the day: wait".to_owned(),
        note: "Of players by the hour in which they came.".to_owned(),
        x: Axis::Names("hour", names(hours)),
        y: "wait, s",
        series: vec![
            of(hours, "median", Style::LineAndDots, 0, |quality| {
                quality.wait_s.p50
            }),
            of(hours, "p95", Style::Line, 3, |quality| quality.wait_s.p95),
            of(hours, "p99", Style::Dashes, 5, |quality| quality.wait_s.p99),
        ],
    }
}

fn spreads_over_the_day(report: &Report) -> Plot {
    let hours = &report.figures.hours;
    Plot {
        title: "Over the day: spread".to_owned(),
        note: "Of players by the hour in which they came.".to_owned(),
        x: Axis::Names("hour", names(hours)),
        y: "spread of ratings",
        series: vec![
            of(hours, "median", Style::LineAndDots, 1, |quality| {
                quality.spread.p50
            }),
            of(hours, "p95", Style::Line, 3, |quality| quality.spread.p95),
        ],
    }
}

fn fill(report: &Report) -> Plot {
    let fill = &report.figures.fill;
    let total = report.figures.counts.matches.max(1) as f64;
    let points =
        |of: &dyn Fn(usize) -> f64| (0..fill.len()).map(|at| (at as f64, of(at))).collect();
    Plot {
        title: "Fill".to_owned(),
        note: "Matches by how many people they have, and how many bots are with them.".to_owned(),
        x: Axis::Names(
            "people in a match",
            fill.iter().map(|one| one.people.to_string()).collect(),
        ),
        y: "% of matches",
        series: vec![
            Series::new(
                "matches",
                Style::Bars,
                2,
                points(&|at| 100.0 * fill[at].matches as f64 / total),
            ),
            Series::new(
                "10 × bots in each",
                Style::LineAndDots,
                4,
                points(&|at| 10.0 * fill[at].bots as f64 / fill[at].matches.max(1) as f64),
            ),
        ],
    }
}

fn bots_over_the_day(report: &Report) -> Plot {
    let hours = &report.figures.hours;
    Plot {
        title: "Over the day: bots, and matches abroad".to_owned(),
        note: "Share of seats in players' matches that bots have; share of players in another region than their own.".to_owned(),
        x: Axis::Names("hour", names(hours)),
        y: "%",
        series: vec![
            share(hours, "seats of bots", Style::LineAndDots, 4, |hour| hour.bots),
            share(hours, "abroad", Style::LineAndDots, 2, |hour| hour.abroad),
        ],
    }
}

fn names(groups: &[Group]) -> Vec<String> {
    groups.iter().map(|group| group.name.clone()).collect()
}

fn numbered(groups: &[Group], of: impl Fn(&Group) -> f64) -> Vec<(f64, f64)> {
    let values = groups.iter().map(of);
    (0..).map(f64::from).zip(values).collect()
}

fn of(
    groups: &[Group],
    name: &str,
    style: Style,
    colour: usize,
    of: fn(&Quality) -> f64,
) -> Series {
    Series::new(
        name,
        style,
        colour,
        numbered(groups, |group| of(&group.quality)),
    )
}

fn share(
    groups: &[Group],
    name: &str,
    style: Style,
    colour: usize,
    of: fn(&Group) -> f64,
) -> Series {
    Series::new(
        name,
        style,
        colour,
        numbered(groups, |group| 100.0 * of(group)),
    )
}
