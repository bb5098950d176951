//! Lying bars on a logarithmic axis.

use super::{
    axis::Log,
    colour,
    lines::{legend, tick_name},
    svg::{Anchor, GREY, Stroke, Svg, WIDTH},
};
use crate::compare::{subject::Kind, text};

#[derive(Debug)]
pub(crate) struct Bars<'a> {
    pub(crate) title: &'a str,
    pub(crate) bars: Vec<Bar>,
    /// Name and nanoseconds of what cannot be beaten.
    pub(crate) limit: Option<(String, f64)>,
}

#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) nanos: f64,
    /// The fastest and the slowest round.
    pub(crate) range: (f64, f64),
    /// Words at its end.
    pub(crate) label: String,
}

const LEFT: f64 = 170.0;
const RIGHT: f64 = WIDTH - 150.0;
const TOP: f64 = 70.0;
const ROW: f64 = 20.0;

impl Bars<'_> {
    pub(crate) fn draw(&self) -> String {
        let bottom = TOP + self.bars.len() as f64 * ROW + 4.0;
        let mut svg = Svg::new(bottom + 28.0, self.title);
        legend(&mut svg, self.bars.iter().map(|bar| bar.kind));
        let limit = self.limit.iter().map(|&(_, nanos)| nanos);
        // A bar has to have a length.
        let numbers = self.bars.iter().flat_map(|bar| [bar.nanos * 0.8, bar.range.1]).chain(limit);
        let axis = Log::around(numbers, (LEFT, RIGHT));
        for tick in axis.ticks() {
            let x = axis.at(tick);
            svg.line((x, TOP), (x, bottom), Stroke::GRID);
            svg.text((x, bottom + 16.0), Anchor::Middle, GREY, &tick_name(&text::time(tick)));
        }
        if let Some((name, nanos)) = &self.limit {
            let x = axis.at(*nanos);
            let stroke = Stroke { colour: GREY, width: 1.5, dash: "5 3", opacity: 1.0 };
            svg.line((x, TOP - 2.0), (x, bottom), stroke);
            svg.text((x, TOP - 7.0), Anchor::Middle, GREY, name);
        }
        for (index, bar) in self.bars.iter().enumerate() {
            row(&mut svg, axis, TOP + 4.0 + index as f64 * ROW, bar);
        }
        svg.finish()
    }
}

fn row(svg: &mut Svg, axis: Log, top: f64, bar: &Bar) {
    let (colour, middle) = (colour::of(bar.kind), top + 0.5 * (ROW - 6.0));
    svg.text((LEFT - 8.0, middle + 4.0), Anchor::End, colour, &bar.name);
    let end = axis.at(bar.nanos);
    svg.rect((LEFT, top), end - LEFT, ROW - 6.0, colour);
    let whisker = Stroke { colour: GREY, width: 1.5, dash: "", opacity: 1.0 };
    let (low, high) = (axis.at(bar.range.0).max(LEFT), axis.at(bar.range.1));
    svg.line((low, middle), (high, middle), whisker);
    svg.text((high.max(end) + 6.0, middle + 4.0), Anchor::Start, GREY, &bar.label);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bar_has_its_name_and_its_number() {
        let bar = |name: &str, nanos: f64| Bar {
            name: name.to_owned(),
            kind: Kind::Pipe,
            nanos,
            range: (nanos * 0.9, nanos * 1.1),
            label: text::time(nanos),
        };
        let bars = vec![bar("pipe", 5000.0), bar("fifo", 6000.0)];
        let svg = Bars { title: "Asleep", bars, limit: Some(("futex".to_owned(), 4000.0)) }.draw();
        // The legend has one too.
        assert_eq!(svg.matches("<rect").count(), 3);
        for words in [">fifo</text>", ">6.00 µs</text>", ">futex</text>"] {
            assert!(svg.contains(words), "{words} is not in {svg}");
        }
    }
}
