//! `topk-2bit`: the largest magnitudes of every chunk, in two bits each.
//!
//! A tensor's section is a table of four means, then, chunk by chunk, the number of kept values,
//! their ascending positions in the chunk, and their symbols, in one stream of bits.

mod bits;
mod blocks;
mod select;
mod table;

use super::frame::{self, Reader};
use super::{CodecError, DecodeError, Limits, lanes};
use crate::layout::{Layout, TensorSpec};
use bits::{BitReader, BitWriter};
use blocks::Blocks;
use select::Selector;
use table::Table;

/// Values kept of a chunk of `len`: `⌈keep · len / chunk⌉`.
fn kept_of(len: usize, chunk: u32, keep: u32) -> u32 {
    (len as u64 * u64::from(keep)).div_ceil(u64::from(chunk)) as u32
}

/// Bits that hold every number from 0 to `largest`.
fn width(largest: u32) -> u32 {
    u32::BITS - largest.leading_zeros()
}

/// The most bytes a body can have: every chunk full.
pub(super) fn max_body_bytes(layout: &Layout, chunk: u32, keep: u32) -> u64 {
    let index_bits = u64::from(chunk.trailing_zeros());
    let chunk_bits = |len: usize| {
        let kept = kept_of(len, chunk, keep);
        u64::from(width(kept)) + u64::from(kept) * (index_bits + 2)
    };
    let tensor_bytes = |tensor: &TensorSpec| {
        let (full, rest) = (
            tensor.parameters() / chunk as usize,
            tensor.parameters() % chunk as usize,
        );
        let last = if rest == 0 { 0 } else { chunk_bits(rest) };
        Table::BYTES as u64 + (full as u64 * chunk_bits(chunk as usize) + last).div_ceil(8)
    };
    8 + layout.tensors().iter().map(tensor_bytes).sum::<u64>()
}

/// Writes settings and sections.
pub(super) fn encode(
    layout: &Layout,
    chunk: u32,
    keep: u32,
    values: &[f32],
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    out.extend_from_slice(&chunk.to_le_bytes());
    out.extend_from_slice(&keep.to_le_bytes());
    let mut kept = Kept::default();
    let mut selector = Selector::default();
    let mut window = Vec::new();
    for (tensor, spec) in layout.tensors().iter().enumerate() {
        let range = layout.range(tensor);
        let blocks = Blocks::new(spec, chunk);
        kept.clear();
        for number in 0..blocks.chunks() {
            let window = blocks.gather(&values[range.clone()], number, &mut window);
            if !lanes::all_finite(window) {
                frame::require_finite(layout, range.start, &values[range.clone()])?;
            }
            let limit = kept_of(window.len(), chunk, keep);
            selector.select(window, limit as usize, &mut kept);
        }
        write_section(&blocks, chunk, keep, &kept, out);
    }
    Ok(())
}

/// What is kept of a tensor, chunk after chunk.
#[derive(Default)]
struct Kept {
    /// How many values each chunk keeps.
    counts: Vec<u32>,
    /// Positions in the chunk, ascending.
    indices: Vec<u32>,
    values: Vec<f32>,
}

impl Kept {
    fn clear(&mut self) {
        self.counts.clear();
        self.indices.clear();
        self.values.clear();
    }
}

fn write_section(blocks: &Blocks, chunk: u32, keep: u32, kept: &Kept, out: &mut Vec<u8>) {
    let (table, edge) = Table::of(&kept.values);
    table.write(out);
    let index_bits = chunk.trailing_zeros();
    let mut writer = BitWriter::new(out);
    let mut start = 0;
    for (number, count) in kept.counts.iter().enumerate() {
        let end = start + *count as usize;
        writer.put(*count, width(kept_of(blocks.len(number), chunk, keep)));
        for index in &kept.indices[start..end] {
            writer.put(*index, index_bits);
        }
        for value in &kept.values[start..end] {
            writer.put(table::symbol(*value, edge), 2);
        }
        start = end;
    }
    writer.finish();
}

/// Receives the chunks of a body while it is checked.
trait Sink {
    fn chunk(&mut self, place: &ChunkPlace<'_>, indices: &[u32], symbols: &[u8]);
}

/// Where a chunk lies, and what its symbols mean.
struct ChunkPlace<'a> {
    offset: usize,
    blocks: &'a Blocks,
    number: usize,
    table: &'a Table,
}

/// Counts values, and keeps nothing.
#[derive(Default)]
struct Count(usize);

