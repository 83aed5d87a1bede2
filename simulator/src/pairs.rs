//! NoLoCo (<https://arxiv.org/abs/2506.10911>): members average with one other a round, and never
//! with all. For comparison with what the protocol does; there is no agreement here.
//!
//! Every member keeps slow weights φ and a velocity δ. In a round it trains θ from φ, the members
//! are paired by a shuffle that follows from the seed and the round (one stays alone where their
//! number is odd), and with d = θ − φ and means over the pair
//! `δ ← α·δ + β·mean(d) + β·(mean(φ) − φ); φ ← φ + δ`. α is 0.5 and β 0.7, as published; the sign
//! of β in the paper's equation 2 is a misprint, its code adds. Whoever is alone is its own pair.
//!
//! A federation has no common state in this mode, so there is nothing to certify, to join or to
//! audit: it stays in the simulator until that is designed. No bytes travel in virtual time; what a
//! pair exchanges is 2 · 4 bytes a parameter and member, d and φ.

use crate::{
    learning::{Learning, LearningError},
    report::{Findings, LossPoint, MemberFindings},
    scenario::{Mode, Scenario},
};
use archipel_protocol::{
    ids::{Root, Round},
    member::{ResidualRule, Start, TrainTask},
    random::{Stream, derive_key},
    state::Tensors,
};
use serde::Deserialize;
use std::sync::Arc;

/// Share of the velocity that stays.
const ALPHA: f32 = 0.5;
/// Share of the pair's mean step, and of the way to its mean weights.
const BETA: f32 = 0.7;

/// Who averages with whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pairs {
    /// Two by two, drawn anew every round.
    Noloco,
    /// Nobody: every member trains alone.
    Nobody,
}

/// One member.
struct Replica {
    /// φ, as a state.
    slow: Arc<Tensors>,
    velocity: Vec<f32>,
}

