//! Does no work and sends what everybody knows: the previous aggregate, and noise on it.
//!
//! Where the plan's rule keeps no previous aggregate it takes what the last step moved, which
//! points the same way. Before there is either it sends zeros. The noise is `strength` times as
//! long as that, 0.1 where none is given, so that no two rounds and no two free riders are alike.
//!
//! Nobody notices during the run, and the update is counted with its full weight. Whoever
//! replays the work convicts it.

use super::crowd::{Noise, norm, rounded};
use crate::deviation::{Deviation, Seat};
use archipel_protocol::{ids::Round, member::TrainTask, state::Tensors};

/// The length of the noise where the scenario gives none.
const NOISE: f64 = 0.1;

/// Says the last result again.
#[derive(Default)]
pub struct FreeRiderPrevious {
    /// The parameters that the last two rounds it trained began with, the newer one last.
    bases: [Option<(Round, Vec<f32>)>; 2],
}

impl FreeRiderPrevious {
    /// Keeps the base of a round.
    fn note(&mut self, round: Round, base: &Tensors) {
        let newest = self.bases[1].as_ref().map(|(round, _)| *round);
        if newest.is_none_or(|newest| newest < round) {
            self.bases.swap(0, 1);
            self.bases[1] = Some((round, base.parameters.clone()));
        }
    }

    /// What the last step moved, as a pseudo-gradient.
    fn moved(&self) -> Option<Vec<f32>> {
        let [Some((_, old)), Some((_, new))] = &self.bases else {
            return None;
        };
        Some(old.iter().zip(new).map(|(old, new)| old - new).collect())
    }
}

impl Deviation for FreeRiderPrevious {
    fn gradient(
        &mut self,
        site: &mut Seat<'_>,
        task: &TrainTask,
        base: &Tensors,
        delta: &mut Vec<f32>,
    ) {
        self.note(task.round, base);
        let previous = match base.aggregate.len() == delta.len() {
            true => base.aggregate.clone(),
            false => self.moved().unwrap_or_else(|| vec![0.0; delta.len()]),
        };
        let length = site.strength.unwrap_or(NOISE) * norm(&previous);
        let mut noise = Noise::new(site.draws, length, previous.len());
        *delta = rounded(
            previous
                .iter()
                .map(|value| f64::from(*value) + noise.next()),
        );
    }
}
