//! Finds the largest magnitudes of a chunk without sorting it.
//!
//! A full chunk is folded into 256 column maxima in one vectorised pass. The `keep`-th largest of
//! them is a lower bound of the `keep`-th largest magnitude, since as many values reach it, and
//! only columns that reach it are looked at again. What is chosen depends on the values alone: the
//! largest magnitudes, ties going to the lowest index, zeros never.

use super::Kept;
use crate::codec::lanes::{self, key};

const COLUMNS: usize = 256;

/// Memory reused from chunk to chunk.
#[derive(Default)]
pub(super) struct Selector {
    candidates: Vec<(i32, u32)>,
    keys: Vec<i32>,
    marks: Vec<u64>,
}

impl Selector {
    /// Appends the `limit` largest magnitudes of `values` to `kept`, in index order; false where a
    /// value is not finite, and then nothing.
    pub(super) fn select(&mut self, values: &[f32], limit: usize, kept: &mut Kept) -> bool {
        if !lanes::all_finite(values) {
            return false;
        }
        let before = kept.indices.len();
        self.gather_candidates(values, limit);
        self.mark_largest(values.len(), limit);
        self.drain_marks(values, kept);
        kept.counts.push((kept.indices.len() - before) as u32);
        true
    }
    fn gather_candidates(&mut self, values: &[f32], limit: usize) {
        self.candidates.clear();
        let (rows, rest) = values.as_chunks::<COLUMNS>();
        if !rest.is_empty() || rows.len() < 4 || 2 * limit > COLUMNS {
            let all = values
                .iter()
                .enumerate()
                .map(|(index, value)| (key(*value), index as u32));
            self.candidates.extend(all.filter(|(key, _)| *key > 0));
            return;
        }
        let mut maxima = [0i32; COLUMNS];
        for row in rows {
            for (maximum, value) in maxima.iter_mut().zip(row) {
                *maximum = (*maximum).max(key(*value));
            }
        }
        let mut sorted = maxima;
        let bound = *sorted.select_nth_unstable_by(limit - 1, |a, b| b.cmp(a)).1;
        let bound = bound.max(1);
        for column in (0..COLUMNS).filter(|column| maxima[*column] >= bound) {
            for (row, values) in rows.iter().enumerate() {
                let key = key(values[column]);
                if key >= bound {
                    self.candidates.push((key, (row * COLUMNS + column) as u32));
                }
            }
        }
    }

    fn mark_largest(&mut self, len: usize, limit: usize) {
        self.marks.clear();
        self.marks.resize(len.div_ceil(64), 0);
        if self.candidates.len() <= limit {
            for (_, index) in &self.candidates {
                self.marks[*index as usize / 64] |= 1 << (index % 64);
            }
            return;
        }
        self.keys.clear();
        self.keys
            .extend(self.candidates.iter().map(|(key, _)| *key));
        let threshold = *self
            .keys
            .select_nth_unstable_by(limit - 1, |a, b| b.cmp(a))
            .1;
        let mut open = limit;
        for (_, index) in self.candidates.iter().filter(|(key, _)| *key > threshold) {
            self.marks[*index as usize / 64] |= 1 << (index % 64);
            open -= 1;
        }
        let tied = self.candidates.iter().filter(|(key, _)| *key == threshold);
        let mut ties: Vec<u32> = tied.map(|(_, index)| *index).collect();
        ties.sort_unstable();
        for index in ties.into_iter().take(open) {
            self.marks[index as usize / 64] |= 1 << (index % 64);
        }
    }

    fn drain_marks(&self, values: &[f32], kept: &mut Kept) {
        for (word, mut marks) in self.marks.iter().copied().enumerate() {
            while marks != 0 {
                let index = 64 * word + marks.trailing_zeros() as usize;
                marks &= marks - 1;
                kept.indices.push(index as u32);
                kept.values.push(values[index]);
            }
        }
    }
}
