//! Sends the opposite of what it learnt.
//!
//! Nobody can tell it from an honest update, and it is counted. `centered_clip` bounds what it
//! moves; under `mean` it undoes the work of one honest member.

use crate::deviation::{Deviation, Seat};
use archipel_protocol::{member::TrainTask, state::Tensors};

/// Turns every sign.
pub struct SignFlip;

impl Deviation for SignFlip {
    fn gradient(
        &mut self,
        _site: &mut Seat<'_>,
        _task: &TrainTask,
        _base: &Tensors,
        delta: &mut Vec<f32>,
    ) {
        delta.iter_mut().for_each(|value| *value = -*value);
    }
}
