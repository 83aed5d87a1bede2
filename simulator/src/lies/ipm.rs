//! Sends the mean of the honest updates times minus `strength`, 1.1 where none is given (inner
//! product manipulation, arXiv 1903.03936).
//!
//! As in the paper it knows what all honest members learn in its round; all that tell the lie send
//! the same. With a strength of 0.1 the lie is near zero and passes rules that choose by distance;
//! with 1.1 it turns the aggregate where it is taken for an honest one.
//!
//! Nobody can tell it from an honest update, and it is counted. Under `mean` f liars among n take
//! f·(1 + strength)/n of the step away.

use super::crowd::{Crowd, rounded, updates};
use crate::deviation::{Deviation, Seat};
use archipel_protocol::{member::TrainTask, state::Tensors};

/// The factor where the scenario gives none.
const FACTOR: f64 = 1.1;

/// Turns the mean.
pub struct Ipm;

impl Deviation for Ipm {
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
        let crowd = Crowd::of(&updates(site, delta));
        let factor = -site.strength.unwrap_or(FACTOR);
        *delta = rounded(crowd.mean.iter().map(|mean| factor * mean));
    }
}
