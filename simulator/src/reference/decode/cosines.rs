//! The inverse cosine transform of a chunk, from the formula.

use std::f64::consts::PI;

/// Frequencies to positions: along both sides of a square, or run by run of `side` values.
pub(super) fn back(window: &[f32], side: usize, square: bool) -> Vec<f32> {
    let value = |place: usize| {
        let (u, i) = (place / side, place % side);
        let share = if u == 0 { 1.0 } else { 2.0 } / side as f64;
        let angle = PI * ((2 * i + 1) * u) as f64 / (2 * side) as f64;
        (share.sqrt() * angle.cos()) as f32
    };
    let values: Vec<f32> = (0..side * side).map(value).collect();
    let c = |u: usize, i: usize| values[u * side + i];
    let sum = |terms: &dyn Fn(usize) -> f32| (0..side).fold(0.0f32, |sum, at| sum + terms(at));
    if square {
        let at = |row: usize, column: usize| window[row * side + column];
        let mut half = vec![0.0; side * side];
        for (place, half) in half.iter_mut().enumerate() {
            let (u, column) = (place / side, place % side);
            *half = sum(&|v| at(u, v) * c(v, column));
        }
        let whole = |place: usize| {
            let (row, column) = (place / side, place % side);
            sum(&|u| c(u, row) * half[u * side + column])
        };
        return (0..side * side).map(whole).collect();
    }
    let mut out = window.to_vec();
    for (run, out) in window.chunks_exact(side).zip(out.chunks_exact_mut(side)) {
        for (i, out) in out.iter_mut().enumerate() {
            *out = sum(&|u| run[u] * c(u, i));
        }
    }
    out
}
