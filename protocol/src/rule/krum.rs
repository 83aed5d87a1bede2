//! `krum` and `multi_krum`: the updates whose neighbours are nearest, and nothing of the others.
//!
//! A member's score is the sum of the squared distances to its n − f − 2 nearest others (Blanchard
//! et al., NIPS 2017). `krum` takes the update of the least score, `multi_krum` the mean of the m
//! updates of the least scores. Tokens do not weigh.
//!
//! # Where the guarantee stops
//! Krum's theorem is about gradients that honest members draw independently at one point, whose
//! spread is small beside the gradient's length; n ≥ 2f + 3 alone promises nothing. With more
//! than one inner step (H > 1) an update is a path through different data: members are neither
//! unbiased nor spread alike, and no theorem covers them. Where honest updates lie at more than
//! 60° to each other, as they can after many steps and do with a sparse codec, an update of
//! zeros is nearer to each of them than they are to each other, and wins: one that trains nothing
//! stops the run. Plans refuse Krum with sparse codecs. A liar within the honest spread is never
//! noticed, and `krum` itself throws away all work but one member's.

use super::points::{Scaled, parts};
use crate::codec::lanes::Lanes;

/// Which points are the `keep` of least score.
///
/// There are at least `liars + 3` points, and as many as are kept.
///
/// # Shapes
/// The points have `parameters` values; one flag a point.
pub(super) fn chosen(
    points: &[Scaled<'_>],
    liars: usize,
    keep: usize,
    parameters: usize,
    stride: usize,
) -> Vec<bool> {
    let squares = squares(points, parameters, stride);
    least(&scores(&squares, liars), keep)
}

/// The squared distances between all points, a row a point.
fn squares(points: &[Scaled<'_>], parameters: usize, stride: usize) -> Vec<Vec<f64>> {
    let count = points.len();
    let pairs = || (0..count).flat_map(|i| (i + 1..count).map(move |j| (i, j)));
    let mut sums = vec![Lanes::default(); pairs().count()];
    let mut scratch = vec![Vec::new(); count];
    for part in parts(parameters, stride) {
        let windows: Vec<&[f32]> = points
            .iter()
            .zip(&mut scratch)
            .map(|((update, _), scratch)| update.window(part.clone(), scratch))
            .collect();
        for (sum, (i, j)) in sums.iter_mut().zip(pairs()) {
            sum.push_differences(points[i].1, windows[i], points[j].1, windows[j]);
        }
    }
    let mut squares = vec![vec![0.0; count]; count];
    for (sum, (i, j)) in sums.iter().zip(pairs()) {
        let total = sum.total();
        (squares[i][j], squares[j][i]) = (total, total);
    }
    squares
}

/// The sum of the squared distances to the n − f − 2 nearest others, added in ascending order.
fn scores(squares: &[Vec<f64>], liars: usize) -> Vec<f64> {
    let score = |(i, row): (usize, &Vec<f64>)| {
        let mut others = row.clone();
        others.remove(i);
        others.sort_by(f64::total_cmp);
        let nearest = &others[..squares.len() - liars - 2];
        nearest.iter().fold(0.0, |sum, square| sum + square)
    };
    squares.iter().enumerate().map(score).collect()
}

/// Which are the `keep` least; of equal ones the first.
fn least(scores: &[f64], keep: usize) -> Vec<bool> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    // The sort is stable: whoever comes first stays first.
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let mut chosen = vec![false; scores.len()];
    for member in &order[..keep] {
        chosen[*member] = true;
    }
    chosen
}
