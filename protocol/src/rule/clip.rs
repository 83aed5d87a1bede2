//! Centered clipping and its starting point, the geometric median.

use super::BILLION;
use super::points::{self, Scaled};
use crate::codec::{Update, lanes::lower_median};

/// Weiszfeld iterations from the mean to the geometric median.
const MEDIAN_ITERATIONS: usize = 8;
/// The smallest distance a member counts with, as a share of the median distance: a member that
/// sits exactly on the estimate would otherwise weigh infinitely.
const NEAREST: f64 = 1e-6;

/// The aggregate, and what share of its update each member kept, in billionths.
pub(super) fn centered(
    updates: &[&Update],
    previous: Option<&[f32]>,
    iterations: u8,
    stride: usize,
) -> (Vec<f32>, Vec<u64>) {
    let norms: Vec<f64> = updates.iter().map(|update| update.norm()).collect();
    let scales = shrink_to_median(&norms);
    let scaled: Vec<Scaled<'_>> = updates
        .iter()
        .copied()
        .zip(scales.iter().copied())
        .collect();
    let mut center = match previous {
        Some(values) => values.to_vec(),
        None => geometric_median(&scaled, updates[0].parameters(), stride),
    };
    let mut clips = vec![1.0; updates.len()];
    for _ in 0..iterations {
        clips = shrink_to_median(&points::distances(&scaled, &center, stride));
        pull(&mut center, &scaled, &clips, stride);
    }
    let billionths = |(scale, clip): (&f64, &f64)| (scale * clip * BILLION as f64) as u64;
    (center, scales.iter().zip(&clips).map(billionths).collect())
}

/// The factors that bring every length down to the lower median: 1 for those not above it.
fn shrink_to_median(lengths: &[f64]) -> Vec<f64> {
    let median = lower_median(lengths);
    let factor = |length: &f64| {
        if *length <= median {
            1.0
        } else {
            median / *length
        }
    };
    lengths.iter().map(factor).collect()
}

/// `v ← v + (1/n) Σ (xᵢ − v)·clipᵢ`, value by value in member order.
fn pull(center: &mut [f32], scaled: &[Scaled<'_>], clips: &[f64], stride: usize) {
    let members = scaled.len() as f64;
    let (mut sums, mut scratch) = (Vec::new(), Vec::new());
    for part in points::parts(center.len(), stride) {
        let center = &mut center[part.clone()];
        sums.clear();
        sums.resize(part.len(), 0.0);
        for ((update, scale), clip) in scaled.iter().zip(clips) {
            let values = update.window(part.clone(), &mut scratch);
            for ((sum, value), v) in sums.iter_mut().zip(values).zip(center.iter()) {
                *sum += (scale * f64::from(*value) - f64::from(*v)) * clip;
            }
        }
        for (v, sum) in center.iter_mut().zip(&sums) {
            *v = (f64::from(*v) + sum / members) as f32;
        }
    }
}

/// The point with the least sum of distances, after a fixed number of Weiszfeld iterations.
fn geometric_median(scaled: &[Scaled<'_>], parameters: usize, stride: usize) -> Vec<f32> {
    let mut estimate = points::weighted_mean(scaled, scaled.len() as f64, parameters, stride);
    for _ in 0..MEDIAN_ITERATIONS {
        let distances = points::distances(scaled, &estimate, stride);
        let median = lower_median(&distances);
        // At least half of the members sit on the estimate: it is the geometric median.
        if median == 0.0 {
            return estimate;
        }
        let weigh = |distance: &f64| 1.0 / distance.max(NEAREST * median);
        let weights: Vec<f64> = distances.iter().map(weigh).collect();
        let total = weights.iter().fold(0.0, |total, weight| total + weight);
        let terms: Vec<Scaled<'_>> = scaled
            .iter()
            .zip(&weights)
            .map(|((update, scale), weight)| (*update, scale * weight))
            .collect();
        estimate = points::weighted_mean(&terms, total, parameters, stride);
    }
    estimate
}
