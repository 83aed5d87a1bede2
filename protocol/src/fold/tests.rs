//! The formulas, what voids a round, and parts against the whole.

use super::*;
use crate::{
    charter::plan::{AggregationRule, OuterRule},
    layout::TensorSpec,
    random::{Stream, derive_key},
    rule::aggregate,
};

fn layout() -> Layout {
    let spec = TensorSpec {
        name: "w".to_owned(),
        shape: vec![3],
    };
    Layout::new(vec![spec]).expect("a valid layout")
}

fn whole(layout: &Layout) -> Fragments {
    Fragments::new(layout, 1).expect("one tensor at least")
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
        &whole(&layout),
        Round(0),
        &state(&plan),
        &[(10, &update), (10, &update)],
    );
    // v = Δ; θ = θ − ½ (Δ + ½ v) = θ − ¾ Δ.
    assert_eq!(first.tensors.parameters, vec![0.25, 2.0, 3.75]);
    let second = fold(
        &plan,
        &whole(&layout),
        Round(0),
        &first.tensors,
        &[(10, &update)],
    );
    // v = ½ + 1; θ = θ − ½ (1 + ¾) Δ.
    assert_eq!(second.tensors.parameters, vec![-0.625, 2.0, 4.625]);
}

#[test]
fn an_empty_cut_changes_nothing() {
    let (plan, layout) = (plan(), layout());
    let before = state(&plan);
    let after = fold(&plan, &whole(&layout), Round(0), &before, &[]);
    assert_eq!((after.tensors, after.voided), (before, false));
}

#[test]
fn a_result_that_is_not_finite_voids_the_round() {
    let (plan, layout) = (plan(), layout());
    let mut before = state(&plan);
    before.parameters[1] = f32::MAX;
    before.momentum[1] = -f32::MAX;
    let update = Update::dense(vec![0.0, -f32::MAX, 0.0]).expect("finite");
    let after = fold(&plan, &whole(&layout), Round(0), &before, &[(10, &update)]);
    assert_eq!((after.tensors, after.voided), (before, true));
}

/// A sparse update of a layout, drawn.
fn drawn(seed: u64, parameters: usize) -> Update {
    let mut stream = Stream::new(derive_key("fold tests", &[&seed.to_be_bytes()]));
    let indices = (0..parameters as u32).filter(|_| stream.below(20) == 0);
    let indices: Vec<u32> = indices.collect();
    let values = indices.iter().map(|_| stream.normal_f32()).collect();
    Update::sparse(parameters, indices, values).expect("ascending")
}

/// The plans whose aggregate is made in parts, with outer rules with and without momentum.
fn plans_in_parts() -> Vec<Plan> {
    let mut plans = Vec::new();
    for (rule, liars) in [
        (AggregationRule::Mean, 0),
        (AggregationRule::MeanOfSenders, 0),
        (AggregationRule::Krum, 1),
        (AggregationRule::Median, 0),
    ] {
        for outer in [OuterRule::Nesterov, OuterRule::Plain, OuterRule::Sign] {
            let mut plan = plan();
            plan.outer.rule = outer;
            (plan.exchange.rule, plan.exchange.assumed_liars) = (rule, liars);
            plans.push(plan);
        }
    }
    plans
}

#[test]
fn parts_fold_as_the_whole_does() {
    let layout = Layout::new(vec![TensorSpec {
        name: "w".to_owned(),
        shape: vec![9, 1111],
    }])
    .expect("a valid layout");
    let all = layout.parameters();
    let updates: Vec<Update> = (0..6).map(|seed| drawn(seed, all)).collect();
    let given: Vec<(u64, &Update)> = updates.iter().map(|update| (7, update)).collect();
    for plan in plans_in_parts() {
        let mut base = Tensors::founding(&plan, drawn(9, all).to_dense());
        base.momentum = drawn(10, base.momentum.len()).to_dense();
        let found = fold_owned(&plan, &whole(&layout), Round(0), base.clone(), &given);
        let contributions: Vec<Contribution<'_>> = updates
            .iter()
            .map(|update| Contribution { tokens: 7, update })
            .collect();
        let whole = aggregate(plan.aggregation(), &contributions, None, plan.caps());
        let values = whole.expect("enough updates").values;
        let outer = plan.outer_step();
        let (parameters, momentum) = (&mut base.parameters, &mut base.momentum);
        let stepped = outer.step(&layout, 0, parameters, momentum, &values);
        assert_eq!((stepped, found.voided), (Ok(()), false));
        assert_eq!(found.tensors, base);
        assert_eq!(found.aggregate, tensor_hash(&values));
    }
}

