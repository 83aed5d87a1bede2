//! The updates of a cut to one aggregate, by every rule.
//!
//! Written from the section *Fold* of `protocol/SPEC.md`, value by value and member by member.

use super::sums::{lane_sum, lower_median};

/// Steps towards the geometric median, under its own rule.
const MEDIAN_STEPS: usize = 16;
/// The same, where centered clipping has no aggregate to begin with.
const FIRST_STEPS: usize = 8;
/// The smallest distance that weighs, as a share of the median distance.
const NEAREST: f64 = 1e-6;
/// Billionths in one.
const WHOLE: u128 = 1_000_000_000;

/// The factors that bring updates down to their median norm, or ones.
pub(super) fn scales(updates: &[Vec<f32>], clip: bool) -> Vec<f64> {
    let ones = vec![1.0; updates.len()];
    if !clip {
        return ones;
    }
    let zero = vec![0.0; updates[0].len()];
    down_to_median(&distances(updates, &ones, &zero))
}

/// The mean of all updates by these weights, rounded once; nothing where the weights sum to zero.
pub(super) fn mean(updates: &[Vec<f32>], scales: &[f64], weights: &[u64]) -> Option<Vec<f32>> {
    let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    let factors = weights
        .iter()
        .zip(scales)
        .map(|(weight, a)| *weight as f64 * a);
    let factors: Vec<f64> = factors.collect();
    (total > 0).then(|| combined(updates, &factors, total as f64))
}

/// At each position the mean over those that list it; nothing where the weights sum to zero.
///
/// With `sparse` updates a value that is kept is never zero, so that a zero is one left out.
pub(super) fn mean_of_senders(
    updates: &[Vec<f32>],
    scales: &[f64],
    weights: &[u64],
    sparse: bool,
) -> Option<Vec<f32>> {
    let value = |position: usize| {
        let (mut sum, mut total) = (0.0, 0.0);
        for member in 0..updates.len() {
            let value = updates[member][position];
            if sparse && value == 0.0 {
                continue;
            }
            let weight = weights[member] as f64;
            sum += weight * scales[member] * f64::from(value);
            total += weight;
        }
        match total == 0.0 {
            true => 0.0,
            false => (sum / total) as f32,
        }
    };
    let any = weights.iter().any(|weight| *weight > 0);
    any.then(|| (0..updates[0].len()).map(value).collect())
}

/// At each position the mean of what is left without the `liars` least and largest.
pub(super) fn trimmed_mean(updates: &[Vec<f32>], scales: &[f64], liars: usize) -> Vec<f32> {
    let value = |position: usize| {
        let mut rising: Vec<f64> = column(updates, scales, position).collect();
        // Of each kind as many as lie: one after the other.
        for _ in 0..liars {
            let ends = [f64::lt as fn(&f64, &f64) -> bool, f64::gt];
            ends.into_iter()
                .for_each(|beyond| drop_most(&mut rising, beyond));
        }
        rising.sort_by(f64::total_cmp);
        let mut sum = 0.0;
        for value in &rising {
            sum += value;
        }
        (sum / rising.len() as f64) as f32
    };
    (0..updates[0].len()).map(value).collect()
}

/// Removes one value that no other is beyond.
fn drop_most(values: &mut Vec<f64>, beyond: fn(&f64, &f64) -> bool) {
    let mut most = 0;
    for other in 1..values.len() {
        if beyond(&values[other], &values[most]) {
            most = other;
        }
    }
    values.remove(most);
}

/// At each position the lower median.
pub(super) fn median(updates: &[Vec<f32>], scales: &[f64]) -> Vec<f32> {
    let value = |position: usize| {
        let values: Vec<f64> = column(updates, scales, position).collect();
        (0.0 + lower_median(&values)) as f32
    };
    (0..updates[0].len()).map(value).collect()
}

/// The scaled values of all members at a position.
fn column<'a>(
    updates: &'a [Vec<f32>],
    scales: &'a [f64],
    position: usize,
) -> impl Iterator<Item = f64> + 'a {
    let scaled = move |(update, a): (&Vec<f32>, &f64)| a * f64::from(update[position]);
    updates.iter().zip(scales).map(scaled)
}

/// The mean of the `keep` updates with the nearest neighbours, and a weight a member.
pub(super) fn krum(
    updates: &[Vec<f32>],
    scales: &[f64],
    liars: usize,
    keep: usize,
) -> (Vec<f32>, Vec<u64>) {
    let count = updates.len();
    let square = |i: usize, j: usize| {
        let (i, j) = (i.min(j), i.max(j));
        lane_sum(updates[i].iter().zip(&updates[j]).map(|(x, y)| {
            let difference = scales[i] * f64::from(*x) - scales[j] * f64::from(*y);
            difference * difference
        }))
    };
    let score = |i: usize| {
        let others = (0..count).filter(|j| *j != i);
        let mut squares: Vec<f64> = others.map(|j| square(i, j)).collect();
        squares.sort_by(f64::total_cmp);
        let mut sum = 0.0;
        for square in &squares[..count - liars - 2] {
            sum += square;
        }
        sum
    };
    let scores: Vec<f64> = (0..count).map(score).collect();
    // Chosen is whom fewer than `keep` come before: those of a lower score, and earlier equals.
    let before = |i: usize, j: usize| scores[j] < scores[i] || (scores[j] == scores[i] && j < i);
    let chosen = |i: &usize| (0..count).filter(|j| before(*i, *j)).count() < keep;
    let chosen: Vec<usize> = (0..count).filter(chosen).collect();
    let kept: Vec<Vec<f32>> = chosen.iter().map(|i| updates[*i].clone()).collect();
    let factors: Vec<f64> = chosen.iter().map(|i| scales[*i]).collect();
    let weights = (0..count).map(|i| u64::from(chosen.contains(&i))).collect();
    (combined(&kept, &factors, keep as f64), weights)
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
    scales: &[f64],
    previous: Option<&[f32]>,
    iterations: u32,
) -> Vec<f32> {
    let mut center = match previous {
        Some(previous) => previous.to_vec(),
        None => {
            let mean = combined(updates, scales, updates.len() as f64);
            stepped(updates, scales, mean, FIRST_STEPS)
        }
    };
    for _ in 0..iterations {
        let clips = down_to_median(&distances(updates, scales, &center));
        center = pulled(updates, scales, &clips, &center);
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

/// The point of least summed distance, found from the mean of the clipped updates.
pub(super) fn geometric_median(updates: &[Vec<f32>], scales: &[f64]) -> Vec<f32> {
    let clipped = self::scales(updates, true);
    let mean = combined(updates, &clipped, updates.len() as f64);
    stepped(updates, scales, mean, MEDIAN_STEPS)
}

/// An estimate after so many steps towards the point of least summed distance.
fn stepped(updates: &[Vec<f32>], scales: &[f64], mut estimate: Vec<f32>, steps: usize) -> Vec<f32> {
    for _ in 0..steps {
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
