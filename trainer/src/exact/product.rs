//! Matrix products whose every bit is defined, whatever the machine.
//!
//! The definition (in code: `exact::definition::product`): the inner dimension is cut into blocks
//! of [`BLOCK`]; within a block, products are fused into a sum that starts at zero, in order; the
//! block's sum is stored, or added to what is there, in block order:
//!
//! ```text
//! for each block:  s = 0;  for k in block: s = fma(a[i,k], b[k,j], s);   c[i,j] = c[i,j] + s
//! ```
//!
//! Tiles, panels and threads only decide which elements are worked on at once. A tile is held in
//! registers: rows of the left factor against a panel of columns of the right one, which lies
//! packed so that a panel's rows follow each other.

use super::isa::{Isa, fused, prefetch};
use std::cell::RefCell;

/// Rows of the inner dimension that one sum covers.
pub(crate) const BLOCK: usize = 256;
/// Rows of the left factor that stay in the second-level cache beside a panel.
const STRIP: usize = 96;
/// Rows that are packed together.
const PACKED_AT_ONCE: usize = 8;

/// What a product does with what the result holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Into {
    /// Overwrites it.
    Set,
    /// Adds to it.
    Add,
}

/// Columns of a panel for an instruction set.
fn panel_columns(isa: Isa) -> usize {
    match isa {
        Isa::Avx512 => 32,
        Isa::Avx2 | Isa::Scalar => 16,
    }
}

/// A matrix of rows that lie `stride` apart.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// The values, from the first of the first row on.
    pub(crate) values: &'a [f32],
    /// From one row's first value to the next one's.
    pub(crate) stride: usize,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(values: &'a [f32], stride: usize) -> Self {
        Self { values, stride }
    }

    #[inline(always)]
    fn row(&self, row: usize, from: usize, count: usize) -> &'a [f32] {
        &self.values[row * self.stride + from..][..count]
    }
}

/// A right factor, packed: block by block of the inner dimension, panel by panel of columns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packed {
    inner: usize,
    columns: usize,
    /// Columns of a panel.
    panel: usize,
    values: Vec<f32>,
}

impl Packed {
    /// Packs a matrix of `inner` rows and `columns` columns.
    pub(crate) fn rows(matrix: Rows<'_>, inner: usize, columns: usize) -> Self {
        let mut packed = Self::default();
        packed.pack_rows(matrix, inner, columns);
        packed
    }

    /// Packs the transpose of a matrix of `columns` rows and `inner` columns.
    pub(crate) fn transposed(matrix: Rows<'_>, inner: usize, columns: usize) -> Self {
        let mut packed = Self::default();
        packed.pack_transposed(matrix, inner, columns);
        packed
    }

    /// [`Self::rows`] into the buffer at hand.
    pub(crate) fn pack_rows(&mut self, matrix: Rows<'_>, inner: usize, columns: usize) {
        self.reshape(inner, columns);
        let panel = self.panel;
        let width = columns.next_multiple_of(panel).max(1);
        for (block, values) in self.values.chunks_mut(BLOCK * width).enumerate() {
            let depth = values.len() / width;
            // A few rows at a time: their lines are read one after the other.
            for top in (0..depth).step_by(PACKED_AT_ONCE) {
                let rows = PACKED_AT_ONCE.min(depth - top);
                for (index, out) in values.chunks_exact_mut(depth * panel).enumerate() {
                    let count = panel.min(columns - index * panel);
                    let out = out[top * panel..].chunks_exact_mut(panel).take(rows);
                    for (k, out) in out.enumerate() {
                        let row = matrix.row(block * BLOCK + top + k, index * panel, count);
                        out[..count].copy_from_slice(row);
                        out[count..].fill(0.0);
                    }
                }
            }
        }
    }

    /// [`Self::transposed`] into the buffer at hand.
    pub(crate) fn pack_transposed(&mut self, matrix: Rows<'_>, inner: usize, columns: usize) {
        self.reshape(inner, columns);
        let panel = self.panel;
        self.each_panel(|from, depth, first, out| {
            let count = panel.min(columns - first);
            if count < panel {
                out.fill(0.0);
            }
            transpose(
                |column| matrix.row(first + column, from, depth),
                count,
                panel,
                out,
            );
        });
    }

    /// Rows and columns.
    pub(crate) fn shape(&self) -> (usize, usize) {
        (self.inner, self.columns)
    }

