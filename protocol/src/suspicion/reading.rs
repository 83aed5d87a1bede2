//! One update, read window after window, beside the values it is compared with.

use crate::codec::{Entries, Update, lanes::Lanes};
use std::ops::Range;

/// Positions of a window: what all members have in it stays in the cache.
pub(super) const WINDOW: usize = 8192;

/// Sums over what was read of an update.
pub(super) struct Reading<'a> {
    entries: Entries<'a>,
    squares: Lanes,
    products: Lanes,
    /// Of a sparse update, the entries of the present window.
    present: Range<usize>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(update: &'a Update) -> Self {
        Self {
            entries: update.entries(),
            squares: Lanes::default(),
            products: Lanes::default(),
            present: 0..0,
        }
    }

    /// Reads the next window; `near` are the values to compare with, as many as it is wide.
    pub(super) fn read(&mut self, window: &Range<usize>, near: Option<&[f32]>) {
        match self.entries {
            Entries::Dense(values) => {
                let values = &values[window.clone()];
                self.squares.push_squares(values);
                if let Some(near) = near {
                    self.products.push_products(values, near);
                }
            }
            Entries::Sparse { indices, values } => {
                let start = self.present.end;
                let most = indices.len().min(start + window.len());
                let within = |index: &u32| (*index as usize) < window.end;
                let count = indices[start..most].partition_point(within);
                self.present = start..start + count;
                let (indices, values) = (
                    &indices[self.present.clone()],
                    &values[self.present.clone()],
                );
                self.read_sparse(indices, values, window.start, near);
            }
        }
    }

    fn read_sparse(&mut self, indices: &[u32], values: &[f32], start: usize, near: Option<&[f32]>) {
        for (index, value) in indices.iter().zip(values) {
            self.squares.add_square_at(*index as usize, *value);
        }
        let Some(near) = near else {
            return;
        };
        for (index, value) in indices.iter().zip(values) {
            let position = *index as usize;
            let other = near[position - start];
            self.products.add_product_at(position, *value, other);
        }
    }

    /// Positions that a sparse update lists in the present window; none for a dense one.
    pub(super) fn listed(&self) -> &'a [u32] {
        match self.entries {
            Entries::Dense(_) => &[],
            Entries::Sparse { indices, .. } => &indices[self.present.clone()],
        }
    }

    /// How many positions a sparse update lists in all; none where it is dense.
    pub(super) fn length(&self) -> Option<u64> {
        match self.entries {
            Entries::Dense(_) => None,
            Entries::Sparse { indices, .. } => Some(indices.len() as u64),
        }
    }

    /// The norm of what was read.
    pub(super) fn norm(&self) -> f64 {
        self.squares.total().sqrt()
    }

    /// The product of what was read with what it was compared with.
    pub(super) fn product(&self) -> f64 {
        self.products.total()
    }
}
