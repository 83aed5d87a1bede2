//! `median`: at every coordinate the middle value, the lower of the two where there are two.
//!
//! It lies between values of honest members, as long as fewer than half lie (Yin et al.,
//! <https://arxiv.org/abs/1803.01498>). Tokens do not weigh. What a sparse update leaves out
//! counts as zero, so that the median of updates with disjoint coordinates is zero almost
//! everywhere: plans refuse that combination.

use super::columns::reduce_sorted;
use super::points::Scaled;

/// The lower median of at least one point of `parameters` values; a zero is +0.
pub(super) fn median(points: &[Scaled<'_>], parameters: usize, stride: usize) -> Vec<f32> {
    let middle = (points.len() - 1) / 2;
    reduce_sorted(points, parameters, stride, |rows, out| {
        for (out, value) in out.iter_mut().zip(&rows[middle]) {
            *out = (0.0 + *value) as f32;
        }
    })
}