    fn reshape(&mut self, inner: usize, columns: usize) {
        self.panel = panel_columns(Isa::current());
        (self.inner, self.columns) = (inner, columns);
        self.values
            .resize(inner * columns.next_multiple_of(self.panel), 0.0);
    }

    /// Calls `fill` with each panel: its first inner row, how many, its first column, its values.
    fn each_panel(&mut self, mut fill: impl FnMut(usize, usize, usize, &mut [f32])) {
        let width = self.columns.next_multiple_of(self.panel);
        for (block, values) in self.values.chunks_mut(BLOCK * width.max(1)).enumerate() {
            let depth = values.len() / width;
            for (index, out) in values.chunks_exact_mut(depth * self.panel).enumerate() {
                fill(block * BLOCK, depth, index * self.panel, out);
            }
        }
    }

    /// The panel of block `block` that begins with column `first`, `depth` rows of it.
    #[inline(always)]
    fn panel(&self, block: usize, first: usize, depth: usize) -> &[f32] {
        let width = self.columns.next_multiple_of(self.panel);
        let whole = BLOCK.min(self.inner - block * BLOCK);
        &self.values[block * BLOCK * width + first * whole..][..depth * self.panel]
    }
}

/// Writes `count` rows of `row` as the first columns of rows of `panel` values.
fn transpose<'a>(row: impl Fn(usize) -> &'a [f32], count: usize, panel: usize, out: &mut [f32]) {
    let mut at = 0;
    while at + 8 <= count {
        let rows: [&[f32]; 8] = std::array::from_fn(|i| row(at + i));
        let depth = rows[0].len();
        let rows = rows.map(|row| &row[..depth]);
        for (k, out) in out.chunks_exact_mut(panel).take(depth).enumerate() {
            let eight: &mut [f32; 8] = (&mut out[at..at + 8]).try_into().expect("eight columns");
            for i in 0..8 {
                eight[i] = rows[i][k];
            }
        }
        at += 8;
    }
    for column in at..count {
        for (value, out) in row(column).iter().zip(out.chunks_exact_mut(panel)) {
            out[column] = *value;
        }
    }
}

/// Sizes of a product: `rows × inner` by `inner × columns`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) rows: usize,
    pub(crate) inner: usize,
    pub(crate) columns: usize,
}

