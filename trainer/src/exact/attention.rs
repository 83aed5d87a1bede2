//! Rotary positions and causal attention on plain slices, forward and backward, head by head.
//!
//! Scores are computed for a block of [`QUERIES`] positions at once, as products with all keys up
//! to the block's last position ([`super::product`] defines their sums); what lies in a position's
//! future is never exponentiated and weighs zero. Nothing that grows with the square of the window
//! is kept: the backward pass computes the weights again from each position's largest score and
//! inverse sum. Query heads that share keys add their gradients in the order of heads, blocks of
//! positions in order.

use super::functions::exp;
use super::isa::widest;
use super::product::{Into, Packed, Rows, Size, multiply, multiply_transposed};
use super::rows::{LANES, lane_max, lane_sum};
use crate::model::Attention;
use std::cell::RefCell;

/// Positions whose scores are computed at once.
const QUERIES: usize = 24;

/// What the backward pass needs of a position's softmax.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Softmax {
    /// The largest score.
    max: f32,
    /// 1 / Σ e^(score − max).
    inverse: f32,
}

/// The buffers of one head of one window; reused from head to head.
#[derive(Default)]
struct Scratch {
    /// Queries, rotated and scaled; keys, rotated. `[length, head_width]`.
    q: Vec<f32>,
    k: Vec<f32>,
    /// Keys as columns, for the scores; as rows, for the queries' gradient.
    key_columns: Packed,
    key_rows: Packed,
    /// Values as rows, for the result; as columns, for the weights' gradient.
    value_rows: Packed,
    value_columns: Packed,
    /// Weights of a block of positions and their gradients, `[QUERIES, length]`.
    weights: Vec<f32>,
    dweights: Vec<f32>,
    /// Gradients by rotated queries, rotated keys and values. `[length, head_width]`.
    dq: Vec<f32>,
    dk: Vec<f32>,
    dv: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// One window's rows of queries, keys and values.
#[derive(Clone, Copy)]
struct Window<'a> {
    rows: &'a [f32],
    shape: &'a Attention,
    length: usize,
}

impl<'a> Window<'a> {
    /// The part of every row that begins with `column`.
    fn part(&self, column: usize) -> Rows<'a> {
        Rows::new(&self.rows[column..], self.shape.columns())
    }
}

/// Attention of every window and head: fills `out`, and each position's softmax, window by window,
/// head by head.
///
/// # Shapes
/// `qkv [rows, (heads + 2 kv_heads) · head_width]`, `out [rows, heads · head_width]`,
/// `saved [rows · heads]`.
pub(crate) fn forward(
    qkv: &[f32],
    shape: &Attention,
    length: usize,
    out: &mut [f32],
    saved: &mut [Softmax],
) {
    let (columns, out_columns) = (shape.columns(), shape.heads * shape.head_width);
    let windows = qkv
        .chunks_exact(length * columns)
        .zip(out.chunks_exact_mut(length * out_columns))
        .zip(saved.chunks_exact_mut(length * shape.heads));
    SCRATCH.with_borrow_mut(|scratch| {
        for ((rows, out), saved) in windows {
            let window = Window {
                rows,
                shape,
                length,
            };
            for (head, saved) in saved.chunks_exact_mut(length).enumerate() {
                if head % shape.group() == 0 {
                    scratch.take_keys(window, head);
                    let values = window.part(shape.value_column(head));
                    scratch
                        .value_rows
                        .pack_rows(values, length, shape.head_width);
                }
                scratch.take_queries(window, head);
                let out = &mut out[head * shape.head_width..];
                scratch.head_forward(window, saved, out, out_columns);
            }
        }
    });
}

/// The gradient of [`forward`] by `qkv`, from that by its result.
pub(crate) fn backward(
    qkv: &[f32],
    shape: &Attention,
    length: usize,
    saved: &[Softmax],
    dy: &[f32],
    dqkv: &mut [f32],
) {
    let (columns, dy_columns) = (shape.columns(), shape.heads * shape.head_width);
    let windows = qkv
        .chunks_exact(length * columns)
        .zip(dqkv.chunks_exact_mut(length * columns))
        .zip(dy.chunks_exact(length * dy_columns))
        .zip(saved.chunks_exact(length * shape.heads));
    SCRATCH.with_borrow_mut(|scratch| {
        for (((rows, drows), dy), saved) in windows {
            let window = Window {
                rows,
                shape,
                length,
            };
            for (head, saved) in saved.chunks_exact(length).enumerate() {
                if head % shape.group() == 0 {
                    scratch.begin_keys_backward(window, head);
                }
                scratch.take_queries(window, head);
                let dy = Rows::new(&dy[head * shape.head_width..], dy_columns);
                scratch.head_backward(window, saved, dy);
                scratch.write_queries(window, head, drows);
                if (head + 1) % shape.group() == 0 {
                    scratch.write_keys(window, head, drows);
                }
            }
        }
    });
}

