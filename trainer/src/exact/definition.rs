//! What every kernel computes, one number at a time: the definition in `f32`, and the mathematics
//! in `f64`.
//!
//! Written for whoever implements the class again; tests hold the kernels to the bits of the first
//! and near the second.

use super::functions;
use super::isa::fused;
use super::product::BLOCK;
use super::rows::LANES;
use crate::model::Attention;
use std::ops::{Add, Div, Mul, Sub};

/// Positions whose gradients by keys and values are summed before they are added.
const QUERIES: usize = 24;

/// Numbers that a kernel is defined over.
pub(super) trait Real:
    Copy
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
{
    fn of(value: f32) -> Self;
    fn fused(self, b: Self, c: Self) -> Self;
    fn exp(self) -> Self;
    fn sqrt(self) -> Self;
}

impl Real for f32 {
    fn of(value: f32) -> Self {
        value
    }
    fn fused(self, b: Self, c: Self) -> Self {
        fused(self, b, c)
    }
    fn exp(self) -> Self {
        functions::exp(self)
    }
    fn sqrt(self) -> Self {
        self.sqrt()
    }
}

impl Real for f64 {
    fn of(value: f32) -> Self {
        Self::from(value)
    }
    fn fused(self, b: Self, c: Self) -> Self {
        self * b + c
    }
    fn exp(self) -> Self {
        self.exp()
    }
    fn sqrt(self) -> Self {
        self.sqrt()
    }
}

/// Σ a(k)·b(k), block by block, onto `onto` where there is something.
pub(super) fn product<T: Real>(
    inner: usize,
    block: usize,
    onto: Option<T>,
    a: impl Fn(usize) -> T,
    b: impl Fn(usize) -> T,
) -> T {
    let mut result = onto;
    for from in (0..inner).step_by(block) {
        let mut sum = T::of(0.0);
        for k in from..inner.min(from + block) {
            sum = a(k).fused(b(k), sum);
        }
        result = Some(result.map_or(sum, |result| result + sum));
    }
    result.expect("at least one block")
}