/// c = a · b, or c += a · b, where `size` may take fewer rows of `b`'s inner dimension and fewer
/// of its columns than were packed.
///
/// # Shapes
/// `a [rows, inner]`, `b [≥ inner, ≥ columns]`, `c [rows, columns]` with rows `stride` apart.
pub(crate) fn multiply(
    size: Size,
    a: Rows<'_>,
    b: &Packed,
    c: &mut [f32],
    stride: usize,
    into: Into,
) {
    assert!(
        size.inner <= b.inner && size.columns <= b.columns,
        "b has {size:?}"
    );
    BUFFERS.with_borrow_mut(|Buffers { left, .. }| match (Isa::current(), b.panel) {
        // SAFETY: a choice is made only of instructions that the machine said it has.
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        (Isa::Avx512, 32) => unsafe { wide(size, a, left, b, c, stride, into) },
        // SAFETY: as above; AVX-512 machines have AVX2.
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        (Isa::Avx2 | Isa::Avx512, 16) => unsafe { middle(size, a, left, b, c, stride, into) },
        (_, 16) => sweep::<1, 16>(size, a, left, b, c, stride, into),
        (_, _) => sweep::<1, 32>(size, a, left, b, c, stride, into),
    });
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
fn wide(
    size: Size,
    a: Rows<'_>,
    left: &mut Vec<f32>,
    b: &Packed,
    c: &mut [f32],
    stride: usize,
    into: Into,
) {
    sweep::<12, 32>(size, a, left, b, c, stride, into);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn middle(
    size: Size,
    a: Rows<'_>,
    left: &mut Vec<f32>,
    b: &Packed,
    c: &mut [f32],
    stride: usize,
    into: Into,
) {
    sweep::<6, 16>(size, a, left, b, c, stride, into);
}

/// c = aᵀ · b, or c += aᵀ · b: what weights learn from rows of activations.
///
/// # Shapes
/// `a [inner, rows]`, `b [inner, columns]`, `c [rows, columns]` with rows `stride` apart.
pub(crate) fn multiply_transposed(
    size: Size,
    a: Rows<'_>,
    b: Rows<'_>,
    c: &mut [f32],
    stride: usize,
    into: Into,
) {
    BUFFERS.with_borrow_mut(|buffers| {
        for (block, from) in (0..size.inner).step_by(BLOCK).enumerate() {
            let inner = BLOCK.min(size.inner - from);
            let into = if block == 0 { into } else { Into::Add };
            let size = Size { inner, ..size };
            let a = Rows::new(&a.values[from * a.stride..], a.stride);
            let b = Rows::new(&b.values[from * b.stride..], b.stride);
            buffers.right.pack_rows(b, inner, size.columns);
            let (left, right) = (&mut buffers.left, &buffers.right);
            match (Isa::current(), right.panel) {
                // SAFETY: a choice is made only of instructions that the machine said it has.
                #[cfg(target_arch = "x86_64")]
                #[allow(unsafe_code)]
                (Isa::Avx512, 32) => unsafe { wide_block(size, a, left, right, c, stride, into) },
                // SAFETY: as above; AVX-512 machines have AVX2.
                #[cfg(target_arch = "x86_64")]
                #[allow(unsafe_code)]
                (Isa::Avx2 | Isa::Avx512, 16) => unsafe {
                    middle_block(size, a, left, right, c, stride, into)
                },
                (_, 16) => sweep_block::<1, 16>(size, a, left, right, c, stride, into),
                (_, _) => sweep_block::<1, 32>(size, a, left, right, c, stride, into),
            }
        }
    });
}

/// What a thread packs the factors of its current product into.
#[derive(Default)]
struct Buffers {
    left: Vec<f32>,
    right: Packed,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
fn wide_block(
    size: Size,
    a: Rows<'_>,
    left: &mut Vec<f32>,
    right: &Packed,
    c: &mut [f32],
    stride: usize,
    into: Into,
) {
    sweep_block::<12, 32>(size, a, left, right, c, stride, into);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn middle_block(
    size: Size,
    a: Rows<'_>,
    left: &mut Vec<f32>,
    right: &Packed,
    c: &mut [f32],
    stride: usize,
    into: Into,
) {
    sweep_block::<6, 16>(size, a, left, right, c, stride, into);
}

/// All tiles of one block of aᵀ · b, whose left factor is packed strip by strip.
#[inline(always)]
fn sweep_block<const R: usize, const C: usize>(
    size: Size,
    a: Rows<'_>,
    left: &mut Vec<f32>,
    right: &Packed,
    c: &mut [f32],
    stride: usize,
    into: Into,
) {
    let depth = size.inner;
    left.resize(left.len().max(STRIP.next_multiple_of(R) * BLOCK), 0.0);
    for strip in (0..size.rows).step_by(STRIP) {
        let end = size.rows.min(strip + STRIP);
        pack_columns::<R>(a, depth, strip, end - strip, left);
        for first in (0..size.columns).step_by(C) {
            let panel = right.panel(0, first, depth);
            let columns = C.min(size.columns - first);
            let tops = (strip..end).step_by(R);
            for (top, left) in tops.zip(left.chunks_exact(R * depth)) {
                let count = R.min(end - top);
                let out = &mut c[top * stride + first..];
                ask(out, stride, count);
                let sums = packed_tile::<R, C>(left, panel);
                put(&sums, count, columns, out, stride, into);
            }
        }
    }
}

/// Packs `count` columns from column `first` on: `R` of them after each other, row by row.
#[inline(always)]
fn pack_columns<const R: usize>(
    a: Rows<'_>,
    depth: usize,
    first: usize,
    count: usize,
    out: &mut [f32],
) {
    let whole = count / R;
    for k in 0..depth {
        let ahead = (k + 8) * a.stride + first;
        for line in (0..count).step_by(16) {
            prefetch(a.values, ahead + line);
        }
        let from = a.row(k, first, count);
        for (panel, six) in from.chunks_exact(R).enumerate() {
            out[panel * R * depth + k * R..][..R].copy_from_slice(six);
        }
        let rest = &from[whole * R..];
        if !rest.is_empty() {
            let out = &mut out[whole * R * depth + k * R..][..R];
            out[..rest.len()].copy_from_slice(rest);
            out[rest.len()..].fill(0.0);
        }
    }
}

/// The sums of one tile over one block, where both factors are packed.
#[inline(always)]
fn packed_tile<const R: usize, const C: usize>(left: &[f32], panel: &[f32]) -> [[f32; C]; R] {
    let mut sums = [[0.0f32; C]; R];
    for (left, right) in left.chunks_exact(R).zip(panel.chunks_exact(C)) {
        for i in 0..R {
            for j in 0..C {
                sums[i][j] = fused(left[i], right[j], sums[i][j]);
            }
        }
    }
    sums
}

/// All tiles of `R` rows and `C` columns of a product.
#[inline(always)]
fn sweep<const R: usize, const C: usize>(
    size: Size,
    a: Rows<'_>,
    left: &mut Vec<f32>,
    b: &Packed,
    c: &mut [f32],
    stride: usize,
    into: Into,
) {
    for (block, from) in (0..size.inner).step_by(BLOCK).enumerate() {
        let depth = BLOCK.min(size.inner - from);
        let into = if block == 0 { into } else { Into::Add };
        for strip in (0..size.rows).step_by(STRIP) {
            let rows = STRIP.min(size.rows - strip);
            let left = gather(a, (strip, rows), (from, depth), left);
            for first in (0..size.columns).step_by(C) {
                let panel = b.panel(block, first, depth);
                let columns = C.min(size.columns - first);
                for top in (0..rows).step_by(R) {
                    let count = R.min(rows - top);
                    let left: [&[f32]; R] =
                        std::array::from_fn(|i| left.row(top + i.min(count - 1), 0, depth));
                    let out = &mut c[(strip + top) * stride + first..];
                    ask(out, stride, count);
                    let sums = tile::<R, C>(left, panel);
                    put(&sums, count, columns, out, stride, into);
                }
            }
        }
    }
}

/// Rows of a block that follow each other, for they are read once a panel; copied where they lie
/// apart.
#[inline(always)]
fn gather<'a>(
    a: Rows<'a>,
    (strip, rows): (usize, usize),
    (from, depth): (usize, usize),
    buffer: &'a mut Vec<f32>,
) -> Rows<'a> {
    if a.stride == depth {
        return Rows::new(&a.values[strip * depth..], depth);
    }
    buffer.resize(buffer.len().max(STRIP * BLOCK), 0.0);
    for (row, out) in buffer.chunks_exact_mut(depth).take(rows).enumerate() {
        out.copy_from_slice(a.row(strip + row, from, depth));
    }
    Rows::new(buffer, depth)
}

/// Asks for the lines of a tile of the result before its sums are there.
#[inline(always)]
fn ask(out: &[f32], stride: usize, rows: usize) {
    for row in 0..rows {
        prefetch(out, row * stride);
    }
}

/// The sums of one tile over one block.
#[inline(always)]
fn tile<const R: usize, const C: usize>(left: [&[f32]; R], panel: &[f32]) -> [[f32; C]; R] {
    let depth = left[0].len();
    assert!(
        left.iter().all(|row| row.len() == depth),
        "rows of one block"
    );
    let mut sums = [[0.0f32; C]; R];
    for (k, right) in panel[..depth * C].chunks_exact(C).enumerate() {
        for i in 0..R {
            // SAFETY: `k` counts rows of the panel, of which there are `depth`, as many as each
            // row of the left factor has values. With a check here, sums would not stay in
            // registers.
            #[allow(unsafe_code)]
            let value = unsafe { *left[i].get_unchecked(k) };
            for j in 0..C {
                sums[i][j] = fused(value, right[j], sums[i][j]);
            }
        }
    }
    sums
}

/// Writes the first `rows` and `columns` of a tile.
#[inline(always)]
fn put<const R: usize, const C: usize>(
    sums: &[[f32; C]; R],
    rows: usize,
    columns: usize,
    out: &mut [f32],
    stride: usize,
    into: Into,
) {
    if rows == R && columns == C {
        for i in 0..R {
            let out: &mut [f32; C] = (&mut out[i * stride..i * stride + C])
                .try_into()
                .expect("a tile's row");
            for j in 0..C {
                out[j] = if into == Into::Add {
                    out[j] + sums[i][j]
                } else {
                    sums[i][j]
                };
            }
        }
        return;
    }
    for i in 0..rows {
        for (out, sum) in out[i * stride..][..columns].iter_mut().zip(&sums[i]) {
            *out = if into == Into::Add { *out + *sum } else { *sum };
        }
    }
}
