//! Mistakes with what is counted, and how: S3, S5, S6, S11, C2.

use crate::deviation::{Deviation, Seat};
use archipel_protocol::{
    ids::{BlobHash, Root, Round},
    member::{FoldInput, FoldTask, Folded, Input, Output},
    state::Tensors,
};

/// Folds in the order of arrival.
pub(super) struct Unordered;

impl Deviation for Unordered {
    fn output(&mut self, _site: &mut Seat<'_>, output: Output, pass: &mut Vec<Output>) {
        pass.push(match output {
            Output::Fold(mut task) => {
                task.updates.reverse();
                Output::Fold(task)
            }
            other => other,
        });
    }
}

/// Stops one update before the end.
pub(super) struct LastSkipped;

impl Deviation for LastSkipped {
    fn fold(&mut self, _site: &mut Seat<'_>, task: &mut FoldTask) {
        task.updates.pop();
    }
}

/// Does not drop duplicates.
pub(super) struct CountedTwice;

impl Deviation for CountedTwice {
    fn fold(&mut self, _site: &mut Seat<'_>, task: &mut FoldTask) {
        task.updates.extend(task.updates.first().cloned());
    }

    fn output(&mut self, _site: &mut Seat<'_>, output: Output, pass: &mut Vec<Output>) {
        pass.push(match output {
            Output::Fold(mut task) => {
                task.updates.extend(task.updates.first().cloned());
                Output::Fold(task)
            }
            other => other,
        });
    }
}

/// Folds an update that came after the decision.
#[derive(Default)]
pub(super) struct LateCounted {
    wanted: Vec<(Round, FoldInput)>,
    here: Vec<BlobHash>,
}

impl Deviation for LateCounted {
    fn input(&mut self, _site: &mut Seat<'_>, input: Input, pass: &mut Vec<Input>) {
        if let Input::Fetched {
            payload,
            outcome: Ok(()),
        } = &input
        {
            self.here.push(*payload);
        }
        pass.push(input);
    }

    fn output(&mut self, site: &mut Seat<'_>, output: Output, pass: &mut Vec<Output>) {
        if let Output::Fetch(task) = &output {
            let input = FoldInput {
                member: task.member,
                payload: task.payload,
                bytes: task.bytes,
                tokens: site.plan.tokens_per_round(),
            };
            self.wanted.retain(|(round, _)| *round >= task.round);
            self.wanted.push((task.round, input));
        }
        pass.push(match output {
            Output::Fold(mut task) => {
                for (round, late) in &self.wanted {
                    let counted = task.updates.iter().any(|u| u.member == late.member);
                    if *round == task.round && !counted && self.here.contains(&late.payload) {
                        task.updates.push(late.clone());
                    }
                }
                task.updates.sort_by_key(|update| update.member);
                Output::Fold(task)
            }
            other => other,
        });
    }
}

/// Passes over how many tokens an update stands for.
pub(super) struct Unweighted;

impl Deviation for Unweighted {
    fn output(&mut self, _site: &mut Seat<'_>, output: Output, pass: &mut Vec<Output>) {
        pass.push(match output {
            Output::Fold(mut task) => {
                task.updates.iter_mut().for_each(|update| update.tokens = 1);
                Output::Fold(task)
            }
            other => other,
        });
    }
}

/// Counts carried tokens again.
pub(super) struct CarriedCounted;

impl Deviation for CarriedCounted {
    fn output(&mut self, _site: &mut Seat<'_>, output: Output, pass: &mut Vec<Output>) {
        pass.push(match output {
            Output::Fold(mut task) => {
                let first = task.updates.first_mut();
                first.into_iter().for_each(|update| update.tokens *= 2);
                Output::Fold(task)
            }
            other => other,
        });
    }
}

/// Folds into the state before.
#[derive(Default)]
pub(super) struct StaleBase {
    last: Option<Root>,
}

impl Deviation for StaleBase {
    fn fold(&mut self, _site: &mut Seat<'_>, task: &mut FoldTask) {
        let before = self.last.replace(task.base);
        task.base = before.unwrap_or(task.base);
    }
}

/// Begins the next round one step late.
pub(super) struct ScheduleOff;

impl Deviation for ScheduleOff {
    fn fold(&mut self, _site: &mut Seat<'_>, task: &mut FoldTask) {
        task.schedule += 1;
    }

    fn output(&mut self, _site: &mut Seat<'_>, output: Output, pass: &mut Vec<Output>) {
        pass.push(match output {
            Output::Fold(mut task) => {
                task.schedule += 1;
                Output::Fold(task)
            }
            other => other,
        });
    }
}

/// Keeps the state in 16 bits.
pub(super) struct HalfPrecision;

impl Deviation for HalfPrecision {
    fn folded(&mut self, _site: &mut Seat<'_>, _folded: &mut Folded, tensors: &mut Tensors) {
        for value in &mut tensors.parameters {
            *value = f32::from_bits(value.to_bits() & 0xffff_0000);
        }
    }
}

/// Divides by the number of nothing.
pub(super) struct NotANumber;

impl Deviation for NotANumber {
    fn folded(&mut self, _site: &mut Seat<'_>, folded: &mut Folded, tensors: &mut Tensors) {
        if folded.weights.is_empty() {
            tensors.parameters.fill(f32::NAN);
        }
    }
}
