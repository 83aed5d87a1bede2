//! `centered_clip`: steps towards all updates, each no longer than the median one.
//!
//! Source: Karimireddy, He and Jaggi, <https://arxiv.org/abs/2012.10333>; [`super`] lists where
//! this deviates.

use super::geometric_median::weiszfeld;
use super::lengths::shrink_to_median;
use super::points::{self, Scaled};

/// Iterations from the mean towards the geometric median, where there is no previous aggregate.
const MEDIAN_ITERATIONS: usize = 8;

/// The aggregate, and what share of its scaled update each member kept in the last iteration.
///
/// # Shapes
/// `previous` and the aggregate have `parameters` values, the shares one a point.
pub(super) fn centered_clip(
    points: &[Scaled<'_>],
    previous: Option<&[f32]>,
    iterations: u8,
    parameters: usize,
    stride: usize,
) -> (Vec<f32>, Vec<f64>) {
    let mut center = match previous {
        Some(values) => values.to_vec(),
        None => {
            let mean = points::weighted_mean(points, points.len() as f64, parameters, stride);
            weiszfeld(points, mean, MEDIAN_ITERATIONS, stride)
        }
    };
    let mut clips = vec![1.0; points.len()];
    for _ in 0..iterations {
        clips = shrink_to_median(&points::distances(points, &center, stride));
        pull(&mut center, points, &clips, stride);
    }
    (center, clips)
}

/// `v ← v + (1/n) Σ (xᵢ − v)·clipᵢ`, value by value in member order.
fn pull(center: &mut [f32], points: &[Scaled<'_>], clips: &[f64], stride: usize) {
    let members = points.len() as f64;
    let (mut sums, mut scratch) = (Vec::new(), Vec::new());
    for part in points::parts(center.len(), stride) {
        let center = &mut center[part.clone()];
        sums.clear();
        sums.resize(part.len(), 0.0);
        for ((update, scale), clip) in points.iter().zip(clips) {
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
