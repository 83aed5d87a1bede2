//! Sums over members and distances between updates, part by part of the flat vector.

use crate::codec::{Entries, Update, lanes::Lanes};
use std::ops::Range;

/// Values handled at once, so that sums stay in the fastest cache.
pub(super) const STRIDE: usize = 4096;

/// An update and the factor it is scaled by.
pub(super) type Scaled<'a> = (&'a Update, f64);

/// The parts of `0..parameters`.
pub(super) fn parts(parameters: usize, stride: usize) -> impl Iterator<Item = Range<usize>> {
    (0..parameters)
        .step_by(stride)
        .map(move |start| start..parameters.min(start + stride))
}

/// Adds `factor · update` to the sums of one part.
pub(super) fn add(sums: &mut [f64], update: &Update, factor: f64, part: Range<usize>) {
    if let Entries::Dense(values) = update.entries() {
        for (sum, value) in sums.iter_mut().zip(&values[part]) {
            *sum += factor * f64::from(*value);
        }
        return;
    }
    // A sum is never -0, so the zeros that are left out would not change it.
    update.for_each(part.clone(), |position, value| {
        sums[position - part.start] += factor * f64::from(value);
    });
}

/// `Σ factor·update / divisor`, rounded once to `f32`.
pub(super) fn weighted_mean(
    terms: &[Scaled<'_>],
    divisor: f64,
    parameters: usize,
    stride: usize,
) -> Vec<f32> {
    let mut out = Vec::with_capacity(parameters);
    let mut sums = Vec::new();
    for part in parts(parameters, stride) {
        sums.clear();
        sums.resize(part.len(), 0.0);
        for (update, factor) in terms {
            add(&mut sums, update, *factor, part.clone());
        }
        out.extend(sums.iter().map(|sum| (sum / divisor) as f32));
    }
    out
}

/// `‖scale·update − center‖` for every point.
pub(super) fn distances(points: &[Scaled<'_>], center: &[f32], stride: usize) -> Vec<f64> {
    let mut sums = vec![Lanes::default(); points.len()];
    let mut scratch = Vec::new();
    for part in parts(center.len(), stride) {
        for (sum, (update, scale)) in sums.iter_mut().zip(points) {
            let values = update.window(part.clone(), &mut scratch);
            sum.push_distances(*scale, values, &center[part.clone()]);
        }
    }
    sums.iter().map(|sum| sum.total().sqrt()).collect()
}
