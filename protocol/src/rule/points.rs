//! Sums over members and distances between updates, part by part of the flat vector.
//!
//! A sum of sparse updates costs what they hold: every update is walked once, from its first entry
//! to its last, and only coordinates that somebody lists are divided and rounded.

use crate::codec::{
    Entries, Update,
    lanes::{self, Lanes},
};
use std::ops::Range;

/// Values handled at once, so that sums stay in the fastest cache.
pub(crate) const STRIDE: usize = 4096;

/// An update and the factor it is scaled by.
pub(super) type Scaled<'a> = (&'a Update, f64);

/// The parts of `0..parameters`.
pub(crate) fn parts(
    parameters: usize,
    stride: usize,
) -> impl Iterator<Item = Range<usize>> + use<> {
    (0..parameters)
        .step_by(stride)
        .map(move |start| start..parameters.min(start + stride))
}

/// Walks the entries of an update, part after part.
pub(super) struct Cursor<'a> {
    entries: Entries<'a>,
    /// The first entry of a sparse update that was not visited.
    next: usize,
}

impl<'a> Cursor<'a> {
    /// Stands before the first entry.
    pub(super) fn new(update: &'a Update) -> Self {
        let entries = update.entries();
        Self { entries, next: 0 }
    }

    /// The largest magnitude of an entry.
    pub(super) fn largest(&self) -> f32 {
        let (Entries::Dense(values) | Entries::Sparse { values, .. }) = self.entries;
        lanes::largest(values)
    }

    /// The values of a part, where the update lists all of them.
    #[inline]
    pub(super) fn dense(&self, part: &Range<usize>) -> Option<&'a [f32]> {
        match self.entries {
            Entries::Dense(values) => Some(&values[part.clone()]),
            Entries::Sparse { .. } => None,
        }
    }

    /// Calls `visit` with offset in the part and value of every entry in `part`, in order.
    ///
    /// Parts come in order, without gaps.
    #[inline]
    pub(super) fn visit(&mut self, part: &Range<usize>, mut visit: impl FnMut(usize, f32)) {
        let (indices, values) = match self.entries {
            Entries::Dense(values) => {
                for (offset, value) in values[part.clone()].iter().enumerate() {
                    visit(offset, *value);
                }
                return;
            }
            Entries::Sparse { indices, values } => (&indices[self.next..], &values[self.next..]),
        };
        let mut visited = 0;
        for (index, value) in indices.iter().zip(values) {
            let index = *index as usize;
            if index >= part.end {
                break;
            }
            visit(index - part.start, *value);
            visited += 1;
        }
        self.next += visited;
    }
}

/// Which offsets of a part something was added to: a bit each.
pub(super) struct Touched(Vec<u64>);

impl Touched {
    /// Nothing yet, of a part of this width.
    pub(super) fn new(width: usize) -> Self {
        Self(vec![0; width.div_ceil(64)])
    }

    /// Remembers an offset.
    #[inline]
    pub(super) fn mark(&mut self, offset: usize) {
        self.0[offset / 64] |= 1 << (offset % 64);
    }

    /// Calls `visit` with every remembered offset in ascending order, and forgets them.
    #[inline]
    pub(super) fn drain(&mut self, mut visit: impl FnMut(usize)) {
        for (word, bits) in self.0.iter_mut().enumerate() {
            while *bits != 0 {
                visit(64 * word + bits.trailing_zeros() as usize);
                *bits &= *bits - 1;
            }
        }
    }
}

/// `Σ factor·update / divisor` as it is asked for: part after part, in order.
pub(super) struct Sum<'a> {
    terms: Vec<(Cursor<'a>, f64)>,
    divisor: f64,
    /// Whether an update lists every coordinate.
    dense: bool,
    /// Zeros between two parts.
    sums: Vec<f64>,
    touched: Touched,
}

impl<'a> Sum<'a> {
    /// The sum over `terms`, with parts of at most `width` values.
    pub(super) fn new(terms: &[Scaled<'a>], divisor: f64, width: usize) -> Self {
        let cursor = |(update, factor): &Scaled<'a>| (Cursor::new(update), *factor);
        let is_dense = |(update, _): &Scaled<'_>| matches!(update.entries(), Entries::Dense(_));
        Self {
            terms: terms.iter().map(cursor).collect(),
            divisor,
            dense: terms.iter().any(is_dense),
            sums: vec![0.0; width],
            touched: Touched::new(width),
        }
    }

    /// The largest magnitude of an entry of any term.
    pub(super) fn largest(&self) -> f32 {
        let largest = self.terms.iter().map(|(cursor, _)| cursor.largest());
        largest.fold(0.0, f32::max)
    }

    /// Writes the next part, every value rounded once to `f32`.
    pub(super) fn write(&mut self, part: &Range<usize>, out: &mut [f32]) {
        let (sums, touched, divisor) = (&mut self.sums, &mut self.touched, self.divisor);
        if self.dense {
            for (cursor, factor) in &mut self.terms {
                add(sums, cursor, *factor, part);
            }
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = (std::mem::take(sum) / divisor) as f32;
            }
            return;
        }
        out.fill(0.0);
        for (cursor, factor) in &mut self.terms {
            cursor.visit(part, |offset, value| {
                sums[offset] += *factor * f64::from(value);
                touched.mark(offset);
            });
        }
        touched.drain(|offset| {
            out[offset] = (std::mem::take(&mut sums[offset]) / divisor) as f32;
        });
    }
}

/// Adds `factor · update` to the sums of one part.
fn add(sums: &mut [f64], cursor: &mut Cursor<'_>, factor: f64, part: &Range<usize>) {
    if let Some(values) = cursor.dense(part) {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += factor * f64::from(*value);
        }
        return;
    }
    // A sum is never -0, so the zeros that are left out would not change it.
    cursor.visit(part, |offset, value| {
        sums[offset] += factor * f64::from(value);
    });
}

/// `Σ factor·update / divisor`, rounded once to `f32`.
pub(super) fn weighted_mean(
    terms: &[Scaled<'_>],
    divisor: f64,
    parameters: usize,
    stride: usize,
) -> Vec<f32> {
    let mut sum = Sum::new(terms, divisor, stride.min(parameters));
    let mut out = vec![0.0; parameters];
    for part in parts(parameters, stride) {
        sum.write(&part, &mut out[part.clone()]);
    }
    out
}

/// `‖scale·update − center‖` for every point.
pub(super) fn distances(points: &[Scaled<'_>], center: &[f32], stride: usize) -> Vec<f64> {
    let mut sums = vec![Lanes::default(); points.len()];
    let mut scratch = Vec::new();
    for part in parts(center.len(), stride) {
        for (sum, (update, scale)) in sums.iter_mut().zip(points) {
            let values = update.window(part.clone(), &mut scratch);
            sum.push_distances(*scale, values, &center[part.clone()]);
        }
    }
    sums.iter().map(|sum| sum.total().sqrt()).collect()
}
