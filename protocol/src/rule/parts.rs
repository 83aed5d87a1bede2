//! An aggregate that is made as it is asked for, part after part.
//!
//! The means of sparse updates never stand in memory as a whole: a fold makes a part, hashes it and
//! takes the outer step with it while it is in the cache.

use super::mean_of_senders::MeanOfSenders;
use super::points::Sum;
use crate::codec::lanes;
use std::ops::Range;

/// An aggregate, or what is left to do for it.
pub(super) enum Parts<'a> {
    /// A mean over members.
    Sum(Sum<'a>),
    /// A mean over senders.
    Senders(MeanOfSenders<'a>),
    /// All values.
    Whole(Vec<f32>),
}

/// What a rule makes of a cut, in parts.
pub(crate) struct InParts<'a> {
    pub(super) parts: Parts<'a>,
    pub(super) parameters: usize,
    /// As in [`Aggregate`](super::Aggregate).
    pub(crate) weights: Vec<u64>,
    /// As in [`Aggregate`](super::Aggregate).
    pub(crate) factors: Vec<u64>,
}

impl InParts<'_> {
    /// Values of the aggregate.
    pub(crate) fn parameters(&self) -> usize {
        self.parameters
    }

    /// Writes the values of a part. Parts come in order, without gaps, each at most as wide as was
    /// said at the beginning.
    pub(crate) fn write(&mut self, part: &Range<usize>, out: &mut [f32]) {
        match &mut self.parts {
            Parts::Sum(sum) => sum.write(part, out),
            Parts::Senders(senders) => senders.write(part, out),
            Parts::Whole(values) => out.copy_from_slice(&values[part.clone()]),
        }
    }

    /// All values, of an aggregate of which nothing was written yet, `width` at a time.
    pub(crate) fn into_values(mut self, width: usize) -> Vec<f32> {
        if let Parts::Whole(values) = self.parts {
            return values;
        }
        let mut out = vec![0.0; self.parameters];
        for part in super::points::parts(self.parameters, width) {
            self.write(&part, &mut out[part.clone()]);
        }
        out
    }

    /// A magnitude that no value is above: a mean is not above its largest term.
    pub(crate) fn bound(&self) -> f32 {
        match &self.parts {
            Parts::Sum(sum) => sum.largest(),
            Parts::Senders(senders) => senders.largest(),
            Parts::Whole(values) => lanes::largest(values),
        }
    }
}
