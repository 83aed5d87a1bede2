//! Pushes into one direction in every round, `strength` times as far as it learnt, 1 where none is
//! given.
//!
//! All values of its update are the same, so what it moves in one round adds to what it moved in
//! the last. Nobody can tell it from an honest update within the plan's limits, and it is counted.
//! `centered_clip` bounds what it moves in a round; the push stays, so the state settles beside the
//! optimum.

use super::crowd::{norm, rounded};
use crate::deviation::{Deviation, Seat};
use archipel_protocol::{member::TrainTask, state::Tensors};

/// The length in honest lengths where the scenario gives none.
const LENGTH: f64 = 1.0;

/// Pushes one way.
pub struct Constant;

impl Deviation for Constant {
    fn gradient(
        &mut self,
        site: &mut Seat<'_>,
        _task: &TrainTask,
        _base: &Tensors,
        delta: &mut Vec<f32>,
    ) {
        let length = site.strength.unwrap_or(LENGTH) * norm(delta);
        let each = length / (delta.len().max(1) as f64).sqrt();
        *delta = rounded(delta.iter().map(|_| each));
    }
}
