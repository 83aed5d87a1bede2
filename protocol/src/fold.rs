//! Fold: cut, aggregate, outer step, next state. Bit-exact on every machine.
//!
//! An empty cut changes nothing but round and schedule. So does a cut whose aggregate or result is
//! not finite, or that has too few updates for the rule: every member sees that alike, and the
//! round is void rather than the run over.

use crate::{
    charter::Plan,
    codec::{Update, lanes},
    ids::BlobHash,
    layout::Layout,
    member::FoldTask,
    outer::{Outer, OuterError},
    rule::{Contribution, InParts, STRIDE, in_parts, in_ranges},
    state::{Manifest, TensorHasher, Tensors, tensor_hash, tensor_hashes},
    suspicion::{Sight, direction, look},
};

/// What a fold gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Folding {
    /// The next state's vectors.
    pub tensors: Tensors,
    /// The weight of every update, in the order given.
    pub weights: Vec<u64>,
    /// How each update looks beside the others, in the order given; of a void cut too.
    pub sights: Vec<Sight>,
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

/// Folds updates, given in member order with the tokens of each, into a state.
pub fn fold(plan: &Plan, layout: &Layout, state: &Tensors, updates: &[(u64, &Update)]) -> Folding {
    fold_owned(plan, layout, state.clone(), updates)
}

/// [`fold`] of a state that is not needed any longer: its vectors become those of the next one.
///
/// A mean of sparse updates is stepped with as it is made, and takes one pass over the state.
pub fn fold_owned(
    plan: &Plan,
    layout: &Layout,
    mut state: Tensors,
    updates: &[(u64, &Update)],
) -> Folding {
    let refs: Vec<&Update> = updates.iter().map(|(_, update)| *update).collect();
    let sights = look(&refs, direction(&state));
    if updates.is_empty() {
        return unchanged(state, sights, false);
    }
    let contributions: Vec<Contribution<'_>> = updates
        .iter()
        .map(|(tokens, update)| Contribution {
            tokens: *tokens,
            update,
        })
        .collect();
    let rule = plan.aggregation();
    let previous = (!state.aggregate.is_empty()).then_some(state.aggregate.as_slice());
    let Ok(mut result) = in_parts(rule, &contributions, previous, plan.caps(), STRIDE) else {
        return unchanged(state, sights, true);
    };
    let weights = std::mem::take(&mut result.weights);
    let outer = plan.outer_step();
    let hash = match rule.keeps_previous() || !is_safe(&outer, layout, &state, &result) {
        true => step_whole(&outer, layout, &mut state, result, rule.keeps_previous()),
        false => Ok(step_in_parts(&outer, &mut state, result)),
    };
    match hash {
        Err(_) => unchanged(state, sights, true),
        Ok(aggregate) => Folding {
            tensors: state,
            weights,
            sights,
            aggregate,
            voided: false,
        },
    }
}

fn unchanged(tensors: Tensors, sights: Vec<Sight>, voided: bool) -> Folding {
    Folding {
        tensors,
        weights: vec![0; sights.len()],
        sights,
        aggregate: BlobHash::default(),
        voided,
    }
}

/// Whether the step is certain to succeed, so that it may begin before the whole aggregate is
/// known.
fn is_safe(outer: &Outer, layout: &Layout, state: &Tensors, aggregate: &InParts<'_>) -> bool {
    let all = layout.parameters();
    let lengths = [aggregate.parameters(), state.parameters.len()];
    lengths == [all, all]
        && state.momentum.len() == outer.momenta(all)
        && outer.check_settings().is_ok()
        && outer.stays_finite(
            lanes::largest(&state.parameters),
            lanes::largest(&state.momentum),
            aggregate.bound(),
        )
}

/// Steps with an aggregate that is made, hashed and applied part by part.
fn step_in_parts(outer: &Outer, state: &mut Tensors, mut aggregate: InParts<'_>) -> BlobHash {
    let (mut hasher, mut values) = (TensorHasher::default(), vec![0.0; STRIDE]);
    for part in in_ranges(state.parameters.len(), STRIDE) {
        let values = &mut values[..part.len()];
        aggregate.write(&part, values);
        hasher.update(values);
        let momentum = match state.momentum.is_empty() {
            true => &mut [],
            false => &mut state.momentum[part.clone()],
        };
        outer.apply(&mut state.parameters[part], momentum, values);
    }
    hasher.finish()
}

/// Makes the whole aggregate, looks at every result, and only then steps.
fn step_whole(
    outer: &Outer,
    layout: &Layout,
    state: &mut Tensors,
    aggregate: InParts<'_>,
    keep: bool,
) -> Result<BlobHash, OuterError> {
    let values = aggregate.into_values(STRIDE);
    let (parameters, momentum) = (&mut state.parameters, &mut state.momentum);
    outer.step(layout, 0, parameters, momentum, &values)?;
    let hash = tensor_hash(&values);
    if keep {
        state.aggregate = values;
    }
    Ok(hash)
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
