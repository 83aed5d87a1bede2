//! The engine of cards on CPU tensors: in single precision it must be the CPU's engine but for
//! rounding, and in mixed precision near it.

use super::*;
use crate::LlamaEngine;
use crate::config::{initial_params, tiny};
use crate::cuda::mixed::{self, narrow};
use crate::cuda::tape::kernels_on_tape;
use crate::data::MemorySource;
use crate::model::kernels::Attention;
use crate::optimizer::AdamWConfig;
use burn::backend::autodiff::checkpoint::strategy::BalancedCheckpointing;
use burn::backend::{Autodiff, Flex};
use burn::tensor::Tensor;
use std::sync::Arc;

/// Burn's own operations on CPU tensors.
type Exact = Autodiff<Flex>;
/// A card's operations on CPU tensors. The strategy changes nothing but the type.
type Mixed = Autodiff<Flex, BalancedCheckpointing>;

kernels_on_tape!(Mixed);

fn plan(to_step: u64) -> InnerPlan {
    InnerPlan {
        from_step: 0,
        to_step,
        segment_steps: 3,
        batch_sequences: 7,
        micro_batch: 2,
        schedule_offset: 0,
        optimizer: AdamWConfig {
            lr: 1e-2,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.1,
            clip_norm: 1.0,
            warmup_steps: 2,
            total_steps: 100,
            min_lr_ratio: 0.1,
            muon: None,
            sgd: false,
            rewarm_steps: 0,
        },
        batch_key: [5; 32],
        mixture: Vec::new(),
    }
}

fn text() -> MemorySource {
    let line = b"the quick brown fox jumps over the lazy dog; ";
    MemorySource::new(line.iter().copied().cycle().take(4000).collect())
}

fn params() -> Vec<f32> {
    // Larger than first weights are, so that attention is not uniform.
    let params = initial_params(&tiny(), [1; 32]).expect("a shape");
    let larger = |value: f32| if value == 1.0 { 1.0 } else { 8.0 * value };
    params.into_iter().map(larger).collect()
}

fn engine<T>(devices: usize) -> DeviceEngine<T>
where
    T: Kernels + burn::tensor::backend::AutodiffBackend,
    T::InnerBackend: Kernels,
{
    let devices = (0..devices).map(|_| (Default::default(), None)).collect();
    let mut engine = DeviceEngine::on(&tiny(), devices).expect("a shape");
    engine.load(&params()).expect("finite weights");
    engine
}

fn llama() -> LlamaEngine {
    let mut engine = LlamaEngine::new(&tiny(), 1).expect("a shape");
    engine.load(&params()).expect("finite weights");
    engine
}

fn run(engine: &mut dyn Engine, steps: u64) -> f64 {
    let report = engine.train(&plan(steps), &text(), &mut |_| Control::Continue);
    report.expect("the plan is right").last_loss
}

fn tokens(text: &[u8]) -> Vec<u32> {
    text.iter().map(|byte| u32::from(*byte)).collect()
}

/// Two readings of one model, by hand and by burn's tape, and the same optimizer.
#[test]
fn any_number_of_devices_trains_as_the_cpu_does() {
    let mut llama = llama();
    let loss = run(&mut llama, 5);
    let mut trained = vec![0.0; llama.layout().parameters()];
    llama.params(&mut trained).expect("as long as the layout");
    let texts = ["the quick", "brown fox", "jumps", "over", "the lazy dog; "];
    let texts: Vec<Vec<u32>> = texts.iter().map(|text| tokens(text.as_bytes())).collect();
    let windows: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let measured = llama.evaluate(&windows).expect("windows");
    let prompt = tokens(b"the quick brown fox jumps");
    let expected = llama.next_token_logits(&prompt).expect("tokens");
    let mut hash = None;
    for devices in [1, 2, 3, 8] {
        let mut engine = engine::<Exact>(devices);
        assert!((run(&mut engine, 5) / loss - 1.0).abs() < 1e-4);
        let mut params = trained.clone();
        engine.params(&mut params).expect("as long as the layout");
        assert_near(&params, &trained, 1e-3);
        let found = engine.evaluate(&windows).expect("windows");
        assert_eq!(found.tokens, measured.tokens);
        assert!((found.nats / measured.nats - 1.0).abs() < 1e-3);
        let logits = engine.next_token_logits(&prompt).expect("tokens");
        assert_near(&logits, &expected, 1e-2);
        let one = *hash.get_or_insert(engine.state_hash());
        assert_eq!(engine.state_hash(), one, "{devices} devices");
    }
}

