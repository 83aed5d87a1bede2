//! Algebra, hand-computed values, bit-equality of parts, and what a liar can do.

mod by_hand;
mod liars;
mod naive;

use super::*;
use crate::random::{Stream, derive_key};
use proptest::prelude::*;

const CLIP: Rule = Rule::CenteredClip { iterations: 3 };

fn dense(values: &[f32]) -> Update {
    Update::dense(values.to_vec()).expect("finite")
}

fn normal(seed: u64, count: usize) -> Vec<f32> {
    let mut stream = Stream::new(derive_key("rule tests", &[&seed.to_be_bytes()]));
    (0..count).map(|_| stream.normal_f32()).collect()
}

fn of_equal_tokens(updates: &[Update]) -> Vec<Contribution<'_>> {
    updates
        .iter()
        .map(|update| Contribution {
            tokens: 100,
            update,
        })
        .collect()
}

fn fold(rule: Rule, updates: &[Update], previous: Option<&[f32]>) -> Aggregate {
    aggregate(rule, &of_equal_tokens(updates), previous, Caps::NONE).expect("a good cut")
}

fn share_of(max_share_billionths: u64) -> Caps {
    Caps {
        max_share_billionths,
        median_norm: false,
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    let square = |(a, b): (&f32, &f32)| f64::from(a - b) * f64::from(a - b);
    a.iter().zip(b).map(square).sum::<f64>().sqrt()
}

#[test]
fn mean_weighs_by_tokens() {
    let updates = [dense(&[1.0, -2.0]), dense(&[4.0, 7.0])];
    let cut = [
        Contribution {
            tokens: 200,
            update: &updates[0],
        },
        Contribution {
            tokens: 100,
            update: &updates[1],
        },
    ];
    let found = aggregate(Rule::Mean, &cut, None, Caps::NONE).expect("a good cut");
    assert_eq!(found.values, [2.0, 1.0]);
    assert_eq!(found.weights, [200, 100]);
    assert_eq!(found.factors, [BILLION, BILLION]);
}

#[test]
fn mean_under_a_cap() {
    let updates = [dense(&[1.0]), dense(&[4.0]), dense(&[7.0])];
    let tokens = [1000, 100, 100];
    let cut: Vec<_> = updates
        .iter()
        .zip(tokens)
        .map(|(update, tokens)| Contribution { tokens, update })
        .collect();
    let caps = share_of(BILLION / 2);
    let found = aggregate(Rule::Mean, &cut, None, caps).expect("a good cut");
    assert_eq!(found.weights, [200, 100, 100]);
    assert_eq!(found.values, [3.25]);
}

#[test]
fn caps_by_hand() {
    let third = BILLION / 3;
    for (why, tokens, share, expected) in [
        ("no cap", vec![9, 1, 0], BILLION, vec![9, 1, 0]),
        ("nobody is above", vec![5, 5, 5], BILLION / 2, vec![5, 5, 5]),
        (
            "one is lowered",
            vec![1000, 100, 100],
            BILLION / 2,
            vec![200, 100, 100],
        ),
        (
            "two are lowered",
            vec![900, 800, 50, 50],
            BILLION * 2 / 5,
            vec![200, 200, 50, 50],
        ),
        ("the cap cannot hold", vec![900, 1, 1], third, vec![1, 1, 1]),
        ("only one trained", vec![900, 0, 0], third, vec![1, 0, 0]),
        ("order is kept", vec![1, 900, 2], BILLION / 2, vec![1, 3, 2]),
        (
            "sums pass 64 bits",
            vec![u64::MAX, u64::MAX, 1],
            BILLION * 2 / 5,
            vec![2, 2, 1],
        ),
    ] {
        let caps = share_of(share);
        assert_eq!(capped_weights(&tokens, caps), Ok(expected), "{why}");
    }
}

#[test]
fn mean_of_sparse_is_mean_of_dense() {
    let sparse = [
        Update::sparse(9000, vec![0, 5, 4096, 8999], vec![1.0, -0.0, 2.5, -3.0])
            .expect("ascending"),
        Update::sparse(9000, vec![5, 6, 8999], vec![1e-9, -1.0, 3.0]).expect("ascending"),
    ];
    let full = [dense(&sparse[0].to_dense()), dense(&sparse[1].to_dense())];
    for rule in [Rule::Mean, CLIP] {
        for previous in [None, Some(normal(3, 9000))] {
            let (a, b) = (
                fold(rule, &sparse, previous.as_deref()),
                fold(rule, &full, previous.as_deref()),
            );
            assert_eq!(bits(&a.values), bits(&b.values));
            assert_eq!(a.factors, b.factors);
        }
    }
}

#[test]
fn clip_by_hand() {
    // Norms 3, 4 and 12: the last is scaled to 4. Around zero the distances are 3, 4 and 4, their
    // lower median 4, so nothing more is clipped in the first iteration.
    let updates = [dense(&[3.0, 0.0]), dense(&[0.0, 4.0]), dense(&[12.0, 0.0])];
    let found = fold(
        Rule::CenteredClip { iterations: 1 },
        &updates,
        Some(&[0.0, 0.0]),
    );
    assert_eq!(found.values, [7.0 / 3.0, 4.0 / 3.0]);
    assert_eq!(found.factors, [BILLION, BILLION, 333_333_333]);
    assert_eq!(found.weights, [1, 1, 1]);
    // Around (0, 8) the distances are √73, 4 and √80; the lower median of three is √73.
    let found = fold(
        Rule::CenteredClip { iterations: 1 },
        &updates,
        Some(&[0.0, 8.0]),
    );
    let clip = 73f64.sqrt() / 80f64.sqrt();
    let expected = [
        (3.0 + 4.0 * clip) / 3.0,
        8.0 + (-8.0 - 4.0 - 8.0 * clip) / 3.0,
    ];
    for (found, expected) in found.values.iter().zip(expected) {
        assert!(
            (f64::from(*found) - expected).abs() < 1e-6,
            "{found} is not {expected}"
        );
    }
}

#[test]
fn clip_of_two_uses_the_lower_median() {
    let updates = [dense(&[2.0]), dense(&[200.0])];
    let found = fold(Rule::CenteredClip { iterations: 1 }, &updates, Some(&[0.0]));
    assert_eq!(found.values, [2.0]);
    assert_eq!(found.factors, [BILLION, BILLION / 100]);
}

#[test]
fn one_update_is_its_own_aggregate() {
    let update = [dense(&normal(1, 300))];
    for rule in [Rule::Mean, CLIP] {
        let found = fold(rule, &update, None);
        assert_eq!(bits(&found.values), bits(&update[0].to_dense()));
        assert_eq!(found.factors, [BILLION]);
    }
    // From elsewhere one iteration is enough, up to the rounding of the way there.
    let found = fold(CLIP, &update, Some(&normal(2, 300)));
    assert!(distance(&found.values, &update[0].to_dense()) < 1e-5);
}

#[test]
fn equal_updates_and_zeros_are_fixed_points() {
    for values in [vec![0.0; 40], normal(1, 40)] {
        let updates = vec![dense(&values); 4];
        for previous in [None, Some(values.as_slice())] {
            for rule in [Rule::Mean, CLIP] {
                assert_eq!(fold(rule, &updates, previous).values, values);
            }
        }
    }
    let mostly_zero = [dense(&[0.0, 0.0]), dense(&[0.0, 0.0]), dense(&[5.0, 5.0])];
    assert_eq!(fold(CLIP, &mostly_zero, None).values, [0.0, 0.0]);
}

#[test]
fn a_liar_moves_the_mean_but_not_the_clipped_center() {
    let base = normal(100, 2000);
    let honest = |seed| {
        let noise = normal(seed, 2000);
        dense(
            &base
                .iter()
                .zip(&noise)
                .map(|(b, n)| b + 0.5 * n)
                .collect::<Vec<_>>(),
        )
    };
    let mut updates: Vec<Update> = (0..8).map(honest).collect();
    let truth = fold(Rule::Mean, &updates, None).values;
    let length = distance(&truth, &vec![0.0; 2000]);
    for scale in [1000.0, -1000.0] {
        updates[3] = dense(&base.iter().map(|b| scale * b).collect::<Vec<_>>());
        let fooled = fold(Rule::Mean, &updates, None).values;
        assert!(distance(&fooled, &truth) > 100.0 * length);
        for previous in [None, Some(truth.as_slice())] {
            let clipped = fold(CLIP, &updates, previous);
            let moved = distance(&clipped.values, &truth) / length;
            assert!(moved < 0.3, "×{scale}: moved by {moved} of its length");
            assert!(clipped.factors[3] < BILLION / 500, "{:?}", clipped.factors);
        }
    }
}

#[test]
fn the_geometric_median_starts_near_the_majority() {
    // Three of five at one point, two far away on one side: the median is that point.
    let updates = [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.4, 0.0], [1.4, 0.1]].map(|v| dense(&v));
    let found = fold(Rule::CenteredClip { iterations: 1 }, &updates, None).values;
    assert!(distance(&found, &[1.0, 1.0]) < 0.05, "{found:?}");
}

