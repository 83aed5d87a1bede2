//! The decoder's shape: which matrices it has, where they lie in the flat vector, how they follow.
//!
//! Llama's shape (arXiv 2302.13971): pre-norm blocks with RMS norm, rotary positions, causal
//! attention with grouped keys and values, SwiGLU, a linear head. Activations are matrices of one
//! row a token; what a row's neighbours are is known to attention alone. [`crate::exact`] computes
//! it on the CPU; with the feature `burn`, `tensors` builds it from the operations of any backend
//! of burn.

mod geometry;
#[cfg(feature = "burn")]
pub(crate) mod kernels;
#[cfg(feature = "burn")]
mod plain;
#[cfg(feature = "burn")]
mod tensors;

use crate::config::{ConfigError, ModelConfig, layout};
use archipel_protocol::layout::Layout;
pub(crate) use geometry::Attention;
use std::ops::Range;
use std::sync::Arc;

/// Weights of one block, as positions in the list of matrices.
pub(crate) const PER_LAYER: usize = 6;

/// A matrix of weights: neighbours in the flat vector that enter one product.
#[derive(Clone, Debug)]
pub(crate) struct Matrix {
    pub(crate) range: Range<usize>,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
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

    /// The matrices of weights, in the order of the flat vector.
    pub(crate) fn matrices(&self) -> &[Matrix] {
        &self.matrices
    }

    /// The geometry of attention.
    pub(crate) fn attention(&self) -> &Attention {
        &self.attention
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
