//! What makes an update look strange beside the others of its cut: a reason to audit it sooner.
//!
//! Nothing here convicts anybody, and no update is left out for it: only replaying the work tells
//! a liar from a member with other data. All numbers are billionths, from f64 sums in a fixed
//! order, so that every member that folds a cut sees the same; a sparse update gives what its dense
//! form gives, but for [`Sight::overlap`].
//!
//! A [`Sight`] is a function of one cut and the state it is folded into; intake records hold it. A
//! [`Trend`] is what a reader of records makes of a member's sights over the rounds.
//!
//! The bound on the overlap is the published one (honest 0.07 to 0.12); members of like data exceed
//! it honestly (decision 025). [`ASIDE`] and [`NORM_FACTOR`] are chosen, not measured.

mod overlap;
mod reading;

use crate::{
    codec::{Update, lanes, lanes::Lanes},
    ids::MemberId,
    rule::{BILLION, in_ranges},
    state::Tensors,
};
use overlap::Overlaps;
use reading::{Reading, WINDOW};
use std::{collections::BTreeMap, fmt};

/// The share of common indices from which two updates are strange: 0.4.
pub const OVERLAP: u64 = 400_000_000;
/// How far a member's cosine may lie from the others' in the long run: 0.3.
pub const ASIDE: u64 = 300_000_000;
/// How many times longer or shorter than the median an update may be.
pub const NORM_FACTOR: u64 = 4;
/// The largest ratio of norms that is told: a thousand.
pub const MAX_RATIO: u64 = 1_000 * BILLION;
/// A new cosine moves the average by one part in so many.
const MEMORY: i64 = 8;
/// Every sign multiplies the probability of an audit by so much.
const PER_SIGN: u64 = 4;

/// How one update looks beside the others of its cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Cosine to the previous aggregate, −10⁹ to 10⁹; none before there is one, and none where
    /// either is zero.
    pub cosine: Option<i64>,
    /// Its norm divided by the lower median of the norms, at most [`MAX_RATIO`].
    pub norm_ratio: u64,
    /// The largest share of indices that it has in common with another update, of the fewer
    /// indices of the two; none where no two are sparse.
    pub overlap: Option<u64>,
}

impl fmt::Display for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "norm {}", thousandths(self.norm_ratio))?;
        if let Some(cosine) = self.cosine {
            let sign = if cosine < 0 { "-" } else { "" };
            let share = thousandths(cosine.unsigned_abs());
            write!(f, ", cosine {sign}{share}")?;
        }
        match self.overlap {
            Some(overlap) => write!(f, ", overlap {}", thousandths(overlap)),
            None => Ok(()),
        }
    }
}

/// Billionths with three digits behind the point.
fn thousandths(billionths: u64) -> String {
    let thousandths = billionths / (BILLION / 1000);
    format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
}

/// A member's cosine over the rounds: an exponential moving average.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trend {
    /// The average in billionths; none before the first cosine.
    pub cosine: Option<i64>,
}

impl Trend {
    /// The trend after another round.
    #[must_use]
    pub fn after(self, sight: &Sight) -> Self {
        let cosine = match (self.cosine, sight.cosine) {
            (Some(old), Some(new)) => Some(old + (new - old).div_euclid(MEMORY)),
            (old, new) => new.or(old),
        };
        Self { cosine }
    }
}

/// What the updates of a cut are compared with: the state's previous aggregate where there is one,
/// else the memory of the outer step where it has one.
pub fn direction(state: &Tensors) -> Option<&[f32]> {
    let vectors = [state.aggregate.as_slice(), &state.momentum];
    vectors.into_iter().find(|values| !values.is_empty())
}

/// The trends of all members, as one reader of records has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trends {
    members: BTreeMap<MemberId, Trend>,
}