/// Σ term(i), in lanes, then in a tree.
fn lane_sum<T: Real>(length: usize, term: impl Fn(usize) -> T) -> T {
    let mut lanes = [T::of(0.0); LANES];
    for i in 0..length {
        lanes[i % LANES] = lanes[i % LANES] + term(i);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] = lanes[lane] + lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// One row: the result and 1 / √(mean x² + ε).
pub(super) fn rms_norm<T: Real>(x: &[T], weight: &[T], eps: T) -> (Vec<T>, T) {
    let mean = lane_sum(x.len(), |i| x[i] * x[i]) / T::of(x.len() as f32);
    let root = T::of(1.0) / (mean + eps).sqrt();
    let y = x.iter().zip(weight).map(|(x, w)| *x * root * *w);
    (y.collect(), root)
}

/// One row: what is added to the gradients by x and by the weight.
pub(super) fn rms_norm_backward<T: Real>(
    x: &[T],
    weight: &[T],
    root: T,
    dy: &[T],
) -> (Vec<T>, Vec<T>) {
    let width = T::of(x.len() as f32);
    let mean = lane_sum(x.len(), |i| dy[i] * weight[i] * x[i]) / width;
    let pull = mean * root * root;
    let by_x = (0..x.len()).map(|i| root * (weight[i] * dy[i] - x[i] * pull));
    let by_weight = (0..x.len()).map(|i| dy[i] * x[i] * root);
    (by_x.collect(), by_weight.collect())
}

fn sigmoid<T: Real>(x: T) -> T {
    T::of(1.0) / (T::of(1.0) + (T::of(0.0) - x).exp())
}

/// silu(gate) · up, and its gradient by gate and up times `dy`.
pub(super) fn swiglu<T: Real>(gate: T, up: T, dy: T) -> (T, T, T) {
    let one = T::of(1.0);
    let y = gate / (one + (T::of(0.0) - gate).exp()) * up;
    let sigmoid = sigmoid(gate);
    let silu = gate * sigmoid;
    let by_gate = dy * up * (sigmoid + silu * (one - sigmoid));
    (y, by_gate, dy * silu)
}

/// The softmax of a row; its largest value and Σ e^(x − max).
pub(super) fn softmax<T: Real>(row: &[T]) -> (Vec<T>, T, T) {
    let max = row
        .iter()
        .fold(row[0], |max, x| if *x > max { *x } else { max });
    let powers: Vec<T> = row.iter().map(|x| (*x - max).exp()).collect();
    let sum = lane_sum(row.len(), |i| powers[i]);
    let inverse = T::of(1.0) / sum;
    let weights = powers.iter().map(|power| *power * inverse);
    (weights.collect(), max, sum)
}

/// One head of one window: rows of queries, keys and values before rotation.
pub(super) struct Head<T> {
    pub(super) q: Vec<Vec<T>>,
    pub(super) k: Vec<Vec<T>>,
    pub(super) v: Vec<Vec<T>>,
}

/// Turns a row by its position's angle times `sign`, then scales it.
fn turn<T: Real>(row: &[T], shape: &Attention, position: usize, sign: T, scale: T) -> Vec<T> {
    let half = shape.head_width / 2;
    let at = |table: &[f32], i: usize| T::of(table[position * half + i % half]);
    let sine = |i| at(&shape.sines, i) * sign;
    (0..2 * half)
        .map(|i| {
            let cosine = at(&shape.cosines, i);
            if i < half {
                (row[i] * cosine - row[i + half] * sine(i)) * scale
            } else {
                (row[i] * cosine + row[i - half] * sine(i)) * scale
            }
        })
        .collect()
}

impl<T: Real> Head<T> {
    fn turned(&self, shape: &Attention) -> (Vec<Vec<T>>, Vec<Vec<T>>) {
        let one = T::of(1.0);
        let scale = T::of(shape.scale());
        let q = self.q.iter().enumerate();
        let k = self.k.iter().enumerate();
        (
            q.map(|(at, row)| turn(row, shape, at, one, scale))
                .collect(),
            k.map(|(at, row)| turn(row, shape, at, one, one)).collect(),
        )
    }

    /// The weights of a position's past.
    fn weights(q: &[Vec<T>], k: &[Vec<T>], position: usize) -> Vec<T> {
        let width = q[0].len();
        let score = |key: usize| product(width, BLOCK, None, |i| q[position][i], |i| k[key][i]);
        let scores: Vec<T> = (0..=position).map(score).collect();
        softmax(&scores).0
    }

    /// The result, one row a position.
    pub(super) fn forward(&self, shape: &Attention) -> Vec<Vec<T>> {
        let (q, k) = self.turned(shape);
        (0..q.len())
            .map(|position| {
                let p = Self::weights(&q, &k, position);
                let column = |i: usize| product(p.len(), BLOCK, None, |j| p[j], |j| self.v[j][i]);
                (0..q[0].len()).map(column).collect()
            })
            .collect()
    }

    /// The gradients by queries, keys and values as they were before rotation.
    pub(super) fn backward(&self, shape: &Attention, dy: &[Vec<T>]) -> Head<T> {
        let (q, k) = self.turned(shape);
        let (length, width) = (q.len(), q[0].len());
        let zero = T::of(0.0);
        let p: Vec<Vec<T>> = (0..length).map(|at| Self::weights(&q, &k, at)).collect();
        let ds: Vec<Vec<T>> = (0..length)
            .map(|at| {
                let dp =
                    |key: usize| product(width, BLOCK, None, |i| dy[at][i], |i| self.v[key][i]);
                let dp: Vec<T> = (0..=at).map(dp).collect();
                let pull = lane_sum(dp.len(), |j| p[at][j] * dp[j]);
                (0..=at).map(|j| p[at][j] * (dp[j] - pull)).collect()
            })
            .collect();
        // What a key's weights and a row's values add up to over all positions that see the key.
        let by_key = |weights: &[Vec<T>], rows: &[Vec<T>], key: usize, i: usize| {
            (0..length).step_by(QUERIES).fold(zero, |sum, first| {
                let rest = QUERIES.min(length - first);
                let weight = |at: usize| weights[first + at].get(key).copied().unwrap_or(zero);
                if first + rest <= key {
                    return sum;
                }
                product(rest, QUERIES, Some(sum), weight, |at| rows[first + at][i])
            })
        };
        let all = |weights: &[Vec<T>], rows: &[Vec<T>]| -> Vec<Vec<T>> {
            let row = |key| (0..width).map(|i| by_key(weights, rows, key, i)).collect();
            (0..length).map(row).collect()
        };
        let (minus, one) = (T::of(-1.0), T::of(1.0));
        let dq = |at: usize| -> Vec<T> {
            let column = |i: usize| product(at + 1, BLOCK, None, |j| ds[at][j], |j| k[j][i]);
            let row: Vec<T> = (0..width).map(column).collect();
            turn(&row, shape, at, minus, T::of(shape.scale()))
        };
        let dk = all(&ds, &q).into_iter().enumerate();
        Head {
            q: (0..length).map(dq).collect(),
            k: dk
                .map(|(at, row)| turn(&row, shape, at, minus, one))
                .collect(),
            v: all(&p, dy),
        }
    }
}
