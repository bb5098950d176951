//! Which charts a group has.

use std::collections::BTreeMap;

use super::{
    chart::{Bar, Bars, Line, Lines},
    figure::{Figure, Figures},
    limit, report,
    subject::{self, Kind},
    text::{ratio, size, throughput, time},
};

/// With fewer sizes lines say nothing.
const SIZES_FOR_LINES: usize = 4;

/// Names and pictures.
pub(crate) fn of(group: &str, figures: &Figures) -> Vec<(String, String)> {
    let mut charts = Vec::new();
    if group == "limits" {
        return charts;
    }
    if report::sizes(group, figures).len() >= SIZES_FOR_LINES {
        let time = Axis {
            name: "by-size",
            words: "time for each message",
            number: |figure| Some(figure.nanos),
            unit: time,
        };
        charts.extend(time.charts(group, figures));
        if group == "one-way" {
            let number = Figure::throughput;
            let throughput =
                Axis { name: "throughput", words: "throughput", number, unit: throughput };
            charts.extend(throughput.charts(group, figures));
        }
    }
    if group != "one-way" {
        charts.push((group.to_owned(), bars(group, figures)));
    }
    charts
}

/// What lines show.
struct Axis {
    name: &'static str,
    words: &'static str,
    number: fn(&Figure) -> Option<f64>,
    unit: fn(f64) -> String,
}

impl Axis {
    /// One chart of those who go through the kernel, and one of the others: all together nobody could tell apart.
    fn charts(&self, group: &str, figures: &Figures) -> Vec<(String, String)> {
        let lines = self.lines(group, figures);
        let is_limit = |line: &Line<'_>| line.kind == Kind::Limit;
        let halves = [("memory", "in memory", false), ("kernel", "through the kernel", true)];
        let chart = |(short, words, kernel): (&str, &str, bool)| {
            let lines = lines
                .iter()
                .filter(|line| is_limit(line) || subject::is_of_kernel(line.name) == kernel);
            let lines: Vec<_> = lines.cloned().collect();
            let title = format!("{group}, {words}: {}", self.words);
            let is_empty = lines.iter().all(is_limit);
            let draw = || Lines { title: &title, lines, unit: self.unit }.draw();
            (!is_empty).then(|| (format!("{group}-{}-{short}", self.name), draw()))
        };
        halves.into_iter().filter_map(chart).collect()
    }

    fn lines<'a>(&self, group: &str, figures: &'a Figures) -> Vec<Line<'a>> {
        let mut points: BTreeMap<&str, Vec<(u64, f64)>> = BTreeMap::new();
        for figure in figures.group(group) {
            if let (Some(bytes), Some(number)) = (figure.bytes(), (self.number)(figure)) {
                points.entry(&figure.id.function).or_default().push((bytes, number));
            }
        }
        // Sockets by a path lie on those without one.
        points.retain(|name, points| points.len() > 1 && !name.ends_with("-named"));
        let line = |(name, mut points): (_, Vec<_>)| {
            points.sort_by_key(|&(bytes, _)| bytes);
            Line { name, kind: subject::of(name), points }
        };
        points.into_iter().map(line).collect()
    }
}

/// Of the shortest messages, where the group goes by size.
fn bars(group: &str, figures: &Figures) -> String {
    let shortest = report::sizes(group, figures).first().copied();
    let mut chosen: Vec<_> =
        figures.group(group).filter(|figure| figure.bytes() == shortest).collect();
    chosen.sort_by(|one, other| one.before(other));
    let title = match shortest {
        Some(bytes) => format!("{group}: messages of {}", size(bytes)),
        None => format!("{group}: shorter is better"),
    };
    let limits = chosen.iter().filter_map(|figure| limit::of(figure, figures));
    let mut limits: Vec<_> = limits.map(|limit| (limit.name, limit.nanos)).collect();
    limits.dedup();
    // A line is drawn where it is the limit of all.
    let limit = if limits.len() == 1 { limits.pop() } else { None };
    let bars = chosen.into_iter().map(|figure| {
        let ratio = limit::of(figure, figures)
            .map_or(String::new(), |limit| format!(" · {}", ratio(figure.nanos / limit.nanos)));
        Bar {
            name: if shortest.is_some() { figure.id.function.clone() } else { row(figure) },
            kind: subject::of(&figure.id.function),
            nanos: figure.nanos,
            range: figure.range,
            label: format!("{}{ratio}", time(figure.nanos)),
        }
    });
    Bars { title: &title, bars: bars.collect(), limit }.draw()
}

/// Who, and of what size or number.
pub(crate) fn row(figure: &Figure) -> String {
    let function = &figure.id.function;
    match (figure.bytes(), figure.id.value.as_str()) {
        (Some(bytes), _) => format!("{function} {}", size(bytes)),
        (None, "") => function.clone(),
        (None, value) => format!("{function} {value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::figure::{Work, tests::figures},
        *,
    };

    #[test]
    fn charts_suit_the_question() {
        let by_size = |group| [8, 64, 4096, 65_536].map(|bytes| (group, "pipe", bytes));
        let values = by_size("one-way").into_iter().chain(by_size("round-trip-awake"));
        let values: Vec<_> = values
            .map(|(group, function, bytes)| (group, function, bytes.to_string(), bytes))
            .collect();
        let mut all: Vec<_> = values
            .iter()
            .map(|(group, function, value, bytes)| {
                (*group, *function, value.as_str(), Work::Bytes(*bytes), 10.0)
            })
            .collect();
        all.push(("start", "fork", "", Work::Once, 7.0));
        let figures = figures(&all);
        let names =
            |group| of(group, &figures).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names("one-way"), ["one-way-by-size-kernel", "one-way-throughput-kernel"]);
        assert_eq!(
            names("round-trip-awake"),
            ["round-trip-awake-by-size-kernel", "round-trip-awake"]
        );
        assert_eq!(names("start"), ["start"]);
        let svg = &of("round-trip-awake", &figures)[1].1;
        assert!(svg.contains("messages of 8 B") && svg.contains(">pipe</text>"), "{svg}");
    }
}
