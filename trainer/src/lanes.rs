//! Sums in a fixed order: sixteen lanes, then a fixed tree, whatever the machine's vectors are.

/// Lanes of every sum over a long vector.
pub(crate) const LANES: usize = 16;

/// The sum of squares, accumulated in `f64`.
pub(crate) fn square_sum(values: &[f32]) -> f64 {
    let mut lanes = [0.0f64; LANES];
    let blocks = values.chunks_exact(LANES);
    let rest = blocks.remainder();
    for block in blocks {
        for (lane, value) in lanes.iter_mut().zip(block) {
            let value = f64::from(*value);
            *lane += value * value;
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        let value = f64::from(*value);
        *lane += value * value;
    }
    tree(lanes)
}

/// Whether no value is NaN or infinite.
pub(crate) fn all_finite(values: &[f32]) -> bool {
    const EXPONENT: u32 = 0x7f80_0000;
    let worst = values
        .iter()
        .fold(0, |worst, value| worst.max(value.to_bits() & EXPONENT));
    worst != EXPONENT
}

/// Adds `values` to `sums`, element by element.
pub(crate) fn add(sums: &mut [f32], values: &[f32]) {
    assert_eq!(
        sums.len(),
        values.len(),
        "a gradient is as long as its weights"
    );
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}

fn tree(mut lanes: [f64; LANES]) -> f64 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn square_sum_takes_every_value_once() {
        for length in [0, 1, 15, 16, 17, 33, 1000] {
            let values: Vec<f32> = (0..length).map(|i| (i % 7) as f32).collect();
            let expected: f64 = values.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
            assert_eq!(square_sum(&values), expected, "{length}");
        }
    }

    #[test]
    fn one_bad_value_anywhere_is_found() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -f32::NAN] {
            for at in [0, 15, 16, 30] {
                let mut values = vec![f32::MAX; 31];
                assert!(all_finite(&values));
                values[at] = bad;
                assert!(!all_finite(&values), "{bad} at {at}");
            }
        }
    }
}
