//! Lengths brought down to the lower median of all: of updates, and of their distances.

use super::points::Scaled;
use crate::codec::{Update, lanes::lower_median};

/// The updates as they are.
pub(super) fn as_sent<'a>(updates: &[&'a Update]) -> Vec<Scaled<'a>> {
    updates.iter().map(|update| (*update, 1.0)).collect()
}

/// The updates, each brought down to the lower median of their norms.
pub(super) fn shortened<'a>(updates: &[&'a Update]) -> Vec<Scaled<'a>> {
    let norms: Vec<f64> = updates.iter().map(|update| update.norm()).collect();
    let scales = shrink_to_median(&norms);
    updates.iter().copied().zip(scales).collect()
}

/// The factors that bring every length down to the lower median: 1 for those not above it.
pub(super) fn shrink_to_median(lengths: &[f64]) -> Vec<f64> {
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
