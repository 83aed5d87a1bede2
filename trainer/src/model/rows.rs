//! The row-wise operations of the model on plain slices, forward and backward.
//!
//! Matrices are row-major. Sums run over sixteen lanes and a fixed tree within a row, and over rows
//! in order, so the bits depend on nothing but the input.

use super::widest::widest;
use crate::transcendental::ln;

/// Lanes of every sum within a row.
pub(crate) const LANES: usize = 16;

/// eˣ without a library: a degree-6 polynomial after range reduction. Below −87 it is 0.
///
/// The relative error is at most 3 ulp on [−87, 88]; NaN stays NaN.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0;
    let clamped = if x < -87.0 { -87.0 } else { x };
    let clamped = if clamped > 88.0 { 88.0 } else { clamped };
    let shifted = clamped * std::f32::consts::LOG2_E + SHIFT;
    let power = shifted - SHIFT;
    // ln 2 in two parts, the first with few enough bits that its product is exact.
    let rest = (clamped - power * 0.693_359_4) - power * -2.121_944_4e-4;
    let mut sum = 1.0 / 720.0;
    sum = sum * rest + 1.0 / 120.0;
    sum = sum * rest + 1.0 / 24.0;
    sum = sum * rest + 1.0 / 6.0;
    sum = sum * rest + 0.5;
    sum = sum * rest * rest + rest;
    let scale = f32::from_bits(
        (shifted.to_bits().wrapping_sub(0x4b40_0000) << 23).wrapping_add(0x3f80_0000),
    );
    let value = (sum + 1.0) * scale;
    if x < -87.0 {
        0.0
    } else if x > 88.0 {
        f32::INFINITY
    } else {
        value
    }
}

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
    /// dx = r · (w·dy − x · r² · mean(w·dy·x)); adds dy · x · r of every row to `dweight`.
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
                dx[i] = *root * (weight[i] * dy[i] - x[i] * pull);
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
    /// The softmax of each row into `probabilities`; fills `sums` with its Σ e^(x − max), `highest`
    /// with its max.
    fn softmax(
        logits: &[f32], width: usize, probabilities: &mut [f32], sums: &mut [f32],
        highest: &mut [f32],
    ) {
        let rows = logits.chunks_exact(width).zip(probabilities.chunks_exact_mut(width));
        for ((x, p), (sum, max)) in rows.zip(sums.iter_mut().zip(highest)) {
            *max = x.iter().fold(f32::NEG_INFINITY, |max, x| if *x > max { *x } else { max });
            for i in 0..width {
                p[i] = exp(x[i] - *max);
            }
            *sum = lane_sum(width, |i| p[i]);
            let inverse = 1.0 / *sum;
            p.iter_mut().for_each(|p| *p *= inverse);
        }
    }
}

/// −ln softmax(logits)[target] of each row, and the softmax itself.
pub(crate) fn token_losses(logits: &[f32], width: usize, targets: &[u32]) -> (Vec<f32>, Vec<f32>) {
    let rows = targets.len();
    let mut probabilities = vec![0.0; logits.len()];
    let (mut sums, mut highest) = (vec![0.0; rows], vec![0.0; rows]);
    softmax(logits, width, &mut probabilities, &mut sums, &mut highest);
    let loss = |(row, target): (usize, &u32)| {
        let sum = f64::from(sums[row]);
        let logit = f64::from(logits[row * width + *target as usize]);
        // A row with a NaN or an infinity has no logarithm to take, and no loss.
        if !sum.is_normal() || !logit.is_finite() {
            return f32::NAN;
        }
        (ln(sum) + f64::from(highest[row]) - logit) as f32
    };
    (
        targets.iter().enumerate().map(loss).collect(),
        probabilities,
    )
}

/// Turns probabilities into the gradient of the losses by the logits, in place.
pub(crate) fn token_losses_backward(
    probabilities: &mut [f32],
    width: usize,
    targets: &[u32],
    dlosses: &[f32],
) {
    let rows = probabilities
        .chunks_exact_mut(width)
        .zip(targets)
        .zip(dlosses);
    for ((row, target), dloss) in rows {
        row[*target as usize] -= 1.0;
        row.iter_mut().for_each(|value| *value *= dloss);
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
    fn exp_is_close_everywhere_and_keeps_what_is_no_number() {
        let mut worst = 0.0f64;
        for i in -870_000..=880_000i32 {
            let x = i as f32 * 1e-4;
            let expected = f64::from(x).exp();
            let ulp = f64::from(f32::EPSILON) * expected.max(f64::from(f32::MIN_POSITIVE));
            worst = worst.max((f64::from(exp(x)) - expected).abs() / ulp);
        }
        assert!(worst < 3.0, "{worst} ulp");
        assert_eq!(
            [exp(0.0), exp(-88.0), exp(f32::NEG_INFINITY)],
            [1.0, 0.0, 0.0]
        );
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn a_row_that_is_no_number_has_no_loss() {
        let logits = [0.0, f32::NAN, 0.0, 0.0, f32::INFINITY, 0.0, 1.0, 1.0, 1.0];
        let (losses, _) = token_losses(&logits, 3, &[0, 0, 2]);
        assert!(losses[0].is_nan() && losses[1].is_nan(), "{losses:?}");
        assert!((losses[2] - 3f32.ln()).abs() < 1e-6);
    }
}
