//! Sends what it learnt `strength` rounds ago, 5 where none is given, at most 64.
//!
//! It trains honestly and keeps what comes of it; the old update goes under a new header with the
//! new base. In its first rounds it sends its first update. Nobody can tell during the run, and it
//! is counted; whoever replays the work convicts it. Near the optimum old updates overshoot.

use crate::deviation::{Deviation, Seat};
use archipel_protocol::{ids::Round, member::TrainTask, state::Tensors};
use std::collections::VecDeque;

/// Rounds where the scenario gives none.
const ROUNDS: f64 = 5.0;
/// The most rounds.
const MOST: f64 = 64.0;

/// Sends old work.
#[derive(Default)]
pub struct Delayed {
    /// What it learnt, oldest first.
    learnt: VecDeque<(Round, Vec<f32>)>,
}

impl Deviation for Delayed {
    fn gradient(
        &mut self,
        site: &mut Seat<'_>,
        task: &TrainTask,
        _base: &Tensors,
        delta: &mut Vec<f32>,
    ) {
        let rounds = site.strength.unwrap_or(ROUNDS).clamp(1.0, MOST) as usize;
        self.learnt.retain(|(round, _)| *round < task.round);
        self.learnt.push_back((task.round, delta.clone()));
        let surplus = self.learnt.len().saturating_sub(rounds + 1);
        self.learnt.drain(..surplus);
        if let Some((_, old)) = self.learnt.front() {
            delta.clone_from(old);
        }
    }
}
