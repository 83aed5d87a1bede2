//! The four values a tensor's symbols stand for.
//!
//! With σ the root mean square of the kept values, the bins are (−∞, −1.5σ), [−1.5σ, 0), (0, 1.5σ]
//! and (1.5σ, ∞): four equal bins over ±3σ, the outer ones open. A symbol stands for the mean of
//! the values in its bin, rounded to the 16 high bits of an `f32`. Symbols 0 and 1 are negative, 2
//! and 3 positive; an entry that no value uses is not written.

use super::bits::{BitReader, BitWriter, Broken};
use crate::codec::lanes::Lanes;
use crate::codec::{DecodeError, Limits, bf16};

/// The symbol of a kept value, which is not zero.
#[inline]
pub(super) fn symbol(value: f32, edge: f64) -> u32 {
    let outer = f64::from(value.abs()) > edge;
    match (value < 0.0, outer) {
        (true, true) => 0,
        (true, false) => 1,
        (false, false) => 2,
        (false, true) => 3,
    }
}

/// The symbol of a value by sign and bin, each 0 or 1.
#[inline]
pub(super) fn symbol_of(positive: u32, outer: u32) -> u8 {
    // Outer bins are 0 and 3, inner ones 1 and 2.
    (if positive == 1 { 2 + outer } else { 1 - outer }) as u8
}

/// A tensor's table. An entry that is not used is zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table([f32; 4]);

impl Table {
    /// Bits of the longest table.
    pub(super) const MOST_BITS: u64 = 4 + 4 * 16;

    /// The table of a tensor's kept values, none of them zero, and the edge 1.5σ.
    pub(super) fn of(values: &[f32]) -> (Self, f64) {
        if values.is_empty() {
            return (Self([0.0; 4]), 0.0);
        }
        let mut squares = Lanes::default();
        squares.push_squares(values);
        let edge = 1.5 * (squares.total() / values.len() as f64).sqrt();
        let mut sums: [Lanes; 4] = Default::default();
        let mut counts = [0u64; 4];
        for value in values {
            let symbol = symbol(*value, edge) as usize;
            sums[symbol].push(f64::from(*value));
            counts[symbol] += 1;
        }
        let mut entries = [0.0; 4];
        for (entry, (sum, count)) in entries.iter_mut().zip(sums.iter().zip(counts)) {
            if count > 0 {
                let mean = (sum.total() / count as f64) as f32;
                *entry = bf16::nearest_not_zero(mean);
            }
        }
        (Self(entries), edge)
    }

    /// Writes which entries are used, and those.
    pub(super) fn write(&self, out: &mut BitWriter<'_>) {
        out.put(self.mask(), 4);
        for entry in self.0.into_iter().filter(|entry| *entry != 0.0) {
            out.put(u32::from(bf16::high_half(entry)), 16);
        }
    }

    /// Reads a table whose entries are finite, on their side of zero, in order and within limits.
    pub(super) fn read(
        bits: &mut BitReader<'_>,
        tensor: &str,
        limits: &Limits,
    ) -> Result<Result<Self, DecodeError>, Broken> {
        let mask = bits.take(4)?;
        let mut entries = [0.0; 4];
        for (index, entry) in entries.iter_mut().enumerate() {
            if mask >> index & 1 == 1 {
                *entry = bf16::value(bits.take(16)? as u16);
            }
        }
        Ok(Self::checked(mask, entries, tensor, limits))
    }

    fn checked(
        mask: u32,
        entries: [f32; 4],
        tensor: &str,
        limits: &Limits,
    ) -> Result<Self, DecodeError> {
        let refuse = |entry: usize| {
            let (tensor, found) = (tensor.to_owned(), entries[entry]);
            Err(DecodeError::Table {
                tensor,
                entry,
                found,
            })
        };
        for (entry, found) in entries.iter().copied().enumerate() {
            let used = mask >> entry & 1 == 1;
            let right_side = if entry < 2 { found < 0.0 } else { found > 0.0 };
            if used && !(found.is_finite() && right_side) {
                return refuse(entry);
            }
            let (limit, found) = (limits.max_abs, found.abs());
            let within = found <= limit;
            if !within {
                let tensor = tensor.to_owned();
                return Err(DecodeError::TableLimit {
                    tensor,
                    entry,
                    limit,
                    found,
                });
            }
        }
        for (inner, outer) in [(1, 0), (2, 3)] {
            if entries[outer] != 0.0 && entries[outer].abs() < entries[inner].abs() {
                return refuse(outer);
            }
        }
        Ok(Self(entries))
    }

    /// Whether no entry is used.
    pub(super) fn is_empty(&self) -> bool {
        self.mask() == 0
    }

    /// Fails where an entry is used and not there, or there and not used; returns the sum of
    /// squares.
    pub(super) fn check_use(&self, used: [u64; 4], tensor: &str) -> Result<f64, DecodeError> {
        let mut squares = 0.0;
        for (entry, (value, count)) in self.0.into_iter().zip(used).enumerate() {
            if (count > 0) != (value != 0.0) {
                let tensor = tensor.to_owned();
                return Err(DecodeError::Table {
                    tensor,
                    entry,
                    found: value,
                });
            }
            squares += count as f64 * (f64::from(value) * f64::from(value));
        }
        Ok(squares)
    }

    /// The value a symbol below 4 stands for.
    #[inline]
    pub(super) fn value(&self, symbol: u8) -> f32 {
        self.0[usize::from(symbol & 3)]
    }

    fn mask(&self) -> u32 {
        let bit = |(index, entry): (usize, &f32)| u32::from(*entry != 0.0) << index;
        self.0.iter().enumerate().map(bit).sum()
    }
}
