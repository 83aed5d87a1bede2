//! The scenarios of this version: one without faults, one with lossy links.

use crate::{old_network::LinkModel, old_world::World, toy};
use archipel_protocol::charter::FaultModel;
use serde::Serialize;

/// A world to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Nothing is lost.
    Lossless,
    /// Messages are lost, doubled, damaged.
    Lossy,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// `pass`, or `fail`.
    pub verdict: &'static str,
    /// The seed.
    pub seed: u64,
    /// The hash over all events.
    pub digest: String,
    /// Rounds certified by everyone.
    pub rounds: u64,
    /// Messages delivered.
    pub messages: u64,
    /// Virtual seconds.
    pub sim_seconds: f64,
    /// Mean squared distance to the known answer, at the end.
    pub distance: f64,
    /// What was violated.
    pub violations: Vec<String>,
}

impl Scenario {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lossless => "lossless",
            Self::Lossy => "lossy",
        }
    }

    /// Runs `members` members for `rounds` rounds.
    pub fn run(self, seed: u64, members: usize, rounds: u64) -> Outcome {
        let links = match self {
            Self::Lossless => LinkModel::LOSSLESS,
            Self::Lossy => LinkModel::LOSSY,
        };
        let plan = toy::plan(rounds);
        let charter = toy::charter(seed, members, FaultModel::Byzantine, plan);
        let mut world = World::new(seed, charter, members, links);
        (0..members).for_each(|site| world.start(site));
        let limit_us = rounds * 60_000_000;
        let done = world.run_until(limit_us, |world| world.all_reached(rounds));
        let reached = world.checks.highest().map_or(0, |round| round.0);
        let mut violations = world.checks.violations.clone();
        if !done {
            violations.push(format!("L1: not everyone reached round {rounds}"));
        }
        Outcome {
            verdict: if violations.is_empty() {
                "pass"
            } else {
                "fail"
            },
            seed,
            digest: world.digest(),
            rounds: reached,
            messages: world.messages,
            sim_seconds: world.now().0 as f64 / 1e6,
            distance: world.distance(seed, 0).unwrap_or(f64::NAN),
            violations,
        }
    }
}
