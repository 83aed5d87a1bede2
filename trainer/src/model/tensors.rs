//! The decoder over tensors of any backend of burn: tokens in, logits out.

use super::kernels::Kernels;
use super::{Decoder, PER_LAYER};
use burn::tensor::Tensor;
use std::ops::Range;

impl Decoder {
    /// Where each matrix of weights lies in the flat vector.
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

/// Burn's own operations on CPU tensors: the reference of tests.
#[cfg(test)]
mod reference {
    use super::Kernels;
    use burn::backend::{Autodiff, Flex};

    impl Kernels for Flex {}
    impl Kernels for Autodiff<Flex> {}
}
