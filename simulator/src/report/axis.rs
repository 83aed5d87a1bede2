//! Axes: which values lie where, which ticks are drawn, in which unit.

use super::{
    svg::{Anchor, Area, Svg, text_width},
    units,
};

/// What an axis measures, and in which unit the values come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantity {
    /// A number without a unit.
    Number,
    /// Things that are counted: rounds, tokens, messages.
    Count,
    /// Bytes.
    Bytes,
    /// Bits a second.
    BitRate,
    /// Microseconds.
    Time,
    /// A share of one, drawn in percent.
    Share,
}

/// How the range of an axis follows from the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Range {
    /// From zero to the largest.
    FromZero,
    /// From the smallest to the largest, without room around.
    Exact,
    /// Decades where the values are positive and span more than two, else with some room.
    LogIfWide,
    /// Decades.
    Log,
}

/// One axis: values to pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Axis {
    quantity: Quantity,
    low: f64,
    high: f64,
    log: bool,
    pixels: (f64, f64),
}

impl Axis {
    /// The axis of `values` between two pixels; none where no value is finite.
    pub(crate) fn over(
        values: impl IntoIterator<Item = f64>,
        quantity: Quantity,
        range: Range,
        pixels: (f64, f64),
    ) -> Option<Self> {
        let finite = values.into_iter().filter(|value| value.is_finite());
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if low > high {
            return None;
        }
        let wide = low > 0.0 && high / low > 100.0;
        let log = low > 0.0 && (range == Range::Log || (range == Range::LogIfWide && wide));
        let (low, high) = match range {
            _ if log => (low / 1.15, (high * 1.15).min(f64::MAX)),
            Range::FromZero => (low.min(0.0), high.max(0.0) * 1.05),
            Range::Exact => (low, high),
            Range::LogIfWide | Range::Log => {
                let room = (high - low) * 0.06;
                (low - room, high + room)
            }
        };
        let (low, high) = if high - low > 0.0 && (high - low).is_finite() {
            (low, high)
        } else if low == 0.0 {
            (0.0, 1.0)
        } else {
            // One value, or a range beyond what floats can subtract.
            let room = (low.abs() * 0.1).max(f64::MIN_POSITIVE);
            ((low - room).max(-1e300), (high + room).min(1e300))
        };
        let axis = Self {
            quantity,
            low,
            high,
            log,
            pixels,
        };
        Some(axis)
    }

    /// An axis with this range exactly.
    pub(crate) fn fixed(quantity: Quantity, low: f64, high: f64, pixels: (f64, f64)) -> Self {
        assert!(low < high, "an axis from {low} to {high} has no length");
        Self {
            quantity,
            low,
            high,
            log: false,
            pixels,
        }
    }

