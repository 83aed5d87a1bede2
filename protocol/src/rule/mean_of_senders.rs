//! `mean_of_senders`: at every coordinate the weighted mean of the members that list it.
//!
//! SparseLoCo's reference code averages so, while its paper divides by all members
//! (<https://arxiv.org/abs/2508.15706>). A coordinate that one of n members kept moves n times as
//! far as under [`mean`](super::mean). Where all members list all coordinates the two are one.
//!
//! A cap on shares holds over the cut, not at a coordinate: whoever alone lists one decides it.

use super::mean::weighted;
use super::points::{Cursor, Scaled, Touched};
use std::ops::Range;

/// The mean as it is asked for: part after part, in order.
pub(super) struct MeanOfSenders<'a> {
    /// Entries, factor and weight of each member.
    members: Vec<(Cursor<'a>, f64, f64)>,
    /// Sum and weight at each coordinate; zeros between two parts.
    sums: Vec<(f64, f64)>,
    touched: Touched,
}

impl<'a> MeanOfSenders<'a> {
    /// The mean of senders by these weights, one a point, with parts of at most `width` values.
    pub(super) fn new(points: &[Scaled<'a>], weights: &[u64], width: usize) -> Self {
        let (terms, _) = weighted(points, weights);
        let member = |((update, factor), weight): (Scaled<'a>, &u64)| {
            (Cursor::new(update), factor, *weight as f64)
        };
        Self {
            members: terms.into_iter().zip(weights).map(member).collect(),
            sums: vec![(0.0, 0.0); width],
            touched: Touched::new(width),
        }
    }

    /// The largest magnitude of an entry of any member.
    pub(super) fn largest(&self) -> f32 {
        let largest = self.members.iter().map(|(cursor, ..)| cursor.largest());
        largest.fold(0.0, f32::max)
    }

    /// Writes the next part. A coordinate that nobody lists, or only members without weight, is
    /// +0.
    pub(super) fn write(&mut self, part: &Range<usize>, out: &mut [f32]) {
        let (sums, touched) = (&mut self.sums, &mut self.touched);
        for (cursor, factor, weight) in &mut self.members {
            let (factor, weight) = (*factor, *weight);
            cursor.visit(part, |offset, value| {
                let (sum, total) = &mut sums[offset];
                *sum += factor * f64::from(value);
                *total += weight;
                touched.mark(offset);
            });
        }
        out.fill(0.0);
        touched.drain(|offset| {
            let (sum, total) = std::mem::take(&mut sums[offset]);
            if total > 0.0 {
                out[offset] = (sum / total) as f32;
            }
        });
    }
}
