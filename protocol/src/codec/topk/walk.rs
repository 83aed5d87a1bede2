//! Reads a body once, checking everything, and shows what it holds to a sink.

use super::bits::{BitReader, Broken};
use super::blocks::Blocks;
use super::table::{Table, symbol_of};
use super::{Sparsity, kept_of, rice, width};
use crate::codec::DecodeError;
use crate::codec::Limits;
use crate::codec::frame::{self, Reader};
use crate::layout::Layout;

/// Receives the tensors of a body while it is checked.
pub(in crate::codec) trait Sink {
    fn section(&mut self, section: &Section<'_>);
}

/// What a body holds of one tensor.
pub(in crate::codec) struct Section<'a> {
    /// Position of the tensor in the flat vector.
    pub(in crate::codec) offset: usize,
    pub(in crate::codec) blocks: &'a Blocks,
    pub(super) table: &'a Table,
    /// Values kept of each chunk; none at all where nothing is kept of the tensor.
    pub(in crate::codec) counts: &'a [u32],
    /// Their positions in their chunks.
    pub(in crate::codec) indices: &'a [u32],
    /// Their symbols.
    pub(super) symbols: &'a [u8],
}

impl Section<'_> {
    /// The values kept, one an index.
    pub(in crate::codec) fn values(&self) -> impl Iterator<Item = f32> {
        self.symbols.iter().map(|symbol| self.table.value(*symbol))
    }
}

/// Checks a body from front to back and hands its tensors to `sink`.
pub(in crate::codec) fn walk(
    mut reader: Reader<'_>,
    layout: &Layout,
    sparsity: Sparsity,
    limits: &Limits,
    sink: &mut impl Sink,
) -> Result<(), DecodeError> {
    let found_chunk = u32::from_le_bytes(reader.array()?);
    let found_keep = u32::from_le_bytes(reader.array()?);
    let found = (found_keep, found_chunk);
    let expected = (sparsity.keep, sparsity.chunk);
    if found != expected {
        return Err(DecodeError::Sparsity { expected, found });
    }
    let mut bits = BitReader::new(reader.rest());
    let mut lists = Lists::default();
    let mut squares = 0.0;
    for (tensor, spec) in layout.tensors().iter().enumerate() {
        let source = Source {
            tensor: &spec.name,
            offset: layout.offset(tensor),
            blocks: &Blocks::new(spec, sparsity.chunk),
            sparsity,
            limits,
            reader: &reader,
        };
        squares += source.read(&mut bits, &mut lists, sink)?;
    }
    let found = bits.padding();
    if found != 0 {
        return Err(DecodeError::Padding { found });
    }
    reader.take(bits.bytes())?;
    reader.expect_rest(0)?;
    frame::check_norm(squares, limits)
}

/// Memory reused from tensor to tensor. What is kept costs two bits at the least, so that it grows
/// with the bytes that are there and not with what they declare.
#[derive(Default)]
struct Lists {
    counts: Vec<u32>,
    indices: Vec<u32>,
    symbols: Vec<u8>,
}

/// Where one tensor is read from.
struct Source<'a> {
    tensor: &'a str,
    offset: usize,
    blocks: &'a Blocks,
    sparsity: Sparsity,
    limits: &'a Limits,
    reader: &'a Reader<'a>,
}

impl Source<'_> {
    /// Reads one tensor, hands it on, and returns its sum of squares.
    fn read(
        &self,
        bits: &mut BitReader<'_>,
        lists: &mut Lists,
        sink: &mut impl Sink,
    ) -> Result<f64, DecodeError> {
        lists.counts.clear();
        lists.indices.clear();
        lists.symbols.clear();
        let table = Table::read(bits, self.tensor, self.limits).map_err(|_| self.short(bits))??;
        if !table.is_empty() {
            let k = self.parameter(bits)?;
            let k_outer = self.parameter(bits)?;
            for number in 0..self.blocks.chunks() {
                let count = self.read_count(number, bits)?;
                self.read_chunk(number, count, k, bits, lists)?;
                lists.counts.push(count);
            }
            self.read_outer(k_outer, bits, &mut lists.symbols)?;
        }
        let mut used = [0u64; 4];
        for symbol in &lists.symbols {
            used[usize::from(*symbol & 3)] += 1;
        }
        let squares = table.check_use(used, self.tensor)?;
        sink.section(&Section {
            offset: self.offset,
            blocks: self.blocks,
            table: &table,
            counts: &lists.counts,
            indices: &lists.indices,
            symbols: &lists.symbols,
        });
        Ok(squares)
    }

    fn parameter(&self, bits: &mut BitReader<'_>) -> Result<u32, DecodeError> {
        let found = bits.take(5).map_err(|_| self.short(bits))?;
        if found > rice::MAX_PARAMETER {
            let tensor = self.tensor.to_owned();
            return Err(DecodeError::Parameter {
                tensor,
                limit: rice::MAX_PARAMETER,
                found,
            });
        }
        Ok(found)
    }

    /// Reads how many values a chunk keeps.
    fn read_count(&self, chunk: usize, bits: &mut BitReader<'_>) -> Result<u32, DecodeError> {
        let limit = kept_of(self.blocks.len(chunk), self.sparsity);
        if bits.take(1).map_err(|_| self.short(bits))? == 1 {
            return Ok(limit);
        }
        let found = bits.take(width(limit - 1)).map_err(|_| self.short(bits))?;
        if found >= limit {
            let tensor = self.tensor.to_owned();
            return Err(DecodeError::Count {
                tensor,
                chunk,
                limit,
                found,
            });
        }
        Ok(found)
    }

    /// Reads positions and signs of a chunk.
    fn read_chunk(
        &self,
        chunk: usize,
        count: u32,
        k: u32,
        bits: &mut BitReader<'_>,
        lists: &mut Lists,
    ) -> Result<(), DecodeError> {
        let limit = self.blocks.len(chunk) as u32;
        let mut next = 0;
        for _ in 0..count {
            let most = limit.checked_sub(next + 1).ok_or(Broken::Large);
            let pair = most.and_then(|most| bits.take_rice_and_bit(k, most));
            let (gap, positive) = pair.map_err(|broken| match broken {
                Broken::Short => self.short(bits),
                Broken::Large => DecodeError::IndexRange {
                    tensor: self.tensor.to_owned(),
                    chunk,
                    limit,
                },
            })?;
            lists.indices.push(next + gap);
            lists.symbols.push(symbol_of(positive, 0));
            next += gap + 1;
        }
        Ok(())
    }

    /// Reads which values lie in an outer bin: gaps between them, and one to the end.
    fn read_outer(
        &self,
        k: u32,
        bits: &mut BitReader<'_>,
        symbols: &mut [u8],
    ) -> Result<(), DecodeError> {
        let mut next = 0;
        loop {
            let most = (symbols.len() - next) as u32;
            let gap = bits.take_rice(k, most).map_err(|broken| match broken {
                Broken::Short => self.short(bits),
                Broken::Large => DecodeError::OuterRange {
                    tensor: self.tensor.to_owned(),
                    kept: symbols.len(),
                },
            })?;
            next += gap as usize;
            let Some(symbol) = symbols.get_mut(next) else {
                return Ok(());
            };
            *symbol = if *symbol == symbol_of(1, 0) {
                symbol_of(1, 1)
            } else {
                symbol_of(0, 1)
            };
            next += 1;
        }
    }

    fn short(&self, bits: &BitReader<'_>) -> DecodeError {
        let there = self.reader.rest().len() as u64;
        self.reader.truncated((bits.bytes() as u64).max(there + 1))
    }
}
