//! Writes SVG, and nothing but what the figures of a report need.
//!
//! Colours are never written here: shapes carry classes, and `style.css` gives each class a
//! variable that follows the reader's light or dark scheme. Libraries for charts write colours
//! into the shapes, which is why none of them is used.

use super::units::plain;
use std::fmt::Write as _;

/// Which end of a text its position is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// An upright rectangle in pixels of the figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Area {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

impl Area {
    pub(crate) fn right(self) -> f64 {
        self.left + self.width
    }

    pub(crate) fn bottom(self) -> f64 {
        self.top + self.height
    }

    /// The pixels of its horizontal axis, from left to right.
    pub(crate) fn across(self) -> (f64, f64) {
        (self.left, self.right())
    }

    /// The pixels of its vertical axis, from bottom to top.
    pub(crate) fn upwards(self) -> (f64, f64) {
        (self.bottom(), self.top)
    }
}

/// A figure under construction. Shapes lie over those written before them.
#[derive(Debug)]
pub(crate) struct Svg {
    width: f64,
    body: String,
}

impl Svg {
    pub(crate) fn new(width: f64) -> Self {
        let body = String::new();
        Self { width, body }
    }

    pub(crate) fn width(&self) -> f64 {
        self.width
    }

    pub(crate) fn rect(&mut self, area: Area, class: &str) {
        let (x, y) = (pixel(area.left), pixel(area.top));
        let (width, height) = (pixel(area.width.max(0.0)), pixel(area.height.max(0.0)));
        self.push(format_args!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" class=\"{class}\"/>"
        ));
    }

    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let (x1, y1, x2, y2) = (pixel(from.0), pixel(from.1), pixel(to.0), pixel(to.1));
        self.push(format_args!(
            "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" class=\"{class}\"/>"
        ));
    }

    pub(crate) fn dot(&mut self, at: (f64, f64), radius: f64, class: &str) {
        let (x, y, radius) = (pixel(at.0), pixel(at.1), pixel(radius));
        self.push(format_args!(
            "<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" class=\"{class}\"/>"
        ));
    }

    pub(crate) fn path(&mut self, path: &Path, class: &str) {
        if !path.steps.is_empty() {
            self.push(format_args!(
                "<path d=\"{}\" class=\"{class}\"/>",
                path.steps
            ));
        }
    }

    pub(crate) fn text(&mut self, at: (f64, f64), anchor: Anchor, class: &str, text: &str) {
        self.text_with_hint(at, anchor, class, text, "");
    }

    /// A text that is cut to `width` pixels, and shown whole by the pointer.
    pub(crate) fn text_within(
        &mut self,
        at: (f64, f64),
        anchor: Anchor,
        class: &str,
        text: &str,
        width: f64,
    ) {
        let shown = shortened(text, width);
        let hint = if shown == plain(text) { "" } else { text };
        self.text_with_hint(at, anchor, class, &shown, hint);
    }

    /// A text over which the pointer shows `hint`.
    pub(crate) fn text_with_hint(
        &mut self,
        at: (f64, f64),
        anchor: Anchor,
        class: &str,
        text: &str,
        hint: &str,
    ) {
        let end = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " mid",
            Anchor::End => " end",
        };
        let (x, y, text) = (pixel(at.0), pixel(at.1), escape(text));
        let hint = match hint {
            "" => String::new(),
            _ => format!("<title>{}</title>", escape(hint)),
        };
        self.push(format_args!(
            "<text x=\"{x}\" y=\"{y}\" class=\"{class}{end}\">{text}{hint}</text>"
        ));
    }

    /// The figure, named `label` for readers that cannot see it.
    pub(crate) fn finish(self, height: f64, label: &str) -> String {
        let (width, height, label) = (pixel(self.width), pixel(height), escape(label));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             role=\"img\" aria-label=\"{label}\">\n{}</svg>\n",
            self.body
        )
    }

    /// The same with its style inside: a file of its own.
    pub(crate) fn finish_alone(self, height: f64, label: &str, style: &str) -> String {
        let (width, height, label) = (pixel(self.width), pixel(height), escape(label));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{label}\">\n\
             <style>{style}</style>\n<rect width=\"{width}\" height=\"{height}\" \
             class=\"paper\"/>\n{}</svg>\n",
            self.body
        )
    }

    fn push(&mut self, shape: std::fmt::Arguments<'_>) {
        self.body
            .write_fmt(shape)
            .expect("writing into a string never fails");
        self.body.push('\n');
    }
}

