//! The updates of a cut to one aggregate: `mean` and `centered_clip`.
//!
//! Written from the section *Fold* of `protocol/SPEC.md`, value by value and member by member.

use super::sums::{lane_sum, lower_median};

/// Weiszfeld iterations towards the geometric median.
const MEDIAN_ITERATIONS: usize = 8;
/// The smallest distance that weighs, as a share of the median distance.
const NEAREST: f64 = 1e-6;
/// Billionths in one.
const WHOLE: u128 = 1_000_000_000;

/// The mean of all updates by these weights, rounded once; nothing where the weights sum to zero.
pub(super) fn mean(updates: &[Vec<f32>], weights: &[u64]) -> Option<Vec<f32>> {
    let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    let factors: Vec<f64> = weights.iter().map(|weight| *weight as f64).collect();
    (total > 0).then(|| combined(updates, &factors, total as f64))
}

/// Tokens under a cap of `share` billionths of their sum.
///
/// With k the fewest members that have to be lowered so that nobody is above the common weight
/// ⌊share · others / (1 − k · share)⌋. Where shares of all that have tokens do not make a whole,
/// each of those weighs one.
pub(super) fn capped_weights(tokens: &[u64], share: u64) -> Vec<u64> {
    let share = u128::from(share);
    let mut falling: Vec<u128> = tokens.iter().map(|tokens| u128::from(*tokens)).collect();
    falling.retain(|tokens| *tokens > 0);
    falling.sort_by(|a, b| b.cmp(a));
    if share >= WHOLE || falling.is_empty() {
        return tokens.to_vec();
    }
    let lowered_to = |weight: u128| {
        let lowered = |tokens: &u64| u128::from(*tokens).min(weight) as u64;
        tokens.iter().map(lowered).collect()
    };
    if share * falling.len() as u128 <= WHOLE {
        return lowered_to(1);
    }
    let sum: u128 = falling.iter().sum();
    if falling[0] * WHOLE <= share * sum {
        return tokens.to_vec();
    }
    for k in 1..falling.len() {
        let others: u128 = falling[k..].iter().sum();
        let Some(rest) = WHOLE.checked_sub(k as u128 * share).filter(|r| *r > 0) else {
            break;
        };
        let weight = share * others / rest;
        if falling[k] <= weight {
            return lowered_to(weight);
        }
    }
    unreachable!("shares of all together exceed the whole, so some number of them suffices")
}

/// Centered clipping around the previous aggregate, or around the geometric median.
pub(super) fn centered_clip(
    updates: &[Vec<f32>],
    previous: Option<&[f32]>,
    iterations: u32,
) -> Vec<f32> {
    let zero = vec![0.0; updates[0].len()];
    let unscaled = vec![1.0; updates.len()];
    let norms = distances(updates, &unscaled, &zero);
    let scales = down_to_median(&norms);
    let mut center = match previous {
        Some(previous) => previous.to_vec(),
        None => geometric_median(updates, &scales),
    };
    for _ in 0..iterations {
        let clips = down_to_median(&distances(updates, &scales, &center));
        center = pulled(updates, &scales, &clips, &center);
    }
    center
}

/// The factors that bring each length down to the lower median of all.
fn down_to_median(lengths: &[f64]) -> Vec<f64> {
    let median = lower_median(lengths);
    let factor = |length: &f64| match *length <= median {
        true => 1.0,
        false => median / *length,
    };
    lengths.iter().map(factor).collect()
}

/// Distance of every scaled update from a center.
fn distances(updates: &[Vec<f32>], scales: &[f64], center: &[f32]) -> Vec<f64> {
    let distance = |(update, scale): (&Vec<f32>, &f64)| {
        let terms = update.iter().zip(center).map(|(value, center)| {
            let difference = scale * f64::from(*value) - f64::from(*center);
            difference * difference
        });
        lane_sum(terms).sqrt()
    };
    updates.iter().zip(scales).map(distance).collect()
}

/// The center after one step of clipping.
fn pulled(updates: &[Vec<f32>], scales: &[f64], clips: &[f64], center: &[f32]) -> Vec<f32> {
    let moved = |(position, value): (usize, &f32)| {
        let value = f64::from(*value);
        let mut sum = 0.0;
        for ((update, scale), clip) in updates.iter().zip(scales).zip(clips) {
            sum += (scale * f64::from(update[position]) - value) * clip;
        }
        (value + sum / updates.len() as f64) as f32
    };
    center.iter().enumerate().map(moved).collect()
}

/// The point of least summed distance, after a fixed number of iterations from the mean.
fn geometric_median(updates: &[Vec<f32>], scales: &[f64]) -> Vec<f32> {
    let mut estimate = combined(updates, scales, updates.len() as f64);
    for _ in 0..MEDIAN_ITERATIONS {
        let distances = distances(updates, scales, &estimate);
        let median = lower_median(&distances);
        if median == 0.0 {
            break;
        }
        let least = NEAREST * median;
        let weigh = |distance: &f64| 1.0 / if *distance < least { least } else { *distance };
        let weights: Vec<f64> = distances.iter().map(weigh).collect();
        let mut total = 0.0;
        for weight in &weights {
            total += weight;
        }
        let factors = scales.iter().zip(&weights).map(|(scale, w)| scale * w);
        estimate = combined(updates, &factors.collect::<Vec<_>>(), total);
    }
    estimate
}

/// `Σ factor · update / divisor`, summed in member order and rounded once.
fn combined(updates: &[Vec<f32>], factors: &[f64], divisor: f64) -> Vec<f32> {
    let value = |position: usize| {
        let mut sum = 0.0;
        for (update, factor) in updates.iter().zip(factors) {
            sum += factor * f64::from(update[position]);
        }
        (sum / divisor) as f32
    };
    (0..updates[0].len()).map(value).collect()
}
