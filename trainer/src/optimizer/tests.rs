use super::moments::{HEADER_BYTES, Pass};
use super::*;
use crate::workers::Workers;
use archipel_protocol::layout::{Layout, TensorSpec};

fn settings() -> AdamWConfig {
    AdamWConfig {
        lr: 0.1,
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-8,
        weight_decay: 0.5,
        clip_norm: 0.0,
        warmup_steps: 4,
        total_steps: 104,
        min_lr_ratio: 0.1,
        muon: None,
        sgd: false,
        rewarm_steps: 0,
    }
}

/// Steps of the schedule at which the rate is at its peak of 0.1, and at its end of 0.01.
const PEAK: u64 = 4;
const END: u64 = 1000;

fn step(
    moments: &mut Moments,
    config: &AdamWConfig,
    layout: &Layout,
    step: u64,
    gradient: &[f32],
    norm: f64,
    params: &mut [f32],
) -> bool {
    let workers = Workers::new(2).expect("threads start");
    let pass = Pass {
        config,
        layout,
        workers: &workers,
        step,
        gradient,
        norm,
    };
    moments.step(&pass, params)
}

fn two_tensors() -> Layout {
    let matrix = TensorSpec {
        name: "matrix".into(),
        shape: vec![2, 2],
    };
    let vector = TensorSpec {
        name: "vector".into(),
        shape: vec![2],
    };
    Layout::new(vec![matrix, vector]).expect("a layout")
}

#[test]
fn the_rate_rises_falls_and_stays() {
    let settings = settings();
    assert_eq!(settings.learning_rate(0), 0.025);
    assert_eq!(settings.learning_rate(3), 0.1);
    assert_eq!(settings.learning_rate(4), 0.1);
    assert!((settings.learning_rate(54) - 0.055).abs() < 1e-7);
    assert!((settings.learning_rate(104) - 0.01).abs() < 1e-8);
    assert_eq!(
        settings.learning_rate(u64::MAX),
        settings.learning_rate(104)
    );
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    type Change = fn(&mut AdamWConfig);
    let cases: [(Change, &str); 4] = [
        (|s| s.lr = 0.0, "lr must be above 0"),
        (|s| s.beta2 = 1.0, "beta2 must be in 0..1"),
        (|s| s.clip_norm = f32::NAN, "clip_norm must be 0 or above"),
        (|s| s.min_lr_ratio = 1.5, "min_lr_ratio must be in 0..=1"),
    ];
    assert_eq!(settings().validate(), Ok(()));
    for (change, expected) in cases {
        let mut settings = settings();
        change(&mut settings);
        let message = settings.validate().expect_err("out of range").to_string();
        assert!(message.contains(expected), "{message}");
    }
}

/// The first step of Adam moves by the learning rate against the gradient's sign; only matrices
/// decay.
#[test]
fn the_first_step_is_the_sign_and_vectors_do_not_decay() {
    let layout = two_tensors();
    let mut moments = Moments::fresh(6);
    let mut params = vec![1.0; 6];
    let gradient = [3.0, -2.0, 0.0, 1e-3, 5.0, -5.0];
    assert!(step(
        &mut moments,
        &settings(),
        &layout,
        PEAK,
        &gradient,
        8.0,
        &mut params
    ));
    let expected = [0.85, 1.05, 0.95, 0.85, 0.9, 1.1];
    for (param, expected) in params.iter().zip(expected) {
        assert!((param - expected).abs() < 1e-5, "{params:?}");
    }
}

#[test]
fn clipping_scales_the_whole_gradient() {
    let layout = two_tensors();
    let run = |gradient: &[f32], clip_norm| {
        let mut moments = Moments::fresh(6);
        let norm = crate::lanes::square_sum(gradient).sqrt();
        let settings = AdamWConfig {
            clip_norm,
            ..settings()
        };
        step(
            &mut moments,
            &settings,
            &layout,
            PEAK,
            gradient,
            norm,
            &mut [0.0; 6],
        );
        moments
    };
    let long = [4.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let short = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    assert_eq!(run(&long, 1.0), run(&short, 0.0));
    assert_ne!(run(&long, 1.0), run(&long, 0.0));
}

/// An independent reading of the paper in `f64`.
#[test]
fn many_steps_follow_the_paper() {
    let layout = two_tensors();
    let settings = settings();
    let mut moments = Moments::fresh(6);
    let mut params = vec![0.3f32; 6];
    let (mut m, mut v, mut p) = ([0.0f64; 6], [0.0f64; 6], [f64::from(0.3f32); 6]);
    for count in 1..=50i32 {
        let gradient: Vec<f32> = (0..6)
            .map(|i| ((count * 7 + i * 3) % 11) as f32 - 5.0)
            .collect();
        step(
            &mut moments,
            &settings,
            &layout,
            END,
            &gradient,
            1.0,
            &mut params,
        );
        for i in 0..6 {
            let g = f64::from(gradient[i]);
            m[i] = 0.9 * m[i] + 0.1 * g;
            v[i] = 0.99 * v[i] + 0.01 * g * g;
            let (mc, vc) = (
                m[i] / (1.0 - 0.9f64.powi(count)),
                v[i] / (1.0 - 0.99f64.powi(count)),
            );
            let decay = if i < 4 { 0.5 } else { 0.0 };
            p[i] -= 0.01 * (mc / (vc.sqrt() + 1e-8) + decay * p[i]);
        }
    }
    for (param, expected) in params.iter().zip(p) {
        assert!(
            (f64::from(*param) - expected).abs() < 1e-4,
            "{params:?} {p:?}"
        );
    }
}

#[test]
fn a_state_survives_its_encoding_and_has_one_only() {
    let layout = two_tensors();
    let mut moments = Moments::fresh(6);
    assert_eq!(moments.encode(), Vec::<u8>::new());
    assert_eq!(Moments::decode(&[], &layout), Ok(moments.clone()));
    step(
        &mut moments,
        &settings(),
        &layout,
        PEAK,
        &[1.0; 6],
        1.0,
        &mut [0.0; 6],
    );
    let bytes = moments.encode();
    assert_eq!(Moments::decode(&bytes, &layout), Ok(moments));

    let changed = |at: usize, with: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        Moments::decode(&bytes, &layout).expect_err("the bytes are wrong")
    };
    assert_eq!(changed(0, b"X"), MomentsError::Header);
    assert_eq!(changed(8, &[9]), MomentsError::Header);
    assert_eq!(changed(12, &[0; 8]), MomentsError::ZeroSteps);
    let expected = MomentsError::Parameters {
        expected: 6,
        found: u64::MAX,
    };
    assert_eq!(changed(20, &[0xff; 8]), expected);
    let nan = MomentsError::Value {
        moment: "first",
        tensor: "vector".into(),
    };
    assert_eq!(changed(28 + 5 * 4, &f32::NAN.to_le_bytes()), nan);
    let negative = MomentsError::Value {
        moment: "second",
        tensor: "matrix".into(),
    };
    assert_eq!(changed(28 + 6 * 4, &(-1f32).to_le_bytes()), negative);
    for length in [1, HEADER_BYTES, bytes.len() - 1] {
        let expected = MomentsError::Length {
            expected: bytes.len(),
            found: length,
        };
        assert_eq!(Moments::decode(&bytes[..length], &layout), Err(expected));
    }
}

