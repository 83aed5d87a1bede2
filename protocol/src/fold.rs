//! Fold: cut, aggregate, outer step, next state. Bit-exact on every machine.
//!
//! An empty cut changes nothing but round and schedule. So does a cut whose aggregate or result is
//! not finite, or that has too few updates for the rule: every member sees that alike, and the
//! round is void rather than the run over.

use crate::{
    charter::Plan,
    codec::{Update, lanes},
    fragments::{Fragment, Fragments},
    ids::{BlobHash, Round},
    layout::Layout,
    member::FoldTask,
    outer::{Outer, OuterError},
    rule::{Contribution, InParts, STRIDE, in_parts, in_ranges},
    state::{Manifest, TensorHasher, Tensors, tensor_hash, tensor_hashes},
    suspicion::{Sight, direction, look},
};
use std::ops::Range;

/// What a fold gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Folding {
    /// The next state's vectors.
    pub tensors: Tensors,
    /// The weight of every update, in the order given.
    pub weights: Vec<u64>,
    /// BLAKE3 of the aggregate's little-endian bytes; zero where there is none.
    pub aggregate: BlobHash,
    /// True where the cut was not empty and changed nothing: a value was not finite, or updates
    /// were too few, or without tokens where those weigh.
    pub voided: bool,
}

impl Tensors {
    /// The state a run begins with: given parameters, and no memory of anything.
    ///
    /// # Shapes
    /// `parameters` has the layout's length.
    pub fn founding(plan: &Plan, parameters: Vec<f32>) -> Self {
        let momenta = plan.outer_step().momenta(parameters.len());
        Self {
            parameters,
            momentum: vec![0.0; momenta],
            aggregate: Vec::new(),
        }
    }
}

/// Folds the updates of a round, given in member order with the tokens of each, into its state.
///
/// # Shapes
/// Updates have the length of the round's fragment; the rest of the state stays as it is.
pub fn fold(
    plan: &Plan,
    fragments: &Fragments,
    round: Round,
    state: &Tensors,
    updates: &[(u64, &Update)],
) -> Folding {
    fold_owned(plan, fragments, round, state.clone(), updates)
}

/// [`fold`] of a state that is not needed any longer: its vectors become those of the next one.
///
/// A mean of sparse updates is stepped with as it is made, and takes one pass over the state.
pub fn fold_owned(
    plan: &Plan,
    fragments: &Fragments,
    round: Round,
    mut state: Tensors,
    updates: &[(u64, &Update)],
) -> Folding {
    if updates.is_empty() {
        return unchanged(state, updates, false);
    }
    let contributions: Vec<Contribution<'_>> = updates
        .iter()
        .map(|(tokens, update)| Contribution {
            tokens: *tokens,
            update,
        })
        .collect();
    let (rule, fragment) = (plan.aggregation(), fragments.of(round));
    let previous = previous(&state, fragment, fragments.count());
    let Ok(mut result) = in_parts(rule, &contributions, previous, plan.caps(), STRIDE) else {
        return unchanged(state, updates, true);
    };
    let weights = std::mem::take(&mut result.weights);
    let outer = plan.outer_step().at(fragments.turn(round));
    let hash = match rule.keeps_previous() || !is_safe(&outer, fragment, &state, &result) {
        true => step_whole(&outer, fragment, &mut state, result).map(|values| {
            let hash = tensor_hash(&values);
            if rule.keeps_previous() {
                state.aggregate.resize(state.parameters.len(), 0.0);
                state.aggregate[fragment.range.clone()].copy_from_slice(&values);
            }
            hash
        }),
        false => Ok(step_in_parts(&outer, fragment, &mut state, result)),
    };
    match hash {
        Err(_) => unchanged(state, updates, true),
        Ok(aggregate) => Folding {
            tensors: state,
            weights,
            aggregate,
            voided: false,
        },
    }
}

