//! The page.

use pixelrush_match_sim::page;
use pixelrush_match_sim::report::Report;

use crate::small;

/// Elements that have no end tag.
const VOID: [&str; 2] = ["meta", "!DOCTYPE"];

/// Whether every tag is closed, in order; gives how often each was opened.
fn tags(html: &str) -> std::collections::BTreeMap<String, usize> {
    let mut open: Vec<String> = Vec::new();
    let mut counts = std::collections::BTreeMap::new();
    for piece in html.split('<').skip(1) {
        let (tag, _) = piece.split_once('>').expect("a tag ends");
        let name = tag
            .trim_start_matches('/')
            .split([' ', '/'])
            .next()
            .expect("a name");
        if tag.starts_with('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "closed out of order");
            continue;
        }
        *counts.entry(name.to_owned()).or_insert(0) += 1;
        if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name.to_owned());
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
    counts
}

#[test]
fn the_page_is_well_formed_needs_nothing_else_and_has_every_plot() {
    let scenario = small();
    let mode = scenario.check().expect("a good scenario");
    let html = page::of(&Report::of(&scenario, mode, true).expect("a report"));
    let counts = tags(&html);
    assert_eq!((counts["figure"], counts["svg"]), (12, 12));
    for title in [
        "Wait against spread: full matches",
        "Wait by percentile",
        "Spread by percentile",
        "By rating",
        "By region",
        "Over the day: wait",
        "Over the day: spread",
        "Fill",
        "Latency by percentile",
    ] {
        assert!(html.contains(&format!("<h2>{title}</h2>")), "{title}");
    }
    for outside in ["http://", "https://", "<script", "<link", "url("] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert!(
        !html.contains("NaN") && !html.contains("inf"),
        "numbers are numbers"
    );
}

#[test]
fn without_a_sweep_the_other_plots_are_there() {
    let scenario = small();
    let mode = scenario.check().expect("a good scenario");
    let html = page::of(&Report::of(&scenario, mode, false).expect("a report"));
    assert_eq!(tags(&html)["svg"], 10);
}
