//! C1, C2, C3: training gets somewhere.
//!
//! **C1** compares runs, so it is a function over their losses and not watched here: [`band`].
//! **C2** No number of a state that an honest member folds, and no measured loss, is NaN or
//! infinite. **C3** A measured loss never exceeds ten times the first one: what members agree on
//! does not run away. (That members agree is S7; how far apart their own parameters drift between
//! two rounds is theirs.) A rule without defence, `mean` under a lie that scales, does violate
//! this.

use super::{
    Invariant,
    interest::Interest,
    name::{Blame, Name},
    scene::Scene,
};
use crate::{report::LossPoint, seen::Seen};
use archipel_protocol::{ids::Round, state::Tensors};

/// How many times the first loss a later one may be.
const DRIFT: f64 = 10.0;
/// Losses below this are as good as none.
const NOTHING: f64 = 1e-6;

/// The losses of one federation.
#[derive(Debug, Default)]
pub(super) struct Convergence {
    first: Option<f64>,
    checked: Option<Round>,
    told: bool,
}

/// How the last losses of runs with faults compare with those of runs without.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// Mean of the last losses with faults.
    pub found: f64,
    /// Mean without.
    pub expected: f64,
    /// By how much the first may lie above the second.
    pub allowed: f64,
}

/// Why losses do not lie in the band.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BandError {
    /// There is nothing to compare.
    #[error("expected losses of runs with and without faults, run {run} of the {which} has none")]
    Empty {
        /// Which runs.
        which: &'static str,
        /// Which of them, from 0; 0 where there are no runs.
        run: usize,
    },
    /// A loss is NaN or infinite.
    #[error("run {run} of the {which} ends with a loss of {found}")]
    NotFinite {
        /// Which runs.
        which: &'static str,
        /// Which of them, from 0.
        run: usize,
        /// The loss.
        found: f64,
    },
    /// The means lie too far apart.
    #[error(
        "mean loss {} with faults, {} without: more than {} apart",
        .0.found, .0.expected, .0.allowed
    )]
    Outside(Band),
}

/// C1: the mean of the last losses of runs with faults is not above that of runs without by more
/// than a share of it. A run that ends better than those without faults is no violation.
///
/// Noise is allowed for: the share is of the mean without faults, plus how far those runs lie apart
/// among themselves (half the way from the least to the greatest).
///
/// # Errors
/// Where it is, and where there is nothing to compare.
pub fn band(
    faulty: &[Vec<LossPoint>],
    baseline: &[Vec<LossPoint>],
    max_relative: f64,
) -> Result<Band, BandError> {
    let found = last_losses(faulty, "runs with faults")?;
    let expected = last_losses(baseline, "runs without faults")?;
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let least = expected.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = expected.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (found, expected) = (mean(&found), mean(&expected));
    let allowed = max_relative * expected.abs().max(NOTHING) + (greatest - least) / 2.0;
    let band = Band {
        found,
        expected,
        allowed,
    };
    match found - expected > allowed {
        true => Err(BandError::Outside(band)),
        false => Ok(band),
    }
}

fn last_losses(runs: &[Vec<LossPoint>], which: &'static str) -> Result<Vec<f64>, BandError> {
    if runs.is_empty() {
        return Err(BandError::Empty { which, run: 0 });
    }
    let last = runs.iter().enumerate().map(|(run, losses)| {
        let found = losses.last().ok_or(BandError::Empty { which, run })?.loss;
        match found.is_finite() {
            true => Ok(found),
            false => Err(BandError::NotFinite { which, run, found }),
        }
    });
    last.collect()
}

fn is_finite(tensors: &Tensors) -> bool {
    let vectors = [&tensors.parameters, &tensors.momentum, &tensors.aggregate];
    vectors.into_iter().flatten().all(|value| value.is_finite())
}

impl Convergence {
    fn on_loss(&mut self, scene: Scene<'_>, (round, loss): (Round, f64), blame: &mut Blame) {
        if !loss.is_finite() {
            return blame.fire(Name::C2, &scene, round, format!("the loss is {loss}"));
        }
        let first = *self.first.get_or_insert(loss);
        let limit = DRIFT * first.max(NOTHING);
        if loss > limit && !std::mem::replace(&mut self.told, true) {
            let text = format!("the loss is {loss}, it began with {first}: at most {limit}");
            blame.fire(Name::C3, &scene, round, text);
        }
    }
}

impl Invariant for Convergence {
    fn interest(&self) -> Interest {
        Interest::LOSS.or(Interest::FOLDED)
    }

    fn see(&mut self, scene: Scene<'_>, seen: &Seen<'_>, blame: &mut Blame) {
        match seen {
            Seen::Loss { round, loss } => self.on_loss(scene, (*round, *loss), blame),
            // All honest folds of a round are equal (S7): the first speaks for all.
            Seen::Folded { task, tensors, .. }
                if scene.honest && self.checked.is_none_or(|checked| checked < task.round) =>
            {
                self.checked = Some(task.round);
                if !is_finite(tensors) {
                    let text = "folds to numbers that are not finite".to_owned();
                    blame.fire(Name::C2, &scene, task.round, text);
                }
            }
            _ => {}
        }
    }
}
