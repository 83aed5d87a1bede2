//! Sums of squares whose bits do not depend on machine, chunk length or representation.
//!
//! Value `i` of a vector is added to lane `i mod 16`; the lanes are added as a fixed tree
//! (distance 8, 4, 2, 1). Zeros change no lane, so a sparse vector has the norm of its dense form.

const LANES: usize = 16;

/// Sixteen partial sums and the position of the next value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lanes {
    sums: [f64; LANES],
    position: usize,
}

impl Lanes {
    /// Adds one term at the next position.
    #[inline]
    pub(crate) fn push(&mut self, term: f64) {
        self.sums[self.position % LANES] += term;
        self.position += 1;
    }

    /// Adds the square of a value at `position`, whatever the next position is.
    #[inline]
    pub(crate) fn add_square_at(&mut self, position: usize, value: f32) {
        let value = f64::from(value);
        self.sums[position % LANES] += value * value;
    }

    /// Adds the squares of the next values.
    pub(crate) fn push_squares(&mut self, values: &[f32]) {
        self.push_terms(values, values, |value, _| {
            let value = f64::from(value);
            value * value
        });
    }

    /// Adds the product of two values at `position`, whatever the next position is.
    #[inline]
    pub(crate) fn add_product_at(&mut self, position: usize, x: f32, y: f32) {
        self.sums[position % LANES] += f64::from(x) * f64::from(y);
    }

    /// Adds the products of the next values.
    pub(crate) fn push_products(&mut self, x: &[f32], y: &[f32]) {
        self.push_terms(x, y, |x, y| f64::from(x) * f64::from(y));
    }

    /// Adds `(scale·x − v)²` for the next values.
    pub(crate) fn push_distances(&mut self, scale: f64, x: &[f32], v: &[f32]) {
        self.push_terms(x, v, |x, v| {
            let d = scale * f64::from(x) - f64::from(v);
            d * d
        });
    }

    /// Adds `(a·x − b·y)²` for the next values.
    pub(crate) fn push_differences(&mut self, a: f64, x: &[f32], b: f64, y: &[f32]) {
        self.push_terms(x, y, |x, y| {
            let d = a * f64::from(x) - b * f64::from(y);
            d * d
        });
    }

    /// The sum over the lanes.
    pub(crate) fn total(&self) -> f64 {
        let mut sums = self.sums;
        for distance in [8, 4, 2, 1] {
            for lane in 0..distance {
                sums[lane] += sums[lane + distance];
            }
        }
        sums[0]
    }

    fn push_terms(&mut self, a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f64) {
        assert_eq!(a.len(), b.len(), "both sides are of one length");
        let lead = ((LANES - self.position % LANES) % LANES).min(a.len());
        for (a, b) in a[..lead].iter().zip(&b[..lead]) {
            self.push(term(*a, *b));
        }
        let (a, b) = (
            a[lead..].as_chunks::<LANES>(),
            b[lead..].as_chunks::<LANES>(),
        );
        let mut sums = self.sums;
        for (a, b) in a.0.iter().zip(b.0) {
            for lane in 0..LANES {
                sums[lane] += term(a[lane], b[lane]);
            }
        }
        self.sums = sums;
        self.position += a.0.len() * LANES;
        for (a, b) in a.1.iter().zip(b.1) {
            self.push(term(*a, *b));
        }
    }
}

/// The Euclidean norm of a dense vector.
pub(crate) fn norm(values: &[f32]) -> f64 {
    let mut lanes = Lanes::default();
    lanes.push_squares(values);
    lanes.total().sqrt()
}

/// The bits of the largest magnitude; at or above [`INFINITE`] where a value is not finite.
pub(crate) fn largest_key(values: &[f32]) -> i32 {
    values
        .iter()
        .fold(0, |largest, value| largest.max(key(*value)))
}

/// The largest magnitude; 0 where there are no values, not finite where one is not.
pub(crate) fn largest(values: &[f32]) -> f32 {
    f32::from_bits(largest_key(values).unsigned_abs())
}

/// The bits of infinity: every key from here on stands for a value that is not finite.
pub(crate) const INFINITE: i32 = 0x7f80_0000;

/// The bits of a value's magnitude, which order as magnitudes do.
#[inline]
pub(crate) fn key(value: f32) -> i32 {
    (value.to_bits() & 0x7fff_ffff) as i32
}

/// Whether every value is finite.
pub(crate) fn all_finite(values: &[f32]) -> bool {
    largest_key(values) < INFINITE
}

/// Rounds `value / scale` to the nearest whole number, halves away from zero.
///
/// For ratios below 2²², which every level is far below. Written without a branch or a conversion
/// that saturates, so that it is compiled to vector instructions.
#[inline]
pub(crate) fn level(value: f32, scale: f32) -> i32 {
    /// From here on to 2²⁴, neighbouring numbers are one apart.
    const WHOLE: f32 = 8_388_608.0;
    let ratio = value.abs() / scale;
    let even = (ratio + WHOLE) - WHOLE;
    // The difference is exact; it is a half where a tie was rounded down to an even number.
    let up = if ratio - even == 0.5 { 1.0 } else { 0.0 };
    let whole = ((even + up + WHOLE).to_bits() & 0x003f_ffff) as i32;
    let negative = value.to_bits() as i32 >> 31;
    (whole ^ negative) - negative
}

/// The lower median: for an even number of values the smaller of the middle two.
///
/// # Panics
/// Where there is no value, or one is NaN.
pub(crate) fn lower_median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let median = sorted[(sorted.len() - 1) / 2];
    assert!(!median.is_nan(), "the median of finite values is a number");
    median
}

/// Whether a value differs from positive zero, negative zero included.
pub(crate) fn any_bit(values: &[f32]) -> bool {
    values.iter().any(|value| value.to_bits() != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition.
    fn plain(value: f32, scale: f32) -> i32 {
        let ratio = value.abs() / scale;
        let whole = ratio.floor();
        let whole = whole as i32 + i32::from(ratio - whole >= 0.5);
        if value < 0.0 { -whole } else { whole }
    }

    proptest! {
        #[test]
        fn a_level_is_the_nearest(
            halves in -260i32..260,
            nudge in -2i32..3,
            scale in 1e-30f32..1e30,
        ) {
            for scale in [scale, 1.0, f32::MIN_POSITIVE] {
                let value = halves as f32 * 0.5 * scale;
                let value = f32::from_bits(value.to_bits().wrapping_add_signed(nudge));
                if value.is_finite() {
                    let (found, expected) = (level(value, scale), plain(value, scale));
                    prop_assert_eq!(found, expected, "{} / {}", value, scale);
                }
            }
        }
    }
}