impl Trends {
    /// Goes on by the sights of a round, and returns the [`signs`] of each of its members.
    pub fn after_round(&mut self, seen: &[(MemberId, Sight)]) -> Vec<u32> {
        let next = |(member, sight): &(MemberId, Sight)| {
            let trend = self.members.entry(*member).or_default();
            *trend = trend.after(sight);
            *trend
        };
        let trends: Vec<Trend> = seen.iter().map(next).collect();
        let sights: Vec<Sight> = seen.iter().map(|(_, sight)| *sight).collect();
        signs(&sights, &trends)
    }
}

/// Looks at the updates of a cut.
///
/// # Shapes
/// Updates and `previous` have one length. Of another length `previous` is taken for none.
///
/// # Panics
/// Where updates differ in length.
pub fn look(updates: &[&Update], previous: Option<&[f32]>) -> Vec<Sight> {
    let Some(parameters) = updates.first().map(|update| update.parameters()) else {
        return Vec::new();
    };
    let previous = previous.filter(|values| values.len() == parameters);
    let mut readings: Vec<Reading<'_>> = updates.iter().map(|u| Reading::new(u)).collect();
    let (mut before, mut overlaps) = (Lanes::default(), Overlaps::new(&readings));
    for window in in_ranges(parameters, WINDOW) {
        let near = previous.map(|values| &values[window.clone()]);
        before.push_squares(near.unwrap_or_default());
        for reading in &mut readings {
            reading.read(&window, near);
        }
        overlaps.count(&readings, window.start);
    }
    let norms: Vec<f64> = readings.iter().map(Reading::norm).collect();
    let (middle, long) = (lanes::lower_median(&norms), before.total().sqrt());
    let sights = readings.iter().zip(&norms).zip(overlaps.largest(&readings));
    sights
        .map(|((reading, norm), overlap)| Sight {
            cosine: cosine(reading.product(), *norm, long),
            norm_ratio: ratio(*norm, middle),
            overlap,
        })
        .collect()
}

/// How many of the three signs each member of a cut shows: overlap, norm, cosine.
///
/// The trends are those [after](Trend::after) this cut, in the same order; a cosine is compared to
/// their lower median, since all turn together when the outer step overshoots.
pub fn signs(sights: &[Sight], trends: &[Trend]) -> Vec<u32> {
    let mut known: Vec<i64> = trends.iter().filter_map(|trend| trend.cosine).collect();
    known.sort_unstable();
    let middle = known.get(known.len().saturating_sub(1) / 2).copied();
    let aside = |trend: &Trend| match (trend.cosine, middle) {
        (Some(cosine), Some(middle)) => cosine.abs_diff(middle) >= ASIDE,
        _ => false,
    };
    let shown = sights.iter().zip(trends).map(|(sight, trend)| {
        let copied = sight.overlap.is_some_and(|share| share >= OVERLAP);
        let usual = BILLION / NORM_FACTOR..=BILLION * NORM_FACTOR;
        let odd = !usual.contains(&sight.norm_ratio);
        u32::from(copied) + u32::from(odd) + u32::from(aside(trend))
    });
    shown.collect()
}

/// The probability of an audit where it is `usual` for members that show no sign, in billionths.
pub fn audit_probability(usual: u64, signs: u32) -> u64 {
    let factor = PER_SIGN.saturating_pow(signs);
    usual.saturating_mul(factor).min(BILLION)
}

/// `norm / middle` in billionths; what is longer than nothing has the largest ratio.
fn ratio(norm: f64, middle: f64) -> u64 {
    match (norm > 0.0, middle > 0.0) {
        (_, true) => ((norm / middle * BILLION as f64) as u64).min(MAX_RATIO),
        (true, false) => MAX_RATIO,
        (false, false) => BILLION,
    }
}

/// None where either vector is zero.
fn cosine(product: f64, norm: f64, long: f64) -> Option<i64> {
    if norm <= 0.0 || long <= 0.0 {
        return None;
    }
    let cosine = (product / norm / long).clamp(-1.0, 1.0);
    Some((cosine * BILLION as f64) as i64)
}

#[cfg(test)]
mod tests;
