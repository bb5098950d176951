//! Lines over the size of a message, with both axes logarithmic.

use super::{
    axis::Log,
    colour,
    labels::spread,
    svg::{Anchor, GREY, Stroke, Svg, WIDTH},
};
use crate::compare::{subject::Kind, text};

#[derive(Debug)]
pub(crate) struct Lines<'a> {
    pub(crate) title: &'a str,
    pub(crate) lines: Vec<Line<'a>>,
    /// How a number of the upright axis is written.
    pub(crate) unit: fn(f64) -> String,
}

#[derive(Clone, Debug)]
pub(crate) struct Line<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: Kind,
    /// Bytes, and a number, by bytes.
    pub(crate) points: Vec<(u64, f64)>,
}

/// Where the plot lies.
const LEFT: f64 = 72.0;
const RIGHT: f64 = WIDTH - 150.0;
const TOP: f64 = 58.0;
/// Between the lines of the labels.
const GAP: f64 = 14.0;

impl Lines<'_> {
    pub(crate) fn draw(&self) -> String {
        let bottom = TOP + (self.lines.len() as f64 * GAP + 20.0).max(360.0);
        let mut svg = Svg::new(bottom + 44.0, self.title);
        legend(&mut svg, self.lines.iter().map(|line| line.kind));
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let mut sizes: Vec<_> = points().map(|&(bytes, _)| bytes).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let (Some(&first), Some(&last)) = (sizes.first(), sizes.last()) else {
            return svg.finish();
        };
        let across = Log::new((first as f64, last as f64), (LEFT + 12.0, RIGHT - 12.0));
        let upright = Log::around(points().map(|&(_, number)| number), (bottom, TOP));
        self.grid(&mut svg, &sizes, across, upright, bottom);
        self.data(&mut svg, across, upright, bottom);
        svg.finish()
    }

    fn grid(&self, svg: &mut Svg, sizes: &[u64], across: Log, upright: Log, bottom: f64) {
        for tick in upright.ticks() {
            let y = upright.at(tick);
            svg.line((LEFT, y), (RIGHT, y), Stroke::GRID);
            svg.text((LEFT - 8.0, y + 4.0), Anchor::End, GREY, &tick_name(&(self.unit)(tick)));
        }
        let mut free = 0.0;
        for &size in sizes {
            let x = across.at(size as f64);
            svg.line((x, TOP), (x, bottom), Stroke::GRID);
            // A size whose name would touch the one before has a line only.
            if x >= free {
                svg.text((x, bottom + 18.0), Anchor::Middle, GREY, &text::size(size));
                free = x + 48.0;
            }
        }
        svg.text(
            (f64::midpoint(LEFT, RIGHT), bottom + 36.0),
            Anchor::Middle,
            GREY,
            "size of a message",
        );
    }

    fn data(&self, svg: &mut Svg, across: Log, upright: Log, bottom: f64) {
        let place = |&(bytes, number): &(u64, f64)| (across.at(bytes as f64), upright.at(number));
        let ends: Vec<_> =
            self.lines.iter().filter_map(|line| line.points.last()).map(place).collect();
        let wishes: Vec<_> = ends.iter().map(|&(_, y)| y).collect();
        let labels = spread(&wishes, GAP, (TOP, bottom));
        for (index, (line, (&end, &y))) in
            self.lines.iter().zip(ends.iter().zip(&labels)).enumerate()
        {
            let before = self.lines[..index].iter().filter(|other| other.kind == line.kind);
            let colour = colour::of(line.kind);
            let width = if line.kind == Kind::Memory { 2.2 } else { 1.5 };
            let stroke = Stroke { colour, width, dash: colour::dash(before.count()), opacity: 1.0 };
            let points: Vec<_> = line.points.iter().map(place).collect();
            svg.polyline(&points, stroke);
            points.iter().for_each(|&point| svg.circle(point, 2.2, colour));
            let leader = Stroke { colour, width: 0.8, dash: "1 2", opacity: 0.6 };
            svg.polyline(&[end, (RIGHT, end.1), (RIGHT + 14.0, y)], leader);
            svg.text((RIGHT + 18.0, y + 4.0), Anchor::Start, colour, line.name);
        }
    }
}

/// A row of the kinds, each once.
pub(super) fn legend(svg: &mut Svg, kinds: impl Iterator<Item = Kind>) {
    let mut kinds: Vec<_> = kinds.collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut x = 12.0;
    for kind in kinds {
        svg.rect((x, 33.0), 10.0, 10.0, colour::of(kind));
        svg.text((x + 15.0, 42.0), Anchor::Start, GREY, colour::name(kind));
        // The width of a letter is nearly the same in all fonts of this kind.
        x += 32.0 + 6.1 * colour::name(kind).chars().count() as f64;
    }
}

/// Ticks are round numbers: `1.00 µs` is `1 µs`.
pub(super) fn tick_name(number: &str) -> String {
    let Some((digits, unit)) = number.split_once(' ') else { return number.to_owned() };
    let digits = if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    };
    format!("{digits} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_have_no_more_digits_than_they_need() {
        assert_eq!(
            ["1.00 µs", "200 ns", "0.50 ns", "10.0 ms"].map(tick_name),
            ["1 µs", "200 ns", "0.5 ns", "10 ms"]
        );
    }

    #[test]
    fn each_line_is_drawn_and_named() {
        let line = |name, kind, points: &[(u64, f64)]| Line { name, kind, points: points.to_vec() };
        let lines = vec![
            line("ring", Kind::Memory, &[(8, 10.0), (64, 12.0), (4096, 200.0)]),
            line("pipe", Kind::Pipe, &[(8, 200.0), (64, 210.0)]),
        ];
        let svg = Lines { title: "One way", lines, unit: text::time }.draw();
        // One of them for the line, one for its label, and one for each line of the grid.
        assert!(svg.matches("<circle").count() == 5, "{svg}");
        for words in [">ring</text>", ">pipe</text>", ">4 KiB</text>", ">100 ns</text>"] {
            assert!(svg.contains(words), "{words} is not in {svg}");
        }
        Lines { title: "Nothing", lines: Vec::new(), unit: text::time }.draw();
    }
}