#[test]
fn what_could_overflow_is_looked_at_before_it_is_stepped() {
    let layout = layout();
    let update = Update::sparse(3, vec![1], vec![f32::MAX / 2.0]).expect("finite");
    let given = vec![(10, &update); 5];
    let overflow = |plan: &Plan| plan.outer.rule != OuterRule::Sign;
    for plan in plans_in_parts().into_iter().filter(overflow) {
        let mut before = state(&plan);
        // What is subtracted leads from zero to a quarter of the range or more, or out of it.
        for (start, voided) in [(0.0, false), (-f32::MAX, true), (f32::NAN, true)] {
            before.parameters[1] = start;
            let after = fold_owned(&plan, &whole(&layout), Round(0), before.clone(), &given);
            assert_eq!(after.voided, voided, "{start} in {:?}", plan.exchange.rule);
            if voided {
                let bits = |t: &Tensors| t.parameters[1].to_bits();
                assert_eq!(bits(&after.tensors), bits(&before));
                assert_eq!(after.tensors.momentum, before.momentum);
            }
        }
    }
}

#[test]
fn a_cut_with_too_few_updates_for_the_rule_is_void() {
    let (mut plan, layout) = (plan(), layout());
    plan.exchange.rule = AggregationRule::TrimmedMean;
    plan.exchange.assumed_liars = 1;
    let update = Update::dense(vec![1.0, 0.0, -1.0]).expect("finite");
    let before = state(&plan);
    let few = fold(
        &plan,
        &whole(&layout),
        Round(0),
        &before,
        &[(10, &update); 2],
    );
    assert_eq!((&few.tensors, few.voided), (&before, true));
    assert_eq!(
        (few.weights, few.aggregate),
        (vec![0, 0], BlobHash::default())
    );
    let enough = fold(
        &plan,
        &whole(&layout),
        Round(0),
        &before,
        &[(10, &update); 3],
    );
    assert_eq!((enough.weights, enough.voided), (vec![1; 3], false));
}

/// A layout of three tensors.
fn three() -> Layout {
    let spec = |(name, size): (&str, u32)| TensorSpec {
        name: name.to_owned(),
        shape: vec![size],
    };
    Layout::new([("a", 2), ("b", 3), ("c", 4)].map(spec).to_vec()).expect("a valid layout")
}

#[test]
fn a_round_moves_its_fragment_and_nothing_else() {
    let layout = three();
    let mut plan = plan();
    plan.exchange.rule = AggregationRule::CenteredClip;
    plan.outer.fragments = 3;
    let fragments = Fragments::of_plan(&plan, &layout).expect("three tensors");
    let mut state = Tensors::founding(&plan, (0..9).map(|i| i as f32).collect());
    for round in (0..6).map(Round) {
        let range = fragments.of(round).range.clone();
        let update = Update::dense(vec![1.0; range.len()]).expect("finite");
        let after = fold(&plan, &fragments, round, &state, &[(1, &update); 4]);
        assert!(!after.voided);
        for position in 0..9 {
            let inside = range.contains(&position);
            let moved = |before: &[f32], after: &[f32]| before[position] != after[position];
            let next = &after.tensors;
            assert_eq!(moved(&state.parameters, &next.parameters), inside);
            assert_eq!(moved(&state.momentum, &next.momentum), inside);
            // Among fragments the aggregate of each is kept, and none but its own is the centre.
            let kept = if inside {
                1.0
            } else {
                state.aggregate.get(position).copied().unwrap_or(0.0)
            };
            assert_eq!(
                next.aggregate[position], kept,
                "round {}, {position}",
                round.0
            );
        }
        state = after.tensors;
    }
    let other = Update::dense(vec![1.0; 9]).expect("finite");
    assert!(fold(&plan, &fragments, Round(0), &state, &[(1, &other); 4]).voided);
}

#[test]
fn turns_of_a_delayed_momentum_are_those_of_the_fragment() {
    let layout = three();
    let mut plan = plan();
    (plan.outer.rule, plan.outer.period) = (OuterRule::DelayedNesterov, 2);
    plan.outer.fragments = 3;
    let fragments = Fragments::of_plan(&plan, &layout).expect("three tensors");
    let mut state = Tensors::founding(&plan, vec![0.0; 9]);
    let mut seen = Vec::new();
    for round in (0..12).map(Round) {
        let update = Update::dense(vec![2.0; fragments.of(round).range.len()]).expect("finite");
        state = fold(&plan, &fragments, round, &state, &[(1, &update)]).tensors;
        if round.0 % 3 == 0 {
            seen.push(state.parameters[0]);
        }
    }
    // η ½, μ ½, N 2, g 1: −½; −½ (1 + ½·2); −½; then v = ½·2 + 1 + 1 = 3: −½ (1 + ½·3).
    assert_eq!(seen, [-0.5, -1.5, -2.0, -3.25]);
    assert_eq!((state.momentum[0], state.parameters[8]), (3.0, -3.25));
}
