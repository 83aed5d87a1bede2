//! Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon): momentum, orthogonalized.
//!
//! A matrix moves along the nearest matrix whose singular values are near one, found by
//! Newton–Schulz iterations of degree five from products alone, so that every bit is defined
//! ([`crate::exact::product`]). The momentum is Nesterov's. The step is scaled by
//! √max(1, rows / columns), as in the reference.

use super::settings::MuonConfig;
use crate::exact::isa::widest;
use crate::exact::product::{Into, Packed, Rows, Size, multiply};
use crate::lanes;

/// Coefficients of one iteration, from the reference: X ← a·X + (b·A + c·A²)·X with A = X·Xᵀ.
const ITERATION: [f32; 3] = [3.4445, -4.7750, 2.0315];
/// Added to the norm that the update is divided by.
const EPSILON: f64 = 1e-7;

/// One step of one matrix.
pub(super) struct MuonStep<'a> {
    /// Rows and columns.
    pub(super) shape: (usize, usize),
    /// What the gradient is multiplied by.
    pub(super) clip: f32,
    /// Learning rate of this step.
    pub(super) lr: f32,
    /// What weight decay leaves of a weight.
    pub(super) keep: f32,
    pub(super) settings: &'a MuonConfig,
    pub(super) gradient: &'a [f32],
    pub(super) momentum: &'a mut [f32],
    pub(super) params: &'a mut [f32],
}

impl MuonStep<'_> {
    /// Takes the step; says whether all weights are still finite.
    pub(super) fn apply(self) -> bool {
        let (rows, columns) = self.shape;
        let decay = self.settings.momentum;
        let mut update = vec![0.0; self.gradient.len()];
        nesterov(self.clip, decay, self.gradient, self.momentum, &mut update);
        let update = orthogonalize(&update, rows, columns, self.settings.iterations);
        let tall = (rows as f64 / columns as f64).max(1.0).sqrt();
        let step = (f64::from(self.lr) * tall) as f32;
        descend(self.keep, step, &update, self.params);
        lanes::all_finite(self.params)
    }
}

widest! {
    /// m ← β·m + (1 − β)·g and u = (1 − β)·g + β·m.
    fn nesterov(clip: f32, decay: f32, gradient: &[f32], momentum: &mut [f32], update: &mut [f32]) {
        for ((gradient, m), update) in gradient.iter().zip(momentum).zip(update) {
            let g = (1.0 - decay) * (gradient * clip);
            *m = decay * *m + g;
            *update = g + decay * *m;
        }
    }
}

widest! {
    /// p ← keep·p − step·u.
    fn descend(keep: f32, step: f32, update: &[f32], params: &mut [f32]) {
        for (param, update) in params.iter_mut().zip(update) {
            *param = *param * keep - step * update;
        }
    }
}

widest! {
    /// b·A + c·A², where `square` holds A².
    fn polynomial(gram: &[f32], square: &mut [f32]) {
        for (square, a) in square.iter_mut().zip(gram) {
            *square = ITERATION[1] * a + ITERATION[2] * *square;
        }
    }
}

widest! {
    /// x ← s·x.
    fn scale(factor: f32, values: &mut [f32]) {
        values.iter_mut().for_each(|value| *value *= factor);
    }
}

/// The matrix with the same singular vectors, and singular values near one.
///
/// # Shapes
/// `matrix [rows, columns]`, and so is the result.
pub(super) fn orthogonalize(
    matrix: &[f32],
    rows: usize,
    columns: usize,
    iterations: u32,
) -> Vec<f32> {
    if rows > columns {
        let flipped = transpose(matrix, rows, columns);
        let found = orthogonalize(&flipped, columns, rows, iterations);
        return transpose(&found, columns, rows);
    }
    let norm = lanes::square_sum(matrix).sqrt() + EPSILON;
    let mut x = matrix.to_vec();
    scale((1.0 / norm) as f32, &mut x);
    let (mut gram, mut square) = (vec![0.0; rows * rows], vec![0.0; rows * rows]);
    let mut packed = Packed::default();
    for _ in 0..iterations {
        packed.pack_transposed(Rows::new(&x, columns), columns, rows);
        product((rows, columns, rows), &x, &packed, &mut gram, Into::Set);
        packed.pack_rows(Rows::new(&gram, rows), rows, rows);
        product((rows, rows, rows), &gram, &packed, &mut square, Into::Set);
        polynomial(&gram, &mut square);
        packed.pack_rows(Rows::new(&x, columns), rows, columns);
        scale(ITERATION[0], &mut x);
        product((rows, rows, columns), &square, &packed, &mut x, Into::Add);
    }
    x
}

fn product(
    (rows, inner, columns): (usize, usize, usize),
    a: &[f32],
    b: &Packed,
    c: &mut [f32],
    into: Into,
) {
    let size = Size {
        rows,
        inner,
        columns,
    };
    multiply(size, Rows::new(a, inner), b, c, columns, into);
}

fn transpose(matrix: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut flipped = vec![0.0; matrix.len()];
    for (row, values) in matrix.chunks_exact(columns).enumerate() {
        for (column, value) in values.iter().enumerate() {
            flipped[column * rows + row] = *value;
        }
    }
    flipped
}

#[cfg(test)]
mod tests {
    use super::*;
    use archipel_protocol::random::Stream;

    /// XᵀX of an orthogonalized matrix has a diagonal near one and little beside it.
    #[test]
    fn rows_become_nearly_orthonormal() {
        for (rows, columns) in [(5, 24), (24, 5), (16, 16), (40, 64)] {
            let mut stream = Stream::new([rows as u8; 32]);
            let matrix: Vec<f32> = (0..rows * columns).map(|_| stream.normal_f32()).collect();
            let found = orthogonalize(&matrix, rows, columns, 8);
            let (short, long) = (rows.min(columns), rows.max(columns));
            let at = |s: usize, l: usize| {
                f64::from(if rows < columns {
                    found[s * columns + l]
                } else {
                    found[l * columns + s]
                })
            };
            let mut trace = 0.0;
            for a in 0..short {
                for b in 0..short {
                    let dot: f64 = (0..long).map(|l| at(a, l) * at(b, l)).sum();
                    // The iteration ends with singular values between 0.68 and 1.14.
                    let limit = if a == b { 0.3..1.4 } else { -0.55..0.55 };
                    assert!(limit.contains(&dot), "{rows}x{columns}: {a} {b}: {dot}");
                    trace += if a == b { dot } else { 0.0 };
                }
            }
            let mean = trace / short as f64;
            assert!((0.6..1.2).contains(&mean), "{rows}x{columns}: {mean}");
        }
    }

    #[test]
    fn a_matrix_of_zeros_stays_zero() {
        assert_eq!(orthogonalize(&[0.0; 12], 3, 4, 5), [0.0; 12]);
    }
}
