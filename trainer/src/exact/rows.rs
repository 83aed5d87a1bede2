//! The row-wise operations of the model on plain slices, forward and backward.
//!
//! Matrices are row-major. Sums run over sixteen lanes and a fixed tree within a row, and over rows
//! in order, so the bits depend on nothing but the input.

use super::functions::exp;
use super::isa::widest;
use crate::transcendental::ln;

/// Lanes of every sum within a row.
pub(crate) const LANES: usize = 16;

#[inline(always)]
pub(crate) fn tree(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// Σ term(i) for i in 0..length, in lanes.
#[inline(always)]
pub(crate) fn lane_sum(length: usize, term: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let whole = length - length % LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += term(start + lane);
        }
    }
    for (lane, at) in (whole..length).enumerate() {
        lanes[lane] += term(at);
    }
    tree(lanes)
}

/// The largest value, and none that is NaN unless all are; −∞ of nothing.
#[inline(always)]
pub(crate) fn lane_max(values: &[f32]) -> f32 {
    let higher = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let blocks = values.chunks_exact(LANES);
    let rest = blocks.remainder();
    for block in blocks {
        for (lane, value) in lanes.iter_mut().zip(block) {
            *lane = higher(*lane, *value);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane = higher(*lane, *value);
    }
    lanes.into_iter().fold(f32::NEG_INFINITY, higher)
}

widest! {
    /// y = x · r · w with r = 1 / √(mean x² + ε) of each row; fills `roots` with r.
    fn rms_norm(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32], roots: &mut [f32]) {
        let width = weight.len();
        let rows = x.chunks_exact(width).zip(y.chunks_exact_mut(width)).zip(roots);
        for ((x, y), root) in rows {
            let square = lane_sum(width, |i| x[i] * x[i]);
            *root = 1.0 / (square / width as f32 + eps).sqrt();
            for i in 0..width {
                y[i] = x[i] * *root * weight[i];
            }
        }
    }
}

widest! {
    /// Adds r · (w·dy − x · r² · mean(w·dy·x)) to `dx`, and dy · x · r of every row to `dweight`.
    fn rms_norm_backward(
        x: &[f32], weight: &[f32], roots: &[f32], dy: &[f32], dx: &mut [f32], dweight: &mut [f32],
    ) {
        let width = weight.len();
        let inputs = x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(roots);
        for (((x, dy), root), dx) in inputs.zip(dx.chunks_exact_mut(width)) {
            let (dy, dx) = (&dy[..width], &mut dx[..width]);
            let mean = lane_sum(width, |i| dy[i] * weight[i] * x[i]) / width as f32;
            let pull = mean * *root * *root;
            for i in 0..width {
                dx[i] += *root * (weight[i] * dy[i] - x[i] * pull);
                dweight[i] += dy[i] * x[i] * *root;
            }
        }
    }
}

widest! {
    /// silu(gate) · up of each row, which holds gate and then up.
    fn swiglu(gate_up: &[f32], width: usize, y: &mut [f32]) {
        for (row, y) in gate_up.chunks_exact(2 * width).zip(y.chunks_exact_mut(width)) {
            let (gate, up) = row.split_at(width);
            for i in 0..width {
                y[i] = gate[i] / (1.0 + exp(-gate[i])) * up[i];
            }
        }
    }
}

widest! {
    /// The gradient of [`swiglu`] by its input.
    fn swiglu_backward(gate_up: &[f32], width: usize, dy: &[f32], dx: &mut [f32]) {
        let rows = gate_up.chunks_exact(2 * width).zip(dy.chunks_exact(width));
        for ((row, dy), dx) in rows.zip(dx.chunks_exact_mut(2 * width)) {
            let ((gate, up), (dgate, dup)) = (row.split_at(width), dx.split_at_mut(width));
            for i in 0..width {
                let sigmoid = 1.0 / (1.0 + exp(-gate[i]));
                let silu = gate[i] * sigmoid;
                dup[i] = dy[i] * silu;
                dgate[i] = dy[i] * up[i] * (sigmoid + silu * (1.0 - sigmoid));
            }
        }
    }
}

widest! {
    /// The softmax of each row in place; fills `sums` with its Σ e^(x − max), `highest` with its
    /// max.
    fn softmax(logits: &mut [f32], width: usize, sums: &mut [f32], highest: &mut [f32]) {
        let rows = logits.chunks_exact_mut(width);
        for (x, (sum, max)) in rows.zip(sums.iter_mut().zip(highest)) {
            *max = lane_max(x);
            for x in x.iter_mut() {
                *x = exp(*x - *max);
            }
            *sum = lane_sum(width, |i| x[i]);
            let inverse = 1.0 / *sum;
            x.iter_mut().for_each(|x| *x *= inverse);
        }
    }
}

/// Adds −ln softmax(logits)[target] of each row to `losses`, and turns `logits` into the softmax.
pub(crate) fn token_losses(
    logits: &mut [f32],
    width: usize,
    targets: &[u32],
    losses: &mut Vec<f32>,
) {
    let (mut sums, mut highest) = (vec![0.0; targets.len()], vec![0.0; targets.len()]);
    let chosen: Vec<f32> = (logits.chunks_exact(width).zip(targets))
        .map(|(row, target)| row[*target as usize])
        .collect();
    softmax(logits, width, &mut sums, &mut highest);
    for ((sum, max), logit) in sums.iter().zip(&highest).zip(chosen) {
        // A row with a NaN or an infinity has no logarithm to take, and no loss.
        losses.push(if sum.is_normal() && logit.is_finite() {
            (ln(f64::from(*sum)) + f64::from(*max) - f64::from(logit)) as f32
        } else {
            f32::NAN
        });
    }
}

/// Turns probabilities into the gradient of the losses, each times `scale`, by the logits.
pub(crate) fn token_losses_backward(
    probabilities: &mut [f32],
    width: usize,
    targets: &[u32],
    scale: f32,
) {
    for (row, target) in probabilities.chunks_exact_mut(width).zip(targets) {
        row[*target as usize] -= 1.0;
        row.iter_mut().for_each(|value| *value *= scale);
    }
}

/// The rows of `weight` that `tokens` name.
pub(crate) fn embed(weight: &[f32], tokens: &[u32], width: usize, out: &mut [f32]) {
    for (token, out) in tokens.iter().zip(out.chunks_exact_mut(width)) {
        out.copy_from_slice(&weight[*token as usize * width..][..width]);
    }
}

/// Adds row r of `dy` to row `tokens[r]` of `dweight`, in order.
pub(crate) fn embed_backward(tokens: &[u32], width: usize, dy: &[f32], dweight: &mut [f32]) {
    for (token, dy) in tokens.iter().zip(dy.chunks_exact(width)) {
        let start = *token as usize * width;
        let row = &mut dweight[start..start + width];
        row.iter_mut()
            .zip(dy)
            .for_each(|(sum, value)| *sum += value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_no_number_has_no_loss() {
        let mut logits = [0.0, f32::NAN, 0.0, 0.0, f32::INFINITY, 0.0, 1.0, 1.0, 1.0];
        let mut losses = Vec::new();
        token_losses(&mut logits, 3, &[0, 0, 2], &mut losses);
        assert!(losses[0].is_nan() && losses[1].is_nan(), "{losses:?}");
        assert!((losses[2] - 3f32.ln()).abs() < 1e-6);
    }
}
