//! Sends the opposite of what it learnt, `strength` times as long, 1 where none is given.
//!
//! Nobody can tell it from an honest update within the plan's limits, and it is counted.
//! `centered_clip` bounds what it moves. Under `mean` it undoes the work of `strength` honest
//! members: from as many as there are, the loss goes away.

use crate::deviation::{Deviation, Seat};
use archipel_protocol::{member::TrainTask, state::Tensors};

/// The factor where the scenario gives none.
const FACTOR: f64 = 1.0;

/// Turns every sign.
pub struct SignFlip;

impl Deviation for SignFlip {
    fn gradient(
        &mut self,
        site: &mut Seat<'_>,
        _task: &TrainTask,
        _base: &Tensors,
        delta: &mut Vec<f32>,
    ) {
        let factor = -site.strength.unwrap_or(FACTOR) as f32;
        delta.iter_mut().for_each(|value| *value *= factor);
    }
}
