//! The four values a tensor's symbols stand for.
//!
//! With σ the root mean square of the kept values, the bins are (−∞, −1.5σ), [−1.5σ, 0), (0, 1.5σ]
//! and (1.5σ, ∞): four equal bins over ±3σ, the outer ones open. A symbol stands for the mean of
//! the values in its bin. Bins 0 and 1 are negative, 2 and 3 positive; an unused entry is zero.

use crate::codec::frame::Reader;
use crate::codec::lanes::Lanes;
use crate::codec::{DecodeError, Limits};

/// The symbol of a kept value, which is not zero.
pub(super) fn symbol(value: f32, edge: f64) -> u32 {
    let outer = f64::from(value.abs()) > edge;
    match (value < 0.0, outer) {
        (true, true) => 0,
        (true, false) => 1,
        (false, false) => 2,
        (false, true) => 3,
    }
}

/// A tensor's table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table([f32; 4]);

impl Table {
    pub(super) const BYTES: usize = 16;

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
                *entry = (sum.total() / count as f64) as f32;
            }
        }
        (Self(entries), edge)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.0.iter().flat_map(|entry| entry.to_le_bytes()));
    }

    /// Reads a table whose entries are finite, on their side of zero, in order and within limits.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        tensor: &str,
        limits: &Limits,
    ) -> Result<Self, DecodeError> {
        let mut entries = [0.0; 4];
        for entry in &mut entries {
            *entry = reader.f32()?;
        }
        let refuse = |entry: usize| {
            let (tensor, found) = (tensor.to_owned(), entries[entry]);
            Err(DecodeError::Table {
                tensor,
                entry,
                found,
            })
        };
        for (entry, value) in entries.iter().copied().enumerate() {
            let unused = value.to_bits() == 0;
            let right_side = if entry < 2 { value < 0.0 } else { value > 0.0 };
            if !value.is_finite() || !(unused || right_side) {
                return refuse(entry);
            }
            let within = value.abs() <= limits.max_abs;
            if !within {
                let (tensor, found) = (tensor.to_owned(), value.abs());
                let limit = limits.max_abs;
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

    /// Fails where an entry is used and zero, or unused and not; returns the sum of squares.
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
    pub(super) fn value(&self, symbol: u8) -> f32 {
        self.0[usize::from(symbol)]
    }
}
