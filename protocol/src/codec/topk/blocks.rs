//! How a tensor is cut into chunks.
//!
//! A matrix whose sides are multiples of `√chunk` is cut into square blocks, row of blocks after
//! row of blocks; every other tensor is cut along its flat order, and its last chunk may be short.

use crate::layout::TensorSpec;

/// The chunks of one tensor.
pub(in crate::codec) enum Blocks {
    /// Runs of the flat order.
    Flat { parameters: usize, chunk: usize },
    /// Squares of a matrix.
    Square {
        rows: usize,
        columns: usize,
        side: usize,
    },
}

impl Blocks {
    /// Cuts a tensor into chunks, whose length is a power of four.
    pub(in crate::codec) fn new(tensor: &TensorSpec, chunk: u32) -> Self {
        let side = 1usize << (chunk.trailing_zeros() / 2);
        let fits = |length: u32| (length as usize).is_multiple_of(side);
        match *tensor.shape {
            [rows, columns] if fits(rows) && fits(columns) => Self::Square {
                rows: rows as usize,
                columns: columns as usize,
                side,
            },
            _ => Self::Flat {
                parameters: tensor.parameters(),
                chunk: chunk as usize,
            },
        }
    }

    /// The number of chunks.
    pub(in crate::codec) fn chunks(&self) -> usize {
        match *self {
            Self::Flat { parameters, chunk } => parameters.div_ceil(chunk),
            Self::Square {
                rows,
                columns,
                side,
            } => (rows / side) * (columns / side),
        }
    }

    /// The values in a chunk.
    pub(in crate::codec) fn len(&self, number: usize) -> usize {
        match *self {
            Self::Flat { parameters, chunk } => chunk.min(parameters - number * chunk),
            Self::Square { side, .. } => side * side,
        }
    }

    /// The position in the tensor of value `index` of a chunk.
    pub(in crate::codec) fn position(&self, number: usize, index: usize) -> usize {
        match *self {
            Self::Flat { chunk, .. } => number * chunk + index,
            Self::Square { columns, side, .. } => {
                let across = columns / side;
                let row = number / across * side + index / side;
                row * columns + number % across * side + index % side
            }
        }
    }

    /// Copies a chunk of a tensor's values into `window`.
    pub(in crate::codec) fn gather(&self, values: &[f32], number: usize, window: &mut Vec<f32>) {
        window.clear();
        let start = self.position(number, 0);
        match *self {
            Self::Flat { .. } => window.extend_from_slice(&values[start..start + self.len(number)]),
            Self::Square { columns, side, .. } => {
                for row in 0..side {
                    let first = start + row * columns;
                    window.extend_from_slice(&values[first..first + side]);
                }
            }
        }
    }

    /// Writes a chunk back to where [`Self::gather`] took it from.
    pub(in crate::codec) fn scatter(&self, window: &[f32], number: usize, values: &mut [f32]) {
        let start = self.position(number, 0);
        match *self {
            Self::Flat { .. } => values[start..start + window.len()].copy_from_slice(window),
            Self::Square { columns, side, .. } => {
                for (row, from) in window.chunks_exact(side).enumerate() {
                    let first = start + row * columns;
                    values[first..first + side].copy_from_slice(from);
                }
            }
        }
    }
}
