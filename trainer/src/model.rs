//! The decoder: tokens in, logits out, as plain functions over tensors built from flat slices.
//!
//! Llama's shape (arXiv 2302.13971): pre-norm blocks with RMS norm, rotary positions, causal
//! attention with grouped keys and values, SwiGLU, a linear head. Activations are matrices of one
//! row a token; what a row's neighbours are is known to attention alone. Everything hot goes
//! through [`Kernels`].

mod causal;
mod flex;
pub(crate) mod kernels;
mod plain;
mod rows;
mod tape;
mod widest;

use crate::config::{ConfigError, ModelConfig, layout};
use archipel_protocol::layout::Layout;
use burn::tensor::{Tensor, TensorData};
use kernels::{Attention, Kernels};
use std::ops::Range;
use std::sync::Arc;

/// Weights of one block, as positions in the list of matrices.
const PER_LAYER: usize = 6;

/// A matrix of weights: neighbours in the flat vector that enter one product.
#[derive(Clone, Debug)]
struct Matrix {
    range: Range<usize>,
    rows: usize,
    columns: usize,
}

/// The computation of one model shape.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    config: ModelConfig,
    layout: Layout,
    matrices: Vec<Matrix>,
    attention: Arc<Attention>,
}

impl Decoder {
    /// Prepares the computation of `config`.
    pub(crate) fn new(config: &ModelConfig) -> Result<Self, ConfigError> {
        let layout = layout(config)?;
        let matrices = matrices(config, &layout);
        Ok(Self {
            config: config.clone(),
            layout,
            matrices,
            attention: Arc::new(Attention::new(config)),
        })
    }

    pub(crate) fn config(&self) -> &ModelConfig {
        &self.config
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Builds the weights from the flat vector.
    pub(crate) fn weights<B: Kernels>(&self, params: &[f32]) -> Vec<Tensor<B, 2>> {
        let device = Default::default();
        let tensor = |matrix: &Matrix| {
            let values = params[matrix.range.clone()].to_vec();
            let data = TensorData::new(values, [matrix.rows, matrix.columns]);
            Tensor::from_data(data, &device)
        };
        self.matrices.iter().map(tensor).collect()
    }

    /// Where each of the [`Self::weights`] lies in the flat vector.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.matrices.iter().map(|matrix| matrix.range.clone())
    }

    /// The logits after every token of `windows` windows, one row a token.
    ///
    /// # Shapes
    /// `tokens`: windows · length, window by window. Result: `[tokens, vocabulary]`.
    pub(crate) fn logits<B: Kernels>(
        &self,
        weights: &[Tensor<B, 2>],
        tokens: &[u32],
        windows: usize,
    ) -> Tensor<B, 2> {
        let eps = self.config.norm_eps;
        let length = tokens.len() / windows;
        let mut stream = B::embed(weights[0].clone(), tokens);
        for layer in 0..self.config.layers as usize {
            let block = &weights[1 + layer * PER_LAYER..];
            let normed = B::rms_norm(stream.clone(), block[0].clone(), eps);
            let qkv = B::project(normed, block[1].clone());
            let mixed = B::causal_attention(qkv, &self.attention, length);
            stream = stream + B::project(mixed, block[2].clone());
            let normed = B::rms_norm(stream.clone(), block[3].clone(), eps);
            let inner = B::swiglu(B::project(normed, block[4].clone()));
            stream = stream + B::project(inner, block[5].clone());
        }
        let end = 1 + self.config.layers as usize * PER_LAYER;
        let normed = B::rms_norm(stream, weights[end].clone(), eps);
        let head = if self.config.tied {
            &weights[0]
        } else {
            &weights[end + 1]
        };
        B::project(normed, head.clone())
    }
}

fn matrices(config: &ModelConfig, layout: &Layout) -> Vec<Matrix> {
    let group = |tensors: Range<usize>| {
        let first = &layout.tensors()[tensors.start];
        let columns = *first.shape.last().expect("a layout has no empty shape") as usize;
        let range = layout.offset(tensors.start)..layout.range(tensors.end - 1).end;
        Matrix {
            rows: range.len() / columns,
            columns,
            range,
        }
    };
    let mut matrices = vec![group(0..1)];
    for layer in 0..config.layers as usize {
        let at = 1 + layer * 9;
        // Norm, query-key-value, attention output, norm, gate-up, down.
        for (from, to) in [(0, 1), (1, 4), (4, 5), (5, 6), (6, 8), (8, 9)] {
            matrices.push(group(at + from..at + to));
        }
    }
    let end = 1 + config.layers as usize * 9;
    matrices.extend((end..layout.tensors().len()).map(|index| group(index..index + 1)));
    matrices
}

#[cfg(test)]
mod tests;
