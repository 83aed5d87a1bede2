//! `trimmed_mean`: at every coordinate the mean without the f smallest and the f largest values.
//!
//! What is left lies between values of honest members, as long as at most f lie (Yin et al.,
//! <https://arxiv.org/abs/1803.01498>). Tokens do not weigh. What a sparse update leaves out
//! counts as zero, so that updates with disjoint coordinates are trimmed to almost nothing: plans
//! refuse that combination.

use super::columns::reduce_sorted;
use super::points::Scaled;

/// The trimmed mean of more than 2 · `liars` points of `parameters` values.
///
/// The values that are left are added in ascending order.
pub(super) fn trimmed_mean(
    points: &[Scaled<'_>],
    liars: usize,
    parameters: usize,
    stride: usize,
) -> Vec<f32> {
    let left = liars..points.len() - liars;
    let count = left.len() as f64;
    let mut sums = Vec::new();
    reduce_sorted(points, parameters, stride, |rows, out| {
        sums.clear();
        sums.resize(out.len(), 0.0);
        for row in &rows[left.clone()] {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += *value;
            }
        }
        for (out, sum) in out.iter_mut().zip(&sums) {
            *out = (sum / count) as f32;
        }
    })
}