#[test]
fn refusals() {
    let (two, three) = (dense(&[1.0, 2.0]), dense(&[1.0, 2.0, 3.0]));
    let of = |tokens, update| Contribution { tokens, update };
    let refuse = |rule, cut: &[Contribution<'_>], previous, share| {
        aggregate(rule, cut, previous, share_of(share)).expect_err("a bad cut")
    };
    let cut = [of(1, &two), of(1, &two)];
    assert_eq!(refuse(Rule::Mean, &[], None, BILLION), RuleError::Empty);
    let idle = [of(0, &two), of(0, &two)];
    assert_eq!(
        refuse(Rule::Mean, &idle, None, BILLION),
        RuleError::NoTokens { updates: 2 }
    );
    let mixed = [of(1, &two), of(1, &three)];
    let expected = RuleError::Length {
        position: 1,
        expected: 2,
        found: 3,
    };
    assert_eq!(refuse(CLIP, &mixed, None, BILLION), expected);
    let expected = RuleError::PreviousLength {
        expected: 2,
        found: 1,
    };
    assert_eq!(refuse(CLIP, &cut, Some(&[1.0]), BILLION), expected);
    let expected = RuleError::PreviousNotFinite { index: 1 };
    assert_eq!(
        refuse(CLIP, &cut, Some(&[1.0, f32::NAN]), BILLION),
        expected
    );
    for found in [0, BILLION + 1] {
        assert_eq!(
            refuse(Rule::Mean, &cut, None, found),
            RuleError::Share { found }
        );
    }
    for iterations in [0, 17] {
        let found = refuse(Rule::CenteredClip { iterations }, &cut, None, BILLION);
        assert_eq!(found, RuleError::Iterations { found: iterations });
    }
}

