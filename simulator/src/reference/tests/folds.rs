//! Folds of the protocol, folded again.

use super::*;
use crate::reference::{Difference, ReferenceError, Refolded, fragment, refold};
use archipel_protocol::{
    charter::Decimal,
    fold::{fold, sights},
    fragments::Fragments,
    ids::Round,
    suspicion::Sight,
};

/// A cut: tokens and payload of each update.
type Cut = Vec<(u64, Vec<u8>)>;

/// What the protocol makes of a cut.
fn folding(plan: &Plan, layout: &Layout, base: &Tensors, cut: &Cut) -> Refolded {
    let updates: Vec<Update> = cut.iter().map(|(_, p)| decoded(plan, layout, p)).collect();
    let given: Vec<(u64, &Update)> = cut.iter().map(|(t, _)| *t).zip(&updates).collect();
    let whole = Fragments::new(layout, 1).expect("a tensor");
    let folding = fold(plan, &whole, Round(0), base, &given);
    Refolded {
        tensors: folding.tensors,
        weights: folding.weights,
        sights: sights(&whole, Round(0), base, &given),
        aggregate: folding.aggregate,
        voided: folding.voided,
    }
}

/// What the reference makes of it.
fn again(
    plan: &Plan,
    layout: &Layout,
    base: &Tensors,
    cut: &Cut,
) -> Result<Refolded, ReferenceError> {
    let given: Vec<(u64, &[u8])> = cut.iter().map(|(t, p)| (*t, p.as_slice())).collect();
    refold(plan, layout, Round(0), base, &given)
}

/// Folds twice, asserts equal bits, and returns the result.
fn agreed(plan: &Plan, layout: &Layout, base: &Tensors, cut: &Cut) -> Refolded {
    let found = folding(plan, layout, base, cut);
    let right = again(plan, layout, base, cut).expect("the cut is valid");
    let exchange = &plan.exchange;
    assert_eq!(right.check_tensors(&found.tensors), Ok(()), "{exchange:?}");
    let record = right.check_record(&found.weights, found.aggregate);
    assert_eq!(record, Ok(()), "{exchange:?}");
    assert_eq!(right.check_sights(&found.sights), Ok(()), "{exchange:?}");
    assert_eq!(right.voided, found.voided, "{exchange:?}");
    right
}

/// A cut of so many updates; one in four is far larger than the others.
fn cut(plan: &Plan, layout: &Layout, count: usize, stream: &mut Stream) -> Cut {
    let mut one = || {
        let size = [0.1, 0.1, 0.1, 10.0][stream.below(4) as usize];
        let values = values(stream, layout.parameters(), size);
        let tokens = match stream.below(4) {
            0 => 0,
            _ => stream.below(100_000),
        };
        (tokens, payload(plan, layout, &values))
    };
    (0..count).map(|_| one()).collect()
}

/// Every codec with every rule and outer rule.
fn plans() -> impl Iterator<Item = Plan> {
    let rules = RULES
        .into_iter()
        .flat_map(|rule| OUTERS.map(|outer| (rule, outer)));
    CODECS.into_iter().flat_map(move |codec| {
        rules
            .clone()
            .map(move |(rule, outer)| plan(codec, rule, outer))
    })
}

/// Updates below which a cut of these plans is void.
fn needed(plan: &Plan) -> usize {
    match plan.exchange.rule {
        AggregationRule::TrimmedMean => 3,
        AggregationRule::Krum | AggregationRule::MultiKrum => 5,
        _ => 1,
    }
}

