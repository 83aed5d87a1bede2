//! `f32`: every value, little-endian, in the layout's order.

use super::{
    CodecError, DecodeError, Limits,
    frame::{self, Gate, Reader},
};
use crate::layout::Layout;

/// Values handled at once: what stays in the fastest cache.
const STRIDE: usize = 4096;

pub(super) fn body_bytes(layout: &Layout) -> u64 {
    4 * layout.parameters() as u64
}

pub(super) fn encode(layout: &Layout, values: &[f32], out: &mut Vec<u8>) -> Result<(), CodecError> {
    out.reserve_exact(4 * values.len());
    for (number, values) in values.chunks(STRIDE).enumerate() {
        frame::require_finite(layout, number * STRIDE, values)?;
        out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
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
    for bytes in reader.take(4 * layout.parameters())?.chunks(4 * STRIDE) {
        let (quads, _) = bytes.as_chunks::<4>();
        let values = &mut window[..quads.len()];
        for (value, quad) in values.iter_mut().zip(quads) {
            *value = f32::from_le_bytes(*quad);
        }
        gate.admit(first, values)?;
        if let Some(out) = &mut out {
            out.extend_from_slice(values);
        }
        first += values.len();
    }
    gate.finish()
}
