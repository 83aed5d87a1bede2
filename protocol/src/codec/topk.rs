//! `topk-2bit`: the largest magnitudes of every chunk, in two bits each.
//!
//! A tensor's section is a table of four means, then, chunk by chunk, the number of kept values,
//! their ascending positions in the chunk, and their symbols, in one stream of bits.

mod bits;
mod blocks;
mod select;
mod table;
mod walk;

use super::frame::{self, Reader};
use super::pieces::{Kept, Piece};
use super::{CodecError, DecodeError, Limits, lanes};
use crate::layout::{Layout, TensorSpec};
use bits::BitWriter;
use blocks::Blocks;
use select::Selector;
use table::Table;
use walk::{ChunkPlace, Sink, walk};

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

impl Kept {
    fn clear(&mut self) {
        self.counts.clear();
        self.indices.clear();
        self.values.clear();
    }
}

/// The chunks, tensor after tensor.
pub(super) fn pieces(layout: &Layout, chunk: u32, keep: u32) -> Vec<Piece> {
    let of_tensor = |(tensor, spec): (usize, &TensorSpec)| {
        let (offset, blocks) = (layout.offset(tensor), Blocks::new(spec, chunk));
        let piece = |number| {
            let len = blocks.len(number);
            let limit = kept_of(len, chunk, keep);
            let run = Piece::run(offset + blocks.position(number, 0), len, limit);
            match blocks {
                Blocks::Flat { .. } => run,
                Blocks::Square { columns, side, .. } => Piece {
                    row: side as u32,
                    stride: columns as u32,
                    ..run
                },
            }
        };
        (0..blocks.chunks()).map(piece).collect::<Vec<_>>()
    };
    layout
        .tensors()
        .iter()
        .enumerate()
        .flat_map(of_tensor)
        .collect()
}

/// Writes settings and sections of what was kept of all tensors.
pub(super) fn write_kept(layout: &Layout, chunk: u32, keep: u32, kept: &Kept, out: &mut Vec<u8>) {
    out.extend_from_slice(&chunk.to_le_bytes());
    out.extend_from_slice(&keep.to_le_bytes());
    let (mut first, mut start) = (0, 0);
    for spec in layout.tensors() {
        let blocks = Blocks::new(spec, chunk);
        let counts = &kept.counts[first..first + blocks.chunks()];
        let end = start + counts.iter().map(|count| *count as usize).sum::<usize>();
        let of_tensor = Kept {
            counts: counts.to_vec(),
            indices: kept.indices[start..end].to_vec(),
            values: kept.values[start..end].to_vec(),
        };
        write_section(&blocks, chunk, keep, &of_tensor, out);
        (first, start) = (first + counts.len(), end);
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
