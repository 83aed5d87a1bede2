//! `int4`: in every tensor, blocks of 128 values under one scale of 16 bits, two values a byte.
//!
//! The scale is the largest magnitude / 7, rounded up to the 16 high bits of an `f32`, so that no
//! level is beyond ±7. Byte j of a block holds value j in its low and value j + half in its high
//! four bits, half being the number of the block's bytes.

use super::{
    CodecError, DecodeError, Limits, bf16,
    frame::{self, Gate, Reader},
    lanes,
};
use crate::layout::Layout;

const BLOCK: usize = 128;
const LEVELS: f32 = 7.0;

pub(super) fn body_bytes(layout: &Layout) -> u64 {
    let bytes = |parameters: usize| {
        let (whole, rest) = (parameters / BLOCK, parameters % BLOCK);
        2 * parameters.div_ceil(BLOCK) + whole * BLOCK / 2 + rest.div_ceil(2)
    };
    let tensors = layout.tensors().iter();
    tensors
        .map(|tensor| bytes(tensor.parameters()) as u64)
        .sum()
}

pub(super) fn encode(layout: &Layout, values: &[f32], out: &mut Vec<u8>) -> Result<(), CodecError> {
    out.reserve_exact(body_bytes(layout) as usize);
    for tensor in 0..layout.tensors().len() {
        let range = layout.range(tensor);
        for (number, block) in values[range.clone()].chunks(BLOCK).enumerate() {
            let largest = lanes::largest_key(block);
            if largest >= lanes::INFINITE {
                frame::require_finite(layout, range.start + number * BLOCK, block)?;
            }
            encode_block(scale_of(f32::from_bits(largest as u32)), block, out);
        }
    }
    Ok(())
}

/// The least number of 16 bits from a seventh of `largest` on; zero where that is not normal.
fn scale_of(largest: f32) -> f32 {
    let seventh = largest / LEVELS;
    if !seventh.is_normal() {
        return 0.0;
    }
    f32::from_bits((seventh.to_bits() + 0xffff) & 0xffff_0000)
}

fn encode_block(scale: f32, block: &[f32], out: &mut Vec<u8>) {
    out.extend_from_slice(&bf16::high_half(scale).to_le_bytes());
    let half = block.len().div_ceil(2);
    if scale == 0.0 {
        out.resize(out.len() + half, 0);
        return;
    }
    let mut levels = [0u8; BLOCK];
    for (level, value) in levels.iter_mut().zip(block) {
        *level = lanes::level(*value, scale) as u8 & 15;
    }
    let (low, high) = levels.split_at(half);
    let mut bytes = [0u8; BLOCK / 2];
    for (byte, (low, high)) in bytes.iter_mut().zip(low.iter().zip(high)) {
        *byte = low | high << 4;
    }
    out.extend_from_slice(&bytes[..half]);
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
    let mut window = [0f32; BLOCK];
    for (tensor, spec) in layout.tensors().iter().enumerate() {
        let range = layout.range(tensor);
        for (block, first) in range.clone().step_by(BLOCK).enumerate() {
            let values = &mut window[..BLOCK.min(range.end - first)];
            let scale = bf16::value(u16::from_le_bytes(reader.array()?));
            let bytes = reader.take(values.len().div_ceil(2))?;
            check_block(&spec.name, block, scale, bytes, values.len())?;
            let (low, high) = values.split_at_mut(bytes.len());
            for (value, byte) in low.iter_mut().zip(bytes) {
                *value = f32::from((*byte as i8) << 4 >> 4) * scale;
            }
            for (value, byte) in high.iter_mut().zip(bytes) {
                *value = f32::from(*byte as i8 >> 4) * scale;
            }
            gate.admit(first, values)?;
            if let Some(out) = &mut out {
                out.extend_from_slice(values);
            }
        }
    }
    gate.finish()
}

fn check_block(
    tensor: &str,
    block: usize,
    scale: f32,
    bytes: &[u8],
    values: usize,
) -> Result<(), DecodeError> {
    let tensor = || tensor.to_owned();
    let zero = scale.to_bits() == 0;
    let positive = scale.is_normal() && scale > 0.0;
    if !zero && !positive {
        return Err(DecodeError::Scale {
            tensor: tensor(),
            block,
            found: scale,
        });
    }
    let (mut any, mut lowest) = (0u8, false);
    for byte in bytes {
        any |= *byte;
        lowest |= byte & 0x0f == 8 || byte & 0xf0 == 0x80;
    }
    let unused = values % 2 == 1 && bytes[bytes.len() - 1] & 0xf0 != 0;
    if lowest || unused {
        return Err(DecodeError::Level {
            tensor: tensor(),
            block,
        });
    }
    if zero && any != 0 {
        return Err(DecodeError::ZeroBlock {
            tensor: tensor(),
            block,
        });
    }
    Ok(())
}