#[test]
fn bits_are_what_they_were() {
    let updates: Vec<Update> = (0..6).map(|seed| dense(&normal(seed, 5000))).collect();
    let previous = normal(9, 5000);
    let hash = |rule, previous: Option<&[f32]>| {
        let values = fold(rule, &updates, previous).values;
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        blake3::hash(&bytes).to_hex()[..16].to_owned()
    };
    let found = [
        hash(Rule::Mean, None),
        hash(CLIP, None),
        hash(CLIP, Some(&previous)),
    ];
    assert_eq!(
        found,
        ["dc3579c48e835234", "b1fa142f42e682c7", "0b7fbab3aa10348d"]
    );
    let expected = [
        "dc3579c48e835234",
        "caac0a4f9b6b0454",
        "ea9b20313ae562b5",
        "77727a50f864d2dc",
        "6c87f997278a2431",
        "9a5180607d34d842",
    ];
    let found = naive::RULES[2..].iter().map(|rule| hash(*rule, None));
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

proptest! {
    #[test]
    fn nobody_is_above_the_cap(
        tokens in prop::collection::vec(prop_oneof![0..5u64, 0..100_000u64, any::<u64>()], 1..12),
        share in 1..=BILLION,
    ) {
        let caps = share_of(share);
        let trained = tokens.iter().filter(|tokens| **tokens > 0).count();
        prop_assume!(trained > 0);
        let weights = capped_weights(&tokens, caps).expect("somebody trained");
        let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
        for (weight, tokens) in weights.iter().zip(&tokens) {
            prop_assert!(weight <= tokens);
            prop_assert_eq!(*weight == 0, *tokens == 0);
            if trained as u128 * u128::from(share) > u128::from(BILLION) {
                let scaled = u128::from(*weight) * u128::from(BILLION);
                prop_assert!(scaled <= u128::from(share) * total);
            } else {
                prop_assert!(*weight <= 1);
            }
        }
    }

    #[test]
    fn aggregates_are_finite_and_scale_with_powers_of_two(seed: u64, members in 1..6u64) {
        let values = |m| normal(seed.wrapping_add(m), 50);
        let updates: Vec<Update> = (0..members).map(|m| dense(&values(m))).collect();
        let doubled: Vec<Update> = (0..members)
            .map(|m| dense(&values(m).iter().map(|value| 4.0 * value).collect::<Vec<_>>()))
            .collect();
        for rule in [Rule::Mean, CLIP] {
            let (once, scaled) = (fold(rule, &updates, None), fold(rule, &doubled, None));
            let expected: Vec<f32> = once.values.iter().map(|value| 4.0 * value).collect();
            prop_assert_eq!(bits(&scaled.values), bits(&expected));
            prop_assert_eq!(once.factors, scaled.factors);
        }
    }
}