impl Scratch {
    /// Rotates the keys of a head and packs them as columns.
    fn take_keys(&mut self, window: Window<'_>, head: usize) {
        let (shape, length) = (window.shape, window.length);
        self.k.resize(length * shape.head_width, 0.0);
        rotate(
            window.part(shape.key_column(head)).values,
            shape.columns(),
            shape,
            1.0,
            1.0,
            &mut self.k,
            shape.head_width,
        );
        let rows = Rows::new(&self.k, shape.head_width);
        self.key_columns
            .pack_transposed(rows, shape.head_width, length);
    }

    /// Rotates the queries of a head and scales them by 1 / √head_width.
    fn take_queries(&mut self, window: Window<'_>, head: usize) {
        let shape = window.shape;
        self.q.resize(window.length * shape.head_width, 0.0);
        rotate(
            window.part(head * shape.head_width).values,
            shape.columns(),
            shape,
            1.0,
            shape.scale(),
            &mut self.q,
            shape.head_width,
        );
        self.weights.resize(QUERIES * window.length, 0.0);
        self.dweights.resize(QUERIES * window.length, 0.0);
    }

    /// Fills `weights` with the scores of the positions from `first` on by all keys before `end`.
    fn score(&mut self, window: Window<'_>, first: usize, end: usize) {
        let width = window.shape.head_width;
        let size = Size {
            rows: end - first,
            inner: width,
            columns: end,
        };
        let q = Rows::new(&self.q[first * width..], width);
        let weights = &mut self.weights;
        multiply(
            size,
            q,
            &self.key_columns,
            weights,
            window.length,
            Into::Set,
        );
    }

    fn head_forward(
        &mut self,
        window: Window<'_>,
        saved: &mut [Softmax],
        out: &mut [f32],
        out_columns: usize,
    ) {
        for (first, end) in blocks(window.length) {
            self.score(window, first, end);
            let saved = &mut saved[first..end];
            softmax(&mut self.weights, window.length, first, end, saved);
            let size = Size {
                rows: end - first,
                inner: end,
                columns: window.shape.head_width,
            };
            let weights = Rows::new(&self.weights, window.length);
            let out = &mut out[first * out_columns..];
            multiply(size, weights, &self.value_rows, out, out_columns, Into::Set);
        }
    }

    /// Takes the keys and values of a head, and forgets the gradients of those before.
    fn begin_keys_backward(&mut self, window: Window<'_>, head: usize) {
        let (length, width) = (window.length, window.shape.head_width);
        self.take_keys(window, head);
        self.key_rows
            .pack_rows(Rows::new(&self.k, width), length, width);
        let values = window.part(window.shape.value_column(head));
        self.value_columns.pack_transposed(values, width, length);
        for gradient in [&mut self.dq, &mut self.dk, &mut self.dv] {
            gradient.clear();
            gradient.resize(length * width, 0.0);
        }
    }

    /// Fills `dq`, and adds to `dk` and `dv`, from the gradient of one head's result.
    fn head_backward(&mut self, window: Window<'_>, saved: &[Softmax], dy: Rows<'_>) {
        let (length, width) = (window.length, window.shape.head_width);
        for (first, end) in blocks(length) {
            let rows = end - first;
            self.score(window, first, end);
            weigh(&mut self.weights, length, first, end, &saved[first..end]);
            let dy = Rows::new(&dy.values[first * dy.stride..], dy.stride);
            let by_key = Size {
                rows: end,
                inner: rows,
                columns: width,
            };
            let weights = Rows::new(&self.weights, length);
            multiply_transposed(by_key, weights, dy, &mut self.dv, width, Into::Add);
            let size = Size {
                rows,
                inner: width,
                columns: end,
            };
            let dweights = &mut self.dweights;
            multiply(size, dy, &self.value_columns, dweights, length, Into::Set);
            softmax_backward(&self.weights, dweights, length, first, end);
            let dscores = Rows::new(&self.dweights, length);
            let size = Size {
                rows,
                inner: end,
                columns: width,
            };
            let dq = &mut self.dq[first * width..];
            multiply(size, dscores, &self.key_rows, dq, width, Into::Set);
            let q = Rows::new(&self.q[first * width..], width);
            multiply_transposed(by_key, dscores, q, &mut self.dk, width, Into::Add);
        }
    }

    fn write_queries(&mut self, window: Window<'_>, head: usize, drows: &mut [f32]) {
        let shape = window.shape;
        let to = &mut drows[head * shape.head_width..];
        rotate(
            &self.dq,
            shape.head_width,
            shape,
            -1.0,
            shape.scale(),
            to,
            shape.columns(),
        );
    }

