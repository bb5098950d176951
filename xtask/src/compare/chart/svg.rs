//! What of SVG the charts need.

use std::fmt::Write;

/// Room to read on a page that is as wide as the README of a repository.
pub(crate) const WIDTH: f64 = 860.0;

/// Words and lines that are no data, as readable on white as on black.
pub(crate) const GREY: &str = "#7d8590";

#[derive(Debug)]
pub(crate) struct Svg {
    height: f64,
    title: String,
    body: String,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stroke<'a> {
    pub(crate) colour: &'a str,
    pub(crate) width: f64,
    /// As `stroke-dasharray`; empty is a line without gaps.
    pub(crate) dash: &'a str,
    pub(crate) opacity: f64,
}

impl Stroke<'_> {
    /// What is behind the data.
    pub(crate) const GRID: Self = Self { colour: GREY, width: 1.0, dash: "", opacity: 0.25 };
}

impl Svg {
    pub(crate) fn new(height: f64, title: &str) -> Self {
        let mut svg = Self { height, title: escape(title), body: String::new() };
        svg.bold((12.0, 22.0), title);
        svg
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        writeln!(self.body, "{element}").expect("a string takes everything");
    }

    pub(crate) fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), stroke: Stroke<'_>) {
        self.polyline(&[(x1, y1), (x2, y2)], stroke);
    }

    pub(crate) fn polyline(&mut self, points: &[(f64, f64)], stroke: Stroke<'_>) {
        let Stroke { colour, width, dash, opacity } = stroke;
        let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let points = points.join(" ");
        let dash =
            if dash.is_empty() { String::new() } else { format!(r#" stroke-dasharray="{dash}""#) };
        self.push(format_args!(
            r#"<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-opacity="{opacity}"{dash}/>"#
        ));
    }

    pub(crate) fn circle(&mut self, (x, y): (f64, f64), radius: f64, colour: &str) {
        self.push(format_args!(
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius}" fill="{colour}"/>"#
        ));
    }

    pub(crate) fn rect(&mut self, (x, y): (f64, f64), width: f64, height: f64, colour: &str) {
        self.push(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{colour}"/>"#
        ));
    }

    pub(crate) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, colour: &str, words: &str) {
        let (anchor, words) = (anchor.name(), escape(words));
        self.push(format_args!(
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="{colour}">{words}</text>"#
        ));
    }

    fn bold(&mut self, (x, y): (f64, f64), words: &str) {
        let words = escape(words);
        self.push(format_args!(
            r#"<text x="{x:.1}" y="{y:.1}" font-size="14" font-weight="bold" fill="{GREY}">{words}</text>"#
        ));
    }

    pub(crate) fn finish(self) -> String {
        let Self { height, title, body } = self;
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0}" width="{WIDTH}" height="{height:.0}" role="img" font-family="DejaVu Sans, Verdana, sans-serif" font-size="11">
<title>{title}</title>
{body}</svg>
"#
        )
    }
}

fn escape(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words() {
        let mut svg = Svg::new(10.0, "a < b & c");
        svg.text((1.0, 2.0), Anchor::End, GREY, "<x>");
        let text = svg.finish();
        assert!(text.contains("<title>a &lt; b &amp; c</title>"), "{text}");
        assert!(text.contains(
            r##"<text x="1.0" y="2.0" text-anchor="end" fill="#7d8590">&lt;x&gt;</text>"##
        ));
        assert!(text.ends_with("</svg>\n"));
    }
}
