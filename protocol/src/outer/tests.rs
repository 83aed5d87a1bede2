//! Hand-computed steps, bit-equality of parts, and refusals that change nothing.

use super::*;
use crate::layout::TensorSpec;
use crate::random::Stream;

const DILOCO: Outer = Outer::Nesterov {
    lr: 0.7,
    momentum: 0.9,
};
const SPARSE_LOCO: Outer = Outer::Plain { lr: 1.0 };
const SIGN: Outer = Outer::Sign { lr: 0.25 };
const DELAYED: Outer = Outer::DelayedNesterov {
    lr: 0.5,
    momentum: 0.5,
    period: 3,
    position: 0,
};

fn layout(lengths: &[u32]) -> Layout {
    let spec = |(index, length): (usize, &u32)| TensorSpec {
        name: format!("tensor.{index}"),
        shape: vec![*length],
    };
    Layout::new(lengths.iter().enumerate().map(spec).collect()).expect("a valid layout")
}

fn normal(seed: u8, count: usize) -> Vec<f32> {
    let mut stream = Stream::new([seed; 32]);
    (0..count).map(|_| stream.normal_f32()).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn nesterov_by_hand() {
    let rule = Outer::Nesterov {
        lr: 0.5,
        momentum: 0.5,
    };
    let layout = layout(&[2]);
    let (mut theta, mut v) = ([10.0, 0.0], [0.0, 4.0]);
    rule.step(&layout, 0, &mut theta, &mut v, &[2.0, -2.0])
        .expect("finite");
    // v = 0.5·v + Δ = (2, 0); θ −= 0.5·(Δ + 0.5·v) = 0.5·(3, −2).
    assert_eq!((theta, v), ([8.5, 1.0], [2.0, 0.0]));
    rule.step(&layout, 0, &mut theta, &mut v, &[0.0, 0.0])
        .expect("finite");
    assert_eq!((theta, v), ([8.25, 1.0], [1.0, 0.0]));
}

#[test]
fn plain_by_hand() {
    let mut theta = [10.0, 0.0];
    let rule = Outer::Plain { lr: 0.5 };
    rule.step(&layout(&[2]), 0, &mut theta, &mut [], &[2.0, -3.0])
        .expect("finite");
    assert_eq!(theta, [9.0, 1.5]);
}

#[test]
fn sign_by_hand() {
    let mut theta = [1.0, 1.0, 1.0, 1.0];
    SIGN.step(
        &layout(&[4]),
        0,
        &mut theta,
        &mut [],
        &[9.0, -1e-30, 0.0, -0.0],
    )
    .expect("finite");
    assert_eq!(theta, [0.75, 1.25, 1.0, 1.0]);
}

#[test]
fn delayed_nesterov_by_hand() {
    let (layout, mut theta, mut v) = (layout(&[1]), [10.0], [4.0]);
    let mut seen = Vec::new();
    for turn in 0..4 {
        let step = DELAYED.at(turn);
        step.step(&layout, 0, &mut theta, &mut v, &[6.0])
            .expect("finite");
        seen.push((theta[0], v[0]));
    }
    // g = 6/3 = 2. Turn 0: v = ½·4 + 2, θ −= ½·2. Turn 1: v = 6. Turn 2: v = 8, θ −= ½ (2 + ½·8).
    // Turn 3 begins anew: v = ½·8 + 2.
    assert_eq!(seen, [(9.0, 4.0), (8.0, 6.0), (5.0, 8.0), (4.0, 6.0)]);
}

#[test]
fn with_a_period_of_one_delayed_nesterov_is_nesterov() {
    let (delta, layout) = (normal(2, 1000), layout(&[1000]));
    let delayed = Outer::DelayedNesterov {
        lr: 0.7,
        momentum: 0.9,
        period: 1,
        position: 0,
    };
    let run = |rule: Outer| {
        let (mut theta, mut v) = (normal(1, 1000), normal(4, 1000));
        for turn in 0..3 {
            rule.at(turn)
                .step(&layout, 0, &mut theta, &mut v, &delta)
                .expect("finite");
        }
        (bits(&theta), bits(&v))
    };
    assert_eq!(run(delayed), run(DILOCO));
}

#[test]
fn without_momentum_nesterov_is_plain() {
    let (delta, layout) = (normal(2, 1000), layout(&[1000]));
    let (mut a, mut b, mut v) = (normal(1, 1000), normal(1, 1000), vec![0.0; 1000]);
    let nesterov = Outer::Nesterov {
        lr: 0.7,
        momentum: 0.0,
    };
    nesterov
        .step(&layout, 0, &mut a, &mut v, &delta)
        .expect("finite");
    Outer::Plain { lr: 0.7 }
        .step(&layout, 0, &mut b, &mut [], &delta)
        .expect("finite");
    assert_eq!(bits(&a), bits(&b));
    assert_eq!(bits(&v), bits(&delta));
}

#[test]
fn parts_of_any_length_give_the_same_bits() {
    let (delta, layout) = (normal(3, 1000), layout(&[600, 400]));
    for rule in [DILOCO, SPARSE_LOCO, DELAYED.at(0), DELAYED.at(2), SIGN] {
        let momenta = rule.momenta(1000);
        let (mut theta, mut v) = (normal(1, 1000), normal(2, momenta));
        rule.step(&layout, 0, &mut theta, &mut v, &delta)
            .expect("finite");
        for part in [1, 7, 333] {
            let (mut parts, mut part_v) = (normal(1, 1000), normal(2, momenta));
            for start in (0..1000).step_by(part) {
                let range = start..1000.min(start + part);
                let v = if momenta == 0 {
                    &mut [][..]
                } else {
                    &mut part_v[range.clone()]
                };
                let theta = &mut parts[range.clone()];
                rule.step(&layout, start, theta, v, &delta[range])
                    .expect("finite");
            }
            assert_eq!(bits(&parts), bits(&theta));
            assert_eq!(bits(&part_v), bits(&v));
        }
    }
}

#[test]
fn a_result_that_is_not_finite_changes_nothing() {
    let layout = layout(&[3, 2]);
    let refused = OuterError::NonFinite {
        tensor: "tensor.1".into(),
        index: 1,
    };
    for (why, theta_4, v_4, delta_4) in [
        ("θ overflows", f32::MAX, 0.0, -f32::MAX),
        ("v overflows", 0.0, f32::MAX, f32::MAX),
        ("Δ is no number", 0.0, 0.0, f32::NAN),
        ("Δ is infinite", 0.0, 0.0, f32::NEG_INFINITY),
        ("θ is no number", f32::NAN, 0.0, 0.0),
    ] {
        for rule in [DILOCO, SPARSE_LOCO, DELAYED.at(2), SIGN] {
            // Without a momentum that does not overflow, and a sign moves nothing that far.
            let overflows = why.ends_with("overflows");
            if overflows && (rule == SIGN || (rule == SPARSE_LOCO && why == "v overflows")) {
                continue;
            }
            let mut theta = [1.0, 2.0, 3.0, 4.0, theta_4];
            let mut v = [1.0, 1.0, 1.0, 1.0, v_4];
            let before = (bits(&theta), bits(&v));
            let delta = [1.0, 1.0, 1.0, 1.0, delta_4];
            let v_slice = &mut v[..rule.momenta(5)];
            let found = rule.step(&layout, 0, &mut theta, v_slice, &delta);
            assert_eq!(found, Err(refused.clone()), "{why}");
            assert_eq!((bits(&theta), bits(&v)), before, "{why}");
            let found = rule.check(
                &layout,
                4,
                &theta[4..],
                &v[4..4 + rule.momenta(1)],
                &delta[4..],
            );
            assert_eq!(found, Err(refused.clone()), "{why}");
        }
    }
}

#[test]
fn settings_out_of_range() {
    for wrong in [0.0, -0.1, f32::NAN, f32::INFINITY] {
        for rule in [
            Outer::Plain { lr: wrong },
            Outer::Nesterov {
                lr: wrong,
                momentum: 0.9,
            },
        ] {
            assert!(
                matches!(rule.check_settings(), Err(OuterError::Rate { .. })),
                "{rule:?}"
            );
        }
    }
    for wrong in [1.0, -0.1, f32::NAN] {
        let rule = Outer::Nesterov {
            lr: 0.7,
            momentum: wrong,
        };
        assert!(
            matches!(rule.check_settings(), Err(OuterError::Momentum { .. })),
            "{rule:?}"
        );
    }
}

#[test]
fn lengths_that_do_not_fit() {
    let layout = layout(&[4]);
    for (first, parameters, momentum, aggregate) in [
        (0, 4, 3, 4),
        (0, 4, 4, 3),
        (1, 4, 4, 4),
        (usize::MAX, 4, 4, 4),
    ] {
        let (p, v, a) = (
            vec![0.0; parameters],
            vec![0.0; momentum],
            vec![0.0; aggregate],
        );
        let expected = OuterError::Length {
            first,
            parameters,
            momentum,
            aggregate,
            limit: 4,
        };
        assert_eq!(DILOCO.check(&layout, first, &p, &v, &a), Err(expected));
    }
    let found = SPARSE_LOCO.check(&layout, 0, &[0.0; 4], &[0.0; 4], &[0.0; 4]);
    assert!(matches!(found, Err(OuterError::Length { momentum: 4, .. })));
}

#[test]
fn bits_are_what_they_were() {
    let layout = layout(&[1000]);
    let hash = |rule: Outer| {
        let (mut theta, mut v) = (normal(1, 1000), normal(2, rule.momenta(1000)));
        for seed in 3..6 {
            rule.step(&layout, 0, &mut theta, &mut v, &normal(seed, 1000))
                .expect("finite");
        }
        let bytes: Vec<u8> = theta
            .iter()
            .chain(&v)
            .flat_map(|value| value.to_le_bytes())
            .collect();
        blake3::hash(&bytes).to_hex()[..16].to_owned()
    };
    assert_eq!(
        [hash(DILOCO), hash(SPARSE_LOCO)],
        ["21a357716496e950", "47b850667c7610fd"]
    );
}
