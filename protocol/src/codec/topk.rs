//! `topk-2bit`: the largest magnitudes of every chunk, in two bits each and less.
//!
//! A tensor's section is a table of four means, then, chunk by chunk, how many values are kept, and
//! the gaps between their positions in Rice code, each followed by a sign; and at its end the gaps
//! between the values of an outer bin. The body is one stream of bits. 64 of 4096 positions have
//! 7.36 bits of information each; with sign and bin they take 8.9 on a real pseudo-gradient.

mod bits;
mod blocks;
mod build;
mod rice;
mod select;
mod table;
mod walk;

use super::CodecError;
use super::frame;
use super::pieces::{Kept, Piece};
use crate::layout::{Layout, TensorSpec};
use bits::BitWriter;
use select::Selector;
use table::Table;

pub(super) use blocks::Blocks;
pub(super) use build::{decode, validate};
pub(super) use walk::{Section, Sink, walk};

/// How much of a chunk is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sparsity {
    /// Values in a chunk.
    pub(super) chunk: u32,
    /// Values kept of a full one.
    pub(super) keep: u32,
}

/// Values kept of a chunk of `len`: `⌈keep · len / chunk⌉`.
fn kept_of(len: usize, sparsity: Sparsity) -> u32 {
    (len as u64 * u64::from(sparsity.keep)).div_ceil(u64::from(sparsity.chunk)) as u32
}

/// Bits that hold every number from 0 to `largest`.
fn width(largest: u32) -> u32 {
    u32::BITS - largest.leading_zeros()
}

/// The most bytes a body can have: every chunk full.
pub(super) fn max_body_bytes(layout: &Layout, sparsity: Sparsity) -> u64 {
    let tensors = layout.tensors().iter();
    let bits: u64 = tensors.map(|tensor| most_bits(tensor, sparsity)).sum();
    8 + bits.div_ceil(8)
}

/// The most bits of a tensor: its table, two parameters, counts, positions, signs and bins.
fn most_bits(tensor: &TensorSpec, sparsity: Sparsity) -> u64 {
    let len = tensor.parameters();
    let chunk = sparsity.chunk as usize;
    let (full, rest) = ((len / chunk) as u64, len % chunk);
    let (of_full, of_rest) = (kept_of(chunk, sparsity), kept_of(rest, sparsity));
    let kept = full * u64::from(of_full) + u64::from(of_rest);
    let count_bits = |limit: u32| 1 + u64::from(width(limit.saturating_sub(1)));
    let counts = full * count_bits(of_full) + u64::from(rest > 0) * count_bits(of_rest);
    // The gap behind the last outer value takes one bit more.
    Table::MOST_BITS + 10 + counts + most_kept_bits(kept, len as u64) + 1
}

/// The most bits of positions, signs and bins of `kept` values among `length`. Gaps between outer
/// values take at most a bit a value, with parameter 0.
pub(super) fn most_kept_bits(kept: u64, length: u64) -> u64 {
    rice::most_bits(kept, length) + 2 * kept
}

