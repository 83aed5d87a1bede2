//! The model's operations in burn's own: what any backend can run, and the reference of tests.

use super::kernels::Attention;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor, TensorData, activation};

pub(crate) fn project<B: Backend>(x: Tensor<B, 2>, weight: Tensor<B, 2>) -> Tensor<B, 2> {
    x.matmul(weight.transpose())
}

pub(crate) fn rms_norm<B: Backend>(
    x: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    eps: f32,
) -> Tensor<B, 2> {
    let square = (x.clone() * x.clone()).mean_dim(1);
    let root = (square + eps).sqrt();
    x / root * weight
}

pub(crate) fn causal_attention<B: Backend>(
    qkv: Tensor<B, 2>,
    shape: &Attention,
    length: usize,
) -> Tensor<B, 2> {
    let (heads, kv, width) = (shape.heads, shape.kv_heads, shape.head_width);
    let [rows, _] = qkv.dims();
    let windows = rows / length;
    let split = qkv
        .reshape([windows, length, heads + 2 * kv, width])
        .swap_dims(1, 2);
    let q = rotate(split.clone().narrow(1, 0, heads), shape, length);
    let k = repeat(
        rotate(split.clone().narrow(1, heads, kv), shape, length),
        heads / kv,
    );
    let v = repeat(split.narrow(1, heads + kv, kv), heads / kv);
    let scale = 1.0 / (width as f32).sqrt();
    let scores = q.matmul(k.swap_dims(2, 3)) * scale;
    let future = Tensor::<B, 2, Bool>::tril_mask([length, length], 0, &scores.device());
    let masked = scores.mask_fill(future.unsqueeze::<4>(), f32::NEG_INFINITY);
    let mixed = activation::softmax(masked, 3).matmul(v);
    mixed.swap_dims(1, 2).reshape([rows, heads * width])
}

/// Turns the pairs (i, i + width/2) by their position's angle.
fn rotate<B: Backend>(x: Tensor<B, 4>, shape: &Attention, length: usize) -> Tensor<B, 4> {
    let half = shape.head_width / 2;
    let device = x.device();
    let table = |values: &[f32]| {
        let data = TensorData::new(values[..length * half].to_vec(), [1, 1, length, half]);
        Tensor::<B, 4>::from_data(data, &device)
    };
    let (cosines, sines) = (table(&shape.cosines), table(&shape.sines));
    let (left, right) = (x.clone().narrow(3, 0, half), x.narrow(3, half, half));
    let turned_left = left.clone() * cosines.clone() - right.clone() * sines.clone();
    let turned_right = right * cosines + left * sines;
    Tensor::cat(vec![turned_left, turned_right], 3)
}

fn repeat<B: Backend>(x: Tensor<B, 4>, times: usize) -> Tensor<B, 4> {
    let [windows, heads, length, width] = x.dims();
    let grouped: Tensor<B, 5> = x.unsqueeze_dim(2);
    grouped
        .expand([windows, heads, times, length, width])
        .reshape([windows, heads * times, length, width])
}

pub(crate) fn swiglu<B: Backend>(gate_up: Tensor<B, 2>) -> Tensor<B, 2> {
    let [_, columns] = gate_up.dims();
    let half = columns / 2;
    activation::silu(gate_up.clone().narrow(1, 0, half)) * gate_up.narrow(1, half, half)
}

pub(crate) fn embed<B: Backend>(weight: Tensor<B, 2>, tokens: &[u32]) -> Tensor<B, 2> {
    let tokens = indices(tokens, &weight.device());
    weight.select(0, tokens)
}

pub(crate) fn token_losses<B: Backend>(logits: Tensor<B, 2>, targets: &[u32]) -> Tensor<B, 1> {
    let targets = indices(targets, &logits.device()).unsqueeze_dim(1);
    let chosen = activation::log_softmax(logits, 1).gather(1, targets);
    chosen.squeeze_dim::<1>(1).neg()
}

fn indices<B: Backend>(tokens: &[u32], device: &B::Device) -> Tensor<B, 1, Int> {
    let values: Vec<i64> = tokens.iter().map(|token| i64::from(*token)).collect();
    Tensor::from_data(TensorData::new(values, [tokens.len()]), device)
}