/// The steps of a path.
#[derive(Debug, Default)]
pub(crate) struct Path {
    steps: String,
}

impl Path {
    /// A line through `points`; none with fewer than one.
    pub(crate) fn through(points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let mut path = Self::default();
        for (x, y) in points {
            let step = if path.steps.is_empty() { 'M' } else { 'L' };
            path.step(step, &[x, y]);
        }
        path
    }

    /// Adds a rectangle.
    pub(crate) fn rect(&mut self, area: Area) {
        self.step('M', &[area.left, area.top]);
        self.step('h', &[area.width]);
        self.step('v', &[area.height]);
        self.step('h', &[-area.width]);
        self.steps.push('z');
    }

    /// Joins the last point with the first.
    pub(crate) fn close(mut self) -> Self {
        if !self.steps.is_empty() {
            self.steps.push('z');
        }
        self
    }

    fn step(&mut self, letter: char, numbers: &[f64]) {
        self.steps.push(letter);
        for (index, &number) in numbers.iter().enumerate() {
            if index > 0 {
                self.steps.push(' ');
            }
            self.steps.push_str(&pixel(number));
        }
    }
}

/// A coordinate to a tenth of a pixel, as short as it goes.
fn pixel(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    assert!(rounded.is_finite(), "axes give finite pixels, not {value}");
    if rounded == 0.0 {
        return "0".to_owned();
    }
    format!("{rounded}")
}

/// Text as the content of an element or a quoted attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

/// Size in pixels of all text in figures, but for titles.
pub(crate) const TEXT_PX: f64 = 11.0;

/// An upper estimate of the pixels that a text takes.
///
/// Which font a reader has is not known: the widths are those of DejaVu Sans, wider than most.
pub(crate) fn text_width(text: &str) -> f64 {
    let of_char = |c: char| match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | ' ' | 'I' => 0.36,
        'f' | 'r' | 't' | '-' | '(' | ')' | '/' | '[' | ']' => 0.42,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' => 1.0,
        'A'..='Z' => 0.76,
        _ if c.is_ascii() || c < '\u{500}' => 0.64,
        _ => 1.1,
    };
    text.chars().map(of_char).sum::<f64>() * TEXT_PX
}

/// Text cut to `width` pixels, with `…` in the middle, where names differ least.
pub(crate) fn shortened(text: &str, width: f64) -> String {
    let text = plain(text);
    if text_width(&text) <= width {
        return text;
    }
    let chars: Vec<char> = text.chars().collect();
    // Only so many can fit, so that a hostile name costs no time.
    let mut kept = chars.len().min((width / TEXT_PX * 3.0) as usize);
    while kept > 2 {
        kept -= 1;
        let (head, tail) = (kept.div_ceil(2), kept / 2);
        let mut cut: String = chars[..head].iter().collect();
        cut.push('…');
        cut.extend(&chars[chars.len() - tail..]);
        if text_width(&cut) <= width {
            return cut;
        }
    }
    "…".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_stays_text() {
        let mut svg = Svg::new(10.0);
        svg.text(
            (1.0, 2.0),
            Anchor::Start,
            "t",
            "</text><script>alert(\"x\")</script>&'",
        );
        let out = svg.finish(5.0, "\" onload=\"x");
        assert!(
            !out.contains("<script") && !out.contains("\" onload"),
            "{out}"
        );
        assert!(out.contains("&lt;script&gt;alert(&quot;x&quot;)"), "{out}");
    }

    #[test]
    fn coordinates_are_short() {
        let path = Path::through([(0.04, -0.01), (12.345, 7.0)]);
        assert_eq!(path.steps, "M0 0L12.3 7");
        let mut path = Path::default();
        path.rect(Area {
            left: 1.0,
            top: 2.0,
            width: 3.25,
            height: 4.0,
        });
        assert_eq!(path.steps, "M1 2h3.3v4h-3.3z");
    }

    #[test]
    fn long_names_keep_both_ends_and_fit() {
        let name = "a-very-long-name-of-a-member-in-frankfurt-17";
        let cut = shortened(name, 90.0);
        assert!(text_width(&cut) <= 90.0, "{cut}");
        assert!(cut.starts_with("a-v") && cut.ends_with("17"), "{cut}");
        assert_eq!(shortened("eu-1", 90.0), "eu-1");
        assert_eq!(shortened(&"W".repeat(1_000_000), 1.0), "…");
    }
}