/// How each update of a round looks beside the others, in the order given, for the records; of a
/// cut that is void too. It changes nothing that is folded.
///
/// # Shapes
/// As [`fold`].
///
/// # Panics
/// Where updates differ in length.
pub fn sights(
    fragments: &Fragments,
    round: Round,
    state: &Tensors,
    updates: &[(u64, &Update)],
) -> Vec<Sight> {
    let refs: Vec<&Update> = updates.iter().map(|(_, update)| *update).collect();
    let range = fragments.of(round).range.clone();
    look(&refs, direction(state).and_then(|values| values.get(range)))
}

/// The aggregate that a fragment was moved by last. Of one among several, zeros alone say that it
/// was not moved yet.
fn previous<'a>(state: &'a Tensors, fragment: &Fragment, count: usize) -> Option<&'a [f32]> {
    let values = state.aggregate.get(fragment.range.clone())?;
    (count == 1 || values.iter().any(|value| *value != 0.0)).then_some(values)
}

fn unchanged(tensors: Tensors, updates: &[(u64, &Update)], voided: bool) -> Folding {
    Folding {
        tensors,
        weights: vec![0; updates.len()],
        aggregate: BlobHash::default(),
        voided,
    }
}

/// Whether the step is certain to succeed, so that it may begin before the whole aggregate is
/// known.
fn is_safe(outer: &Outer, fragment: &Fragment, state: &Tensors, aggregate: &InParts<'_>) -> bool {
    let range = fragment.range.clone();
    let (Some(parameters), Some(momentum)) = (
        state.parameters.get(range.clone()),
        momentum_of(&state.momentum, range.clone()),
    ) else {
        return false;
    };
    aggregate.parameters() == range.len()
        && momentum.len() == outer.momenta(range.len())
        && outer.check_settings().is_ok()
        && outer.stays_finite(
            lanes::largest(parameters),
            lanes::largest(momentum),
            aggregate.bound(),
        )
}

/// The momenta of a part; of a rule without any, none.
fn momentum_of(momentum: &[f32], range: Range<usize>) -> Option<&[f32]> {
    match momentum.is_empty() {
        true => Some(&[]),
        false => momentum.get(range),
    }
}

/// The same, to be changed.
///
/// # Panics
/// Where momenta end within the part.
fn momentum_of_mut(momentum: &mut [f32], range: Range<usize>) -> &mut [f32] {
    match momentum.is_empty() {
        true => &mut [],
        false => &mut momentum[range],
    }
}

/// Steps with an aggregate that is made, hashed and applied part by part.
fn step_in_parts(
    outer: &Outer,
    fragment: &Fragment,
    state: &mut Tensors,
    mut aggregate: InParts<'_>,
) -> BlobHash {
    let (mut hasher, mut values) = (TensorHasher::default(), vec![0.0; STRIDE]);
    let start = fragment.range.start;
    for part in in_ranges(fragment.range.len(), STRIDE) {
        let values = &mut values[..part.len()];
        aggregate.write(&part, values);
        hasher.update(values);
        let there = start + part.start..start + part.end;
        let momentum = momentum_of_mut(&mut state.momentum, there.clone());
        outer.apply(&mut state.parameters[there], momentum, values);
    }
    hasher.finish()
}

/// Makes the whole aggregate, looks at every result, and only then steps. Gives the aggregate.
fn step_whole(
    outer: &Outer,
    fragment: &Fragment,
    state: &mut Tensors,
    aggregate: InParts<'_>,
) -> Result<Vec<f32>, OuterError> {
    let values = aggregate.into_values(STRIDE);
    let range = fragment.range.clone();
    let momentum = momentum_of_mut(&mut state.momentum, range.clone());
    let parameters = &mut state.parameters[range];
    outer.step(&fragment.layout, 0, parameters, momentum, &values)?;
    Ok(values)
}

/// Describes the state that a fold of this task gave.
pub fn manifest_after(layout: &Layout, task: &FoldTask, tensors: &Tensors) -> Manifest {
    Manifest {
        round: task.round.next(),
        parameters: tensor_hashes(layout, &tensors.parameters),
        momentum: tensor_hashes(layout, &tensors.momentum),
        aggregate: tensor_hashes(layout, &tensors.aggregate),
        schedule: task.schedule,
        membership: task.membership.clone(),
        activity: task.activity.clone(),
    }
}

#[cfg(test)]
mod tests;
