//! Passes over long vectors in a fixed order: chunks that threads share, sixteen lanes within.
//!
//! How many threads there are, and how wide the machine's vectors are, changes no bit.

use crate::exact::isa::widest;

/// Lanes of every sum.
pub(crate) const LANES: usize = 16;
/// Values that one job of a pass covers; sums over a vector are sums over its chunks, in order.
pub(crate) const CHUNK: usize = 1 << 16;

widest! {
    /// The sum of squares of one chunk, accumulated in `f64`.
    fn square_sum(values: &[f32]) -> f64 {
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
}

widest! {
    /// Whether no value is NaN or infinite.
    fn all_finite(values: &[f32]) -> bool {
        const EXPONENT: u32 = 0x7f80_0000;
        let worst = values
            .iter()
            .fold(0, |worst, value| worst.max(value.to_bits() & EXPONENT));
        worst != EXPONENT
    }
}

widest! {
    /// Adds to each sum the values of `parts`, one part after the other.
    fn add(sums: &mut [f32], parts: &[&[f32]]) {
        for part in parts {
            let part = &part[..sums.len()];
            for (sum, value) in sums.iter_mut().zip(part) {
                *sum += value;
            }
        }
    }
}

#[inline(always)]
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

    #[test]
    fn parts_are_added_in_order() {
        let mut sums = vec![1.0f32; 5];
        let (large, small) = ([1e8f32; 5], [-1e8f32; 5]);
        add(&mut sums, &[&large, &small]);
        // (1 + 1e8) rounds to 1e8 before the second part comes.
        assert_eq!(sums, [0.0; 5]);
    }
}
