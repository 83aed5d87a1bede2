//! Codecs 3 and 6: what is kept of every chunk, bit by bit.

use super::super::sums::decimal;
use super::{Bytes, PayloadError, cosines};
use archipel_protocol::{
    charter::plan::{CodecKind, ExchangePlan},
    layout::{Layout, TensorSpec},
};

/// A section a tensor, in one stream of bits. Returns the sum of squares, table by table.
pub(super) fn read_sparse(
    bytes: &mut Bytes<'_>,
    exchange: &ExchangePlan,
    layout: &Layout,
    values: &mut Vec<f32>,
) -> Result<f64, PayloadError> {
    let (chunk, keep) = (exchange.chunk, exchange.keep);
    let fours = [16, 64, 256, 1024, 4096, 16_384, 65_536];
    let narrow = u32::try_from(layout.parameters()).is_ok();
    let long = exchange.codec == CodecKind::Demo && chunk > 4096;
    if !fours.contains(&chunk) || keep == 0 || keep > chunk || !narrow || long {
        return Err(PayloadError::Sparsity { chunk, keep });
    }
    for (field, expected) in [("the chunk", chunk), ("keep", keep)] {
        let (expected, found) = (u64::from(expected), bytes.number(4)?);
        if found != expected {
            return Err(PayloadError::Field {
                field,
                expected,
                found,
            });
        }
    }
    values.resize(layout.parameters(), 0.0);
    let mut squares = 0.0;
    let mut rest = values.as_mut_slice();
    let mut bits = Bits { bytes, taken: 0 };
    for tensor in layout.tensors() {
        let (own, others) = rest.split_at_mut(tensor.parameters());
        let section = read_section(&mut bits, exchange, tensor)?;
        squares += section.squares();
        section.spread(exchange, tensor, own);
        rest = others;
    }
    match bits.fill_with_zeros()? {
        true => Ok(squares),
        false => Err(PayloadError::Padding),
    }
}

/// What is kept of one tensor.
#[derive(Default)]
struct Section {
    table: [f32; 4],
    /// Chunk, position in it, whether positive, whether in an outer bin.
    kept: Vec<(usize, usize, bool, bool)>,
}

impl Section {
    fn symbol(positive: bool, outer: bool) -> usize {
        match (positive, outer) {
            (false, true) => 0,
            (false, false) => 1,
            (true, false) => 2,
            (true, true) => 3,
        }
    }

    fn used(&self) -> [u64; 4] {
        let mut used = [0; 4];
        for (_, _, positive, outer) in &self.kept {
            used[Self::symbol(*positive, *outer)] += 1;
        }
        used
    }

    fn squares(&self) -> f64 {
        let mut squares = 0.0;
        for (entry, count) in self.table.into_iter().zip(self.used()) {
            squares += count as f64 * (f64::from(entry) * f64::from(entry));
        }
        squares
    }

    /// Writes what the section stands for.
    fn spread(&self, exchange: &ExchangePlan, tensor: &TensorSpec, values: &mut [f32]) {
        let chunk = exchange.chunk as usize;
        let side = 1usize << (chunk.ilog2() / 2);
        for number in 0..values.len().div_ceil(chunk) {
            let length = chunk.min(values.len() - number * chunk);
            let mut window = vec![0.0; length];
            for (_, index, positive, outer) in self.kept.iter().filter(|kept| kept.0 == number) {
                window[*index] = self.table[Self::symbol(*positive, *outer)];
            }
            if exchange.codec == CodecKind::Demo {
                let square = is_square(&tensor.shape, side);
                window = cosines::back(&window, side, square);
            }
            for (index, value) in window.into_iter().enumerate() {
                values[place(&tensor.shape, chunk, number, index)] = value;
            }
        }
    }
}

fn read_section(
    bits: &mut Bits<'_, '_>,
    exchange: &ExchangePlan,
    tensor: &TensorSpec,
) -> Result<Section, PayloadError> {
    let name = || tensor.name.clone();
    let mut section = Section::default();
    let present: Vec<bool> = (0..4)
        .map(|_| bits.bit().map(|bit| bit == 1))
        .collect::<Result<_, _>>()?;
    for (entry, present) in section.table.iter_mut().zip(&present) {
        if *present {
            *entry = f32::from_bits((bits.number(16)? as u32) << 16);
        }
    }
    if present.contains(&true) {
        let parameter = |bits: &mut Bits<'_, '_>| match bits.number(5)? {
            found @ 0..=16 => Ok(found as u32),
            found => Err(PayloadError::Parameter {
                tensor: name(),
                found,
            }),
        };
        let (k, k_outer) = (parameter(bits)?, parameter(bits)?);
        read_positions(bits, exchange, tensor, k, &mut section)?;
        read_outer(bits, tensor, k_outer, &mut section)?;
    }
    let (found, used) = (section.table, section.used());
    let limit = match exchange.codec {
        // What they decode to is limited, not the coefficients.
        CodecKind::Demo => f32::MAX,
        _ => decimal(exchange.max_abs),
    };
    if !table_fits(&found, &present, &used, limit) {
        let tensor = name();
        return Err(PayloadError::Table {
            tensor,
            found,
            used,
        });
    }
    Ok(section)
}