    /// The pixel of a value; values outside lie on the edge.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let (from, to) = self.pixels;
        let share = if self.log {
            let (low, high) = (self.low.log10(), self.high.log10());
            (value.max(f64::MIN_POSITIVE).log10() - low) / (high - low)
        } else {
            // Halves, because the range itself may be beyond the largest float.
            (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0)
        };
        let share = if share.is_finite() { share } else { 0.0 };
        from + (to - from) * share.clamp(0.0, 1.0)
    }

    /// Whether a value lies on it.
    pub(crate) fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// The unit that belongs into its title; empty where the ticks carry it or there is none.
    pub(crate) fn unit(&self) -> String {
        let (_, prefix) = self.divisor();
        let name = match self.quantity {
            Quantity::Number => "",
            Quantity::Count => match prefix {
                "k" => "thousands",
                "M" => "millions",
                "G" => "billions",
                "T" => "10¹²",
                "P" => "10¹⁵",
                _ => "",
            },
            Quantity::Bytes => return format!("{prefix}B"),
            Quantity::BitRate => return format!("{prefix}bit/s"),
            Quantity::Time => return prefix.to_owned(),
            Quantity::Share => "%",
        };
        name.to_owned()
    }

    /// Values with their labels, from low to high.
    pub(crate) fn ticks(&self, most: usize) -> Vec<(f64, String)> {
        if self.log {
            self.decades(most)
        } else {
            self.steps(most)
        }
    }

    fn divisor(&self) -> (f64, &'static str) {
        let largest = self.high.abs().max(self.low.abs());
        match self.quantity {
            Quantity::Number => (1.0, ""),
            Quantity::Share => (0.01, ""),
            Quantity::Time if self.log => (1e6, "s"),
            Quantity::Time => units::time_unit(largest),
            _ if self.log => (1.0, ""),
            // Counts below ten thousand are read as they are.
            Quantity::Count if largest < 2e4 => (1.0, ""),
            _ => units::prefix(largest),
        }
    }

    fn steps(&self, most: usize) -> Vec<(f64, String)> {
        let (divisor, _) = self.divisor();
        let (low, high) = (self.low / divisor, self.high / divisor);
        let rough = (high - low) / most.max(1) as f64;
        let power = 10f64.powf(rough.log10().floor());
        let whole = self.quantity == Quantity::Count && divisor == 1.0;
        let nice = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
        let step = nice.into_iter().find(|&step| step >= rough * 0.999);
        let step = step.unwrap_or(10.0 * power);
        let step = if whole { step.max(1.0) } else { step };
        if !step.is_finite() || step <= 0.0 {
            return Vec::new();
        }
        let decimals = (-step.log10() - 1e-9).ceil().clamp(0.0, 12.0) as usize;
        let huge = high.abs().max(low.abs()) >= 1e6 || step < 1e-6;
        let first = (low / step - 1e-9).ceil();
        let label = |value: f64| match value {
            _ if value == 0.0 => "0".to_owned(),
            _ if huge => format!("{value:.1e}"),
            _ => format!("{value:.decimals$}"),
        };
        // Bounded: a step is at least a `most`-th of the range.
        (0..=most + 1)
            .map(|index| (first + index as f64) * step)
            .take_while(|value| *value <= high + step * 1e-9)
            .map(|value| (value * divisor, label(value)))
            .collect()
    }

    fn decades(&self, most: usize) -> Vec<(f64, String)> {
        let (divisor, _) = self.divisor();
        let (low, high) = (self.low / divisor, self.high / divisor);
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let span = (last - first).max(1) as usize;
        let every = span.div_ceil(most.max(1)) as i32;
        let between: &[f64] = if span * 3 <= most {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0]
        };
        let mut ticks = Vec::new();
        for decade in (first..=last).filter(|decade| decade.rem_euclid(every) == 0) {
            for factor in between {
                let value = factor * 10f64.powi(decade);
                if (low..=high).contains(&value) {
                    ticks.push((value * divisor, self.decade_label(*factor, decade)));
                }
            }
        }
        ticks
    }

    fn decade_label(&self, factor: f64, decade: i32) -> String {
        let value = factor * 10f64.powi(decade);
        match self.quantity {
            Quantity::Bytes | Quantity::BitRate | Quantity::Count if value >= 1.0 => {
                let (divisor, prefix) = units::prefix(value);
                let space = if prefix.is_empty() { "" } else { " " };
                format!("{:.0}{space}{prefix}", value / divisor)
            }
            _ if (-2..=3).contains(&decade) => format!("{value:.*}", (-decade).max(0) as usize),
            _ if factor == 1.0 => format!("10{}", superscript(decade)),
            _ => format!("{factor:.0}·10{}", superscript(decade)),
        }
    }
}

fn superscript(number: i32) -> String {
    let raised = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '4' => '⁴',
        '5' => '⁵',
        '6' => '⁶',
        '7' => '⁷',
        '8' => '⁸',
        '9' => '⁹',
        _ => '⁰',
    };
    number.to_string().chars().map(raised).collect()
}

/// Draws grid, ticks and titles of both axes around `area`.
pub(crate) fn frame(svg: &mut Svg, area: Area, x: (&Axis, &str), y: (&Axis, &str)) {
    grid_across(svg, area, x.0, x.1);
    let (axis, title) = y;
    for (value, label) in axis.ticks((area.height / 36.0) as usize) {
        let at = axis.at(value);
        svg.line((area.left, at), (area.right(), at), "grid");
        svg.text((area.left - 7.0, at + 4.0), Anchor::End, "tick", &label);
    }
    let title = with_unit(title, &axis.unit());
    let room = svg.width() - 10.0;
    svg.text_within((4.0, area.top - 10.0), Anchor::Start, "axis", &title, room);
    let corner = (area.left, area.bottom());
    svg.line(corner, (area.left, area.top), "rule");
    svg.line(corner, (area.right(), area.bottom()), "rule");
}

