//! Goes as far from the mean as it can without lying further from any honest update than two honest
//! ones lie apart (min-max, Shejwalkar and Houmansadr, NDSS 2021).
//!
//! As in the paper it knows what all honest members learn in its round, and sends
//! `mean + γ·direction` with the largest γ that the bound allows, found by bisection. Of the
//! paper's directions it tries the opposite of the deviation among honest updates and the opposite
//! of their mean, and takes the one that ends further against the mean. All that tell the lie send
//! the same.
//!
//! Nobody can tell it from an honest update: by distances it is one. Rules that choose by distance
//! may choose it; what it moves is bounded by how far honest updates differ.

use super::crowd::{Crowd, rounded, updates};
use crate::deviation::{Deviation, Seat};
use archipel_protocol::{member::TrainTask, state::Tensors};

/// Halvings: what is left is below what single precision tells.
const HALVINGS: u32 = 50;

/// Hides at the rim of the others.
pub struct MinMax;

/// The square of a distance.
fn apart(a: &[f32], b: &[f32]) -> f64 {
    let both = a.iter().zip(b);
    let differences = both.map(|(a, b)| f64::from(*a) - f64::from(*b));
    differences.map(|d| d * d).sum()
}

/// The square of the largest distance between two updates.
fn widest(updates: &[&[f32]]) -> f64 {
    let mut most = 0.0f64;
    for (first, one) in updates.iter().enumerate() {
        for other in &updates[first + 1..] {
            most = most.max(apart(one, other));
        }
    }
    most
}

fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The largest γ for which `mean + γ·direction` is no further from any update than `most`, whose
/// square is given; 0 where the direction is none.
fn largest(mean: &[f64], direction: &[f64], updates: &[&[f32]], most: f64) -> f64 {
    let length = inner(direction, direction);
    if length == 0.0 || most == 0.0 {
        return 0.0;
    }
    // The squared distance to an update is a + 2bγ + length·γ².
    let parts = updates.iter().map(|update| {
        let from: Vec<f64> = mean
            .iter()
            .zip(*update)
            .map(|(m, u)| m - f64::from(*u))
            .collect();
        (inner(&from, &from), inner(&from, direction))
    });
    let parts: Vec<(f64, f64)> = parts.collect();
    let fits = |far: f64| {
        let mut squares = parts
            .iter()
            .map(|(a, b)| a + 2.0 * b * far + length * far * far);
        squares.all(|square| square <= most)
    };
    let (mut low, mut high) = (0.0, 2.0 * (most / length).sqrt());
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        match fits(middle) {
            true => low = middle,
            false => high = middle,
        }
    }
    low
}

/// The update that lies furthest against the mean within the bound.
fn furthest(updates: &[&[f32]]) -> Vec<f64> {
    let Crowd { mean, deviation } = Crowd::of(updates);
    let most = widest(updates);
    let tried = [&deviation, &mean].map(|ahead| {
        let back: Vec<f64> = ahead.iter().map(|value| -value).collect();
        let far = largest(&mean, &back, updates, most);
        let there = mean.iter().zip(&back).map(|(m, b)| m + far * b);
        there.collect::<Vec<f64>>()
    });
    let [by_deviation, by_mean] = tried;
    match inner(&by_deviation, &mean) <= inner(&by_mean, &mean) {
        true => by_deviation,
        false => by_mean,
    }
}

impl Deviation for MinMax {
    fn sees_all(&self) -> bool {
        true
    }

    fn gradient(
        &mut self,
        site: &mut Seat<'_>,
        _task: &TrainTask,
        _base: &Tensors,
        delta: &mut Vec<f32>,
    ) {
        let lie = furthest(&updates(site, delta));
        *delta = rounded(lie.into_iter());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_at_the_rim_against_the_mean() {
        let honest: [&[f32]; 3] = [&[1.0, 2.0, 0.0], &[2.0, 1.0, 0.5], &[1.5, 1.0, -0.5]];
        let lie = rounded(furthest(&honest).into_iter());
        let most = widest(&honest);
        let reached = honest.map(|update| apart(update, &lie));
        let furthest = reached.into_iter().fold(0.0, f64::max);
        assert!((furthest / most - 1.0).abs() < 1e-5, "{furthest} of {most}");
        let crowd = Crowd::of(&honest);
        let lie: Vec<f64> = lie.into_iter().map(f64::from).collect();
        assert!(inner(&lie, &crowd.mean) < inner(&crowd.mean, &crowd.mean));
    }

    #[test]
    fn one_update_alone_is_told_as_it_is() {
        assert_eq!(furthest(&[&[1.0, -2.0]]), [1.0, -2.0]);
    }
}