/// Plays a scenario's members, plan and data so, from its seed; its faults and network do not
/// count. `go_on` is asked every round; where it ends the run, the verdict says so.
///
/// # Errors
/// Where somebody cannot train, or a state cannot be measured.
///
/// # Panics
/// Where the scenario has no number of rounds.
pub fn play(
    scenario: &Scenario,
    learning: &mut Learning,
    pairs: Pairs,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Findings, LearningError> {
    let rounds = scenario.stop.rounds.expect("a number of rounds");
    let (members, every) = (
        scenario.members.len(),
        scenario.learning.evaluate_every.max(1),
    );
    let founding = Arc::new(learning.founding());
    let parameters = founding.parameters.len();
    let replica = |_| Replica {
        slow: founding.clone(),
        velocity: vec![0.0; parameters],
    };
    let mut replicas: Vec<Replica> = (0..members).map(replica).collect();
    let (mut losses, mut spread, mut tokens) = (Vec::new(), Vec::new(), 0);
    let mut done = 0;
    for round in 0..=rounds {
        if round % every == 0 || round == rounds {
            let loss = measured(learning, &replicas)?;
            losses.push(point(round, tokens, loss));
        }
        spread.push((round, apart(&replicas)));
        if round == rounds || !go_on() {
            break;
        }
        let (ends, trained) = train(learning, scenario, Round(round), &replicas)?;
        tokens += trained;
        meet(scenario.seed, Round(round), pairs, &mut replicas, &ends);
        done += 1;
    }
    let each = match pairs {
        Pairs::Noloco => 8 * parameters as u64 * done,
        Pairs::Nobody => 0,
    };
    Ok(Findings {
        verdict: if done == rounds {
            "pass"
        } else {
            "interrupted"
        }
        .to_owned(),
        mode: match scenario.mode {
            Mode::Train => "train",
            Mode::Protocol => "protocol",
        }
        .to_owned(),
        seed: scenario.seed,
        rounds_done: done,
        members: (0..members).map(|_| sender(each)).collect(),
        losses,
        spread,
        ..Findings::default()
    })
}

fn point(round: u64, tokens: u64, loss: f64) -> LossPoint {
    LossPoint {
        round,
        sim_us: 0,
        tokens,
        bytes: 0,
        loss,
    }
}

fn sender(bytes: u64) -> MemberFindings {
    MemberFindings {
        bytes: [("payload".to_owned(), bytes)].into(),
        ..MemberFindings::default()
    }
}

/// Where each member's inner steps lead, and the tokens of all.
fn train(
    learning: &mut Learning,
    scenario: &Scenario,
    round: Round,
    replicas: &[Replica],
) -> Result<(Vec<Vec<f32>>, u64), LearningError> {
    let steps = scenario.plan.inner.steps;
    let task = TrainTask {
        round,
        base: Root::default(),
        start: Start::Base,
        schedule: round.0 * steps,
        steps,
        residual: ResidualRule::Zero,
    };
    let (mut ends, mut tokens) = (Vec::new(), 0);
    for (member, replica) in replicas.iter().enumerate() {
        let job = learning.begin(member as u32, &task, &replica.slow);
        let gradient = learning.finish(job)?;
        tokens += gradient.tokens;
        // The pseudo-gradient is φ − θ, so −d.
        ends.push(gradient.delta);
    }
    Ok((ends, tokens))
}

/// The members of a round in pairs; the last alone where their number is odd.
fn drawn(seed: u64, round: Round, members: usize) -> Vec<Vec<usize>> {
    let parts = [seed, round.0].map(u64::to_be_bytes);
    let key = derive_key("archipel/simulator/pairs/v1", &[&parts[0], &parts[1]]);
    let mut stream = Stream::new(key);
    let mut order: Vec<usize> = (0..members).collect();
    for last in (1..members).rev() {
        order.swap(last, stream.below(last as u64 + 1) as usize);
    }
    order.chunks(2).map(<[usize]>::to_vec).collect()
}

/// Moves everybody's weights: towards its pair, or to where it trained.
fn meet(seed: u64, round: Round, pairs: Pairs, replicas: &mut [Replica], deltas: &[Vec<f32>]) {
    if pairs == Pairs::Nobody {
        for (replica, delta) in replicas.iter_mut().zip(deltas) {
            let slow = &mut Arc::make_mut(&mut replica.slow).parameters;
            slow.iter_mut()
                .zip(delta)
                .for_each(|(slow, delta)| *slow -= delta);
        }
        return;
    }
    for pair in drawn(seed, round, replicas.len()) {
        let slow: Vec<Arc<Tensors>> = pair.iter().map(|m| replicas[*m].slow.clone()).collect();
        for member in &pair {
            let replica = &mut replicas[*member];
            let own = &mut Arc::make_mut(&mut replica.slow).parameters;
            let count = pair.len() as f32;
            for (position, own) in own.iter_mut().enumerate() {
                let mut step = 0.0f32;
                let mut weights = 0.0f32;
                for (other, slow) in pair.iter().zip(&slow) {
                    step -= deltas[*other][position];
                    weights += slow.parameters[position];
                }
                let velocity = &mut replica.velocity[position];
                *velocity =
                    ALPHA * *velocity + BETA * (step / count) + BETA * (weights / count - *own);
                *own += *velocity;
            }
        }
    }
}

/// The mean loss of all replicas.
fn measured(learning: &Learning, replicas: &[Replica]) -> Result<f64, LearningError> {
    let mut sum = 0.0;
    for replica in replicas {
        sum += learning.evaluate(&replica.slow)?.value;
    }
    Ok(sum / replicas.len() as f64)
}

/// How far replicas lie from their mean: the root of the mean square, a parameter and member.
fn apart(replicas: &[Replica]) -> f64 {
    let count = replicas.len() as f64;
    let parameters = replicas[0].slow.parameters.len();
    let mut squares = 0.0;
    for position in 0..parameters {
        let values = replicas
            .iter()
            .map(|r| f64::from(r.slow.parameters[position]));
        let mean = values.clone().sum::<f64>() / count;
        squares += values.map(|value| (value - mean).powi(2)).sum::<f64>();
    }
    (squares / count / parameters as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Schedule;
    use crate::world::World;

    fn played(pairs: Pairs, members: u32, rounds: u64) -> Findings {
        let mut scenario = Scenario::plain(4, members, rounds);
        scenario.learning.heterogeneity = 0.5;
        let (scenario, schedule) = (Arc::new(scenario), Arc::new(Schedule::default()));
        let world = World::still(&scenario, &schedule, 1, &|| None).expect("a small world");
        let mut learning = world.into_learning();
        play(&scenario, &mut learning, pairs, &mut || true).expect("the quadratic is finite")
    }

    #[test]
    fn everybody_meets_once_a_round_and_others_every_round() {
        let mut met = std::collections::BTreeSet::new();
        for round in 0..40 {
            let pairs = drawn(3, Round(round), 7);
            let mut seen: Vec<usize> = pairs.concat();
            seen.sort_unstable();
            assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
            assert_eq!(pairs.iter().filter(|pair| pair.len() == 1).count(), 1);
            met.extend(
                pairs
                    .into_iter()
                    .filter(|pair| pair.len() == 2)
                    .map(|mut pair| {
                        pair.sort_unstable();
                        pair
                    }),
            );
        }
        assert_eq!(met.len(), 21, "every two of seven");
        assert_ne!(drawn(3, Round(0), 7), drawn(4, Round(0), 7));
    }

    #[test]
    fn a_step_is_the_published_one() {
        let state = |value: f32| {
            Arc::new(Tensors {
                parameters: vec![value],
                momentum: Vec::new(),
                aggregate: Vec::new(),
            })
        };
        let replica = |value: f32, velocity: f32| Replica {
            slow: state(value),
            velocity: vec![velocity],
        };
        let mut replicas = [replica(1.0, 0.5), replica(3.0, 0.0)];
        meet(
            1,
            Round(0),
            Pairs::Noloco,
            &mut replicas,
            &[vec![-1.0], vec![3.0]],
        );
        // mean(d) = (1 − 3) / 2 = −1, mean(φ) = 2.
        let first = 0.5 * 0.5 - 0.7 + 0.7 * (2.0 - 1.0);
        let second = -0.7 + 0.7 * (2.0 - 3.0);
        let found = replicas.map(|r| (r.velocity[0], r.slow.parameters[0]));
        let near = |(a, b): (f32, f32), c: f32, d: f32| (a - c).abs() + (b - d).abs() < 1e-5;
        assert!(near(found[0], first, 1.0 + first), "{found:?}");
        assert!(near(found[1], second, 3.0 + second), "{found:?}");
    }

    #[test]
    fn pairs_agree_in_the_end_and_who_stays_alone_does_not() {
        let (pairs, alone) = (played(Pairs::Noloco, 8, 60), played(Pairs::Nobody, 8, 60));
        let last = |found: &Findings| found.spread.last().expect("measured").1;
        let most = |found: &Findings| found.spread.iter().map(|p| p.1).fold(0.0, f64::max);
        assert!(
            last(&alone) > 0.4,
            "their optima lie apart: {}",
            last(&alone)
        );
        assert!(
            last(&pairs) < 0.6 * last(&alone),
            "{} {}",
            last(&pairs),
            last(&alone)
        );
        assert!(most(&pairs) >= last(&pairs));
        let loss = |found: &Findings| found.losses.last().expect("measured").loss;
        assert!(loss(&pairs) < loss(&alone));
        assert_eq!(pairs, played(Pairs::Noloco, 8, 60), "a seed is a run");
    }
}
