//! Fold: cut, aggregate, outer step, next state. Bit-exact on every machine.
//!
//! An empty cut changes nothing but round and schedule. So does a cut whose aggregate or result is
//! not finite: every member sees that alike, and the round is void rather than the run over.

use crate::{
    charter::Plan,
    codec::Update,
    ids::BlobHash,
    layout::Layout,
    member::FoldTask,
    rule::{Contribution, aggregate},
    state::{Manifest, Tensors, tensor_hash, tensor_hashes},
};

/// What a fold gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Folding {
    /// The next state's vectors.
    pub tensors: Tensors,
    /// The weight of every update, in the order given.
    pub weights: Vec<u64>,
    /// BLAKE3 of the aggregate's little-endian bytes; zero where there is none.
    pub aggregate: BlobHash,
    /// True where the cut was not empty and changed nothing, because a value was not finite.
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
    let unchanged = |voided| Folding {
        tensors: state.clone(),
        weights: vec![0; updates.len()],
        aggregate: BlobHash::default(),
        voided,
    };
    if updates.is_empty() {
        return unchanged(false);
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
    let Ok(result) = aggregate(rule, &contributions, previous, plan.caps()) else {
        return unchanged(true);
    };
    let mut next = state.clone();
    let (parameters, momentum) = (&mut next.parameters, &mut next.momentum);
    let outer = plan.outer_step();
    if outer
        .step(layout, 0, parameters, momentum, &result.values)
        .is_err()
    {
        return unchanged(true);
    }
    let hash = tensor_hash(&result.values);
    if rule.keeps_previous() {
        next.aggregate = result.values;
    }
    Folding {
        tensors: next,
        weights: result.weights,
        aggregate: hash,
        voided: false,
    }
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
mod tests {
    use super::*;
    use crate::{
        charter::plan::{AggregationRule, OuterRule},
        layout::TensorSpec,
    };

    fn layout() -> Layout {
        let spec = TensorSpec {
            name: "w".to_owned(),
            shape: vec![3],
        };
        Layout::new(vec![spec]).expect("a valid layout")
    }

    fn plan() -> Plan {
        let mut plan = Plan::nano();
        plan.outer.rule = OuterRule::Nesterov;
        plan.outer.lr = "0.5".parse().expect("a decimal");
        plan.outer.momentum = "0.5".parse().expect("a decimal");
        plan.exchange.rule = AggregationRule::Mean;
        plan
    }

    fn state(plan: &Plan) -> Tensors {
        Tensors::founding(plan, vec![1.0, 2.0, 3.0])
    }

    #[test]
    fn two_rounds_follow_the_formula() {
        let (plan, layout) = (plan(), layout());
        let update = Update::dense(vec![1.0, 0.0, -1.0]).expect("finite");
        let first = fold(
            &plan,
            &layout,
            &state(&plan),
            &[(10, &update), (10, &update)],
        );
        // v = Δ; θ = θ − ½ (Δ + ½ v) = θ − ¾ Δ.
        assert_eq!(first.tensors.parameters, vec![0.25, 2.0, 3.75]);
        let second = fold(&plan, &layout, &first.tensors, &[(10, &update)]);
        // v = ½ + 1; θ = θ − ½ (1 + ¾) Δ.
        assert_eq!(second.tensors.parameters, vec![-0.625, 2.0, 4.625]);
    }

    #[test]
    fn an_empty_cut_changes_nothing() {
        let (plan, layout) = (plan(), layout());
        let before = state(&plan);
        let after = fold(&plan, &layout, &before, &[]);
        assert_eq!((after.tensors, after.voided), (before, false));
    }

    #[test]
    fn a_result_that_is_not_finite_voids_the_round() {
        let (plan, layout) = (plan(), layout());
        let mut before = state(&plan);
        before.parameters[1] = f32::MAX;
        before.momentum[1] = -f32::MAX;
        let update = Update::dense(vec![0.0, -f32::MAX, 0.0]).expect("finite");
        let after = fold(&plan, &layout, &before, &[(10, &update)]);
        assert_eq!((after.tensors, after.voided), (before, true));
    }
}
