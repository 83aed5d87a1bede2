//! Payload bytes to one value a parameter, refusing what the specification refuses.
//!
//! Written from the section *Payloads* of `protocol/SPEC.md`. Every codec ends in the dense vector
//! that it stands for; bits are taken one at a time.

mod cosines;
mod sparse;

use super::sums::{decimal, lane_sum};
use archipel_protocol::{
    charter::plan::{CodecKind, ExchangePlan},
    layout::Layout,
};
use sparse::read_sparse;

/// Values under one scale of `int8`.
const BLOCK: usize = 256;
/// Values under one scale of `int4`.
const HALF_BLOCK: usize = 128;

/// Why bytes are no payload under a plan.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PayloadError {
    /// The plan's sparsity is out of range, or the layout is too large for it.
    #[error("{keep} of {chunk} cannot be read: the plan is not a valid one")]
    Sparsity {
        /// Values in a chunk.
        chunk: u32,
        /// Values kept of it.
        keep: u32,
    },
    /// More bytes than the plan allows.
    #[error("a payload has at most {limit} bytes, found {found}")]
    TooLong {
        /// The plan's limit.
        limit: u64,
        /// Bytes found.
        found: u64,
    },
    /// The bytes end before the payload does.
    #[error("{needed} bytes are needed, found {found}")]
    Short {
        /// Bytes needed so far.
        needed: usize,
        /// Bytes found.
        found: usize,
    },
    /// Bytes are left over.
    #[error("the payload ends at byte {expected}, found {found} bytes")]
    Trailing {
        /// Where it ends.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// A field says something else than the plan.
    #[error("{field} is {expected}, found {found}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What the plan, layout or format asks for.
        expected: u64,
        /// What was found.
        found: u64,
    },
    /// A value is not finite, or too large.
    #[error("parameter {position} is {found}, allowed is a magnitude up to {limit}")]
    Value {
        /// Position in the flat vector.
        position: usize,
        /// The plan's limit.
        limit: f32,
        /// The value.
        found: f32,
    },
    /// The vector is too long.
    #[error("the norm is {found}, allowed is up to {limit}")]
    Norm {
        /// The plan's limit.
        limit: f64,
        /// The norm.
        found: f64,
    },
    /// A scale is neither positive zero nor a positive normal number.
    #[error("the scale of the block at parameter {position} is {found}: positive zero or normal")]
    Scale {
        /// Where the block begins in the flat vector.
        position: usize,
        /// The scale.
        found: f32,
    },
    /// A byte is −128, or not zero under a scale of zero.
    #[error("parameter {position} under scale {scale} has level {found}, which nobody may write")]
    Level {
        /// Position in the flat vector.
        position: usize,
        /// The scale of its block.
        scale: f32,
        /// The byte.
        found: i8,
    },
    /// An entry of a table has the wrong sign or order, or is not finite or too large.
    #[error("{tensor}: the table {found:?} does not fit symbols used {used:?} times")]
    Table {
        /// The tensor's name.
        tensor: String,
        /// The table.
        found: [f32; 4],
        /// How often each symbol occurs.
        used: [u64; 4],
    },
    /// A parameter of a Rice code is out of range.
    #[error("{tensor}: a Rice parameter is at most 16, found {found}")]
    Parameter {
        /// The tensor's name.
        tensor: String,
        /// The parameter.
        found: usize,
    },
    /// A chunk keeps too many values.
    #[error("{tensor}: chunk {chunk} keeps {found} values, allowed are {limit}")]
    Count {
        /// The tensor's name.
        tensor: String,
        /// Number of the chunk.
        chunk: usize,
        /// The most it may keep.
        limit: usize,
        /// Values it says it keeps.
        found: usize,
    },
    /// A gap leads behind the end: of a chunk, or of all kept values.
    #[error("{tensor}: a gap of {found} leads behind the last of {limit} at {first}")]
    Gap {
        /// The tensor's name.
        tensor: String,
        /// Where the gap begins.
        first: usize,
        /// Where it has to end.
        limit: usize,
        /// The gap.
        found: usize,
    },
    /// A bit that fills the last byte is set.
    #[error("bits that fill up the last byte are not zero")]
    Padding,
}

/// The values that a payload stands for, one a parameter.
///
/// # Errors
/// Where the payload breaks a rule of the specification, or the plan's sparsity is out of range.
pub fn decode(
    exchange: &ExchangePlan,
    layout: &Layout,
    payload: &[u8],
) -> Result<Vec<f32>, PayloadError> {
    let (limit, found) = (exchange.max_payload_bytes, payload.len() as u64);
    if found > limit {
        return Err(PayloadError::TooLong { limit, found });
    }
    let mut bytes = Bytes {
        all: payload,
        at: 0,
    };
    read_header(&mut bytes, exchange.codec, layout)?;
    let mut values = Vec::new();
    let squares = match exchange.codec {
        CodecKind::F32 => {
            read_plain(&mut bytes, layout, &mut values)?;
            squares_of(&values)
        }
        CodecKind::Int8 => {
            read_blocks(&mut bytes, layout, &mut values)?;
            squares_of(&values)
        }
        CodecKind::Bf16 => {
            for _ in 0..layout.parameters() {
                values.push(bytes.half()?);
            }
            squares_of(&values)
        }
        CodecKind::Int4 => {
            read_half_bytes(&mut bytes, layout, &mut values)?;
            squares_of(&values)
        }
        CodecKind::TopK2Bit => read_sparse(&mut bytes, exchange, layout, &mut values)?,
        CodecKind::Demo => {
            let of_coefficients = read_sparse(&mut bytes, exchange, layout, &mut values)?;
            // Both have to be within the limit: what was sent, and what it decodes to.
            of_coefficients.max(squares_of(&values))
        }
    };
    if bytes.at != payload.len() {
        let (expected, found) = (bytes.at, payload.len());
        return Err(PayloadError::Trailing { expected, found });
    }
    check_values(exchange, &values)?;
    let (limit, found) = (f64::from(decimal(exchange.max_norm)), squares.sqrt());
    let within = found <= limit;
    match within {
        true => Ok(values),
        false => Err(PayloadError::Norm { limit, found }),
    }
}

