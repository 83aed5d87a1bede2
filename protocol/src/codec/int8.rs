//! `int8`: in every tensor, blocks of 256 values under one scale, the largest magnitude / 127.

use super::{
    CodecError, DecodeError, Limits,
    frame::{self, Gate, Reader},
    lanes,
    pieces::Piece,
};
use crate::layout::Layout;

const BLOCK: usize = 256;
const LEVELS: f32 = 127.0;

pub(super) fn body_bytes(layout: &Layout) -> u64 {
    let bytes = |parameters: usize| (4 * parameters.div_ceil(BLOCK) + parameters) as u64;
    layout
        .tensors()
        .iter()
        .map(|tensor| bytes(tensor.parameters()))
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
            encode_block(f32::from_bits(largest as u32), block, out);
        }
    }
    Ok(())
}

/// The blocks, tensor after tensor.
pub(super) fn pieces(layout: &Layout) -> Vec<Piece> {
    let of_tensor = |tensor| {
        let range = layout.range(tensor);
        let block = move |start: usize| {
            let len = BLOCK.min(range.end - start);
            Piece::run(start, len, len as u32)
        };
        layout.range(tensor).step_by(BLOCK).map(block)
    };
    (0..layout.tensors().len()).flat_map(of_tensor).collect()
}

/// Writes scales and levels that were computed elsewhere.
pub(super) fn write_levels(
    layout: &Layout,
    pieces: &[Piece],
    scales: &[f32],
    levels: &[i8],
    out: &mut Vec<u8>,
) {
    out.reserve_exact(body_bytes(layout) as usize);
    for (piece, scale) in pieces.iter().zip(scales) {
        out.extend_from_slice(&scale.to_le_bytes());
        let levels = &levels[piece.start..piece.start + piece.len as usize];
        out.extend(levels.iter().map(|level| *level as u8));
    }
}

fn encode_block(largest: f32, block: &[f32], out: &mut Vec<u8>) {
    let scale = largest / LEVELS;
    // A subnormal scale has too few digits to divide by: such a block counts as zero.
    if !scale.is_normal() {
        out.extend_from_slice(&0f32.to_le_bytes());
        out.resize(out.len() + block.len(), 0);
        return;
    }
    out.extend_from_slice(&scale.to_le_bytes());
    let mut levels = [0u8; BLOCK];
    // A normal scale is within one part in 2^24 of `largest / 127`, so no level is beyond ±127.
    for (level, value) in levels.iter_mut().zip(block) {
        *level = lanes::level(*value, scale) as u8;
    }
    out.extend_from_slice(&levels[..block.len()]);
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
            let scale = reader.f32()?;
            let levels = reader.take(values.len())?;
            check_block(&spec.name, block, scale, levels)?;
            for (value, level) in values.iter_mut().zip(levels) {
                *value = f32::from(*level as i8) * scale;
            }
            gate.admit(first, values)?;
            if let Some(out) = &mut out {
                out.extend_from_slice(values);
            }
        }
    }
    gate.finish()
}

fn check_block(tensor: &str, block: usize, scale: f32, levels: &[u8]) -> Result<(), DecodeError> {
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
    for level in levels {
        any |= *level;
        lowest |= *level == 0x80;
    }
    if lowest {
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
