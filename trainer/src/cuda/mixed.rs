//! The model's operations in mixed precision, and their gradients, on any backend's tensors.
//!
//! What enters a matrix product is rounded to bf16; its sums, and everything that is no product,
//! are f32. Tensors between operations are f32, so that operations combine freely; what a backward
//! pass needs is kept in bf16 where it was rounded to bf16 anyway.

use burn::tensor::backend::Backend;
use burn::tensor::{FloatDType, IndexingUpdateOp, Int, Tensor, TensorData, activation};

/// What products compute in.
pub(super) const NARROW: FloatDType = FloatDType::BF16;

/// Rounds to the type of products.
pub(super) fn narrow<B: Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    x.cast(NARROW)
}

/// Returns from the type of products.
pub(super) fn widen<B: Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    x.cast(FloatDType::F32)
}

/// x · wᵀ of a narrow `x [rows, in]` and a wide `weight [out, in]`.
pub(super) fn project<B: Backend>(x: Tensor<B, 2>, weight: Tensor<B, 2>) -> Tensor<B, 2> {
    widen(x.matmul(narrow(weight).transpose()))
}

/// The gradients of [`project`] for `x` and `weight`.
pub(super) fn project_gradients<B: Backend>(
    x: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    dy: Tensor<B, 2>,
) -> [Tensor<B, 2>; 2] {
    let dy = narrow(dy);
    let dx = dy.clone().matmul(narrow(weight));
    let dweight = dy.transpose().matmul(x);
    [widen(dx), widen(dweight)]
}

/// x / √(mean x² + ε), and the roots `[rows, 1]`.
fn normalized<B: Backend>(x: Tensor<B, 2>, eps: f32) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let square = (x.clone() * x.clone()).mean_dim(1);
    let root = (square + eps).sqrt();
    (x / root.clone(), root)
}

/// x / √(mean x² + ε) · w, row by row; `weight [1, width]`.
pub(super) fn rms_norm<B: Backend>(
    x: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    eps: f32,
) -> Tensor<B, 2> {
    normalized(x, eps).0 * weight
}

/// The gradients of [`rms_norm`] for `x` and `weight`.
pub(super) fn rms_norm_gradients<B: Backend>(
    x: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    eps: f32,
    dy: Tensor<B, 2>,
) -> [Tensor<B, 2>; 2] {
    let (n, root) = normalized(x, eps);
    let dweight = (dy.clone() * n.clone()).sum_dim(0);
    let dn = dy * weight;
    let along = (dn.clone() * n.clone()).mean_dim(1);
    [(dn - n * along) / root, dweight]
}

/// Gate and up, the halves of the columns, wide.
fn halves<B: Backend>(gate_up: Tensor<B, 2>) -> [Tensor<B, 2>; 2] {
    let half = gate_up.dims()[1] / 2;
    let gate_up = widen(gate_up);
    [
        gate_up.clone().narrow(1, 0, half),
        gate_up.narrow(1, half, half),
    ]
}

/// silu(gate) · up of a narrow `gate_up [rows, 2 · width]`.
pub(super) fn swiglu<B: Backend>(gate_up: Tensor<B, 2>) -> Tensor<B, 2> {
    let [gate, up] = halves(gate_up);
    activation::sigmoid(gate.clone()) * gate * up
}

/// The gradient of [`swiglu`].
pub(super) fn swiglu_gradient<B: Backend>(gate_up: Tensor<B, 2>, dy: Tensor<B, 2>) -> Tensor<B, 2> {
    let [gate, up] = halves(gate_up);
    let sigmoid = activation::sigmoid(gate.clone());
    let silu = sigmoid.clone() * gate.clone();
    // silu' = σ · (1 + gate · (1 − σ)) = σ + silu · (1 − σ)
    let slope = sigmoid.clone() + silu.clone() * (sigmoid.neg() + 1.0);
    let dgate = dy.clone() * up * slope;
    Tensor::cat(vec![dgate, dy * silu], 1)
}

/// −ln softmax(logits)[target] of narrow logits, row by row.
pub(super) fn token_losses<B: Backend>(
    logits: Tensor<B, 2>,
    targets: Tensor<B, 2, Int>,
) -> Tensor<B, 1> {
    let logits = widen(logits);
    let logits = logits.clone() - logits.max_dim(1);
    let log_sum = logits.clone().exp().sum_dim(1).log();
    (log_sum - logits.gather(1, targets)).squeeze_dim::<1>(1)
}

/// The gradient of [`token_losses`]: (softmax − one-hot target) · dy.
pub(super) fn token_losses_gradient<B: Backend>(
    logits: Tensor<B, 2>,
    targets: Tensor<B, 2, Int>,
    dy: Tensor<B, 1>,
) -> Tensor<B, 2> {
    let [rows, _] = logits.dims();
    let minus_one = Tensor::<B, 2>::ones([rows, 1], &logits.device()).neg();
    let softmax = activation::softmax(widen(logits), 1);
    let difference = softmax.scatter(1, targets, minus_one, IndexingUpdateOp::Add);
    difference * dy.unsqueeze_dim::<2>(1)
}

/// Tokens as a column of indices.
pub(super) fn column<B: Backend>(tokens: &[u32], device: &B::Device) -> Tensor<B, 2, Int> {
    let values: Vec<i64> = tokens.iter().map(|token| i64::from(*token)).collect();
    Tensor::from_data(TensorData::new(values, [tokens.len(), 1]), device)
}
