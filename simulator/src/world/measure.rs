//! Measuring certified states while the run goes on.

use super::World;
use crate::{learning::Measure, seen::Seen};
use archipel_protocol::ids::{Round, Timestamp};

/// A state that is being measured: it is waited for when the next one is due, or at the end.
pub(super) struct Pending {
    round: Round,
    at: Timestamp,
    measure: Measure,
}

impl World {
    /// Measures the state of a round of the first federation, once, where it is due.
    pub(super) fn measure(&mut self, site: u32, round: Round) {
        let here = &self.sites[site as usize];
        let every = self.scenario.learning.evaluate_every.max(1);
        let due = round.0.is_multiple_of(every) && !here.liar && here.federation == 0;
        if !due || !self.recorder.is_new_loss(round) {
            return;
        }
        let Some(state) = self.state(site as usize) else {
            return;
        };
        self.measured();
        self.measuring = Some(Pending {
            round,
            at: self.now,
            measure: self.learning[0].measure(&state),
        });
        self.recorder.expect_loss(round, self.now);
    }

    /// Measures the state of the last round, where a run ended before anybody could tell of it.
    pub(super) fn measure_last(&mut self) {
        let Some(last) = self.scenario.stop.rounds.map(Round) else {
            return;
        };
        for site in 0..self.sites.len() {
            if self.sites[site].begun() == Some(last) {
                self.measure(site as u32, last);
            }
        }
    }

    /// Waits for the state that is being measured.
    pub(super) fn measured(&mut self) {
        let Some(pending) = self.measuring.take() else {
            return;
        };
        // A state that is not finite has no loss: NaN says so.
        let loss = pending.measure.wait().map_or(f64::NAN, |found| found.value);
        let round = pending.round;
        self.recorder.loss(round, pending.at, loss);
        self.see(0, &Seen::Loss { round, loss });
    }
}
