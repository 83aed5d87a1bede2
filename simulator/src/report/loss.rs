//! The loss, against what it cost: tokens, simulated time, or bytes sent.
//!
//! Behind it lies the range of the runs without faults, from the smallest to the largest loss of
//! any of them at the same cost, interpolated between their points.

use super::{
    axis::{Axis, Quantity, Range, frame},
    figure::{Entry, FULL_PX, Figure, Swatch, lanes, legend, shade},
    findings::{Findings, LossPoint},
    svg::{Area, Path, Svg},
    thin,
};

/// What the loss is drawn against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cost {
    Tokens,
    Time,
    Bytes,
}

impl Cost {
    pub(crate) fn of(self, point: &LossPoint) -> f64 {
        match self {
            Self::Tokens => point.tokens as f64,
            Self::Time => point.sim_us as f64,
            Self::Bytes => point.bytes as f64,
        }
    }

    pub(crate) fn quantity(self) -> Quantity {
        match self {
            Self::Tokens => Quantity::Count,
            Self::Time => Quantity::Time,
            Self::Bytes => Quantity::Bytes,
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Tokens => "tokens counted",
            Self::Time => "simulated time",
            Self::Bytes => "bytes sent by all members",
        }
    }
}

/// What the loss of a mode is.
pub(crate) fn loss_title(mode: &str) -> &'static str {
    match mode {
        "protocol" => "mean squared distance to the optimum",
        "train" => "loss (bits a byte)",
        _ => "loss",
    }
}

/// Draws the loss of a run in `width` pixels.
pub(crate) fn loss(findings: &Findings, cost: Cost, width: f64) -> Figure {
    if findings.losses.is_empty() {
        return Figure::empty("No loss was measured: no round was certified before the run ended.");
    }
    let with_time = cost == Cost::Time;
    let mut svg = Svg::new(width);
    let curves = || findings.baseline.iter().flatten().chain(&findings.losses);
    let area = Area {
        left: if with_time { 120.0 } else { 58.0 },
        top: 44.0,
        width: width - if with_time { 140.0 } else { 76.0 },
        height: if width == FULL_PX { 250.0 } else { 210.0 },
    };
    let ends = with_time.then_some([0.0, findings.sim_us as f64]);
    let across = curves()
        .map(|point| cost.of(point))
        .chain(ends.into_iter().flatten());
    let x = Axis::over(across, cost.quantity(), Range::Exact, area.across());
    let values = curves().map(|point| point.loss);
    let y = Axis::over(values, Quantity::Number, Range::LogIfWide, area.upwards());
    let (Some(x), Some(y)) = (x, y) else {
        return Figure::empty("Nothing to draw: none of the measured losses is a number.");
    };
    let lanes_px = if with_time {
        let at = Area {
            top: area.bottom() + 48.0,
            ..area
        };
        shade(&mut svg, area, &x, &findings.faults);
        lanes(&mut svg, at, &x, &findings.faults)
    } else {
        0.0
    };
    frame(
        &mut svg,
        area,
        (&x, cost.title()),
        (&y, loss_title(&findings.mode)),
    );
    let mut keys = Vec::new();
    if !findings.baseline.is_empty() {
        band(&mut svg, findings, cost, &x, &y);
        keys.push(Entry::new(
            Swatch::Block,
            "band",
            band_label(findings.baseline.len()),
        ));
    }
    curve(&mut svg, &findings.losses, cost, (&x, &y), "line s0");
    keys.push(Entry::new(Swatch::Line, "s0", "this run"));
    if with_time && lanes_px > 0.0 {
        keys.push(Entry::new(Swatch::Block, "mark", "fault window"));
    }
    legend(&mut svg, (area.left, 10.0), &keys);
    let height = area.bottom() + 44.0 + lanes_px + if lanes_px > 0.0 { 8.0 } else { 0.0 };
    Figure::new(
        svg.finish(height, &format!("Loss against {}", cost.title())),
        notes(findings),
    )
}

fn band_label(runs: usize) -> String {
    match runs {
        1 => "the run without faults".to_owned(),
        _ => format!("range of {runs} runs without faults"),
    }
}

