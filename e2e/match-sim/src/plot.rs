//! Drawings: axes, lines, dots and bars as SVG. Colours come from the page's style sheet.

use std::fmt::Write;

const WIDTH: f64 = 620.0;
const HEIGHT: f64 = 330.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 44.0;

/// One drawing.
#[derive(Debug, Clone)]
pub(crate) struct Plot {
    pub(crate) title: String,
    /// One sentence that says how to read it.
    pub(crate) note: String,
    pub(crate) x: Axis,
    pub(crate) y: &'static str,
    pub(crate) series: Vec<Series>,
}

/// The horizontal axis.
#[derive(Debug, Clone)]
pub(crate) enum Axis {
    /// Numbers, with what they are.
    Numbers(&'static str),
    /// Names, at 0, 1, 2 …, with what they are.
    Names(&'static str, Vec<String>),
}

/// What belongs together, in one colour.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) style: Style,
    /// A place in the palette.
    pub(crate) colour: usize,
    pub(crate) points: Vec<(f64, f64)>,
    /// What is shown when a point is pointed at; the numbers if there is none.
    pub(crate) notes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Line,
    Dashes,
    LineAndDots,
    Ring,
    Bars,
}

impl Series {
    pub(crate) fn new(
        name: impl Into<String>,
        style: Style,
        colour: usize,
        points: Vec<(f64, f64)>,
    ) -> Self {
        Self {
            name: name.into(),
            style,
            colour,
            points,
            notes: Vec::new(),
        }
    }
}

/// Where numbers are on the paper.
struct Scale {
    x: (f64, f64),
    y: (f64, f64),
}

impl Scale {
    fn x(&self, x: f64) -> f64 {
        LEFT + (x - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, y: f64) -> f64 {
        HEIGHT - BOTTOM - (y - self.y.0) / (self.y.1 - self.y.0) * (HEIGHT - TOP - BOTTOM)
    }
}

impl Plot {
    /// A `figure` element: title, legend, drawing, note.
    pub(crate) fn figure(&self) -> String {
        let mut html = format!(
            "<figure>\n<h2>{}</h2>\n<p class=\"legend\">",
            escape(&self.title)
        );
        for series in self.series.iter().filter(|series| !series.name.is_empty()) {
            let name = escape(&series.name);
            let _ = write!(
                html,
                "<span class=\"c{}\"><i></i>{name}</span> ",
                series.colour
            );
        }
        let note = escape(&self.note);
        let _ = write!(
            html,
            "</p>\n{}<figcaption>{note}</figcaption>\n</figure>\n",
            self.svg()
        );
        html
    }