#[test]
fn random_cuts_of_every_plan_fold_to_the_same_bits() {
    let mut changed = 0;
    for (number, mut plan) in plans().enumerate() {
        for seed in 0..24 {
            let stream = &mut stream("cuts", 1000 * number as u64 + seed);
            let cap = [1_000_000_000, 500_000_000, 300_000_000, 62_500_000];
            plan.exchange.weight_cap = Decimal::from_billionths(cap[stream.below(4) as usize]);
            plan.exchange.clip_iterations = 1 + stream.below(5) as u32;
            plan.exchange.clip_to_median_norm = stream.below(2) == 1;
            plan.outer.lr = Decimal::from_billionths(1 + stream.below(2_000_000_000) as i64);
            for layout in layouts() {
                let base = state(&plan, &layout, stream);
                let cut = cut(&plan, &layout, stream.below(17) as usize, stream);
                let folded = agreed(&plan, &layout, &base, &cut);
                let few = (1..needed(&plan)).contains(&cut.len());
                assert!(!few || folded.voided, "{} updates folded", cut.len());
                changed += usize::from(folded.tensors != base);
            }
        }
    }
    assert!(
        changed > 2400,
        "only {changed} of 3456 cuts moved a parameter"
    );
}

#[test]
fn rounds_on_end_stay_equal() {
    for (number, plan) in plans().enumerate() {
        let (stream, layout) = (&mut stream("rounds", number as u64), &layouts()[1]);
        let mut base = Tensors::founding(&plan, values(stream, layout.parameters(), 1.0));
        for _ in 0..20 {
            let cut = cut(&plan, layout, 1 + stream.below(6) as usize, stream);
            base = agreed(&plan, layout, &base, &cut).tensors;
        }
    }
}

#[test]
fn an_empty_cut_changes_nothing_and_is_not_void() {
    for plan in plans() {
        let layout = &layouts()[1];
        let base = state(&plan, layout, &mut stream("empty", 0));
        let folded = agreed(&plan, layout, &base, &Vec::new());
        assert_eq!((&folded.tensors, folded.voided), (&base, false));
    }
}

#[test]
fn equal_updates_and_zeros_fold_alike() {
    for plan in plans() {
        let (layout, stream) = (&layouts()[1], &mut stream("ties", 0));
        let base = state(&plan, layout, stream);
        let some = payload(&plan, layout, &values(stream, layout.parameters(), 0.1));
        let none = payload(&plan, layout, &vec![0.0; layout.parameters()]);
        for kinds in [
            vec![&some; 5],
            vec![&none; 6],
            vec![&some, &none, &some, &none],
            vec![&some, &none, &some, &none, &some, &none],
        ] {
            let cut = kinds.into_iter().map(|bytes| (7, bytes.clone())).collect();
            agreed(&plan, layout, &base, &cut);
        }
    }
}

#[test]
fn a_far_update_is_clipped_alike() {
    for plan in plans().filter(|plan| plan.exchange.rule == AggregationRule::CenteredClip) {
        let (layout, stream) = (&layouts()[1], &mut stream("far", 0));
        let base = Tensors::founding(&plan, vec![0.0; layout.parameters()]);
        let mut cut: Cut = (0..5)
            .map(|_| {
                let values = values(stream, layout.parameters(), 0.1);
                (1, payload(&plan, layout, &values))
            })
            .collect();
        let honest = agreed(&plan, layout, &base, &cut);
        cut[2].1 = payload(&plan, layout, &vec![40.0; layout.parameters()]);
        let attacked = agreed(&plan, layout, &base, &cut);
        let largest = |folded: &Refolded| {
            let values = folded.tensors.aggregate.iter();
            values.fold(0.0f32, |largest, value| largest.max(value.abs()))
        };
        assert!(largest(&attacked) < 2.0 * largest(&honest));
    }
}

#[test]
fn weights_under_a_cap_are_the_same() {
    let (layout, stream) = (&layouts()[0], &mut stream("caps", 0));
    let mut plan = plan(CodecKind::F32, AggregationRule::Mean, OuterRule::Plain);
    let base = Tensors::founding(&plan, vec![0.0; layout.parameters()]);
    let bytes = payload(&plan, layout, &vec![1.0; layout.parameters()]);
    let mut lowered = 0;
    for _ in 0..4000 {
        let share = match stream.below(3) {
            0 => 1 + stream.below(1_000_000_000),
            _ => 1_000_000_000 / (1 + stream.below(8)),
        };
        plan.exchange.weight_cap = Decimal::from_billionths(share as i64);
        let top = [1, 3, 1000, u64::MAX][stream.below(4) as usize];
        let tokens = |stream: &mut Stream| match stream.below(5) {
            0 => 0,
            1 => top,
            _ => stream.below(top),
        };
        let count = 1 + stream.below(8);
        let cut: Cut = (0..count)
            .map(|_| (tokens(stream), bytes.clone()))
            .collect();
        let folded = agreed(&plan, layout, &base, &cut);
        let given: Vec<u64> = cut.iter().map(|(tokens, _)| *tokens).collect();
        lowered += usize::from(!folded.voided && folded.weights != given);
    }
    assert!(lowered > 1000, "the cap held in {lowered} cuts only");
}