fn notes(findings: &Findings) -> Vec<String> {
    let odd: Vec<&LossPoint> = findings
        .losses
        .iter()
        .filter(|point| !point.loss.is_finite())
        .collect();
    let note = odd.first().map(|first| {
        format!(
            "{} of {} losses are not a number, the first in round {}; they are not drawn.",
            odd.len(),
            findings.losses.len(),
            first.round
        )
    });
    let thinned = thin::note(findings.losses.len(), "losses");
    let band = Some(findings.band.clone()).filter(|band| !band.is_empty());
    let band = band.map(|band| format!("Last losses: {band}."));
    band.into_iter().chain(note).chain(thinned).collect()
}

/// Draws one curve of losses.
pub(crate) fn curve(
    svg: &mut Svg,
    losses: &[LossPoint],
    cost: Cost,
    (x, y): (&Axis, &Axis),
    class: &str,
) {
    let finite = losses.iter().filter(|point| point.loss.is_finite());
    let pixels = thin::line(finite.map(|point| (x.at(cost.of(point)), y.at(point.loss))));
    if let [only] = pixels[..] {
        svg.dot(only, 3.0, &class.replace("line", "area"));
    }
    svg.path(&Path::through(pixels), class);
}

fn band(svg: &mut Svg, findings: &Findings, cost: Cost, x: &Axis, y: &Axis) {
    let pixels = |curve: &Vec<LossPoint>| {
        let finite = curve.iter().filter(|point| point.loss.is_finite());
        thin::line(finite.map(|point| (x.at(cost.of(point)), y.at(point.loss))))
    };
    let curves: Vec<Vec<(f64, f64)>> = findings.baseline.iter().map(pixels).collect();
    if let [only] = &curves[..] {
        svg.path(&Path::through(only.iter().copied()), "thin s7");
        return;
    }
    let edges = range_of(&curves);
    let upper = edges.iter().map(|&(x, low, _)| (x, low));
    let lower = edges.iter().rev().map(|&(x, _, high)| (x, high));
    svg.path(&Path::through(upper.chain(lower)).close(), "band");
}

/// At every other pixel, the smallest and largest value that any curve has there.
fn range_of(curves: &[Vec<(f64, f64)>]) -> Vec<(f64, f64, f64)> {
    let firsts = curves.iter().filter_map(|curve| curve.first());
    let from = firsts.map(|point| point.0).fold(f64::INFINITY, f64::min);
    let lasts = curves.iter().filter_map(|curve| curve.last());
    let to = lasts.map(|point| point.0).fold(f64::NEG_INFINITY, f64::max);
    if from > to {
        return Vec::new();
    }
    let steps = ((to - from) / 2.0).ceil() as usize;
    let at = |step: usize| (from + step as f64 * 2.0).min(to);
    let range = |x: f64| {
        let values = curves.iter().filter_map(|curve| value_at(curve, x));
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        (low <= high).then_some((x, low, high))
    };
    (0..=steps).filter_map(|step| range(at(step))).collect()
}

/// A curve's value at `x`, on the line between its neighbours; none outside it.
fn value_at(curve: &[(f64, f64)], x: f64) -> Option<f64> {
    let after = curve.partition_point(|point| point.0 < x);
    let right = curve.get(after)?;
    if right.0 == x {
        return Some(right.1);
    }
    let left = curve.get(after.checked_sub(1)?)?;
    Some(left.1 + (right.1 - left.1) * (x - left.0) / (right.0 - left.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_band_is_as_wide_as_the_curves_that_are_there() {
        let curves = [vec![(0.0, 10.0), (4.0, 6.0)], vec![(0.0, 12.0), (2.0, 2.0)]];
        let range = range_of(&curves);
        assert_eq!(range, [(0.0, 10.0, 12.0), (2.0, 2.0, 8.0), (4.0, 6.0, 6.0)]);
        assert_eq!(range_of(&[]), []);
        assert_eq!(range_of(&[vec![]]), []);
    }

    #[test]
    fn losses_that_are_no_number_are_said_and_not_drawn() {
        let point = |round, loss| LossPoint {
            round,
            sim_us: round,
            tokens: round,
            bytes: round,
            loss,
        };
        let mut findings = Findings {
            losses: vec![point(1, 3.0), point(2, f64::NAN), point(3, 2.0)],
            ..Findings::default()
        };
        let figure = loss(&findings, Cost::Tokens, 490.0);
        assert!(figure.notes[0].contains("1 of 3") && figure.notes[0].contains("round 2"));
        assert!(!figure.svg.contains("NaN"));
        findings.losses.retain(|point| point.loss.is_nan());
        assert!(loss(&findings, Cost::Time, 490.0).svg.is_empty());
    }
}