/// The gradient of every tensor, by hand and by burn's tape.
#[test]
fn the_gradient_by_hand_is_that_of_the_tape() {
    let batch = Batch::draw(&text(), &plan(1), 0, 16).expect("enough text");
    for (tied, kv_heads) in [(false, 4), (false, 2), (true, 1)] {
        let config = ModelConfig {
            tied,
            kv_heads,
            ..tiny()
        };
        let weights: Vec<f32> = (initial_params(&config, [1; 32]).expect("a shape").iter())
            .map(|value| if *value == 1.0 { 1.0 } else { 8.0 * value })
            .collect();
        let device = vec![(Default::default(), None)];
        let mut tape = DeviceEngine::<Exact>::on(&config, device).expect("a shape");
        tape.load(&weights).expect("finite weights");
        let mut hand = LlamaEngine::new(&config, 2).expect("a shape");
        hand.load(&weights).expect("finite weights");
        let by_tape = tape.gradient(&batch, 3).expect("a batch");
        let (by_hand, gradient) = hand.gradient_of(&batch, 3);
        assert!(
            (by_hand / by_tape - 1.0).abs() < 1e-6,
            "{by_hand} {by_tape}"
        );
        for (index, spec) in tape.layout().tensors().iter().enumerate() {
            let range = tape.layout().range(index);
            let error = distance(&gradient[range.clone()], &tape.gradient[range]);
            assert!(error < 1e-5, "{}: {error}", spec.name);
        }
    }
}

#[test]
fn mixed_precision_is_near_the_cpu_and_does_not_depend_on_devices() {
    let batch = Batch::draw(&text(), &plan(1), 0, 16).expect("enough text");
    let mut exact = engine::<Exact>(1);
    let loss = exact.gradient(&batch, 2).expect("a batch");
    let gradient = |devices| {
        let mut engine = engine::<Mixed>(devices);
        let loss = engine.gradient(&batch, 2).expect("a batch");
        (loss, engine.gradient)
    };
    let (near, found) = gradient(1);
    assert!((near / loss - 1.0).abs() < 2e-3, "{near} {loss}");
    for index in 0..exact.layout().tensors().len() {
        let range = exact.layout().range(index);
        let (found, expected) = (&found[range.clone()], &exact.gradient[range]);
        let name = &exact.layout().tensors()[index].name;
        let error = distance(found, expected);
        assert!(error < 0.02, "{name}: {error}");
        assert!(error > 1e-6, "{name} was not rounded to bf16 at all");
    }
    for devices in [2, 3] {
        assert_eq!(
            gradient(devices),
            (near, found.clone()),
            "{devices} devices"
        );
    }
}

#[test]
fn mixed_precision_learns_what_the_cpu_learns() {
    let (cpu, card) = (run(&mut llama(), 40), run(&mut engine::<Mixed>(2), 40));
    assert!(cpu < 2.0, "{cpu}");
    assert!((card - cpu).abs() < 0.1, "{card} {cpu}");
}

/// ‖a − b‖ / ‖b‖
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>();
    let pairs = a.iter().zip(b);
    let difference = square(&mut pairs.map(|(a, b)| f64::from(*a) - f64::from(*b)));
    (difference / square(&mut b.iter().map(|b| f64::from(*b)))).sqrt()
}

fn assert_near(found: &[f32], expected: &[f32], tolerance: f64) {
    let error = distance(found, expected);
    assert!(error < tolerance, "{error}: {found:?} {expected:?}");
}

fn matrix(seed: u64, rows: usize, columns: usize) -> Tensor<Exact, 2> {
    let key = archipel_protocol::random::derive_key("mixed tests", &[&seed.to_be_bytes()]);
    let mut stream = archipel_protocol::random::Stream::new(key);
    let values: Vec<f32> = (0..rows * columns).map(|_| stream.normal_f32()).collect();
    let data = TensorData::new(values, [rows, columns]);
    Tensor::from_data(data, &Default::default())
}

fn values<const D: usize>(tensor: Tensor<Flex, D>) -> Vec<f32> {
    mixed::widen(tensor).into_data().to_vec().expect("f32")
}

