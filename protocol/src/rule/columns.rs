//! The values of all members at each coordinate, in ascending order.

use super::points::{Cursor, Scaled, parts};
use std::ops::Range;

/// Values sorted at once, so that those of some tens of members stay in a core's own cache.
const WIDTH: usize = 512;

/// Sorts every coordinate, and has `reduce` make one value of each.
///
/// `reduce` is given, part by part, the sorted values and room for the results. Equal values
/// may stand in any order, zeros of both signs among them.
///
/// # Shapes
/// `reduce` takes n rows, where row k has the k-th smallest value of each coordinate of a part,
/// and as many results as a row is long. The whole has `parameters` values.
pub(super) fn reduce_sorted(
    points: &[Scaled<'_>],
    parameters: usize,
    stride: usize,
    mut reduce: impl FnMut(&[Vec<f64>], &mut [f32]),
) -> Vec<f32> {
    let network = network(points.len());
    let mut cursors: Vec<(Cursor<'_>, f64)> = points
        .iter()
        .map(|(update, scale)| (Cursor::new(update), *scale))
        .collect();
    let mut rows = vec![Vec::new(); points.len()];
    let mut out = vec![0.0; parameters];
    for part in parts(parameters, stride.min(WIDTH)) {
        for (row, (cursor, scale)) in rows.iter_mut().zip(&mut cursors) {
            fill(row, cursor, *scale, &part);
        }
        for (low, high) in &network {
            exchange(&mut rows, *low, *high);
        }
        reduce(&rows, &mut out[part]);
    }
    out
}

/// Makes a row of the scaled values of one member.
fn fill(row: &mut Vec<f64>, cursor: &mut Cursor<'_>, scale: f64, part: &Range<usize>) {
    row.clear();
    if let Some(values) = cursor.dense(part) {
        row.extend(values.iter().map(|value| scale * f64::from(*value)));
        return;
    }
    row.resize(part.len(), 0.0);
    cursor.visit(part, |offset, value| {
        row[offset] = scale * f64::from(value);
    });
}

/// The pairs of rows to compare, in order, so that any n rows come out sorted: Batcher's merge
/// exchange (Knuth, The Art of Computer Programming, 5.2.2, algorithm M).
fn network(rows: usize) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    let top = rows.next_power_of_two() / 2;
    let mut p = top;
    while p > 0 {
        let (mut q, mut r, mut d) = (top, 0, p);
        loop {
            let low = (0..rows.saturating_sub(d)).filter(|i| i & p == r);
            pairs.extend(low.map(|i| (i, i + d)));
            if q == p {
                break;
            }
            (d, q, r) = (q - p, q / 2, p);
        }
        p /= 2;
    }
    pairs
}

/// Puts the smaller value of each coordinate into the one row, the larger into the other.
fn exchange(rows: &mut [Vec<f64>], low: usize, high: usize) {
    let (left, right) = rows.split_at_mut(high);
    for (a, b) in left[low].iter_mut().zip(&mut right[0]) {
        let (x, y) = (*a, *b);
        let falls = y < x;
        *a = if falls { y } else { x };
        *b = if falls { x } else { y };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_sorts_every_pattern_of_zeros_and_ones() {
        // What sorts all of these sorts everything (Knuth, 5.3.4, theorem Z).
        for count in 1..=12usize {
            let network = network(count);
            for pattern in 0..1u32 << count {
                let mut rows: Vec<u32> = (0..count).map(|row| pattern >> row & 1).collect();
                for (low, high) in &network {
                    assert!(low < high);
                    if rows[*low] > rows[*high] {
                        rows.swap(*low, *high);
                    }
                }
                assert!(rows.is_sorted(), "{count} rows, pattern {pattern:b}");
            }
        }
    }

    #[test]
    fn sixteen_rows_take_63_comparisons() {
        assert_eq!(network(16).len(), 63);
        assert_eq!((network(1).len(), network(0).len()), (0, 0));
    }
}