#[test]
fn results_that_are_not_finite_void_the_cut() {
    for mut plan in plans() {
        let layout = &layouts()[1];
        plan.outer.lr = "10".parse().expect("a decimal");
        plan.exchange.max_abs = "1000000000".parse().expect("a decimal");
        plan.exchange.max_norm = "9000000000".parse().expect("a decimal");
        let mut base = Tensors::founding(&plan, vec![0.0; layout.parameters()]);
        let cut = vec![(5, payload(&plan, layout, &vec![-1e8; layout.parameters()])); 5];
        let finite = agreed(&plan, layout, &base, &cut);
        assert!(!finite.voided);
        // A step far below the last place of the largest number leaves it finite.
        for (huge, voided) in [(f32::MAX, false), (f32::INFINITY, true), (f32::NAN, true)] {
            base.parameters[11] = huge;
            let folded = agreed(&plan, layout, &base, &cut);
            assert_eq!(folded.voided, voided, "{huge} in {:?}", plan.exchange);
            assert_eq!(folded.weights == vec![0; 5], voided);
        }
        if plan.outer.rule == OuterRule::Nesterov {
            base.parameters[11] = 0.0;
            base.momentum[11] = f32::MAX;
            assert!(agreed(&plan, layout, &base, &cut).voided);
        }
    }
}

#[test]
fn no_tokens_void_the_means_alone() {
    for plan in plans() {
        let layout = &layouts()[1];
        let base = Tensors::founding(&plan, vec![0.5; layout.parameters()]);
        let cut = vec![(0, payload(&plan, layout, &vec![1.0; layout.parameters()])); 5];
        let folded = agreed(&plan, layout, &base, &cut);
        let means = [AggregationRule::Mean, AggregationRule::MeanOfSenders];
        assert_eq!(folded.voided, means.contains(&plan.exchange.rule));
    }
}

/// The vectors of a state, to be changed.
fn vectors(tensors: &mut Tensors) -> [&mut Vec<f32>; 3] {
    let Tensors {
        parameters,
        momentum,
        aggregate,
    } = tensors;
    [parameters, momentum, aggregate]
}

#[test]
fn a_flipped_bit_of_a_fold_is_noticed() {
    for plan in plans() {
        let (layout, stream) = (&layouts()[1], &mut stream("flips", 0));
        let base = state(&plan, layout, stream);
        let cut = cut(&plan, layout, 5, stream);
        let right = again(&plan, layout, &base, &cut).expect("the cut is valid");
        let mut found = folding(&plan, layout, &base, &cut).tensors;
        for vector in 0..3 {
            for position in 0..vectors(&mut found)[vector].len() {
                for bit in 0..32 {
                    let value = &mut vectors(&mut found)[vector][position];
                    let before =
                        std::mem::replace(value, f32::from_bits(value.to_bits() ^ 1 << bit));
                    let difference = right.check_tensors(&found);
                    let there = matches!(
                        difference,
                        Err(Difference::Value { position: p, .. }) if p == position
                    );
                    assert!(there, "{difference:?}");
                    vectors(&mut found)[vector][position] = before;
                }
            }
        }
        assert_eq!(right.check_tensors(&found), Ok(()));
        vectors(&mut found)[0].pop();
        let shorter = right.check_tensors(&found);
        assert!(matches!(shorter, Err(Difference::Length { .. })));
    }
}

