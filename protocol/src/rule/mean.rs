//! `mean`: `Σ wᵢ·xᵢ / Σ wᵢ` over all members of the cut.
//!
//! A member that left a coordinate out pulls it towards zero, as SparseLoCo's paper has it
//! (<https://arxiv.org/abs/2508.15706>). One liar moves the mean wherever it likes, within the
//! plan's limits on an update.

use super::points::{self, Scaled};

/// The mean by these weights, of which at least one is not zero.
///
/// # Shapes
/// One weight a point; the mean has `parameters` values.
pub(super) fn mean(
    points: &[Scaled<'_>],
    weights: &[u64],
    parameters: usize,
    stride: usize,
) -> Vec<f32> {
    let (terms, total) = weighted(points, weights);
    points::weighted_mean(&terms, total, parameters, stride)
}

/// The points with their weights in their factors, and the sum of the weights.
pub(super) fn weighted<'a>(points: &[Scaled<'a>], weights: &[u64]) -> (Vec<Scaled<'a>>, f64) {
    let total = weights.iter().map(|weight| u128::from(*weight));
    let total = total.sum::<u128>() as f64;
    let term = |((update, scale), weight): (&Scaled<'a>, &u64)| (*update, *weight as f64 * scale);
    (points.iter().zip(weights).map(term).collect(), total)
}
