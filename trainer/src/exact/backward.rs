//! The decoder backward over one micro-batch: from losses to the gradient of every weight.

use super::attention;
use super::forward::{HEAD_ROWS, Layer, Workspace, product};
use super::product::{Into, Rows, Size, multiply_transposed};
use super::rows;
use super::weights::{Block, Weights, head_index, last_norm_index};
use crate::model::{Decoder, PER_LAYER};

/// Gradients of a micro-batch, by its activations and by the weights.
#[derive(Default)]
pub(crate) struct Gradients {
    /// By every weight, in the order of the flat vector.
    flat: Vec<f32>,
    /// By the residual stream, `[rows, d_model]`.
    stream: Vec<f32>,
    /// By what a product reads, `[rows, d_model]`.
    normed: Vec<f32>,
    qkv: Vec<f32>,
    gate_up: Vec<f32>,
    inner: Vec<f32>,
}

impl Gradients {
    /// Makes room for `rows` rows. What adds up begins at zero; the rest is overwritten.
    fn resize(&mut self, decoder: &Decoder, rows: usize) {
        let config = decoder.config();
        let (d, ffn) = (config.d_model as usize, config.ffn as usize);
        self.flat.resize(decoder.layout().parameters(), 0.0);
        for matrix in decoder.matrices().iter().filter(|matrix| matrix.rows == 1) {
            self.flat[matrix.range.clone()].fill(0.0);
        }
        if !config.tied {
            self.flat[decoder.matrices()[0].range.clone()].fill(0.0);
        }
        self.stream.clear();
        self.stream.resize(rows * d, 0.0);
        self.normed.resize(rows * d, 0.0);
        self.qkv.resize(rows * decoder.attention().columns(), 0.0);
        self.gate_up.resize(rows * 2 * ffn, 0.0);
        self.inner.resize(rows * ffn, 0.0);
    }

    /// One matrix of the flat vector.
    fn matrix(&mut self, decoder: &Decoder, index: usize) -> &mut [f32] {
        &mut self.flat[decoder.matrices()[index].range.clone()]
    }

    /// Takes the stream's gradient back through a block.
    fn block(
        &mut self,
        decoder: &Decoder,
        index: usize,
        layer: &Layer,
        block: &Block<'_>,
        length: usize,
    ) {
        let ffn = decoder.config().ffn as usize;
        let (first, rows) = (1 + index * PER_LAYER, layer.roots.len());
        let flat = |at: usize| decoder.matrices()[first + at].range.clone();
        let (stream, normed) = (&mut self.stream, &mut self.normed);
        by_weight(
            rows,
            stream,
            &layer.inner,
            &mut self.flat[flat(5)],
            Into::Set,
        );
        product(stream, &block.down.backward, &mut self.inner, Into::Set);
        rows::swiglu_backward(&layer.gate_up, ffn, &self.inner, &mut self.gate_up);
        let by_gate_up = &mut self.flat[flat(4)];
        by_weight(rows, &self.gate_up, &layer.normed2, by_gate_up, Into::Set);
        product(&self.gate_up, &block.gate_up.backward, normed, Into::Set);
        let by_norm = &mut self.flat[flat(3)];
        rows::rms_norm_backward(
            &layer.middle,
            block.norm2,
            &layer.roots2,
            normed,
            stream,
            by_norm,
        );
        by_weight(
            rows,
            stream,
            &layer.mixed,
            &mut self.flat[flat(2)],
            Into::Set,
        );
        product(stream, &block.out.backward, normed, Into::Set);
        let (shape, dqkv) = (decoder.attention(), &mut self.qkv);
        attention::backward(&layer.qkv, shape, length, &layer.softmax, normed, dqkv);
        by_weight(
            rows,
            &self.qkv,
            &layer.normed,
            &mut self.flat[flat(1)],
            Into::Set,
        );
        product(&self.qkv, &block.qkv.backward, normed, Into::Set);
        let by_norm = &mut self.flat[flat(0)];
        rows::rms_norm_backward(
            &layer.input,
            block.norm,
            &layer.roots,
            normed,
            stream,
            by_norm,
        );
    }
}

/// dw = dyᵀ · x, set or added.
///
/// # Shapes
/// `dy [rows, outputs]`, `x [rows, inputs]`, `dw [outputs, inputs]`.
fn by_weight(rows: usize, dy: &[f32], x: &[f32], dw: &mut [f32], into: Into) {
    let (outputs, inputs) = (dy.len() / rows, x.len() / rows);
    let size = Size {
        rows: outputs,
        inner: rows,
        columns: inputs,
    };
    let (dy, x) = (Rows::new(dy, outputs), Rows::new(x, inputs));
    multiply_transposed(size, dy, x, dw, inputs, into);
}

impl Workspace {
    /// The losses of every token, and the gradient of `scale` times their sum, which
    /// [`Self::gradient`] hands out.
    ///
    /// # Shapes
    /// `tokens` and `targets`: windows · length, window by window; so is the result.
    pub(crate) fn train(
        &mut self,
        weights: &Weights<'_>,
        tokens: &[u32],
        targets: &[u32],
        windows: usize,
        scale: f32,
    ) -> Vec<f32> {
        let decoder = weights.decoder();
        self.forward(weights, tokens, windows, true);
        self.gradients.resize(decoder, tokens.len());
        let losses = self.head(weights, targets, scale);
        let Self {
            layers, gradients, ..
        } = self;
        let last = gradients.normed.len();
        let by_norm = decoder.matrices()[last_norm_index(decoder)].range.clone();
        rows::rms_norm_backward(
            &self.stream,
            weights.last_norm(),
            &self.roots,
            &gradients.normed[..last],
            &mut gradients.stream,
            &mut gradients.flat[by_norm],
        );
        let length = tokens.len() / windows;
        for (index, layer) in layers.iter().enumerate().rev() {
            gradients.block(decoder, index, layer, &weights.block(index), length);
        }
        let width = decoder.config().d_model as usize;
        let stream = std::mem::take(&mut gradients.stream);
        rows::embed_backward(tokens, width, &stream, gradients.matrix(decoder, 0));
        gradients.stream = stream;
        losses
    }

    /// The gradient of the last [`Self::train`], in the order of the flat vector.
    pub(crate) fn gradient(&self) -> &[f32] {
        &self.gradients.flat
    }

    /// Losses, the head's gradient and that of what it reads, some rows at a time.
    fn head(&mut self, weights: &Weights<'_>, targets: &[u32], scale: f32) -> Vec<f32> {
        let decoder = weights.decoder();
        let (width, vocabulary) = (
            decoder.config().d_model as usize,
            decoder.config().vocabulary as usize,
        );
        let mut losses = Vec::with_capacity(targets.len());
        let normed = self.normed.chunks(HEAD_ROWS * width);
        let dnormed = self.gradients.normed.chunks_mut(HEAD_ROWS * width);
        let by_head = decoder.matrices()[head_index(decoder)].range.clone();
        let by_head = &mut self.gradients.flat[by_head];
        let mut into = Into::Set;
        for ((normed, dnormed), targets) in normed.zip(dnormed).zip(targets.chunks(HEAD_ROWS)) {
            self.logits.resize(targets.len() * vocabulary, 0.0);
            let logits = &mut self.logits;
            product(normed, &weights.head().forward, logits, Into::Set);
            rows::token_losses(logits, vocabulary, targets, &mut losses);
            rows::token_losses_backward(logits, vocabulary, targets, scale);
            by_weight(targets.len(), logits, normed, by_head, into);
            product(logits, &weights.head().backward, dnormed, Into::Set);
            into = Into::Add;
        }
        losses
    }
}
