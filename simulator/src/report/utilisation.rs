//! How much of their time members compute, at each bandwidth, beside what a formula says.
//!
//! The formula is compute / (compute + exchange), or compute / max(compute, exchange) where
//! training goes on while updates travel; whoever fills in the findings evaluates it.

use super::{
    axis::{Axis, Quantity, Range, frame},
    figure::{Entry, FULL_PX, Figure, Swatch, legend, series},
    findings::{Findings, UtilisationPoint},
    svg::{Area, Path, Svg},
    units,
};
use std::collections::BTreeMap;

/// Points of one line: the same codec and overlap, by bandwidth.
type Lines<'a> = BTreeMap<(&'a str, &'a str), Vec<&'a UtilisationPoint>>;

/// Draws measured and analytic utilisation against bandwidth.
pub(crate) fn utilisation(findings: &Findings) -> Figure {
    curves(&lines(&findings.utilisation))
}

/// The points of a sweep as lines, in the order of bandwidth.
pub(crate) fn lines<'a>(points: impl IntoIterator<Item = &'a UtilisationPoint>) -> Lines<'a> {
    let mut lines: Lines<'a> = BTreeMap::new();
    for point in points {
        let key = (point.codec.as_str(), point.overlap.as_str());
        lines.entry(key).or_default().push(point);
    }
    for line in lines.values_mut() {
        line.sort_by_key(|point| point.bandwidth);
    }
    lines
}

fn curves(lines: &Lines<'_>) -> Figure {
    let mut svg = Svg::new(FULL_PX);
    match draw(&mut svg, lines, 0.0) {
        Some(height) => {
            let label = "Compute utilisation against bandwidth";
            Figure::new(svg.finish(height, label), reasons(lines))
        }
        None => Figure::empty("No bandwidth was measured: the run has no utilisation points."),
    }
}

/// Draws the lines below `top`; returns where the figure ends, or none without a point.
pub(crate) fn draw(svg: &mut Svg, lines: &Lines<'_>, top: f64) -> Option<f64> {
    let points = || lines.values().flatten().filter(|point| point.bandwidth > 0);
    points().next()?;
    let mut keys = vec![
        Entry::new(Swatch::Line, "s7", "measured"),
        Entry::new(Swatch::Dash, "s7", "analytic"),
    ];
    for (index, (codec, overlap)) in lines.keys().enumerate() {
        let label = line_name(codec, overlap);
        keys.push(Entry::new(
            Swatch::Block,
            format!("area {}", series(index)),
            label,
        ));
    }
    let keys_px = legend(svg, (62.0, top + 10.0), &keys);
    let area = Area {
        left: 62.0,
        top: top + keys_px + 28.0,
        width: svg.width() - 62.0 - 24.0,
        height: 260.0,
    };
    let rates = points().map(|point| point.bandwidth as f64 * 8.0);
    let x = Axis::over(rates, Quantity::BitRate, Range::Log, area.across())?;
    let y = Axis::fixed(Quantity::Share, 0.0, 1.0, area.upwards());
    frame(
        svg,
        area,
        (&x, "bandwidth of a member"),
        (&y, "time spent computing"),
    );
    for (index, line) in lines.values().enumerate() {
        let at = |share: fn(&UtilisationPoint) -> f64| {
            let drawn = line
                .iter()
                .filter(move |point| point.bandwidth > 0 && share(point).is_finite());
            drawn.map(move |point| (x.at(point.bandwidth as f64 * 8.0), y.at(share(point))))
        };
        let class = series(index);
        svg.path(
            &Path::through(at(|point| point.analytic)),
            &format!("dash {class}"),
        );
        svg.path(
            &Path::through(at(|point| point.measured)),
            &format!("line {class}"),
        );
        at(|point| point.measured).for_each(|at| svg.dot(at, 3.0, &format!("area {class}")));
    }
    Some(area.bottom() + 42.0)
}

/// Why measured and analytic part: a sentence a reason, with the lines and rates it is true of.
fn reasons(lines: &Lines<'_>) -> Vec<String> {
    let mut places: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for ((codec, overlap), line) in lines {
        let mut rates: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for point in line.iter().filter(|point| !point.why.is_empty()) {
            rates.entry(&point.why).or_default().push(point.bandwidth);
        }
        for (why, rates) in rates {
            let name = line_name(codec, overlap);
            let text = match rates[..] {
                [only] => format!("{name} at {}", units::bit_rate(only)),
                [first, .., last] => {
                    let (first, last) = (units::bit_rate(first), units::bit_rate(last));
                    format!("{name} from {first} to {last}")
                }
                [] => continue,
            };
            places.entry(why).or_default().push(text);
        }
    }
    let sentence = |(why, places): (&str, Vec<String>)| format!("{why}: {}.", places.join("; "));
    places.into_iter().map(sentence).collect()
}

fn line_name(codec: &str, overlap: &str) -> String {
    match overlap {
        "" | "none" => codec.to_owned(),
        _ => format!("{codec}, {overlap}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(codec: &str, bandwidth: u64, why: &str) -> UtilisationPoint {
        UtilisationPoint {
            codec: codec.to_owned(),
            overlap: "none".to_owned(),
            bandwidth,
            measured: 0.5,
            analytic: 0.6,
            why: why.to_owned(),
        }
    }

    #[test]
    fn a_reason_is_said_once_a_line() {
        let points = [
            point("int8", 2_000_000, "queueing"),
            point("int8", 1_000_000, "queueing"),
            point("f32", 1_000_000, ""),
        ];
        let lines = lines(&points);
        assert_eq!(lines.len(), 2);
        let said = reasons(&lines);
        assert_eq!(said, ["queueing: int8 from 8 Mbit/s to 16 Mbit/s."]);
    }

    #[test]
    fn no_points_make_no_plot() {
        assert!(utilisation(&Findings::default()).svg.is_empty());
        let zero = [point("int8", 0, "")];
        assert!(curves(&lines(&zero)).svg.is_empty());
    }
}
