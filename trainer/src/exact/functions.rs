//! eˣ for single-precision vectors, without a library whose last bit differs between platforms.
//!
//! Angles, logarithms and powers that occur once a table or a step are in
//! [`crate::transcendental`], in double precision.

use super::isa::fused;

/// eˣ: a polynomial of degree 7 after range reduction. Below −87 it is 0, above 88 ∞.
///
/// The error is at most 1.1 ulp on [−87, 88]; NaN stays NaN.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding this leaves the nearest whole number in the lowest bits of the sum.
    const SHIFT: f32 = 12_582_912.0;
    // ln 2 in two parts, the first with few enough bits that its product is exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let clamped = if x < -87.0 { -87.0 } else { x };
    let clamped = if clamped > 88.0 { 88.0 } else { clamped };
    let shifted = fused(clamped, std::f32::consts::LOG2_E, SHIFT);
    let power = shifted - SHIFT;
    let rest = fused(power, -LN_2_HIGH, clamped);
    let rest = fused(power, -LN_2_LOW, rest);
    let mut sum = fused(1.0 / 5040.0, rest, 1.0 / 720.0);
    sum = fused(sum, rest, 1.0 / 120.0);
    sum = fused(sum, rest, 1.0 / 24.0);
    sum = fused(sum, rest, 1.0 / 6.0);
    sum = fused(sum, rest, 0.5);
    sum = fused(sum * rest, rest, rest);
    let scale = f32::from_bits(
        (shifted.to_bits().wrapping_sub(0x4b40_0000) << 23).wrapping_add(0x3f80_0000),
    );
    let value = fused(sum, scale, scale);
    if x < -87.0 {
        0.0
    } else if x > 88.0 {
        f32::INFINITY
    } else {
        value
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
            // The distance between neighbours at the expected value.
            let nearest = expected as f32;
            let ulp = f64::from(f32::from_bits(nearest.to_bits() + 1)) - f64::from(nearest);
            worst = worst.max((f64::from(exp(x)) - expected).abs() / ulp);
        }
        assert!(worst <= 1.1, "{worst} ulp");
        assert_eq!(
            [exp(0.0), exp(-88.0), exp(f32::NEG_INFINITY)],
            [1.0, 0.0, 0.0]
        );
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan());
    }
}
