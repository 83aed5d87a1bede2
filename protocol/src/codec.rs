//! Turns a pseudo-gradient into bytes and bytes into an update, with the same bits everywhere.
//!
//! | codec | bits a parameter | what it does |
//! |---|---|---|
//! | [`Codec::F32`] | 32 | every value as it is: the reference |
//! | [`Codec::Bf16`] | 16 | the high half of every value |
//! | [`Codec::Int8`] | 8.125 | blocks of 256 values under one scale |
//! | [`Codec::Int4`] | 4.125 | blocks of 128 values under one scale |
//! | [`Codec::TopK2Bit`] | 0.14 for 64 of 4096 | the largest of every chunk, in two bits, after [SparseLoCo] |
//! | [`Codec::Demo`] | as above | the same of a cosine transform, after [DeMo] |
//!
//! [SparseLoCo]: https://arxiv.org/abs/2508.15706
//! [DeMo]: https://arxiv.org/abs/2411.19870
//!
//! The last two are meant to be used with a [`Residual`]. `protocol/SPEC.md` specifies the bytes,
//! so that others can write them.
//!
//! # Deviations from the papers
//! - The quantizer's bins are symmetric around zero and σ is the root mean square of the kept
//!   values. The reference code subtracts their mean and rounds, which shifts its bins by half a
//!   bin, so that a kept value can change its sign. Here it cannot.
//! - One table serves a whole tensor instead of a chunk.
//! - Positions are Rice-coded gaps, where the reference code packs 12 bits each; bins are written
//!   where they are outer ones.
//! - A value that is exactly zero is never kept, so a chunk states how many it holds. Without this
//!   a row that no token touched would receive the smallest bin's mean.
//! - `demo` quantizes coefficients as `topk-2bit` does; DeMo sends them whole.
//!
//! A sender chooses the tables and scales, so [`Limits`] bounds every decoded value and the norm.

mod bf16;
mod demo;
mod dense;
mod error;
pub(crate) mod frame;
mod int4;
mod int8;
pub(crate) mod lanes;
mod pieces;
mod residual;
mod topk;
mod update;

#[cfg(test)]
mod tests;

pub use error::{CodecError, DecodeError};
pub use pieces::{Kept, Piece, encode_kept, encode_levels, pieces};
pub use residual::{Residual, ResidualError};
pub use update::{Entries, Update, UpdateError};

use crate::layout::Layout;
use topk::Sparsity;

use std::fmt;

/// How an update is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Every value as it is.
    F32,
    /// Blocks of 256 values under one scale, a byte a value.
    Int8,
    /// The largest values of every chunk, two bits each.
    TopK2Bit {
        /// Values in a chunk: a power of four from 16 to 65,536.
        chunk: u32,
        /// Values kept in a full chunk, from 1 to `chunk`.
        keep: u32,
    },
    /// The high 16 bits of every value.
    Bf16,
    /// Blocks of 128 values under one scale, half a byte a value.
    Int4,
    /// The largest coefficients of every chunk's cosine transform, two bits each.
    Demo {
        /// Values in a chunk: a power of four from 16 to 4,096.
        chunk: u32,
        /// Coefficients kept in a full chunk, from 1 to `chunk`.
        keep: u32,
    },
}

impl Codec {
    /// `topk-2bit` with the published setting: 64 of 4096.
    pub const TOP_K: Self = Self::TopK2Bit {
        chunk: 4096,
        keep: 64,
    };

    /// The byte that stands for the codec in payloads, headers and records.
    pub fn id(self) -> u8 {
        match self {
            Self::F32 => 1,
            Self::Int8 => 2,
            Self::TopK2Bit { .. } => 3,
            Self::Bf16 => 4,
            Self::Int4 => 5,
            Self::Demo { .. } => 6,
        }
    }

