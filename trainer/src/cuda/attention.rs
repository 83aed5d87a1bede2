//! Rotary, causal, grouped attention in mixed precision, whose backward computes the scores anew.
//!
//! Between the passes only queries, keys and values are kept, so memory grows with the context and
//! not with its square; the scores of one layer and micro-batch are there while they are used.

use super::mixed::{narrow, widen};
use crate::model::kernels::Attention;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Tensor, TensorData, activation};

/// Stands for a score that is not visible: exp(it) is zero, and no arithmetic makes it NaN.
const HIDDEN: f32 = -1e30;

/// Geometry of one call, with the rotary table where the tensors are.
#[derive(Clone, Debug)]
pub(super) struct Rotary<B: Backend> {
    heads: usize,
    kv_heads: usize,
    width: usize,
    length: usize,
    /// `[1, 1, length, width / 2]`.
    cosines: Tensor<B, 4>,
    sines: Tensor<B, 4>,
}

/// Queries, keys and values of every head, turned and narrow, and what they attend to.
struct Heads<B: Backend> {
    q: Tensor<B, 4>,
    k: Tensor<B, 4>,
    v: Tensor<B, 4>,
    /// `[windows, heads, length, length]`, wide.
    weights: Tensor<B, 4>,
}

impl<B: Backend> Rotary<B> {
    /// Brings the table of the first `length` positions to `device`.
    pub(super) fn new(shape: &Attention, length: usize, device: &B::Device) -> Self {
        let half = shape.head_width / 2;
        let table = |values: &[f32]| {
            let data = TensorData::new(values[..length * half].to_vec(), [1, 1, length, half]);
            Tensor::from_data(data, device)
        };
        Self {
            heads: shape.heads,
            kv_heads: shape.kv_heads,
            width: shape.head_width,
            length,
            cosines: table(&shape.cosines),
            sines: table(&shape.sines),
        }
    }

    /// Attention of narrow `qkv [rows, (heads + 2 kv_heads) · width]`: `[rows, heads · width]`.
    pub(super) fn forward(&self, qkv: Tensor<B, 2>) -> Tensor<B, 2> {
        let [rows, _] = qkv.dims();
        let Heads { v, weights, .. } = self.attend(qkv);
        let mixed = widen(narrow(weights).matmul(v));
        mixed
            .swap_dims(1, 2)
            .reshape([rows, self.heads * self.width])
    }

    /// The gradient of [`Self::forward`] for `qkv`.
    pub(super) fn gradient(&self, qkv: Tensor<B, 2>, dy: Tensor<B, 2>) -> Tensor<B, 2> {
        let [rows, columns] = qkv.dims();
        let Heads { q, k, v, weights } = self.attend(qkv);
        let windows = rows / self.length;
        let dy = dy.reshape([windows, self.length, self.heads, self.width]);
        let dy = narrow(dy.swap_dims(1, 2));
        let dv = narrow(weights.clone()).swap_dims(2, 3).matmul(dy.clone());
        let dweights = widen(dy.matmul(v.swap_dims(2, 3)));
        let along = (dweights.clone() * weights.clone()).sum_dim(3);
        let dscores = weights * (dweights - along) * self.scale();
        let dscores = narrow(dscores);
        let dq = widen(dscores.clone().matmul(k));
        let dk = self.gather(widen(dscores.swap_dims(2, 3).matmul(q)));
        let dv = self.gather(widen(dv));
        let parts = vec![self.turn(dq, true), self.turn(dk, true), dv];
        Tensor::cat(parts, 1)
            .swap_dims(1, 2)
            .reshape([rows, columns])
    }

    fn scale(&self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }

    fn attend(&self, qkv: Tensor<B, 2>) -> Heads<B> {
        let (heads, kv) = (self.heads, self.kv_heads);
        let windows = qkv.dims()[0] / self.length;
        let split = widen(qkv)
            .reshape([windows, self.length, heads + 2 * kv, self.width])
            .swap_dims(1, 2);
        let q = narrow(self.turn(split.clone().narrow(1, 0, heads), false));
        let k = narrow(self.turn(split.clone().narrow(1, heads, kv), false));
        let v = narrow(split.narrow(1, heads + kv, kv));
        let (k, v) = (self.spread(k), self.spread(v));
        let scores = widen(q.clone().matmul(k.clone().swap_dims(2, 3))) * self.scale();
        let hidden = Tensor::<B, 2, Bool>::tril_mask([self.length; 2], 0, &scores.device());
        let scores = scores.mask_fill(hidden.unsqueeze::<4>(), HIDDEN);
        let weights = activation::softmax(scores, 3);
        Heads { q, k, v, weights }
    }

    /// Turns the pairs (i, i + width / 2) by their position's angle, or back.
    fn turn(&self, x: Tensor<B, 4>, back: bool) -> Tensor<B, 4> {
        let half = self.width / 2;
        let cosines = self.cosines.clone();
        let sines = match back {
            true => self.sines.clone().neg(),
            false => self.sines.clone(),
        };
        let (left, right) = (x.clone().narrow(3, 0, half), x.narrow(3, half, half));
        let turned_left = left.clone() * cosines.clone() - right.clone() * sines.clone();
        let turned_right = right * cosines + left * sines;
        Tensor::cat(vec![turned_left, turned_right], 3)
    }

    /// Gives every query head the key or value head of its group.
    fn spread(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let times = self.heads / self.kv_heads;
        if times == 1 {
            return x;
        }
        let [windows, kv, length, width] = x.dims();
        let grouped: Tensor<B, 5> = x.unsqueeze_dim(2);
        grouped
            .expand([windows, kv, times, length, width])
            .reshape([windows, self.heads, length, width])
    }

    /// Adds up what [`Self::spread`] gave out.
    fn gather(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let times = self.heads / self.kv_heads;
        if times == 1 {
            return x;
        }
        let [windows, _, length, width] = x.dims();
        x.reshape([windows, self.kv_heads, times, length, width])
            .sum_dim(2)
            .squeeze_dim::<4>(2)
    }
}
