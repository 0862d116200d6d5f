//! JUnit XML, as continuous-integration servers read it.

use std::fmt::Write as _;
use std::time::Duration;

/// What came of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Its name: what a user would have noticed.
    pub name: &'static str,
    /// How long it took.
    pub took: Duration,
    /// What went wrong, if anything.
    pub failure: Option<String>,
}

/// The report of a suite.
pub fn report(suite: &str, cases: &[Case]) -> String {
    let failures = cases.iter().filter(|case| case.failure.is_some()).count();
    let total: f64 = cases.iter().map(|case| case.took.as_secs_f64()).sum();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        xml,
        "<testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" time=\"{total:.3}\">",
        escape(suite),
        cases.len(),
    );
    for case in cases {
        let name = escape(case.name);
        let head = format!(
            "  <testcase classname=\"{}\" name=\"{name}\" time=\"{:.3}\"",
            escape(suite),
            case.took.as_secs_f64()
        );
        let _ = match &case.failure {
            None => writeln!(xml, "{head}/>"),
            Some(failure) => writeln!(
                xml,
                "{head}>\n    <failure message=\"{}\"/>\n  </testcase>",
                escape(failure)
            ),
        };
    }
    xml.push_str("</testsuite>\n");
    xml
}

/// XML 1.0 has no way to write most control characters: they become spaces.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_and_escaped() {
        let took = Duration::from_millis(1_500);
        let cases = [
            Case {
                name: "page is served",
                took,
                failure: None,
            },
            Case {
                name: "login works",
                took,
                failure: Some("<500> & \"why\"\u{0}".to_owned()),
            },
        ];
        let xml = report("smoke", &cases);
        assert!(
            xml.contains("tests=\"2\" failures=\"1\" time=\"3.000\""),
            "{xml}"
        );
        assert!(
            xml.contains("message=\"&lt;500&gt; &amp; &quot;why&quot; \""),
            "{xml}"
        );
    }
}
