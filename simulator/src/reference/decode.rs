//! Payload bytes to one value a parameter, refusing what the specification refuses.
//!
//! Written from the section *Payloads* of `protocol/SPEC.md`. Every codec ends in the dense vector
//! that it stands for; bits are taken one at a time.

use super::sums::{decimal, lane_sum};
use archipel_protocol::{
    charter::plan::{CodecKind, ExchangePlan},
    layout::{Layout, TensorSpec},
};

/// Values under one scale of `int8`.
const BLOCK: usize = 256;

/// Why bytes are no payload under a plan.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PayloadError {
    /// The plan's sparsity is out of range, or the layout is too large for it.
    #[error("topk-2bit of {keep} in {chunk} cannot be read: the plan is not a valid one")]
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
    /// An index does not ascend, or lies outside of its chunk.
    #[error("{tensor}: chunk {chunk} lists {found}, expected {least} up to below {limit}")]
    Index {
        /// The tensor's name.
        tensor: String,
        /// Number of the chunk.
        chunk: usize,
        /// The least index that may come here.
        least: usize,
        /// Values in the chunk.
        limit: usize,
        /// The index.
        found: usize,
    },
    /// A bit that fills the last byte is set.
    #[error("{tensor}: bits that fill up the last byte are not zero")]
    Padding {
        /// The tensor's name.
        tensor: String,
    },
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
        CodecKind::TopK2Bit => read_sparse(&mut bytes, exchange, layout, &mut values)?,
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
    };
    let expected = [
        ("the mark", 4, u64::from(u32::from_le_bytes(*b"ARCU"))),
        ("the version", 1, 1),
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

/// Codec 3: a section a tensor. Returns the sum of squares, table by table.
fn read_sparse(
    bytes: &mut Bytes<'_>,
    exchange: &ExchangePlan,
    layout: &Layout,
    values: &mut Vec<f32>,
) -> Result<f64, PayloadError> {
    let (chunk, keep) = (exchange.chunk, exchange.keep);
    let fours = [16, 64, 256, 1024, 4096, 16_384, 65_536];
    let narrow = u32::try_from(layout.parameters()).is_ok();
    if !fours.contains(&chunk) || keep == 0 || keep > chunk || !narrow {
        return Err(PayloadError::Sparsity { chunk, keep });
    }
    for (field, expected) in [("the chunk", chunk), ("keep", keep)] {
        let (expected, found) = (u64::from(expected), bytes.number(4)?);
        if found != expected {
            return Err(PayloadError::Field {
                field,
                expected,
                found,
            });
        }
    }
    values.resize(layout.parameters(), 0.0);
    let mut squares = 0.0;
    let mut rest = values.as_mut_slice();
    for tensor in layout.tensors() {
        let (own, others) = rest.split_at_mut(tensor.parameters());
        squares += read_section(bytes, (chunk as usize, keep as usize), tensor, own)?;
        rest = others;
    }
    Ok(squares)
}

/// One tensor: its table, its chunks, filling bits. Returns its sum of squares.
fn read_section(
    bytes: &mut Bytes<'_>,
    (chunk, keep): (usize, usize),
    tensor: &TensorSpec,
    values: &mut [f32],
) -> Result<f64, PayloadError> {
    let name = || tensor.name.clone();
    let mut table = [0.0; 4];
    for entry in &mut table {
        *entry = bytes.float()?;
    }
    let mut used = [0u64; 4];
    let mut bits = Bits { bytes, taken: 0 };
    for (number, first) in (0..values.len()).step_by(chunk).enumerate() {
        let length = chunk.min(values.len() - first);
        let limit = (keep * length).div_ceil(chunk);
        let found = bits.number(limit.ilog2() + 1)?;
        if found > limit {
            return Err(PayloadError::Count {
                tensor: name(),
                chunk: number,
                limit,
                found,
            });
        }
        let mut indices = Vec::new();
        for _ in 0..found {
            let index = bits.number(chunk.ilog2())?;
            let least = indices.last().map_or(0, |last| last + 1);
            if !(least..length).contains(&index) {
                return Err(PayloadError::Index {
                    tensor: name(),
                    chunk: number,
                    least,
                    limit: length,
                    found: index,
                });
            }
            indices.push(index);
        }
        for index in indices {
            let symbol = bits.number(2)?;
            used[symbol] += 1;
            values[place(&tensor.shape, chunk, number, index)] = table[symbol];
        }
    }
    if !bits.fill_with_zeros()? {
        return Err(PayloadError::Padding { tensor: name() });
    }
    if !table_fits(&table, &used) {
        let (tensor, found) = (name(), table);
        return Err(PayloadError::Table {
            tensor,
            found,
            used,
        });
    }
    let mut squares = 0.0;
    for (entry, count) in table.into_iter().zip(used) {
        squares += count as f64 * (f64::from(entry) * f64::from(entry));
    }
    Ok(squares)
}

/// Signs and order of the entries that are used; the others are positive zero.
fn table_fits(table: &[f32; 4], used: &[u64; 4]) -> bool {
    let signs = [-1.0, -1.0, 1.0, 1.0];
    let fits = |entry: usize| match used[entry] {
        0 => table[entry].to_bits() == 0,
        _ => table[entry].is_finite() && table[entry] * signs[entry] > 0.0,
    };
    let ordered = |outer: usize, inner: usize| {
        used[outer] == 0 || used[inner] == 0 || table[outer].abs() >= table[inner].abs()
    };
    (0..4).all(fits) && ordered(0, 1) && ordered(3, 2)
}

/// Position in the tensor of value `index` of a chunk.
fn place(shape: &[u32], chunk: usize, number: usize, index: usize) -> usize {
    let side = 1usize << (chunk.ilog2() / 2);
    if let [rows, columns] = *shape {
        let (rows, columns) = (rows as usize, columns as usize);
        if rows % side == 0 && columns % side == 0 {
            let blocks_across = columns / side;
            let (block_row, block_column) = (number / blocks_across, number % blocks_across);
            let row = block_row * side + index / side;
            let column = block_column * side + index % side;
            return row * columns + column;
        }
    }
    number * chunk + index
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

    fn float(&mut self) -> Result<f32, PayloadError> {
        Ok(f32::from_bits(self.number(4)? as u32))
    }
}

/// Bits from the lowest of a byte to its highest, byte after byte.
struct Bits<'a, 'b> {
    bytes: &'b mut Bytes<'a>,
    /// Bits of the byte before `bytes.at` that are taken; none where 0 or 8.
    taken: u32,
}

impl Bits<'_, '_> {
    fn bit(&mut self) -> Result<usize, PayloadError> {
        if self.taken.is_multiple_of(8) {
            self.bytes.take(1)?;
            self.taken = 0;
        }
        let byte = self.bytes.all[self.bytes.at - 1];
        let bit = byte >> self.taken & 1;
        self.taken += 1;
        Ok(usize::from(bit))
    }

    fn number(&mut self, width: u32) -> Result<usize, PayloadError> {
        let mut number = 0;
        for place in 0..width {
            number |= self.bit()? << place;
        }
        Ok(number)
    }

    /// Takes the bits up to the end of a byte, and says whether all are zero.
    fn fill_with_zeros(&mut self) -> Result<bool, PayloadError> {
        let mut any = 0;
        while !self.taken.is_multiple_of(8) {
            any |= self.bit()?;
        }
        Ok(any == 0)
    }
}