    /// The codec's name in plans and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Int8 => "int8",
            Self::TopK2Bit { .. } => "topk-2bit",
            Self::Bf16 => "bf16",
            Self::Int4 => "int4",
            Self::Demo { .. } => "demo",
        }
    }

    /// Whether the codec loses so much that it is used with error feedback unless a plan objects.
    pub fn feeds_back(self) -> bool {
        self.sparsity().is_some()
    }

    /// Whether an update of this codec lists positions, so that members' updates may have few in
    /// common.
    pub fn is_sparse(self) -> bool {
        matches!(self, Self::TopK2Bit { .. })
    }

    fn sparsity(self) -> Option<Sparsity> {
        match self {
            Self::TopK2Bit { chunk, keep } | Self::Demo { chunk, keep } => {
                Some(Sparsity { chunk, keep })
            }
            Self::F32 | Self::Bf16 | Self::Int8 | Self::Int4 => None,
        }
    }

    /// Checks the codec's settings for a layout.
    ///
    /// # Errors
    /// Where chunk or keep are out of range, or the layout is too large for 32-bit positions.
    pub fn check(self, layout: &Layout) -> Result<(), CodecError> {
        let Some(Sparsity { chunk, keep }) = self.sparsity() else {
            return Ok(());
        };
        let power_of_four = chunk.is_power_of_two() && chunk.trailing_zeros() % 2 == 0;
        if !power_of_four || !(16..=65_536).contains(&chunk) {
            return Err(CodecError::Chunk { found: chunk });
        }
        let limit = demo::MAX_SIDE * demo::MAX_SIDE;
        if matches!(self, Self::Demo { .. }) && chunk as usize > limit {
            return Err(CodecError::Transform {
                limit: limit as u32,
                found: chunk,
            });
        }
        if keep == 0 || keep > chunk {
            return Err(CodecError::Keep { chunk, found: keep });
        }
        if layout.parameters() as u64 > u64::from(u32::MAX) {
            return Err(CodecError::Parameters {
                codec: self.name(),
                found: layout.parameters() as u64,
            });
        }
        Ok(())
    }

    /// The most bytes a payload of this codec can have for a layout; `u64::MAX` at the least where
    /// the settings do not pass [`Self::check`].
    pub fn max_payload_bytes(self, layout: &Layout) -> u64 {
        if self.check(layout).is_err() {
            return u64::MAX;
        }
        frame::HEADER_BYTES as u64
            + match self {
                Self::F32 => dense::body_bytes(layout),
                Self::Bf16 => bf16::body_bytes(layout),
                Self::Int8 => int8::body_bytes(layout),
                Self::Int4 => int4::body_bytes(layout),
                Self::TopK2Bit { chunk, keep } | Self::Demo { chunk, keep } => {
                    topk::max_body_bytes(layout, Sparsity { chunk, keep })
                }
            }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sparsity() {
            None => f.write_str(self.name()),
            Some(Sparsity { chunk, keep }) => write!(f, "{}({keep} of {chunk})", self.name()),
        }
    }
}

/// The most bits of positions, signs and bins of a chunk of `chunk` values that keeps `keep`, its
/// framing not counted.
pub(crate) fn most_chunk_bits(chunk: u32, keep: u32) -> u64 {
    topk::most_kept_bits(keep.into(), chunk.into())
}

/// What a plan allows of an update. Set by the plan, finite and positive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The largest magnitude of a decoded value.
    pub max_abs: f32,
    /// The largest Euclidean norm of a decoded update.
    pub max_norm: f64,
    /// The longest payload, in bytes.
    pub max_payload_bytes: u64,
}

/// A payload as a member sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The bytes that the header's hash covers.
    pub payload: Vec<u8>,
}

/// Encodes `values`, which lie as `layout` says.
///
/// What comes out may still break a plan's [`Limits`]: a member validates its own payload before
/// it announces it.
///
/// # Errors
/// Where the settings do not fit the layout, the length is wrong, or a value is not finite.
pub fn encode(codec: Codec, layout: &Layout, values: &[f32]) -> Result<Encoded, CodecError> {
    let mut payload = Vec::new();
    encode_into(codec, layout, values, &mut payload)?;
    Ok(Encoded { payload })
}