    fn svg(&self) -> String {
        let scale = self.scale();
        let title = escape(&self.title);
        let mut svg =
            format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n");
        self.axes(&scale, &mut svg);
        let bars = self.series.iter().filter(|one| one.style == Style::Bars);
        let count = bars.clone().count();
        for (place, series) in bars.enumerate() {
            Self::bars(&scale, series, place, count, &mut svg);
        }
        for series in self.series.iter().filter(|one| one.style != Style::Bars) {
            lines(&scale, series, &mut svg);
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn scale(&self) -> Scale {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let highest = points().map(|(_, y)| *y).fold(0.0, f64::max);
        let step = nice(highest.max(1e-9) / 5.0);
        let y = (0.0, (highest.max(1e-9) / step).ceil() * step);
        let x = match &self.x {
            Axis::Names(_, names) => (-0.5, names.len().max(1) as f64 - 0.5),
            Axis::Numbers(_) => {
                let least = points().map(|(x, _)| *x).fold(f64::INFINITY, f64::min);
                let most = points().map(|(x, _)| *x).fold(f64::NEG_INFINITY, f64::max);
                match least < most {
                    true => (least.min(0.0), most),
                    false => (0.0, most.max(1.0)),
                }
            }
        };
        Scale { x, y }
    }

    fn axes(&self, scale: &Scale, svg: &mut String) {
        let (left, right, bottom) = (LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM);
        for (value, text) in ticks(scale.y) {
            let y = scale.y(value);
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{left} {y:.1}H{right}\"/>\
                 <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                left - 7.0,
                y + 4.0,
            );
        }
        let (label, marks) = match &self.x {
            Axis::Numbers(label) => (label, ticks(scale.x)),
            Axis::Names(label, names) => {
                // So many that they do not touch.
                let widest = names.iter().map(String::len).max().unwrap_or(1) as f64 * 6.5 + 8.0;
                let fit = ((right - left) / widest).max(1.0);
                let every = (names.len() as f64 / fit).ceil().max(1.0) as usize;
                let names = names.iter().enumerate().step_by(every);
                (
                    label,
                    names.map(|(at, name)| (at as f64, escape(name))).collect(),
                )
            }
        };
        for (value, text) in marks {
            let _ = writeln!(
                svg,
                "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
                scale.x(value),
                bottom + 17.0,
            );
        }
        let middle = (TOP + bottom) / 2.0;
        let _ = writeln!(
            svg,
            "<path class=\"axis\" d=\"M{left} {bottom}H{right}\"/>\
             <text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text class=\"label\" transform=\"translate(13 {middle:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            (left + right) / 2.0,
            HEIGHT - 7.0,
            escape(label),
            escape(self.y),
        );
    }

    fn bars(scale: &Scale, series: &Series, place: usize, count: usize, svg: &mut String) {
        let slot = scale.x(1.0) - scale.x(0.0);
        let width = slot * 0.8 / count as f64;
        for (at, (x, y)) in series.points.iter().enumerate() {
            let left = scale.x(*x) - slot * 0.4 + width * place as f64;
            let top = scale.y(*y);
            let _ = writeln!(
                svg,
                "<rect class=\"c{} bar\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\">{}</rect>",
                series.colour,
                (width - 1.0).max(0.5),
                HEIGHT - BOTTOM - top,
                hint(series, at),
            );
        }
    }
}

fn lines(scale: &Scale, series: &Series, svg: &mut String) {
    let colour = series.colour;
    let places = series
        .points
        .iter()
        .map(|(x, y)| (scale.x(*x), scale.y(*y)));
    if matches!(
        series.style,
        Style::Line | Style::Dashes | Style::LineAndDots
    ) {
        let path = places
            .clone()
            .enumerate()
            .fold(String::new(), |path, (at, (x, y))| {
                let letter = if at == 0 { 'M' } else { 'L' };
                format!("{path}{letter}{x:.1} {y:.1}")
            });
        let dashes = if series.style == Style::Dashes {
            " dashes"
        } else {
            ""
        };
        let _ = writeln!(svg, "<path class=\"c{colour} line{dashes}\" d=\"{path}\"/>");
    }
    let (radius, class) = match series.style {
        Style::LineAndDots => (3.4, "dot"),
        Style::Ring => (8.0, "ring"),
        Style::Line | Style::Dashes | Style::Bars => return,
    };
    for (at, (x, y)) in places.enumerate() {
        let _ = writeln!(
            svg,
            "<circle class=\"c{colour} {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\">{}</circle>",
            hint(series, at),
        );
    }
}

fn hint(series: &Series, at: usize) -> String {
    let text = match (series.notes.get(at), series.points[at]) {
        (Some(note), _) => escape(note),
        (None, (_, y)) => format!("{}: {}", escape(&series.name), number(y)),
    };
    format!("<title>{text}</title>")
}

/// About five steps from end to end, at round numbers.
fn ticks((from, to): (f64, f64)) -> Vec<(f64, String)> {
    let step = nice((to - from) / 5.0);
    let first = (from / step).ceil() as i64;
    let last = (to / step + 1e-9).floor() as i64;
    (first..=last)
        .map(|at| at as f64 * step)
        .map(|value| (value, number(value)))
        .collect()
}

/// 1, 2 or 5 times a power of ten, about as much as `step`.
fn nice(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    match step / power {
        lead if lead < 1.5 => power,
        lead if lead < 3.5 => 2.0 * power,
        lead if lead < 7.5 => 5.0 * power,
        _ => 10.0 * power,
    }
}

/// Short: 1,200,000 is 1.2 M.
fn number(value: f64) -> String {
    let text = match value.abs() {
        large if large >= 1e6 => return format!("{} M", number(value / 1e6)),
        large if large >= 1e4 => return format!("{} k", number(value / 1e3)),
        large if large >= 100.0 => format!("{value:.0}"),
        large if large >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// Text between tags, or in an attribute.
pub(crate) fn escape(text: &str) -> String {
    let pairs = [
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("\"", "&quot;"),
    ];
    pairs
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers() {
        let texts = |from, to| -> Vec<String> {
            ticks((from, to))
                .into_iter()
                .map(|(_, text)| text)
                .collect()
        };
        assert_eq!(texts(0.0, 1.0), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(texts(0.0, 24.0), ["0", "5", "10", "15", "20"]);
        assert_eq!(
            texts(0.0, 60_000.0),
            ["0", "10 k", "20 k", "30 k", "40 k", "50 k", "60 k"]
        );
    }

    #[test]
    fn names_cannot_end_a_tag() {
        assert_eq!(escape("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
    }
}
