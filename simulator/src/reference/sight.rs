//! How the updates of a cut look beside each other.
//!
//! Written from the section *Suspicion* of `protocol/SPEC.md`, over values for all positions. What
//! a sparse payload keeps is never zero, so that it lists the positions that are not.

use super::sums::{lane_sum, lower_median};
use archipel_protocol::{state::Tensors, suspicion::Sight};

const BILLION: f64 = 1e9;
/// The largest ratio of norms that is told, in billionths.
const LARGEST: u64 = 1_000_000_000_000;

/// The sight of every update.
pub(super) fn sights(base: &Tensors, updates: &[Vec<f32>], sparse: bool) -> Vec<Sight> {
    let direction = match (base.aggregate.is_empty(), base.momentum.is_empty()) {
        (false, _) => Some(&base.aggregate),
        (true, false) => Some(&base.momentum),
        (true, true) => None,
    };
    let norms: Vec<f64> = updates
        .iter()
        .map(|update| product(update, update).sqrt())
        .collect();
    let middle = lower_median(&norms);
    let sight = |(position, update): (usize, &Vec<f32>)| Sight {
        cosine: direction.and_then(|direction| {
            let long = product(direction, direction).sqrt();
            let norm = norms[position];
            if norm == 0.0 || long == 0.0 {
                return None;
            }
            let cosine = product(update, direction) / norm / long;
            Some((cosine.clamp(-1.0, 1.0) * BILLION).trunc() as i64)
        }),
        norm_ratio: ratio(norms[position], middle),
        overlap: match sparse {
            true => overlap(updates, position),
            false => None,
        },
    };
    updates.iter().enumerate().map(sight).collect()
}

fn product(one: &[f32], other: &[f32]) -> f64 {
    let terms = one.iter().zip(other);
    lane_sum(terms.map(|(one, other)| f64::from(*one) * f64::from(*other)))
}

fn ratio(norm: f64, middle: f64) -> u64 {
    if middle == 0.0 {
        return if norm == 0.0 { 1_000_000_000 } else { LARGEST };
    }
    let ratio = (norm / middle * BILLION).trunc();
    if ratio >= LARGEST as f64 {
        LARGEST
    } else {
        ratio as u64
    }
}

/// The largest share in common with another update, of the shorter list of the two.
fn overlap(updates: &[Vec<f32>], position: usize) -> Option<u64> {
    let listed = |update: &[f32]| update.iter().filter(|value| **value != 0.0).count() as u64;
    let mine = &updates[position];
    let share = |(_, other): (usize, &Vec<f32>)| {
        let both = mine.iter().zip(other);
        let both = both
            .filter(|(one, other)| **one != 0.0 && **other != 0.0)
            .count() as u64;
        match listed(mine).min(listed(other)) {
            0 => 0,
            fewer => both * 1_000_000_000 / fewer,
        }
    };
    let others = updates
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != position);
    others.map(share).max()
}
