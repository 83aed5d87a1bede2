//! Does no work and claims all of it: its update is zero.
//!
//! Nobody notices during the run, and the update is counted with its full weight; whoever replays
//! the work convicts it. It slows the others' progress by its share.

use crate::deviation::{Deviation, Seat};
use archipel_protocol::{member::TrainTask, state::Tensors};

/// Sends nothing that it learnt.
pub struct FreeRider;

impl Deviation for FreeRider {
    fn gradient(
        &mut self,
        _site: &mut Seat<'_>,
        _task: &TrainTask,
        _base: &Tensors,
        delta: &mut Vec<f32>,
    ) {
        delta.fill(0.0);
    }
}