#[test]
fn other_weights_and_aggregates_are_noticed() {
    let layout = &layouts()[1];
    let plan = plan(CodecKind::F32, AggregationRule::Mean, OuterRule::Plain);
    let base = Tensors::founding(&plan, vec![0.0; layout.parameters()]);
    let cut = vec![(5, payload(&plan, layout, &vec![1.0; layout.parameters()])); 2];
    let right = agreed(&plan, layout, &base, &cut);
    for weights in [vec![5], vec![5, 4], vec![5, 5, 0]] {
        let noticed = right.check_record(&weights, right.aggregate);
        assert!(matches!(noticed, Err(Difference::Weights { .. })));
    }
    let noticed = right.check_record(&[5, 5], Default::default());
    assert!(matches!(noticed, Err(Difference::Aggregate { .. })));
    for change in [
        |sight: &mut Sight| sight.norm_ratio += 1,
        |sight: &mut Sight| sight.cosine = Some(0),
        |sight: &mut Sight| sight.overlap = Some(0),
    ] {
        let mut sights = right.sights.clone();
        change(&mut sights[1]);
        let noticed = right.check_sights(&sights);
        assert!(matches!(noticed, Err(Difference::Sights { .. })));
    }
}

#[test]
fn what_no_honest_member_could_fold_is_an_error() {
    let layout = &layouts()[1];
    let plan = plan(
        CodecKind::Int8,
        AggregationRule::CenteredClip,
        OuterRule::Nesterov,
    );
    let base = Tensors::founding(&plan, vec![0.0; layout.parameters()]);
    let good: &[u8] = &payload(&plan, layout, &vec![1.0; layout.parameters()]);
    let short = refold(
        &plan,
        layout,
        Round(0),
        &base,
        &[(1, good), (1, &good[1..])],
    );
    assert!(
        matches!(short, Err(ReferenceError::Payload { position: 1, .. })),
        "{short:?}"
    );
    for vector in ["parameters", "momentum", "aggregate"] {
        let mut other = base.clone();
        let changed = match vector {
            "parameters" => &mut other.parameters,
            "momentum" => &mut other.momentum,
            _ => &mut other.aggregate,
        };
        changed.push(0.0);
        let refused = refold(&plan, layout, Round(0), &other, &[(1, good)]);
        assert!(matches!(refused, Err(ReferenceError::Length { vector: v, .. }) if v == vector));
    }
    let mut damaged = base.clone();
    damaged.aggregate = vec![f32::NAN; layout.parameters()];
    let refused = refold(&plan, layout, Round(0), &damaged, &[(1, good)]);
    assert!(matches!(
        refused,
        Err(ReferenceError::Aggregate { position: 0, .. })
    ));
    let mut odd = plan.clone();
    odd.exchange.clip_iterations = 0;
    let refused = refold(&odd, layout, Round(0), &base, &[(1, good)]);
    let setting = "exchange.clip_iterations";
    let expected = ReferenceError::Plan { setting, found: 0 };
    assert_eq!(refused.expect_err("no iterations"), expected);
}

#[test]
fn fragments_are_cut_as_the_protocol_cuts_them() {
    let mut stream = Stream::new([9; 32]);
    for _ in 0..200 {
        let count = 1 + stream.below(12) as u32;
        let spec = |index: u64, stream: &mut Stream| TensorSpec {
            name: format!("t{index}"),
            shape: vec![
                1 + stream.below(*[3, 40, 1000].get(index as usize % 3).unwrap_or(&3)) as u32,
            ],
        };
        let tensors = u64::from(count) + stream.below(20);
        let layout = (0..tensors).map(|index| spec(index, &mut stream)).collect();
        let layout = Layout::new(layout).expect("a layout");
        let fragments = Fragments::new(&layout, count).expect("tensors enough");
        for round in 0..u64::from(count) * 2 {
            let part = fragment::part(&layout, count, round).expect("tensors enough");
            let other = fragments.of(Round(round));
            assert_eq!((&part.range, &part.layout), (&other.range, &other.layout));
            assert_eq!(part.turn, fragments.turn(Round(round)));
        }
    }
}