/// [`encode`] into memory that is used again. After an error there is no payload in it.
///
/// # Errors
/// As [`encode`].
pub fn encode_into(
    codec: Codec,
    layout: &Layout,
    values: &[f32],
    payload: &mut Vec<u8>,
) -> Result<(), CodecError> {
    payload.clear();
    codec.check(layout)?;
    if values.len() != layout.parameters() {
        return Err(CodecError::Length {
            expected: layout.parameters(),
            found: values.len(),
        });
    }
    frame::write_header(codec, layout, payload);
    let written = match codec {
        Codec::F32 => dense::encode(layout, values, payload),
        Codec::Bf16 => bf16::encode(layout, values, payload),
        Codec::Int8 => int8::encode(layout, values, payload),
        Codec::Int4 => int4::encode(layout, values, payload),
        Codec::TopK2Bit { chunk, keep } => {
            let sparsity = Sparsity { chunk, keep };
            topk::encode(layout, sparsity, values, |_, _| (), payload)
        }
        Codec::Demo { chunk, keep } => {
            demo::encode(layout, Sparsity { chunk, keep }, values, payload)
        }
    };
    if written.is_err() {
        payload.clear();
    }
    written
}

/// Decodes a payload that must be of `codec`; refuses everything [`validate`] refuses.
///
/// Memory grows with the bytes that are there; for a dense codec it has the layout's size.
///
/// # Errors
/// The first thing wrong with the payload, see [`DecodeError`].
pub fn decode(
    codec: Codec,
    payload: &[u8],
    layout: &Layout,
    limits: &Limits,
) -> Result<Update, DecodeError> {
    let mut update = Update::empty();
    decode_into(codec, payload, layout, limits, &mut update)?;
    Ok(update)
}

/// [`decode`] into an update whose memory is used again: new memory costs more than decoding does.
/// After an error the update is empty.
///
/// # Errors
/// As [`decode`].
pub fn decode_into(
    codec: Codec,
    payload: &[u8],
    layout: &Layout,
    limits: &Limits,
    update: &mut Update,
) -> Result<(), DecodeError> {
    let (mut indices, mut values) = update.take_parts();
    indices.clear();
    let body = frame::open(codec, payload, layout, limits)?;
    match codec {
        Codec::F32 => dense::read(body, layout, limits, Some(&mut values))?,
        Codec::Bf16 => bf16::read(body, layout, limits, Some(&mut values))?,
        Codec::Int8 => int8::read(body, layout, limits, Some(&mut values))?,
        Codec::Int4 => int4::read(body, layout, limits, Some(&mut values))?,
        Codec::Demo { chunk, keep } => {
            demo::read(body, layout, Sparsity { chunk, keep }, limits, &mut values)?;
        }
        Codec::TopK2Bit { chunk, keep } => {
            values.clear();
            let sparsity = Sparsity { chunk, keep };
            topk::decode(body, layout, sparsity, limits, &mut indices, &mut values)?;
            *update = Update::from_sparse_parts(layout.parameters(), indices, values);
            return Ok(());
        }
    }
    *update = Update::from_dense_parts(values);
    Ok(())
}

/// Checks a payload as [`decode`] does, without building the update.
///
/// # Errors
/// The first thing wrong with the payload, see [`DecodeError`].
pub fn validate(
    codec: Codec,
    payload: &[u8],
    layout: &Layout,
    limits: &Limits,
) -> Result<(), DecodeError> {
    let body = frame::open(codec, payload, layout, limits)?;
    match codec {
        Codec::F32 => dense::read(body, layout, limits, None),
        Codec::Bf16 => bf16::read(body, layout, limits, None),
        Codec::Int8 => int8::read(body, layout, limits, None),
        Codec::Int4 => int4::read(body, layout, limits, None),
        Codec::Demo { chunk, keep } => demo::read(
            body,
            layout,
            Sparsity { chunk, keep },
            limits,
            &mut Vec::new(),
        ),
        Codec::TopK2Bit { chunk, keep } => {
            topk::validate(body, layout, Sparsity { chunk, keep }, limits)
        }
    }
}
