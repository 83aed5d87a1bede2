//! Sends Gaussian noise in place of what it learnt, `strength` times as long, 1 where none is
//! given.
//!
//! Every value is drawn alone, so the noise points nowhere and is new in every round. Nobody can
//! tell it from an honest update within the plan's limits, and it is counted. `centered_clip`
//! bounds what it moves; under `mean` the state walks at random, the further the larger `strength`.

use super::crowd::{Noise, norm, rounded};
use crate::deviation::{Deviation, Seat};
use archipel_protocol::{member::TrainTask, state::Tensors};

/// The length in honest lengths where the scenario gives none.
const LENGTH: f64 = 1.0;

/// Sends what nobody could learn.
pub struct Gaussian;

impl Deviation for Gaussian {
    fn gradient(
        &mut self,
        site: &mut Seat<'_>,
        _task: &TrainTask,
        _base: &Tensors,
        delta: &mut Vec<f32>,
    ) {
        let length = site.strength.unwrap_or(LENGTH) * norm(delta);
        let mut noise = Noise::new(site.draws, length, delta.len());
        *delta = rounded((0..delta.len()).map(|_| noise.next()));
    }
}