/// Muon moves hidden matrices along their orthogonalized momentum, and leaves the others to AdamW.
#[test]
fn muon_moves_hidden_matrices_only() {
    let tensor = |name: &str, shape: &[u32]| TensorSpec {
        name: name.into(),
        shape: shape.to_vec(),
    };
    let layout = Layout::new(vec![
        tensor("model.embed_tokens.weight", &[2, 2]),
        tensor("model.layers.0.self_attn.q_proj.weight", &[2, 2]),
        tensor("model.norm.weight", &[2]),
    ])
    .expect("a layout");
    let gradient = [3.0, 0.0, 0.0, 1.0, 3.0, 0.0, 0.0, 1.0, 3.0, 1.0];
    let run = |muon: Option<MuonConfig>| {
        let config = AdamWConfig {
            weight_decay: 0.0,
            sgd: false,
            rewarm_steps: 0,
            muon,
            ..settings()
        };
        let (mut moments, mut params) = (Moments::fresh(10), [0.0; 10]);
        assert!(step(
            &mut moments,
            &config,
            &layout,
            PEAK,
            &gradient,
            1.0,
            &mut params
        ));
        params
    };
    let muon = MuonConfig {
        lr: 0.02,
        momentum: 0.95,
        iterations: 5,
    };
    let (with, without) = (run(Some(muon)), run(None));
    assert_eq!(with[..4], without[..4]);
    assert_eq!(with[8..], without[8..]);
    // Both singular values, 3 and 1, become about one; nothing beside the diagonal moves.
    for at in [4, 7] {
        assert!((-0.025..-0.012).contains(&with[at]), "{with:?}");
    }
    assert_eq!(with[5..7], [0.0, 0.0]);
    let config = AdamWConfig {
        sgd: false,
        rewarm_steps: 0,
        muon: Some(MuonConfig {
            lr: 0.02,
            momentum: 1.0,
            iterations: 5,
        }),
        ..settings()
    };
    let message = config.validate().expect_err("out of range").to_string();
    assert!(
        message.contains("muon.momentum must be in 0..1"),
        "{message}"
    );
}

#[test]
fn a_weight_that_is_not_finite_is_told() {
    let layout = two_tensors();
    let mut params = [f32::MAX; 6];
    let huge = AdamWConfig {
        lr: f32::MAX,
        ..settings()
    };
    let gradient = [-1.0; 6];
    let mut moments = Moments::fresh(6);
    assert!(!step(
        &mut moments,
        &huge,
        &layout,
        PEAK,
        &gradient,
        1.0,
        &mut params
    ));
}

#[test]
fn a_round_that_warms_up_again_begins_slowly() {
    let mut settings = settings();
    settings.rewarm_steps = 4;
    let rates = [0, 1, 3, 4, 90].map(|step| settings.rewarmed(step).learning_rate(PEAK));
    assert_eq!(rates, [0.025, 0.05, 0.1, 0.1, 0.1]);
}

#[test]
fn sgd_steps_against_the_gradient_and_remembers_nothing() {
    let (layout, mut moments) = (two_tensors(), Moments::fresh(6));
    let config = AdamWConfig {
        sgd: true,
        clip_norm: 2.0,
        ..settings()
    };
    let mut params = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
    let gradient = [4.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let (moments, params) = (&mut moments, &mut params);
    assert!(step(
        moments, &config, &layout, PEAK, &gradient, 4.0, params
    ));
    // Rate 0.1, the gradient clipped to 2, matrices decayed by half of the rate.
    assert_eq!(*params, [0.95 - 0.2, 0.95, 0.95, 0.95, 1.0, 1.0]);
    assert!(moments.encode().is_empty());
}
