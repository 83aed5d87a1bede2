//! Each fused operation against its definition in burn's own, values and gradients.

use super::kernels::{Attention, Kernels};
use super::plain;
use crate::config::{ModelConfig, tiny};
use archipel_protocol::random::Stream;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Tensor, TensorData};
use std::sync::Arc;

type Tape = Autodiff<Flex>;
type Matrix = Tensor<Tape, 2>;

fn random(rows: usize, columns: usize, seed: u8) -> Matrix {
    let mut stream = Stream::new([seed; 32]);
    let values = (0..rows * columns)
        .map(|_| stream.normal_f32())
        .collect::<Vec<f32>>();
    let data = TensorData::new(values, [rows, columns]);
    Tensor::from_data(data, &Default::default()).require_grad()
}

fn values<const D: usize>(tensor: Tensor<Flex, D>) -> Vec<f32> {
    tensor.into_data().to_vec().expect("an f32 tensor")
}

fn close(name: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (at, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() < 2e-5 * b.abs().max(1.0),
            "{name} at {at}: {a} instead of {b}"
        );
    }
}

/// Compares the values of both, and the gradients of a random weighting of them by each input.
fn compare<const N: usize>(
    name: &str,
    inputs: [Matrix; N],
    fused: impl Fn([Matrix; N]) -> Matrix,
    plain: impl Fn([Matrix; N]) -> Matrix,
) {
    let run = |operation: &dyn Fn([Matrix; N]) -> Matrix| {
        let output = operation(inputs.clone());
        let [rows, columns] = output.dims();
        let weights = random(rows, columns, 77).detach();
        let gradients = (output.clone() * weights).sum().backward();
        let gradient = |input: &Matrix| values(input.grad(&gradients).expect("a gradient"));
        (values(output.inner()), inputs.each_ref().map(gradient))
    };
    let (found, found_gradients) = run(&fused);
    let (expected, expected_gradients) = run(&plain);
    close(name, &found, &expected);
    for (found, expected) in found_gradients.iter().zip(&expected_gradients) {
        close(&format!("gradient of {name}"), found, expected);
    }
}

#[test]
fn projection_norm_and_swiglu_are_their_definitions() {
    let inputs = [random(5, 24, 1), random(7, 24, 2)];
    let plain_project = |[x, w]: [Matrix; 2]| plain::project(x, w);
    compare(
        "project",
        inputs,
        |[x, w]| Tape::project(x, w),
        plain_project,
    );
    for width in [1, 16, 24, 33] {
        let inputs = [random(5, width, 3), random(1, width, 4)];
        let plain_norm = |[x, w]: [Matrix; 2]| plain::rms_norm(x, w, 1e-3);
        compare(
            "rms_norm",
            inputs,
            |[x, w]| Tape::rms_norm(x, w, 1e-3),
            plain_norm,
        );
        let inputs = [random(5, 2 * width, 5)];
        let plain_swiglu = |[x]: [Matrix; 1]| plain::swiglu(x);
        compare("swiglu", inputs, |[x]| Tape::swiglu(x), plain_swiglu);
    }
}

#[test]
fn attention_is_its_definition_for_every_grouping_and_length() {
    for (heads, kv_heads, head_width) in [(1, 1, 16), (4, 2, 6), (4, 1, 8), (3, 3, 20)] {
        let d_model = heads * head_width;
        let config = ModelConfig {
            heads,
            kv_heads,
            d_model,
            context: 40,
            ..tiny()
        };
        let shape = Arc::new(Attention::new(&config));
        for (windows, length) in [(1, 1), (2, 3), (3, 16), (2, 17), (1, 40)] {
            let inputs = [random(windows * length, shape.columns(), 6)];
            let fused = |[qkv]: [Matrix; 1]| Tape::causal_attention(qkv, &shape, length);
            let plain = |[qkv]: [Matrix; 1]| plain::causal_attention(qkv, &shape, length);
            let name = format!("attention {heads} {kv_heads} {head_width}, {windows} of {length}");
            compare(&name, inputs, fused, plain);
        }
    }
}

#[test]
fn embedding_and_losses_are_their_definitions() {
    let tokens = [3, 0, 3, 9];
    let plain_embed = |[w]: [Matrix; 1]| plain::embed(w, &tokens);
    compare(
        "embed",
        [random(10, 6, 7)],
        |[w]| Tape::embed(w, &tokens),
        plain_embed,
    );
    let fused = |[x]: [Matrix; 1]| Tape::token_losses(x, &tokens).unsqueeze_dim(1);
    let plain = |[x]: [Matrix; 1]| plain::token_losses(x, &tokens).unsqueeze_dim(1);
    compare("losses", [random(4, 21, 8)], fused, plain);
}

#[test]
fn the_tape_and_the_bare_backend_compute_the_same_bits() {
    let shape = Arc::new(Attention::new(&tiny()));
    let qkv = random(8, shape.columns(), 9);
    let taped = Tape::causal_attention(qkv.clone(), &shape, 4).inner();
    let bare = Flex::causal_attention(qkv.inner(), &shape, 4);
    assert_eq!(values(taped), values(bare));
    let (x, weight) = (random(8, 20, 10), random(12, 20, 11));
    let taped = Tape::project(x.clone(), weight.clone()).inner();
    assert_eq!(
        values(taped),
        values(Flex::project(x.inner(), weight.inner()))
    );
}
