//! The decoder forward over one micro-batch, in buffers that are kept from step to step.

use super::attention::{self, Softmax};
use super::product::{BLOCK, Into, Packed, Rows, Size, multiply};
use super::rows;
use super::weights::{Block, Weights};
use crate::model::Decoder;

/// Rows whose logits are held at once: a block of the head's gradient.
pub(super) const HEAD_ROWS: usize = BLOCK;

/// What a thread computes a micro-batch in.
#[derive(Default)]
pub(crate) struct Workspace {
    pub(super) layers: Vec<Layer>,
    /// The residual stream; behind the last layer, what the last norm reads. `[rows, d_model]`.
    pub(super) stream: Vec<f32>,
    /// What the head reads. `[rows, d_model]`.
    pub(super) normed: Vec<f32>,
    pub(super) roots: Vec<f32>,
    /// Logits of [`HEAD_ROWS`] rows, then their softmax, then their gradient.
    pub(super) logits: Vec<f32>,
    pub(super) gradients: super::backward::Gradients,
}

/// What one block computed, as far as its backward pass reads it.
#[derive(Default)]
pub(super) struct Layer {
    /// The stream before attention, `[rows, d_model]`.
    pub(super) input: Vec<f32>,
    pub(super) roots: Vec<f32>,
    pub(super) normed: Vec<f32>,
    pub(super) qkv: Vec<f32>,
    pub(super) softmax: Vec<Softmax>,
    pub(super) mixed: Vec<f32>,
    /// The stream before the feed-forward part, `[rows, d_model]`.
    pub(super) middle: Vec<f32>,
    pub(super) roots2: Vec<f32>,
    pub(super) normed2: Vec<f32>,
    pub(super) gate_up: Vec<f32>,
    pub(super) inner: Vec<f32>,
}

impl Layer {
    fn resize(&mut self, decoder: &Decoder, rows: usize) {
        let config = decoder.config();
        let (d, ffn) = (config.d_model as usize, config.ffn as usize);
        for part in [&mut self.input, &mut self.normed, &mut self.mixed] {
            part.resize(rows * d, 0.0);
        }
        for part in [&mut self.middle, &mut self.normed2] {
            part.resize(rows * d, 0.0);
        }
        for part in [&mut self.roots, &mut self.roots2] {
            part.resize(rows, 0.0);
        }
        self.qkv.resize(rows * decoder.attention().columns(), 0.0);
        self.softmax
            .resize(rows * config.heads as usize, Softmax::default());
        self.gate_up.resize(rows * 2 * ffn, 0.0);
        self.inner.resize(rows * ffn, 0.0);
    }

    /// Takes the stream through the block.
    fn run(&mut self, stream: &mut [f32], block: &Block<'_>, decoder: &Decoder, length: usize) {
        let (eps, shape) = (decoder.config().norm_eps, decoder.attention());
        self.input.copy_from_slice(stream);
        rows::rms_norm(stream, block.norm, eps, &mut self.normed, &mut self.roots);
        product(&self.normed, &block.qkv.forward, &mut self.qkv, Into::Set);
        let (mixed, softmax) = (&mut self.mixed, &mut self.softmax);
        attention::forward(&self.qkv, shape, length, mixed, softmax);
        product(&self.mixed, &block.out.forward, stream, Into::Add);
        self.middle.copy_from_slice(stream);
        let (normed, roots) = (&mut self.normed2, &mut self.roots2);
        rows::rms_norm(stream, block.norm2, eps, normed, roots);
        let packed = &block.gate_up.forward;
        product(&self.normed2, packed, &mut self.gate_up, Into::Set);
        let ffn = decoder.config().ffn as usize;
        rows::swiglu(&self.gate_up, ffn, &mut self.inner);
        product(&self.inner, &block.down.forward, stream, Into::Add);
    }
}

/// x · b, set or added, where all of `b` is used.
pub(super) fn product(x: &[f32], b: &Packed, out: &mut [f32], into: Into) {
    let (inner, columns) = b.shape();
    let size = Size {
        rows: x.len() / inner,
        inner,
        columns,
    };
    multiply(size, Rows::new(x, inner), b, out, columns, into);
}

impl Workspace {
    /// Runs the decoder over `windows` windows of tokens, up to what the head reads.
    ///
    /// With `keep`, every block's values stay for the backward pass; without, one block's buffers
    /// serve all.
    pub(super) fn forward(
        &mut self,
        weights: &Weights<'_>,
        tokens: &[u32],
        windows: usize,
        keep: bool,
    ) {
        let decoder = weights.decoder();
        let (width, layers) = (
            decoder.config().d_model as usize,
            decoder.config().layers as usize,
        );
        let (rows, length) = (tokens.len(), tokens.len() / windows);
        let kept = if keep { layers } else { 1 };
        self.layers.resize_with(kept, Layer::default);
        self.stream.resize(rows * width, 0.0);
        rows::embed(weights.embedding(), tokens, width, &mut self.stream);
        for layer in 0..layers {
            let buffers = &mut self.layers[layer % kept];
            buffers.resize(decoder, rows);
            let block = weights.block(layer);
            buffers.run(&mut self.stream, &block, decoder, length);
        }
        self.normed.resize(rows * width, 0.0);
        self.roots.resize(rows, 0.0);
        let (eps, norm) = (decoder.config().norm_eps, weights.last_norm());
        let (normed, roots) = (&mut self.normed, &mut self.roots);
        rows::rms_norm(&self.stream, norm, eps, normed, roots);
    }

    /// The losses of every token, without a gradient.
    ///
    /// # Shapes
    /// `tokens` and `targets`: windows · length, window by window; so is the result.
    pub(crate) fn losses(
        &mut self,
        weights: &Weights<'_>,
        tokens: &[u32],
        targets: &[u32],
        windows: usize,
    ) -> Vec<f32> {
        self.forward(weights, tokens, windows, false);
        let decoder = weights.decoder();
        let (width, vocabulary) = (
            decoder.config().d_model as usize,
            decoder.config().vocabulary as usize,
        );
        let mut losses = Vec::with_capacity(targets.len());
        let chunks = self.normed.chunks(HEAD_ROWS * width);
        for (normed, targets) in chunks.zip(targets.chunks(HEAD_ROWS)) {
            self.logits.resize(targets.len() * vocabulary, 0.0);
            product(normed, &weights.head().forward, &mut self.logits, Into::Set);
            rows::token_losses(&mut self.logits, vocabulary, targets, &mut losses);
        }
        losses
    }

    /// The logits of the token after `tokens`, one window.
    pub(crate) fn last_logits(&mut self, weights: &Weights<'_>, tokens: &[u32]) -> Vec<f32> {
        self.forward(weights, tokens, 1, false);
        let config = weights.decoder().config();
        let last = self.normed.len() - config.d_model as usize;
        let mut logits = vec![0.0; config.vocabulary as usize];
        product(
            &self.normed[last..],
            &weights.head().forward,
            &mut logits,
            Into::Set,
        );
        logits
    }
}
