//! `geometric_median`: the point with the least sum of distances to all updates.
//!
//! Found by Weiszfeld's iteration, a fixed number of times. A minority of liars can move it by a
//! bounded distance only, however far away they are (Chen, Su and Xu,
//! <https://arxiv.org/abs/1705.05491>). Tokens do not weigh.
//!
//! With f liars far away an iteration leaves about f / (n − f) of the distance to the median. So
//! the iterations do not start at the mean, which a liar carries off as far as it likes, but at the
//! mean of the updates brought down to their median norm: what is left after the last is a share of
//! an honest norm.

use super::points::{self, Scaled};
use crate::codec::lanes::lower_median;

/// Iterations of the rule: with two liars of five they leave 0.2 % of the way.
const ITERATIONS: usize = 16;
/// The smallest distance a member counts with, as a share of the median distance: a member that
/// sits exactly on the estimate would otherwise weigh infinitely.
const NEAREST: f64 = 1e-6;

/// The median of at least one point of `parameters` values, found from the mean of the
/// `shortened` ones.
pub(super) fn geometric_median(
    points: &[Scaled<'_>],
    shortened: &[Scaled<'_>],
    parameters: usize,
    stride: usize,
) -> Vec<f32> {
    let start = points::weighted_mean(shortened, shortened.len() as f64, parameters, stride);
    weiszfeld(points, start, ITERATIONS, stride)
}

/// The estimate after so many steps towards the point of least summed distance.
pub(super) fn weiszfeld(
    points: &[Scaled<'_>],
    mut estimate: Vec<f32>,
    iterations: usize,
    stride: usize,
) -> Vec<f32> {
    for _ in 0..iterations {
        let distances = points::distances(points, &estimate, stride);
        let median = lower_median(&distances);
        // At least half of the members sit on the estimate: it is the geometric median.
        if median == 0.0 {
            return estimate;
        }
        let weigh = |distance: &f64| 1.0 / distance.max(NEAREST * median);
        let weights: Vec<f64> = distances.iter().map(weigh).collect();
        let total = weights.iter().fold(0.0, |total, weight| total + weight);
        let terms: Vec<Scaled<'_>> = points
            .iter()
            .zip(&weights)
            .map(|((update, scale), weight)| (*update, scale * weight))
            .collect();
        estimate = points::weighted_mean(&terms, total, estimate.len(), stride);
    }
    estimate
}
