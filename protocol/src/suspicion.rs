//! What makes an update look strange beside the others of its cut: a reason to audit it sooner.
//!
//! Nothing here convicts anybody, and no update is left out for it: only replaying the work tells
//! a liar from a member with other data. All numbers are billionths, from f64 sums in the order of
//! parameters, so that every member that folds a cut sees the same; a sparse update gives what its
//! dense form gives, but for [`Sight::overlap`].
//!
//! The bound on the overlap is the published one (honest 0.07 to 0.12). [`ASIDE`] and
//! [`NORM_FACTOR`] are chosen, not measured.

use crate::{
    codec::{Entries, Update, lanes},
    rule::BILLION,
};

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

/// Looks at the updates of a cut.
///
/// # Shapes
/// Updates and `previous` have one length. Of another length `previous` is taken for none.
pub fn look(updates: &[&Update], previous: Option<&[f32]>) -> Vec<Sight> {
    if updates.is_empty() {
        return Vec::new();
    }
    let norms: Vec<f64> = updates.iter().map(|update| update.norm()).collect();
    let middle = lanes::lower_median(&norms);
    let before = previous.map(|values| (values, lanes::norm(values)));
    let overlaps = overlaps(updates);
    let sights = updates.iter().zip(&norms).zip(overlaps);
    sights
        .map(|((update, norm), overlap)| Sight {
            cosine: before.and_then(|(values, long)| cosine((update, *norm), (values, long))),
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

fn cosine((update, norm): (&Update, f64), (before, long): (&[f32], f64)) -> Option<i64> {
    if before.len() != update.parameters() || norm <= 0.0 || long <= 0.0 {
        return None;
    }
    let mut product = 0.0f64;
    update.for_each(0..before.len(), |position, value| {
        product += f64::from(value) * f64::from(before[position]);
    });
    let cosine = (product / norm / long).clamp(-1.0, 1.0);
    Some((cosine * BILLION as f64) as i64)
}

/// The largest overlap of every update with another one.
fn overlaps(updates: &[&Update]) -> Vec<Option<u64>> {
    let mut most = vec![None; updates.len()];
    for (first, one) in updates.iter().enumerate() {
        let Entries::Sparse { indices: ones, .. } = one.entries() else {
            continue;
        };
        for (second, other) in updates.iter().enumerate().skip(first + 1) {
            if let Entries::Sparse { indices, .. } = other.entries() {
                let share = Some(common(ones, indices));
                most[first] = share.max(most[first]);
                most[second] = share.max(most[second]);
            }
        }
    }
    most
}

/// The share of common indices in two ascending lists, of the shorter one; 0 where it is empty.
fn common(ones: &[u32], others: &[u32]) -> u64 {
    let shorter = ones.len().min(others.len()) as u64;
    let (mut a, mut b, mut shared) = (0, 0, 0u64);
    while let (Some(one), Some(other)) = (ones.get(a), others.get(b)) {
        shared += u64::from(one == other);
        a += usize::from(one <= other);
        b += usize::from(other <= one);
    }
    shared * BILLION / shorter.max(1)
}

#[cfg(test)]
mod tests;
