//! Multiplies its update by `strength`, 10 where none is given, to outweigh the others.
//!
//! Within the plan's limits of magnitude and norm nobody can tell it from an honest update, and it
//! is counted; beyond them the payload is refused. `centered_clip` bounds what it moves; under
//! `mean` a large factor drives the loss away (C3).

use crate::deviation::{Deviation, Seat};
use archipel_protocol::{member::TrainTask, state::Tensors};

/// The factor where the scenario gives none.
const FACTOR: f64 = 10.0;

/// Sends more of the same.
pub struct Scale;

impl Deviation for Scale {
    fn gradient(
        &mut self,
        site: &mut Seat<'_>,
        _task: &TrainTask,
        _base: &Tensors,
        delta: &mut Vec<f32>,
    ) {
        let factor = site.strength.unwrap_or(FACTOR) as f32;
        delta.iter_mut().for_each(|value| *value *= factor);
    }
}
