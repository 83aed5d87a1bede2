//! `bf16`: the 16 high bits of every value, rounded to nearest, ties to even.

use super::{
    CodecError, DecodeError, Limits,
    frame::{self, Gate, Reader},
};
use crate::layout::Layout;

/// Values handled at once: what stays in the fastest cache.
const STRIDE: usize = 4096;
/// The largest finite number of 16 bits.
const LARGEST: u16 = 0x7f7f;

/// The 16 high bits of a finite value, rounded to nearest, ties to even; what would round to
/// infinity becomes the largest finite number.
#[inline]
pub(super) fn nearest(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits + 0x7fff + (bits >> 16 & 1);
    let (sign, magnitude) = (
        (bits >> 16) as u16 & 0x8000,
        (rounded >> 16) as u16 & 0x7fff,
    );
    sign | magnitude.min(LARGEST)
}

/// The value that 16 bits stand for.
#[inline]
pub(super) fn value(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// The high half of a value whose low half is zero.
pub(super) fn high_half(value: f32) -> u16 {
    (value.to_bits() >> 16) as u16
}

/// The nearest value of 16 bits to one that is not zero, other than zero.
pub(super) fn nearest_not_zero(of: f32) -> f32 {
    let bits = nearest(of);
    value(bits | u16::from(bits & 0x7fff == 0))
}

pub(super) fn body_bytes(layout: &Layout) -> u64 {
    2 * layout.parameters() as u64
}

pub(super) fn encode(layout: &Layout, values: &[f32], out: &mut Vec<u8>) -> Result<(), CodecError> {
    let start = out.len();
    out.resize(start + 2 * values.len(), 0);
    let parts = out[start..].chunks_mut(2 * STRIDE);
    for (number, (values, bytes)) in values.chunks(STRIDE).zip(parts).enumerate() {
        frame::require_finite(layout, number * STRIDE, values)?;
        let (pairs, _) = bytes.as_chunks_mut::<2>();
        for (pair, value) in pairs.iter_mut().zip(values) {
            *pair = nearest(*value).to_le_bytes();
        }
    }
    Ok(())
}

/// Checks the body, and writes the values to `out` where there is one.
pub(super) fn read(
    mut reader: Reader<'_>,
    layout: &Layout,
    limits: &Limits,
    mut out: Option<&mut Vec<f32>>,
) -> Result<(), DecodeError> {
    reader.expect_rest(body_bytes(layout))?;
    if let Some(out) = &mut out {
        out.clear();
        out.reserve_exact(layout.parameters());
    }
    let mut gate = Gate::new(layout, limits);
    let mut window = [0f32; STRIDE];
    let mut first = 0;
    for bytes in reader.take(2 * layout.parameters())?.chunks(2 * STRIDE) {
        let (pairs, _) = bytes.as_chunks::<2>();
        let values = &mut window[..pairs.len()];
        for (slot, pair) in values.iter_mut().zip(pairs) {
            *slot = value(u16::from_le_bytes(*pair));
        }
        gate.admit(first, values)?;
        if let Some(out) = &mut out {
            out.extend_from_slice(values);
        }
        first += values.len();
    }
    gate.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_nearest_ties_to_even() {
        let at = |bits: u32| nearest(f32::from_bits(bits));
        assert_eq!(at(0x3f80_0000), 0x3f80);
        assert_eq!(at(0x3f80_8000), 0x3f80);
        assert_eq!(at(0x3f80_8001), 0x3f81);
        assert_eq!(at(0x3f81_8000), 0x3f82);
        assert_eq!(at(0x8000_0000), 0x8000);
        assert_eq!(at(0xff7f_ffff), 0xff7f);
    }

    #[test]
    fn a_value_that_is_not_zero_stays_so() {
        assert_eq!(nearest_not_zero(f32::from_bits(1)), value(1));
        assert_eq!(nearest_not_zero(-f32::from_bits(1)), value(0x8001));
        assert_eq!(nearest_not_zero(1.0), 1.0);
    }
}
