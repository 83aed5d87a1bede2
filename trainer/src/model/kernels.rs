//! The operations of the model, as an extension of burn's backend.
//!
//! Each has a definition in burn's own operations ([`super::plain`]), which any backend inherits.

pub(crate) use super::geometry::Attention;

use super::plain;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use std::sync::Arc;

/// What a backend computes for the model.
pub(crate) trait Kernels: Backend {
    /// x · wᵀ.
    ///
    /// # Shapes
    /// `x [rows, in]`, `weight [out, in]`, result `[rows, out]`.
    fn project(x: Tensor<Self, 2>, weight: Tensor<Self, 2>) -> Tensor<Self, 2> {
        plain::project(x, weight)
    }

    /// x / √(mean x² + ε) · w, row by row.
    ///
    /// # Shapes
    /// `x [rows, width]`, `weight [1, width]`.
    fn rms_norm(x: Tensor<Self, 2>, weight: Tensor<Self, 2>, eps: f32) -> Tensor<Self, 2> {
        plain::rms_norm(x, weight, eps)
    }

    /// Rotary positions, then causal attention within each window of `length` rows.
    ///
    /// # Shapes
    /// `qkv [rows, (heads + 2 kv_heads) · head_width]`, result `[rows, heads · head_width]`.
    fn causal_attention(
        qkv: Tensor<Self, 2>,
        shape: &Arc<Attention>,
        length: usize,
    ) -> Tensor<Self, 2> {
        plain::causal_attention(qkv, shape, length)
    }

    /// silu(gate) · up, where gate is the left half of the columns and up the right.
    ///
    /// # Shapes
    /// `gate_up [rows, 2 · width]`, result `[rows, width]`.
    fn swiglu(gate_up: Tensor<Self, 2>) -> Tensor<Self, 2> {
        plain::swiglu(gate_up)
    }

    /// The rows of `weight` that `tokens` name.
    fn embed(weight: Tensor<Self, 2>, tokens: &[u32]) -> Tensor<Self, 2> {
        plain::embed(weight, tokens)
    }

    /// −ln softmax(logits)[target], row by row.
    fn token_losses(logits: Tensor<Self, 2>, targets: &[u32]) -> Tensor<Self, 1> {
        plain::token_losses(logits, targets)
    }
}
