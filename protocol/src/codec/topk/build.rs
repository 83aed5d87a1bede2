//! Positions in the flat vector and values of a body, ascending.

use super::walk::{Section, Sink, walk};
use super::{Blocks, Sparsity};
use crate::codec::frame::Reader;
use crate::codec::{DecodeError, Limits};
use crate::layout::Layout;

/// Checks a body and appends positions and values of what it holds.
///
/// Memory grows with what was read, never ahead of it.
pub(in crate::codec) fn decode(
    reader: Reader<'_>,
    layout: &Layout,
    sparsity: Sparsity,
    limits: &Limits,
    indices: &mut Vec<u32>,
    values: &mut Vec<f32>,
) -> Result<(), DecodeError> {
    let rows = Vec::new();
    let mut build = Build {
        indices,
        values,
        rows,
    };
    walk(reader, layout, sparsity, limits, &mut build)
}

/// Checks a body and keeps nothing of it.
pub(in crate::codec) fn validate(
    reader: Reader<'_>,
    layout: &Layout,
    sparsity: Sparsity,
    limits: &Limits,
) -> Result<(), DecodeError> {
    walk(reader, layout, sparsity, limits, &mut Nothing)
}

struct Nothing;

impl Sink for Nothing {
    fn section(&mut self, _: &Section<'_>) {}
}

struct Build<'a> {
    indices: &'a mut Vec<u32>,
    values: &'a mut Vec<f32>,
    /// Where the next value of each row goes.
    rows: Vec<u32>,
}

impl Sink for Build<'_> {
    fn section(&mut self, section: &Section<'_>) {
        let before = self.indices.len();
        let after = before + section.indices.len();
        match *section.blocks {
            Blocks::Flat { chunk, .. } => {
                self.values.extend(section.values());
                let mut indices = section.indices.iter();
                for (number, count) in section.counts.iter().enumerate() {
                    let first = (section.offset + number * chunk) as u32;
                    let some = indices.by_ref().take(*count as usize);
                    self.indices.extend(some.map(|index| first + index));
                }
            }
            Blocks::Square { columns, side, .. } => {
                self.indices.resize(after, 0);
                self.values.resize(after, 0.0);
                let mut at = 0;
                let bands = section.counts.chunks(columns / side);
                for (band, counts) in bands.enumerate() {
                    let end = at + counts.iter().sum::<u32>() as usize;
                    let first = section.offset + band * side * columns;
                    self.band(section, counts, at..end, (before, first), (side, columns));
                    at = end;
                }
            }
        }
    }
}

impl Build<'_> {
    /// Sorts a row of square blocks by the matrix's rows, which keeps the order of the blocks.
    fn band(
        &mut self,
        section: &Section<'_>,
        counts: &[u32],
        range: std::ops::Range<usize>,
        (before, first): (usize, usize),
        (side, columns): (usize, usize),
    ) {
        let (shift, mask) = (side.trailing_zeros(), side as u32 - 1);
        let indices = &section.indices[range.clone()];
        self.rows.clear();
        self.rows.resize(side + 1, 0);
        for index in indices {
            self.rows[(index >> shift) as usize + 1] += 1;
        }
        for row in 0..side {
            self.rows[row + 1] += self.rows[row];
        }
        let place = before + range.start..before + range.end;
        let (out, values) = (&mut self.indices[place.clone()], &mut self.values[place]);
        let mut entries = indices.iter().zip(&section.symbols[range]);
        for (number, count) in counts.iter().enumerate() {
            let column = (first + number * side) as u32;
            for (index, symbol) in entries.by_ref().take(*count as usize) {
                let row = index >> shift;
                let slot = &mut self.rows[row as usize];
                out[*slot as usize] = column + row * columns as u32 + (index & mask);
                values[*slot as usize] = section.table.value(*symbol);
                *slot += 1;
            }
        }
    }
}
