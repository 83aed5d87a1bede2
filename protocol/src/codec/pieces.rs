//! The two halves of an encoder: what is computed piece by piece, and how it is written down.
//!
//! [`encode`](super::encode) does both. A machine with a faster way to choose or to round takes the
//! [`pieces`] of a layout, computes what SPEC.md's encoders compute of each, and has it written
//! here, so that the bytes are [`encode`](super::encode)'s.

use super::topk::Sparsity;
use super::{Codec, CodecError, Encoded, frame, int8, topk};
use crate::layout::Layout;

/// Values that an encoder looks at together: a chunk of `topk-2bit`, a block of `int8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Position of its first value in the flat vector.
    pub start: usize,
    /// Values in the piece.
    pub len: u32,
    /// Values that are neighbours in the flat vector: value i lies at
    /// `start + i / row · stride + i mod row`.
    pub row: u32,
    /// Distance of two rows in the flat vector; 0 where there is one row.
    pub stride: u32,
    /// The most values kept of it; all of them for `int8`.
    pub limit: u32,
}

impl Piece {
    /// A piece of one row.
    pub(super) fn run(start: usize, len: usize, limit: u32) -> Self {
        Self {
            start,
            len: len as u32,
            row: len as u32,
            stride: 0,
            limit,
        }
    }

    /// The position of value `index` in the flat vector.
    pub fn position(&self, index: u32) -> usize {
        let (row, column) = (index / self.row, index % self.row);
        self.start + row as usize * self.stride as usize + column as usize
    }
}

/// What is kept of every piece of `topk-2bit`, in the order of [`pieces`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    /// How many values each piece keeps.
    pub counts: Vec<u32>,
    /// Their positions in the piece, ascending.
    pub indices: Vec<u32>,
    /// The values, none of them zero.
    pub values: Vec<f32>,
}

/// The pieces of a layout in the order in which they are written. Only `int8` and `topk-2bit` have
/// any.
///
/// # Errors
/// Settings that do not fit the layout.
pub fn pieces(codec: Codec, layout: &Layout) -> Result<Vec<Piece>, CodecError> {
    codec.check(layout)?;
    Ok(match codec {
        Codec::Int8 => int8::pieces(layout),
        Codec::TopK2Bit { chunk, keep } => topk::pieces(layout, Sparsity { chunk, keep }),
        Codec::F32 | Codec::Bf16 | Codec::Int4 | Codec::Demo { .. } => Vec::new(),
    })
}

/// Writes a payload of `topk-2bit` from what was kept.
///
/// # Errors
/// Another codec, or a choice that no encoder makes: wrong counts, positions that do not ascend,
/// zeros, values that are not finite.
pub fn encode_kept(codec: Codec, layout: &Layout, kept: &Kept) -> Result<Encoded, CodecError> {
    let Codec::TopK2Bit { chunk, keep } = codec else {
        return Err(CodecError::NoPieces {
            codec: codec.name(),
        });
    };
    check_kept(&pieces(codec, layout)?, kept)?;
    let mut payload = frame::header(codec, layout);
    topk::write_kept(layout, Sparsity { chunk, keep }, kept, &mut payload);
    Ok(Encoded { payload })
}

/// Writes a payload of `int8` from a scale for each of its [`pieces`] and a level for each value.
///
/// # Errors
/// Lengths that are not the layout's, or a scale or level that no encoder writes.
pub fn encode_levels(
    layout: &Layout,
    scales: &[f32],
    levels: &[i8],
) -> Result<Encoded, CodecError> {
    let pieces = pieces(Codec::Int8, layout)?;
    if scales.len() != pieces.len() || levels.len() != layout.parameters() {
        return Err(CodecError::Choice {
            piece: scales.len(),
        });
    }
    for (piece, (place, scale)) in pieces.iter().zip(scales).enumerate() {
        let levels = &levels[place.start..place.start + place.len as usize];
        let zero = scale.to_bits() == 0 && levels.iter().all(|level| *level == 0);
        let positive = scale.is_normal() && *scale > 0.0 && !levels.contains(&i8::MIN);
        if !zero && !positive {
            return Err(CodecError::Choice { piece });
        }
    }
    let mut payload = frame::header(Codec::Int8, layout);
    int8::write_levels(layout, &pieces, scales, levels, &mut payload);
    Ok(Encoded { payload })
}

fn check_kept(pieces: &[Piece], kept: &Kept) -> Result<(), CodecError> {
    let choice = |piece| CodecError::Choice { piece };
    let total: u64 = kept.counts.iter().map(|count| u64::from(*count)).sum();
    let listed = kept.indices.len() as u64;
    if kept.counts.len() != pieces.len() || total != listed || kept.values.len() as u64 != listed {
        return Err(choice(kept.counts.len()));
    }
    let mut start = 0;
    for (number, (piece, count)) in pieces.iter().zip(&kept.counts).enumerate() {
        let range = start..start + *count as usize;
        let (indices, values) = (&kept.indices[range.clone()], &kept.values[range.clone()]);
        let ascend = indices.windows(2).all(|pair| pair[0] < pair[1]);
        let within = indices.last().is_none_or(|last| *last < piece.len);
        let numbers = values
            .iter()
            .all(|value| value.is_finite() && *value != 0.0);
        if *count > piece.limit || !ascend || !within || !numbers {
            return Err(choice(number));
        }
        start = range.end;
    }
    Ok(())
}