/// Draws the horizontal axis alone: upright grid lines, ticks and title below `area`.
pub(crate) fn grid_across(svg: &mut Svg, area: Area, axis: &Axis, title: &str) {
    let mut free_from = f64::NEG_INFINITY;
    for (value, label) in axis.ticks((area.width / 62.0) as usize) {
        let at = axis.at(value);
        svg.line((at, area.top), (at, area.bottom()), "grid");
        let half = text_width(&label) / 2.0;
        if at - half > free_from && at + half < svg.width() {
            svg.text((at, area.bottom() + 16.0), Anchor::Middle, "tick", &label);
            free_from = at + half + 6.0;
        }
    }
    let title = with_unit(title, &axis.unit());
    let middle = (area.left + area.width / 2.0, area.bottom() + 33.0);
    svg.text_within(middle, Anchor::Middle, "axis", &title, area.width);
}

fn with_unit(title: &str, unit: &str) -> String {
    match unit {
        "" => title.to_owned(),
        _ => format!("{title} ({unit})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        let ticks = axis.ticks(6);
        ticks.into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_and_share_a_unit() {
        let time = Axis::fixed(Quantity::Time, 0.0, 6.0 * 3600e6, (0.0, 100.0));
        assert_eq!(time.unit(), "h");
        assert_eq!(labels(&time), ["0", "1", "2", "3", "4", "5", "6"]);
        let rounds = Axis::fixed(Quantity::Count, 1.0, 3.0, (0.0, 100.0));
        assert_eq!(labels(&rounds), ["1", "2", "3"]);
        let sent = Axis::fixed(Quantity::Bytes, 0.0, 2.1e9, (0.0, 100.0));
        assert_eq!(sent.unit(), "GB");
        assert_eq!(labels(&sent), ["0", "0.5", "1.0", "1.5", "2.0"]);
    }

    #[test]
    fn wide_positive_values_get_decades() {
        let over = |values: [f64; 2]| {
            Axis::over(values, Quantity::Number, Range::LogIfWide, (0.0, 100.0)).expect("finite")
        };
        assert_eq!(
            labels(&over([1e-4, 1.0])),
            ["10⁻⁴", "10⁻³", "0.01", "0.1", "1"]
        );
        assert!(!over([0.0, 1.0]).log, "zero has no logarithm");
        assert!(!over([1.0, 99.0]).log, "less than two decades");
        let rate = Axis::over([1e6, 1e9], Quantity::BitRate, Range::Log, (0.0, 1.0));
        assert_eq!(
            labels(&rate.expect("finite")),
            ["1 M", "10 M", "100 M", "1 G"]
        );
    }

    #[test]
    fn any_values_give_finite_pixels_and_few_ticks() {
        let odd = [
            0.0,
            -0.0,
            1e-308,
            5e-324,
            1e308,
            -1e308,
            f64::MAX,
            f64::MIN,
            1.0,
            42.0,
        ];
        for a in odd {
            for b in odd {
                for range in [Range::FromZero, Range::Exact, Range::LogIfWide, Range::Log] {
                    let values = [a, b, f64::NAN, f64::INFINITY];
                    let axis = Axis::over(values, Quantity::Number, range, (0.0, 100.0));
                    let axis = axis.expect("a finite value");
                    assert!(axis.ticks(8).len() <= 40, "{a} {b} {range:?}");
                    let pixels = [a, b, f64::NAN].map(|value| axis.at(value));
                    assert!(
                        pixels.iter().all(|at| (0.0..=100.0).contains(at)),
                        "{a} {b}"
                    );
                }
            }
        }
        assert_eq!(
            Axis::over([f64::NAN], Quantity::Number, Range::Exact, (0.0, 1.0)),
            None
        );
    }
}