impl Sink for Count {
    fn chunk(&mut self, _: &ChunkPlace<'_>, indices: &[u32], _: &[u8]) {
        self.0 += indices.len();
    }
}

/// Collects positions in the flat vector and values, ascending.
struct Build {
    indices: Vec<u32>,
    values: Vec<f32>,
    /// Positions and value bits of chunks that interleave, until the last of them.
    pending: Vec<u64>,
}

impl Sink for Build {
    fn chunk(&mut self, place: &ChunkPlace<'_>, indices: &[u32], symbols: &[u8]) {
        for (index, symbol) in indices.iter().zip(symbols) {
            let position = place.offset + place.blocks.position(place.number, *index as usize);
            let value = place.table.value(*symbol);
            self.pending
                .push((position as u64) << 32 | u64::from(value.to_bits()));
        }
        if place.blocks.interleaves_with_next(place.number) {
            return;
        }
        self.pending.sort_unstable();
        for pair in self.pending.drain(..) {
            self.indices.push((pair >> 32) as u32);
            self.values.push(f32::from_bits(pair as u32));
        }
    }
}

/// Checks a body and returns how many values it holds.
pub(super) fn validate(
    reader: Reader<'_>,
    layout: &Layout,
    chunk: u32,
    keep: u32,
    limits: &Limits,
) -> Result<usize, DecodeError> {
    let mut count = Count::default();
    walk(reader, layout, chunk, keep, limits, &mut count)?;
    Ok(count.0)
}

/// Checks a body, then builds positions and values.
pub(super) fn decode(
    reader: Reader<'_>,
    layout: &Layout,
    chunk: u32,
    keep: u32,
    limits: &Limits,
) -> Result<(Vec<u32>, Vec<f32>), DecodeError> {
    let total = validate(reader.clone(), layout, chunk, keep, limits)?;
    let mut build = Build {
        indices: Vec::with_capacity(total),
        values: Vec::with_capacity(total),
        pending: Vec::new(),
    };
    walk(reader, layout, chunk, keep, limits, &mut build)?;
    Ok((build.indices, build.values))
}

fn walk(
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
            index_bits: chunk.trailing_zeros(),
        };
        let used = section.read(&mut reader, |len| kept_of(len, chunk, keep), sink)?;
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
    index_bits: u32,
}

impl Section<'_> {
    /// Reads every chunk into `sink` and returns how often each symbol occurs.
    fn read(
        &self,
        reader: &mut Reader<'_>,
        kept_of: impl Fn(usize) -> u32,
        sink: &mut impl Sink,
    ) -> Result<[u64; 4], DecodeError> {
        let mut used = [0u64; 4];
        let (mut indices, mut symbols) = (Vec::new(), Vec::new());
        let mut bits = BitReader::new(reader.rest());
        for number in 0..self.blocks.chunks() {
            let len = self.blocks.len(number);
            let limit = kept_of(len);
            let truncated = || reader.truncated(reader.rest().len() as u64 + 1);
            let count = bits.take(width(limit)).ok_or_else(truncated)?;
            if count > limit {
                let tensor = self.tensor.to_owned();
                return Err(DecodeError::Count {
                    tensor,
                    chunk: number,
                    limit,
                    found: count,
                });
            }
            if !bits.holds(u64::from(count) * u64::from(self.index_bits + 2)) {
                return Err(truncated());
            }
            indices.clear();
            for _ in 0..count {
                let index = bits.take(self.index_bits).ok_or_else(truncated)?;
                self.check_index(number, len as u32, indices.last().copied(), index)?;
                indices.push(index);
            }
            symbols.clear();
            for _ in 0..count {
                let symbol = bits.take(2).ok_or_else(truncated)?;
                used[symbol as usize] += 1;
                symbols.push(symbol as u8);
            }
            let (offset, blocks, table) = (self.offset, self.blocks, self.table);
            sink.chunk(
                &ChunkPlace {
                    offset,
                    blocks,
                    number,
                    table,
                },
                &indices,
                &symbols,
            );
        }
        let padding = bits.padding();
        if padding != 0 {
            return Err(DecodeError::Padding {
                tensor: self.tensor.to_owned(),
                found: padding,
            });
        }
        reader.take(bits.bytes())?;
        Ok(used)
    }

    fn check_index(
        &self,
        chunk: usize,
        limit: u32,
        previous: Option<u32>,
        found: u32,
    ) -> Result<(), DecodeError> {
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