    fn write_keys(&mut self, window: Window<'_>, head: usize, drows: &mut [f32]) {
        let shape = window.shape;
        let to = &mut drows[shape.key_column(head)..];
        rotate(
            &self.dk,
            shape.head_width,
            shape,
            -1.0,
            1.0,
            to,
            shape.columns(),
        );
        let to = &mut drows[shape.value_column(head)..];
        let rows = to.chunks_mut(shape.columns());
        for (to, dv) in rows.zip(self.dv.chunks_exact(shape.head_width)) {
            to[..dv.len()].copy_from_slice(dv);
        }
    }
}

/// The blocks of positions of a window: first and end of each.
fn blocks(length: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..length)
        .step_by(QUERIES)
        .map(move |first| (first, length.min(first + QUERIES)))
}

widest! {
    /// Turns the pairs (i, i + width/2) of every row by its position's angle times `sign` (±1),
    /// then multiplies by `scale`.
    fn rotate(
        from: &[f32], from_stride: usize, shape: &Attention, sign: f32, scale: f32,
        to: &mut [f32], to_stride: usize,
    ) {
        let (width, half) = (shape.head_width, shape.head_width / 2);
        let rows = from.chunks(from_stride).zip(to.chunks_mut(to_stride));
        let tables = shape.cosines.chunks_exact(half).zip(shape.sines.chunks_exact(half));
        for ((from, to), (cosines, sines)) in rows.zip(tables) {
            let (left, right) = from[..width].split_at(half);
            let (to_left, to_right) = to[..width].split_at_mut(half);
            // Whole blocks have a length that the compiler knows.
            let whole = half - half % LANES;
            for at in (0..whole).step_by(LANES) {
                let (left, right) = (lanes(left, at), lanes(right, at));
                let (cosines, sines) = (lanes(cosines, at), lanes(sines, at));
                let mut turned = ([0.0f32; LANES], [0.0f32; LANES]);
                for i in 0..LANES {
                    let sine = sines[i] * sign;
                    turned.0[i] = (left[i] * cosines[i] - right[i] * sine) * scale;
                    turned.1[i] = (right[i] * cosines[i] + left[i] * sine) * scale;
                }
                to_left[at..at + LANES].copy_from_slice(&turned.0);
                to_right[at..at + LANES].copy_from_slice(&turned.1);
            }
            for i in whole..half {
                let sine = sines[i] * sign;
                to_left[i] = (left[i] * cosines[i] - right[i] * sine) * scale;
                to_right[i] = (right[i] * cosines[i] + left[i] * sine) * scale;
            }
        }
    }
}

/// A block of lanes.
#[inline(always)]
fn lanes(values: &[f32], at: usize) -> &[f32; LANES] {
    values[at..at + LANES].try_into().expect("sixteen values")
}

widest! {
    /// Softmax of each row of scores over its own past, in place; its future weighs zero.
    fn softmax(
        weights: &mut [f32], stride: usize, first: usize, end: usize, saved: &mut [Softmax],
    ) {
        for (row, saved) in saved.iter_mut().enumerate() {
            let weights = &mut weights[row * stride..][..end];
            let (past, future) = weights.split_at_mut(first + row + 1);
            let max = lane_max(past);
            past.iter_mut().for_each(|x| *x = exp(*x - max));
            let inverse = 1.0 / lane_sum(past.len(), |i| past[i]);
            past.iter_mut().for_each(|x| *x *= inverse);
            future.fill(0.0);
            *saved = Softmax { max, inverse };
        }
    }
}

widest! {
    /// [`softmax`] again, from what it saved.
    fn weigh(weights: &mut [f32], stride: usize, first: usize, end: usize, saved: &[Softmax]) {
        for (row, saved) in saved.iter().enumerate() {
            let weights = &mut weights[row * stride..][..end];
            let (past, future) = weights.split_at_mut(first + row + 1);
            past.iter_mut().for_each(|x| *x = exp(*x - saved.max) * saved.inverse);
            future.fill(0.0);
        }
    }
}

widest! {
    /// dx = p · (dp − Σ p·dp) of each row: the gradient of a softmax, in place of `dp`.
    fn softmax_backward(p: &[f32], dp: &mut [f32], stride: usize, first: usize, end: usize) {
        for row in 0..end - first {
            let past = first + row + 1;
            let p = &p[row * stride..][..past];
            let (dp, future) = dp[row * stride..][..end].split_at_mut(past);
            let pull = lane_sum(past, |i| p[i] * dp[i]);
            dp.iter_mut().zip(p).for_each(|(dp, p)| *dp = p * (*dp - pull));
            future.fill(0.0);
        }
    }
}