/// The outputs and input gradients of an operation on both tapes, for one output gradient.
fn assert_same_operation<const N: usize, const O: usize>(
    inputs: [Tensor<Exact, 2>; N],
    exact: impl Fn([Tensor<Exact, 2>; N]) -> Tensor<Exact, O>,
    mixed: impl Fn([Tensor<Mixed, 2>; N]) -> Tensor<Mixed, O>,
) {
    // Inputs that bf16 holds exactly, so that only results are rounded.
    let inputs = inputs.map(|input| mixed::widen(narrow(input.inner())));
    let on_exact = inputs
        .clone()
        .map(|x| Tensor::<Exact, 2>::from_inner(x).require_grad());
    let on_mixed = inputs.map(|x| Tensor::<Mixed, 2>::from_inner(x).require_grad());
    let (expected, found) = (exact(on_exact.clone()), mixed(on_mixed.clone()));
    assert_near(
        &values(found.clone().inner()),
        &values(expected.clone().inner()),
        5e-3,
    );
    let [rows, columns] = [expected.dims()[0], expected.shape().num_elements()];
    let weights = matrix(99, rows, columns / rows).inner();
    let weights = weights.reshape(expected.shape());
    let expected = (expected * Tensor::from_inner(weights.clone()))
        .sum()
        .backward();
    let found = (found * Tensor::from_inner(weights)).sum().backward();
    for (a, b) in on_mixed.iter().zip(&on_exact) {
        let (a, b) = (
            a.grad(&found).expect("used"),
            b.grad(&expected).expect("used"),
        );
        assert_near(&values(a), &values(b), 1e-2);
    }
}

#[test]
fn every_operation_and_gradient_is_the_exact_one_but_for_rounding() {
    assert_same_operation(
        [matrix(1, 32, 24), matrix(2, 40, 24)],
        |[x, w]| Exact::project(x, w),
        |[x, w]| Mixed::project(x, w),
    );
    assert_same_operation(
        [matrix(3, 32, 24), matrix(4, 1, 24)],
        |[x, w]| Exact::rms_norm(x, w, 1e-5),
        |[x, w]| Mixed::rms_norm(x, w, 1e-5),
    );
    assert_same_operation(
        [matrix(5, 32, 48)],
        |[x]| Exact::swiglu(x),
        |[x]| Mixed::swiglu(x),
    );
    let targets: Vec<u32> = (0..32).map(|row| row * 7 % 24).collect();
    assert_same_operation(
        [matrix(6, 32, 24)],
        |[x]| Exact::token_losses(x, &targets),
        |[x]| Mixed::token_losses(x, &targets),
    );
}

#[test]
fn attention_with_grouped_heads_and_short_windows_is_the_exact_one() {
    for (kv_heads, length) in [(4, 16), (2, 16), (1, 8), (2, 1)] {
        let shape = Arc::new(Attention::new(&ModelConfig { kv_heads, ..tiny() }));
        assert_same_operation(
            [matrix(7, 32, shape.columns())],
            |[x]| Exact::causal_attention(x, &shape, length),
            |[x]| Mixed::causal_attention(x, &shape, length),
        );
    }
}

#[test]
fn a_micro_batch_that_does_not_fit_is_refused_before_it_is_tried() {
    let devices = vec![
        (Default::default(), Some(1 << 20)),
        (Default::default(), None),
    ];
    let mut engine = DeviceEngine::<Exact>::on(&tiny(), devices).expect("a shape");
    engine.load(&params()).expect("finite weights");
    let hash = engine.state_hash();
    let wide = InnerPlan {
        micro_batch: 7,
        ..plan(1)
    };
    let refused = engine.train(&wide, &text(), &mut |_| Control::Continue);
    match refused {
        Err(EngineError::Device(DeviceError::Memory {
            device: 0,
            micro_batch: 7,
            ..
        })) => {}
        other => panic!("expected a refusal, found {other:?}"),
    }
    assert_eq!(engine.state_hash(), hash, "what was refused left no trace");
}

#[test]
fn wrong_input_is_refused_and_what_panics_on_a_device_is_an_error() {
    let mut engine = engine::<Exact>(2);
    let at = engine.layout().offset(3) + 7;
    let mut bad = params();
    bad[at] = f32::NAN;
    let message = engine.load(&bad).expect_err("a NaN").to_string();
    assert!(
        message.contains("parameter 7 of model.layers.0.self_attn.k_proj"),
        "{message}"
    );
    let refused = engine.evaluate(&[&[97; 18]]);
    assert!(matches!(
        refused,
        Err(EngineError::Window {
            longest: 17,
            found: 18
        })
    ));
    let message = engine.lanes[1]
        .run::<()>(|_| panic!("no room for {} bytes", 7))
        .expect_err("a panic")
        .to_string();
    assert!(
        message.contains("device 1 failed: no room for 7 bytes"),
        "{message}"
    );
    let mut huge = params();
    let head = engine.layout().range(engine.layout().tensors().len() - 1);
    huge[head].fill(1e38);
    engine.load(&huge).expect("finite");
    let refused = engine.train(&plan(1), &text(), &mut |_| Control::Continue);
    let message = refused.expect_err("the loss overflows").to_string();
    assert!(message.contains("step 1: the gradient of "), "{message}");
}
