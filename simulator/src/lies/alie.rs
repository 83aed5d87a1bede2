//! Goes a little way from the mean against progress: the mean less `strength` standard deviations
//! in every value, 1.5 where none are given (A Little Is Enough, arXiv 1902.06156).
//!
//! The paper's attacker knows the updates of the corrupted members, takes mean and deviation of the
//! honest ones from them, and reckons the factor from the number of members, which at few members
//! comes out near 0. This one knows what all honest members learn in its round, and has a fixed
//! factor, 1 to 1.5 for few members. All that tell the lie send the same.
//!
//! Nobody can tell it from an honest update: it lies among them. What it moves is bounded by how
//! far honest updates differ; on the quadratic `centered_clip` ends no better under it than `mean`.

use super::crowd::{Crowd, rounded, updates};
use crate::deviation::{Deviation, Seat};
use archipel_protocol::{member::TrainTask, state::Tensors};

/// Standard deviations where the scenario gives none.
const DEVIATIONS: f64 = 1.5;

/// Stays among the others, on the wrong side.
pub struct Alie;

impl Deviation for Alie {
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
        let far = site.strength.unwrap_or(DEVIATIONS);
        let both = crowd.mean.iter().zip(&crowd.deviation);
        *delta = rounded(both.map(|(mean, deviation)| mean - far * deviation));
    }
}