/// Sixteen bytes: mark, version, codec, two zeros, number of parameters.
fn read_header(
    bytes: &mut Bytes<'_>,
    codec: CodecKind,
    layout: &Layout,
) -> Result<(), PayloadError> {
    let codec = match codec {
        CodecKind::F32 => 1,
        CodecKind::Int8 => 2,
        CodecKind::TopK2Bit => 3,
        CodecKind::Bf16 => 4,
        CodecKind::Int4 => 5,
        CodecKind::Demo => 6,
    };
    let expected = [
        ("the mark", 4, u64::from(u32::from_le_bytes(*b"ARCU"))),
        ("the version", 1, 2),
        ("the codec", 1, codec),
        ("the reserved field", 2, 0),
        ("the number of parameters", 8, layout.parameters() as u64),
    ];
    for (field, width, expected) in expected {
        let found = bytes.number(width)?;
        if found != expected {
            return Err(PayloadError::Field {
                field,
                expected,
                found,
            });
        }
    }
    Ok(())
}

/// Codec 1: every value as it is.
fn read_plain(
    bytes: &mut Bytes<'_>,
    layout: &Layout,
    values: &mut Vec<f32>,
) -> Result<(), PayloadError> {
    for _ in 0..layout.parameters() {
        values.push(bytes.float()?);
    }
    Ok(())
}

/// Codec 2: in every tensor, blocks of 256 bytes behind a scale.
fn read_blocks(
    bytes: &mut Bytes<'_>,
    layout: &Layout,
    values: &mut Vec<f32>,
) -> Result<(), PayloadError> {
    for tensor in layout.tensors() {
        let mut left = tensor.parameters();
        while left > 0 {
            let length = left.min(BLOCK);
            let (position, scale) = (values.len(), bytes.float()?);
            let zero = scale.to_bits() == 0;
            let positive = scale.is_normal() && scale > 0.0;
            if !zero && !positive {
                let found = scale;
                return Err(PayloadError::Scale { position, found });
            }
            for level in bytes.take(length)? {
                let found = *level as i8;
                if found == i8::MIN || (zero && found != 0) {
                    let position = values.len();
                    return Err(PayloadError::Level {
                        position,
                        scale,
                        found,
                    });
                }
                values.push(f32::from(found) * scale);
            }
            left -= length;
        }
    }
    Ok(())
}

/// Codec 5: in every tensor, blocks of 128 half bytes behind a scale of 16 bits.
fn read_half_bytes(
    bytes: &mut Bytes<'_>,
    layout: &Layout,
    values: &mut Vec<f32>,
) -> Result<(), PayloadError> {
    for tensor in layout.tensors() {
        let mut left = tensor.parameters();
        while left > 0 {
            let length = left.min(HALF_BLOCK);
            let (position, scale) = (values.len(), bytes.half()?);
            let zero = scale.to_bits() == 0;
            let positive = scale.is_normal() && scale > 0.0;
            if !zero && !positive {
                let found = scale;
                return Err(PayloadError::Scale { position, found });
            }
            let taken = bytes.take(length.div_ceil(2))?;
            let nibbles = taken.iter().map(|byte| byte & 15);
            let levels: Vec<u8> = nibbles.chain(taken.iter().map(|byte| byte >> 4)).collect();
            for (index, level) in levels.into_iter().enumerate() {
                let found = if level < 8 {
                    level as i8
                } else {
                    level as i8 - 16
                };
                let unused = index >= length;
                if found == -8 || ((zero || unused) && found != 0) {
                    return Err(PayloadError::Level {
                        position: position + index,
                        scale,
                        found,
                    });
                }
                if !unused {
                    values.push(f32::from(found) * scale);
                }
            }
            left -= length;
        }
    }
    Ok(())
}

fn check_values(exchange: &ExchangePlan, values: &[f32]) -> Result<(), PayloadError> {
    let limit = decimal(exchange.max_abs);
    for (position, found) in values.iter().copied().enumerate() {
        let within = found.is_finite() && found.abs() <= limit;
        if !within {
            return Err(PayloadError::Value {
                position,
                limit,
                found,
            });
        }
    }
    Ok(())
}

fn squares_of(values: &[f32]) -> f64 {
    lane_sum(
        values
            .iter()
            .map(|value| f64::from(*value) * f64::from(*value)),
    )
}

/// Bytes read from front to back.
struct Bytes<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], PayloadError> {
        let (needed, found) = (self.at.saturating_add(count), self.all.len());
        let taken = self.all.get(self.at..needed);
        let taken = taken.ok_or(PayloadError::Short { needed, found })?;
        self.at = needed;
        Ok(taken)
    }

    /// A little-endian number of up to eight bytes.
    fn number(&mut self, width: usize) -> Result<u64, PayloadError> {
        let bytes = self.take(width)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// A number of which only the high 16 bits are written.
    fn half(&mut self) -> Result<f32, PayloadError> {
        Ok(f32::from_bits((self.number(2)? as u32) << 16))
    }

    fn float(&mut self) -> Result<f32, PayloadError> {
        Ok(f32::from_bits(self.number(4)? as u32))
    }
}
