//! The header of a payload, reading with bounds, and the checks every decoded value passes.

use super::lanes::{self, Lanes};
use super::{Codec, CodecError, DecodeError, Limits};
use crate::layout::Layout;

pub(super) const HEADER_BYTES: usize = 16;
const MAGIC: [u8; 4] = *b"ARCU";
const VERSION: u8 = 2;

/// Starts a payload.
pub(super) fn header(codec: Codec, layout: &Layout) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES);
    write_header(codec, layout, &mut out);
    out
}

/// Writes the header.
pub(super) fn write_header(codec: Codec, layout: &Layout, out: &mut Vec<u8>) {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[VERSION, codec.id(), 0, 0]);
    out.extend_from_slice(&(layout.parameters() as u64).to_le_bytes());
}

/// Checks the header and returns a reader that stands at the body.
pub(super) fn open<'a>(
    codec: Codec,
    payload: &'a [u8],
    layout: &Layout,
    limits: &Limits,
) -> Result<Reader<'a>, DecodeError> {
    codec.check(layout)?;
    let found = payload.len() as u64;
    if found > limits.max_payload_bytes {
        return Err(DecodeError::TooLong {
            limit: limits.max_payload_bytes,
            found,
        });
    }
    let mut reader = Reader {
        bytes: payload,
        at: 0,
    };
    let magic: [u8; 4] = reader.array()?;
    if magic != MAGIC {
        return Err(DecodeError::Magic {
            found: u32::from_be_bytes(magic),
        });
    }
    let [version, id, low, high] = reader.array()?;
    if version != VERSION {
        return Err(DecodeError::Version {
            expected: VERSION,
            found: version,
        });
    }
    if id != codec.id() {
        return Err(DecodeError::Codec {
            expected: codec.id(),
            found: id,
        });
    }
    if [low, high] != [0, 0] {
        return Err(DecodeError::Reserved {
            found: u16::from_le_bytes([low, high]),
        });
    }
    let found = u64::from_le_bytes(reader.array()?);
    let expected = layout.parameters() as u64;
    if found != expected {
        return Err(DecodeError::Parameters { expected, found });
    }
    Ok(reader)
}

/// Reads a payload from front to back and never past its end.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let rest = &self.bytes[self.at..];
        if rest.len() < count {
            return Err(self.truncated(count as u64));
        }
        self.at += count;
        Ok(&rest[..count])
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let bytes = self.take(N)?;
        Ok(bytes
            .try_into()
            .expect("take returns as many bytes as asked"))
    }

    pub(super) fn f32(&mut self) -> Result<f32, DecodeError> {
        Ok(f32::from_le_bytes(self.array()?))
    }

    /// The bytes not yet read.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// Fails unless exactly `count` bytes are left.
    pub(super) fn expect_rest(&self, count: u64) -> Result<(), DecodeError> {
        let left = self.rest().len() as u64;
        if left < count {
            return Err(self.truncated(count));
        }
        if left > count {
            let expected = self.at as u64 + count;
            return Err(DecodeError::Trailing {
                expected,
                found: self.bytes.len() as u64,
            });
        }
        Ok(())
    }

    pub(super) fn truncated(&self, count: u64) -> DecodeError {
        let needed = (self.at as u64).saturating_add(count);
        DecodeError::Truncated {
            needed,
            found: self.bytes.len() as u64,
        }
    }
}

/// Lets only finite values within the limits pass, and adds up their norm.
pub(super) struct Gate<'a> {
    layout: &'a Layout,
    limits: &'a Limits,
    sums: Lanes,
}

impl<'a> Gate<'a> {
    pub(super) fn new(layout: &'a Layout, limits: &'a Limits) -> Self {
        Self {
            layout,
            limits,
            sums: Lanes::default(),
        }
    }

    /// Admits the next values, the first of which lies at `first` in the flat vector.
    pub(super) fn admit(&mut self, first: usize, values: &[f32]) -> Result<(), DecodeError> {
        let largest = f32::from_bits(lanes::largest_key(values) as u32);
        let within = largest <= self.limits.max_abs && largest.is_finite();
        if !within {
            return Err(self.refusal(first, values));
        }
        self.sums.push_squares(values);
        Ok(())
    }

    /// Fails where the norm of all admitted values is too large.
    pub(super) fn finish(&self) -> Result<(), DecodeError> {
        check_norm(self.sums.total(), self.limits)
    }

    fn refusal(&self, first: usize, values: &[f32]) -> DecodeError {
        let limit = self.limits.max_abs;
        let breaks = |value: &f32| {
            let within = value.abs() <= limit && value.is_finite();
            !within
        };
        let offset = values
            .iter()
            .position(breaks)
            .expect("the caller found such a value");
        let (tensor, index) = place(self.layout, first + offset);
        let found = values[offset].abs();
        if found.is_finite() {
            DecodeError::TooLarge {
                tensor,
                index,
                limit,
                found,
            }
        } else {
            DecodeError::NotFinite { tensor, index }
        }
    }
}

/// Fails where the root of a sum of squares is above the limit.
pub(super) fn check_norm(squares: f64, limits: &Limits) -> Result<(), DecodeError> {
    let found = squares.sqrt();
    let within = found <= limits.max_norm;
    if within {
        Ok(())
    } else {
        Err(DecodeError::Norm {
            limit: limits.max_norm,
            found,
        })
    }
}

/// Fails where a value to be encoded, which starts at `first`, is not finite.
pub(super) fn require_finite(
    layout: &Layout,
    first: usize,
    values: &[f32],
) -> Result<(), CodecError> {
    if lanes::all_finite(values) {
        return Ok(());
    }
    let offset = values.iter().position(|value| !value.is_finite());
    let (tensor, index) = place(layout, first + offset.expect("one value is not finite"));
    Err(CodecError::NotFinite { tensor, index })
}

/// Tensor name and position in it of a position in the flat vector.
pub(crate) fn place(layout: &Layout, position: usize) -> (String, usize) {
    let index = (0..layout.tensors().len())
        .find(|index| layout.range(*index).contains(&position))
        .expect("a position below the number of parameters lies in a tensor");
    (
        layout.tensors()[index].name.clone(),
        position - layout.offset(index),
    )
}