/// Writes settings and sections. `transform` changes a chunk before its largest values are chosen.
pub(super) fn encode(
    layout: &Layout,
    sparsity: Sparsity,
    values: &[f32],
    mut transform: impl FnMut(&Blocks, &mut [f32]),
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    write_settings(sparsity, out);
    let mut writer = BitWriter::new(out);
    let mut kept = Kept::default();
    let mut selector = Selector::default();
    let mut window = Vec::new();
    for (tensor, spec) in layout.tensors().iter().enumerate() {
        let range = layout.range(tensor);
        let blocks = Blocks::new(spec, sparsity.chunk);
        kept.clear();
        for number in 0..blocks.chunks() {
            blocks.gather(&values[range.clone()], number, &mut window);
            transform(&blocks, &mut window);
            let limit = kept_of(window.len(), sparsity) as usize;
            if !selector.select(&window, limit, &mut kept) {
                frame::require_finite(layout, range.start, &values[range.clone()])?;
                // The values are finite, their transform is not.
                let (tensor, index) = (spec.name.clone(), blocks.position(number, 0));
                return Err(CodecError::NotFinite { tensor, index });
            }
        }
        write_section(&blocks, sparsity, &kept, &mut writer);
    }
    writer.finish();
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
pub(super) fn pieces(layout: &Layout, sparsity: Sparsity) -> Vec<Piece> {
    let of_tensor = |(tensor, spec): (usize, &TensorSpec)| {
        let (offset, blocks) = (layout.offset(tensor), Blocks::new(spec, sparsity.chunk));
        let piece = |number| {
            let len = blocks.len(number);
            let limit = kept_of(len, sparsity);
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
pub(super) fn write_kept(layout: &Layout, sparsity: Sparsity, kept: &Kept, out: &mut Vec<u8>) {
    write_settings(sparsity, out);
    let mut writer = BitWriter::new(out);
    let (mut first, mut start) = (0, 0);
    for spec in layout.tensors() {
        let blocks = Blocks::new(spec, sparsity.chunk);
        let counts = &kept.counts[first..first + blocks.chunks()];
        let end = start + counts.iter().map(|count| *count as usize).sum::<usize>();
        let of_tensor = Kept {
            counts: counts.to_vec(),
            indices: kept.indices[start..end].to_vec(),
            values: kept.values[start..end].to_vec(),
        };
        write_section(&blocks, sparsity, &of_tensor, &mut writer);
        (first, start) = (first + counts.len(), end);
    }
    writer.finish();
}

fn write_settings(sparsity: Sparsity, out: &mut Vec<u8>) {
    out.extend_from_slice(&sparsity.chunk.to_le_bytes());
    out.extend_from_slice(&sparsity.keep.to_le_bytes());
}

fn write_section(blocks: &Blocks, sparsity: Sparsity, kept: &Kept, out: &mut BitWriter<'_>) {
    let (table, edge) = Table::of(&kept.values);
    table.write(out);
    if table.is_empty() {
        return;
    }
    let mut gaps = rice::Cost::default();
    each_gap(kept, |gap| gaps.add(gap));
    let mut outer_gaps = rice::Cost::default();
    each_outer_gap(&kept.values, edge, |gap| outer_gaps.add(gap));
    let (k, k_outer) = (gaps.best(), outer_gaps.best());
    out.put(k, 5);
    out.put(k_outer, 5);
    let mut start = 0;
    for (number, count) in kept.counts.iter().copied().enumerate() {
        let limit = kept_of(blocks.len(number), sparsity);
        let full = count == limit;
        out.put(u32::from(full), 1);
        if !full {
            out.put(count, width(limit - 1));
        }
        let range = start..start + count as usize;
        start = range.end;
        let mut next = 0;
        for (index, value) in kept.indices[range.clone()].iter().zip(&kept.values[range]) {
            out.put_rice(index - next, k, u32::from(*value > 0.0), 1);
            next = index + 1;
        }
    }
    each_outer_gap(&kept.values, edge, |gap| out.put_rice(gap, k_outer, 0, 0));
}

/// The gaps before the positions of every chunk.
fn each_gap(kept: &Kept, mut visit: impl FnMut(u32)) {
    let mut start = 0;
    for count in &kept.counts {
        let end = start + *count as usize;
        let mut next = 0;
        for index in &kept.indices[start..end] {
            visit(index - next);
            next = index + 1;
        }
        start = end;
    }
}

/// The gaps before the values of an outer bin, and the one before the end.
fn each_outer_gap(values: &[f32], edge: f64, mut visit: impl FnMut(u32)) {
    let mut next = 0;
    for (position, value) in values.iter().enumerate() {
        if f64::from(value.abs()) > edge {
            visit((position - next) as u32);
            next = position + 1;
        }
    }
    visit((values.len() - next) as u32);
}
