//! Reads a body once, checking everything, and shows what it holds to a sink.

use super::bits::BitReader;
use super::blocks::Blocks;
use super::table::Table;
use super::{kept_of, width};
use crate::codec::frame::{self, Reader};
use crate::codec::{DecodeError, Limits};
use crate::layout::Layout;

/// Receives the chunks of a body while it is checked.
pub(super) trait Sink {
    fn chunk(&mut self, place: &ChunkPlace<'_>, indices: &[u32], symbols: &[u8]);
}

/// Where a chunk lies, and what its symbols mean.
pub(super) struct ChunkPlace<'a> {
    pub(super) offset: usize,
    pub(super) blocks: &'a Blocks,
    pub(super) number: usize,
    pub(super) table: &'a Table,
}

/// Checks a body from front to back and hands its chunks to `sink`.
pub(super) fn walk(
    mut reader: Reader<'_>,
    layout: &Layout,
    chunk: u32,
    keep: u32,
    limits: &Limits,
    sink: &mut impl Sink,
) -> Result<(), DecodeError> {
    let found_chunk = u32::from_le_bytes(reader.array()?);
    let found_keep = u32::from_le_bytes(reader.array()?);
    if (found_keep, found_chunk) != (keep, chunk) {
        let (expected, found) = ((keep, chunk), (found_keep, found_chunk));
        return Err(DecodeError::Sparsity { expected, found });
    }
    let mut squares = 0.0;
    for (tensor, spec) in layout.tensors().iter().enumerate() {
        let table = Table::read(&mut reader, &spec.name, limits)?;
        let section = Section {
            tensor: &spec.name,
            offset: layout.offset(tensor),
            blocks: &Blocks::new(spec, chunk),
            table: &table,
            chunk,
            keep,
        };
        let used = section.read(&mut reader, sink)?;
        squares += table.check_use(used, &spec.name)?;
    }
    reader.expect_rest(0)?;
    frame::check_norm(squares, limits)
}

/// The part of a body that belongs to one tensor, behind its table.
struct Section<'a> {
    tensor: &'a str,
    offset: usize,
    blocks: &'a Blocks,
    table: &'a Table,
    chunk: u32,
    keep: u32,
}

impl Section<'_> {
    /// Reads every chunk into `sink` and returns how often each symbol occurs.
    fn read(&self, reader: &mut Reader<'_>, sink: &mut impl Sink) -> Result<[u64; 4], DecodeError> {
        let mut used = [0u64; 4];
        let (mut indices, mut symbols) = (Vec::new(), Vec::new());
        let mut bits = BitReader::new(reader.rest());
        let (offset, blocks, table) = (self.offset, self.blocks, self.table);
        for number in 0..blocks.chunks() {
            let count = self.read_count(number, reader, &mut bits)?;
            indices.clear();
            symbols.clear();
            for _ in 0..count {
                let index = bits.take(self.index_bits()).expect("read_count saw to it");
                self.check_index(number, indices.last().copied(), index)?;
                indices.push(index);
            }
            for _ in 0..count {
                let symbol = bits.take(2).expect("read_count saw to it");
                used[symbol as usize] += 1;
                symbols.push(symbol as u8);
            }
            let place = ChunkPlace {
                offset,
                blocks,
                number,
                table,
            };
            sink.chunk(&place, &indices, &symbols);
        }
        let found = bits.padding();
        if found != 0 {
            return Err(DecodeError::Padding {
                tensor: self.tensor.to_owned(),
                found,
            });
        }
        reader.take(bits.bytes())?;
        Ok(used)
    }

    fn index_bits(&self) -> u32 {
        self.chunk.trailing_zeros()
    }

    /// Reads how many values a chunk keeps, and checks that all of them are there.
    fn read_count(
        &self,
        chunk: usize,
        reader: &Reader<'_>,
        bits: &mut BitReader<'_>,
    ) -> Result<u32, DecodeError> {
        let truncated = || reader.truncated(reader.rest().len() as u64 + 1);
        let limit = kept_of(self.blocks.len(chunk), self.chunk, self.keep);
        let found = bits.take(width(limit)).ok_or_else(truncated)?;
        if found > limit {
            let tensor = self.tensor.to_owned();
            return Err(DecodeError::Count {
                tensor,
                chunk,
                limit,
                found,
            });
        }
        if !bits.holds(u64::from(found) * u64::from(self.index_bits() + 2)) {
            return Err(truncated());
        }
        Ok(found)
    }

    fn check_index(
        &self,
        chunk: usize,
        previous: Option<u32>,
        found: u32,
    ) -> Result<(), DecodeError> {
        let limit = self.blocks.len(chunk) as u32;
        let tensor = || self.tensor.to_owned();
        match previous {
            _ if found >= limit => Err(DecodeError::IndexRange {
                tensor: tensor(),
                chunk,
                limit,
                found,
            }),
            Some(previous) if found == previous => Err(DecodeError::IndexDuplicate {
                tensor: tensor(),
                chunk,
                found,
            }),
            Some(previous) if found < previous => Err(DecodeError::IndexOrder {
                tensor: tensor(),
                chunk,
                previous,
                found,
            }),
            _ => Ok(()),
        }
    }
}
