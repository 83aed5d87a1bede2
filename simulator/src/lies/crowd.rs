//! What lies about gradients are reckoned from: lengths, noise, and what honest members learnt.
//!
//! In f64, in the order of members and then of values, so that the bits are the same anywhere.

use crate::{
    deviation::{Learnt, Seat},
    draws::Draws,
};
use archipel_protocol::random::{Stream, derive_key};

/// The Euclidean length.
pub(super) fn norm(values: &[f32]) -> f64 {
    let squares = values.iter().map(|v| f64::from(*v) * f64::from(*v));
    squares.sum::<f64>().sqrt()
}

/// What can be encoded: single precision, and nothing beyond its range.
pub(super) fn rounded(values: impl Iterator<Item = f64>) -> Vec<f32> {
    let most = f64::from(f32::MAX);
    values.map(|v| v.clamp(-most, most) as f32).collect()
}

/// Gaussian noise of an expected length.
pub(super) struct Noise {
    stream: Stream,
    each: f64,
}

impl Noise {
    /// Noise that over `values` values has about this length.
    pub fn new(draws: &mut Draws, length: f64, values: usize) -> Self {
        let key = draws.next_u64().to_be_bytes();
        Self {
            stream: Stream::new(derive_key("archipel/simulator/lies/noise/v1", &[&key])),
            each: length / (values.max(1) as f64).sqrt(),
        }
    }

    /// The next value.
    pub fn next(&mut self) -> f64 {
        self.each * f64::from(self.stream.normal_f32())
    }
}

/// What the honest members learnt in the liar's round, or `own` alone where none has begun it.
pub(super) fn updates<'a>(site: &'a Seat<'_>, own: &'a [f32]) -> Vec<&'a [f32]> {
    let same = |learnt: &&Learnt| learnt.delta.len() == own.len();
    let honest = site.honest.iter().filter(same);
    let mut all: Vec<&[f32]> = honest.map(|learnt| &learnt.delta[..]).collect();
    if all.is_empty() {
        all.push(own);
    }
    all
}

/// The mean of some updates, and the standard deviation among them, in every value.
pub(super) struct Crowd {
    pub mean: Vec<f64>,
    pub deviation: Vec<f64>,
}

impl Crowd {
    /// Of updates of one length, at least one.
    pub fn of(updates: &[&[f32]]) -> Self {
        let count = updates.len() as f64;
        let (mut mean, mut deviation) = (Vec::new(), Vec::new());
        for j in 0..updates[0].len() {
            let sum: f64 = updates.iter().map(|u| f64::from(u[j])).sum();
            let middle = sum / count;
            let apart = updates.iter().map(|u| f64::from(u[j]) - middle);
            mean.push(middle);
            deviation.push((apart.map(|a| a * a).sum::<f64>() / count).sqrt());
        }
        Self { mean, deviation }
    }
}
