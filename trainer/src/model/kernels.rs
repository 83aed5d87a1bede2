//! The hot operations of the model, as an extension of burn's backend.
//!
//! Each has a definition in burn's own operations ([`super::plain`]), which any backend inherits.

use super::plain;
use crate::config::ModelConfig;
use crate::transcendental::{exp, ln, sin_cos};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use std::sync::Arc;

/// Geometry of attention, and the rotary table of every position.
#[derive(Clone, Debug)]
pub(crate) struct Attention {
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_width: usize,
    /// Cosines, `[context, head_width / 2]`.
    pub(crate) cosines: Vec<f32>,
    /// Sines, `[context, head_width / 2]`.
    pub(crate) sines: Vec<f32>,
}

impl Attention {
    /// Computes the table: angle `position · base^(−2i / head_width)` (arXiv 2104.09864).
    pub(crate) fn new(config: &ModelConfig) -> Self {
        let half = config.head_width() / 2;
        let step = ln(f64::from(config.rope_base)) / f64::from(half);
        let frequencies: Vec<f64> = (0..half).map(|i| exp(-step * f64::from(i))).collect();
        let angle = |position: u32| {
            frequencies
                .iter()
                .map(move |f| sin_cos(f64::from(position) * f))
        };
        let table = || (0..config.context).flat_map(angle);
        Self {
            heads: config.heads as usize,
            kv_heads: config.kv_heads as usize,
            head_width: config.head_width() as usize,
            cosines: table().map(|(_, cosine)| cosine as f32).collect(),
            sines: table().map(|(sine, _)| sine as f32).collect(),
        }
    }
}

impl Attention {
    /// Columns of a row of queries, keys and values.
    pub(crate) fn columns(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_width
    }

    /// Where the key of query head `head` begins in a row.
    pub(crate) fn key_column(&self, head: usize) -> usize {
        (self.heads + head / (self.heads / self.kv_heads)) * self.head_width
    }

    /// Where the value of query head `head` begins in a row.
    pub(crate) fn value_column(&self, head: usize) -> usize {
        self.key_column(head) + self.kv_heads * self.head_width
    }
}

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