/// For every chunk, how many values are kept, gaps before their positions, and their signs.
fn read_positions(
    bits: &mut Bits<'_, '_>,
    exchange: &ExchangePlan,
    tensor: &TensorSpec,
    k: u32,
    section: &mut Section,
) -> Result<(), PayloadError> {
    let (chunk, keep, all) = (
        exchange.chunk as usize,
        exchange.keep as usize,
        tensor.parameters(),
    );
    for (number, first) in (0..all).step_by(chunk).enumerate() {
        let length = chunk.min(all - first);
        let limit = (keep * length).div_ceil(chunk);
        let count = match bits.bit()? {
            1 => limit,
            _ => {
                // As many bits as the largest number, limit - 1, needs.
                let width = (0..).find(|width| limit - 1 < 1 << width);
                let found = bits.number(width.expect("some width holds it"))?;
                if found >= limit {
                    return Err(PayloadError::Count {
                        tensor: tensor.name.clone(),
                        chunk: number,
                        limit,
                        found,
                    });
                }
                found
            }
        };
        let mut next = 0;
        for _ in 0..count {
            let index = next + bits.rice(k, tensor, next, length)?;
            let positive = bits.bit()? == 1;
            section.kept.push((number, index, positive, false));
            next = index + 1;
        }
    }
    Ok(())
}

/// Gaps between values of outer bins; the last leads to the end.
fn read_outer(
    bits: &mut Bits<'_, '_>,
    tensor: &TensorSpec,
    k: u32,
    section: &mut Section,
) -> Result<(), PayloadError> {
    let end = section.kept.len();
    let mut next = 0;
    loop {
        let outer = next + bits.rice(k, tensor, next, end + 1)?;
        if outer == end {
            return Ok(());
        }
        section.kept[outer].3 = true;
        next = outer + 1;
    }
}

/// Entries are there where they are used, on their side of zero, in order and within the limit.
fn table_fits(table: &[f32; 4], present: &[bool], used: &[u64; 4], limit: f32) -> bool {
    let signs = [-1.0, -1.0, 1.0, 1.0];
    let fits = |entry: usize| {
        let value = table[entry];
        let valid = value.is_finite() && value * signs[entry] > 0.0 && value.abs() <= limit;
        present[entry] == (used[entry] > 0) && (!present[entry] || valid)
    };
    let ordered = |outer: usize, inner: usize| {
        !present[outer] || !present[inner] || table[outer].abs() >= table[inner].abs()
    };
    (0..4).all(fits) && ordered(0, 1) && ordered(3, 2)
}

fn is_square(shape: &[u32], side: usize) -> bool {
    let fits = |length: &u32| (*length as usize).is_multiple_of(side);
    shape.len() == 2 && shape.iter().all(fits)
}

/// Position in the tensor of value `index` of a chunk.
fn place(shape: &[u32], chunk: usize, number: usize, index: usize) -> usize {
    let side = 1usize << (chunk.ilog2() / 2);
    if !is_square(shape, side) {
        return number * chunk + index;
    }
    let columns = shape[1] as usize;
    let blocks_across = columns / side;
    let (block_row, block_column) = (number / blocks_across, number % blocks_across);
    let row = block_row * side + index / side;
    let column = block_column * side + index % side;
    row * columns + column
}

/// Bits from the lowest of a byte to its highest, byte after byte.
struct Bits<'a, 'b> {
    bytes: &'b mut Bytes<'a>,
    /// Bits of the byte before `bytes.at` that are taken; none where 0 or 8.
    taken: u32,
}

impl Bits<'_, '_> {
    fn bit(&mut self) -> Result<usize, PayloadError> {
        if self.taken.is_multiple_of(8) {
            self.bytes.take(1)?;
            self.taken = 0;
        }
        let byte = self.bytes.all[self.bytes.at - 1];
        let bit = byte >> self.taken & 1;
        self.taken += 1;
        Ok(usize::from(bit))
    }

    fn number(&mut self, width: u32) -> Result<usize, PayloadError> {
        let mut number = 0;
        for place in 0..width {
            number |= self.bit()? << place;
        }
        Ok(number)
    }

    /// A gap from `first` that leads below `limit`: its quotient as zeros before a one, its
    /// remainder in `k` bits.
    fn rice(
        &mut self,
        k: u32,
        tensor: &TensorSpec,
        first: usize,
        limit: usize,
    ) -> Result<usize, PayloadError> {
        let within = |found: usize| match first + found < limit {
            true => Ok(found),
            false => Err(PayloadError::Gap {
                tensor: tensor.name.clone(),
                first,
                limit,
                found,
            }),
        };
        let mut found = within(0)?;
        while self.bit()? == 0 {
            found = within(found + (1 << k))?;
        }
        within(found + self.number(k)?)
    }

    /// Takes the bits up to the end of a byte, and says whether all are zero.
    fn fill_with_zeros(&mut self) -> Result<bool, PayloadError> {
        let mut any = 0;
        while !self.taken.is_multiple_of(8) {
            any |= self.bit()?;
        }
        Ok(any == 0)
    }
}
