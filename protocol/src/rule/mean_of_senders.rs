//! `mean_of_senders`: at every coordinate the weighted mean of the members that list it.
//!
//! SparseLoCo's reference code averages so, while its paper divides by all members
//! (<https://arxiv.org/abs/2508.15706>). A coordinate that one of n members kept moves n times as
//! far as under [`mean`](super::mean). Where all members list all coordinates the two are one.
//!
//! A cap on shares holds over the cut, not at a coordinate: whoever alone lists one decides it.

use super::mean::weighted;
use super::points::{Cursor, Scaled, Touched, parts};

/// The mean of senders by these weights.
///
/// A coordinate that nobody lists, or only members without weight, is +0.
///
/// # Shapes
/// One weight a point; the mean has `parameters` values.
pub(super) fn mean_of_senders(
    points: &[Scaled<'_>],
    weights: &[u64],
    parameters: usize,
    stride: usize,
) -> Vec<f32> {
    let (terms, _) = weighted(points, weights);
    let mut members: Vec<(Cursor<'_>, f64, f64)> = terms
        .iter()
        .zip(weights)
        .map(|((update, factor), weight)| (Cursor::new(update), *factor, *weight as f64))
        .collect();
    let width = stride.min(parameters);
    let (mut sums, mut touched) = (vec![(0.0, 0.0); width], Touched::new(width));
    let mut out = vec![0.0; parameters];
    for part in parts(parameters, stride) {
        for (cursor, factor, weight) in &mut members {
            cursor.visit(&part, |offset, value| {
                let (sum, total) = &mut sums[offset];
                *sum += *factor * f64::from(value);
                *total += *weight;
                touched.mark(offset);
            });
        }
        let out = &mut out[part];
        touched.drain(|offset| {
            let (sum, total) = std::mem::take(&mut sums[offset]);
            if total > 0.0 {
                out[offset] = (sum / total) as f32;
            }
        });
    }
    out
}
