//! `mean`: `Σ wᵢ·xᵢ / Σ wᵢ` over all members of the cut.
//!
//! A member that left a coordinate out pulls it towards zero, as SparseLoCo's paper has it
//! (<https://arxiv.org/abs/2508.15706>). One liar moves the mean wherever it likes, within the
//! plan's limits on an update.

use super::points::{Scaled, Sum};

/// The mean by these weights, one a point and not all zero, in parts of at most `width` values.
pub(super) fn mean<'a>(points: &[Scaled<'a>], weights: &[u64], width: usize) -> Sum<'a> {
    let (terms, total) = weighted(points, weights);
    Sum::new(&terms, total, width)
}

/// The points with their weights in their factors, and the sum of the weights.
pub(super) fn weighted<'a>(points: &[Scaled<'a>], weights: &[u64]) -> (Vec<Scaled<'a>>, f64) {
    let total = weights.iter().map(|weight| u128::from(*weight));
    let total = total.sum::<u128>() as f64;
    let term = |((update, scale), weight): (&Scaled<'a>, &u64)| (*update, *weight as f64 * scale);
    (points.iter().zip(weights).map(term).collect(), total)
}
