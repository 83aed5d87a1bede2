//! The aggregation rule: how the updates of a cut become one aggregate.
//!
//! | rule | bears | tokens weigh | left-out coordinates |
//! |---|---|---|---|
//! | [`mean`](Rule::Mean) | nobody | yes, under a cap | are zeros |
//! | [`mean_of_senders`](Rule::MeanOfSenders) | nobody | yes, under a cap | do not count |
//! | [`trimmed_mean`](Rule::TrimmedMean) | f of n > 2f | no | are zeros |
//! | [`median`](Rule::Median) | fewer than half | no | are zeros |
//! | [`krum`](Rule::Krum), [`multi_krum`](Rule::MultiKrum) | f of n ≥ 2f + 3 | no | are zeros |
//! | [`geometric_median`](Rule::GeometricMedian) | fewer than half | no | are zeros |
//! | [`centered_clip`](Rule::CenteredClip) | fewer than half | no | are zeros |
//!
//! Tokens are claimed by the member that profits from them, so no rule that bears liars listens to
//! them. "Bears" is what the rule's paper shows for its assumptions; each module says where they
//! end.
//!
//! Members are taken in the order given, which the caller makes the member order; accumulators are
//! `f64`, sums run over members in that order unless a rule says otherwise, norms over 16 lanes and
//! a fixed tree, and the aggregate is rounded to `f32`. Nothing depends on how many values are
//! handled at once, and no aggregate holds a NaN.
//!
//! # Deviations from the papers
//! - `centered_clip` first scales updates down to the lower median of their norms, so that one liar
//!   does not move the starting point either. A plan may ask for the same before any rule
//!   ([`Caps::median_norm`]).
//! - Its clipping radius is the lower median of the distances, drawn anew in every iteration: a
//!   federation has no honest variance to tune a constant by.
//! - Without a previous aggregate its iterations start from the geometric median.
//! - With an even number of members every median is the lower one: a value that somebody sent.

mod centered_clip;
mod columns;
mod error;
mod geometric_median;
mod kind;
mod krum;
mod lengths;
mod mean;
mod mean_of_senders;
mod median;
mod parts;
mod points;
mod trimmed_mean;
mod weights;

#[cfg(test)]
mod tests;

use crate::codec::{Update, lanes};
use mean_of_senders::MeanOfSenders;
use parts::Parts;
use points::{Scaled, Sum};

pub(crate) use parts::InParts;
pub(crate) use points::{STRIDE, parts as in_ranges};

pub use error::RuleError;
pub use kind::Rule;
pub use weights::capped_weights;

/// Billionths in one: the unit of shares and factors in records.
pub const BILLION: u64 = 1_000_000_000;

/// How much a plan lets one member count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// The largest share of the total weight a member may have, in billionths, 1 to 10⁹.
    pub max_share_billionths: u64,
    /// Whether updates longer than the lower median of their norms are brought down to it.
    /// `centered_clip` does so in any case.
    pub median_norm: bool,
}

impl Caps {
    /// No cap.
    pub const NONE: Self = Self {
        max_share_billionths: BILLION,
        median_norm: false,
    };
}

/// One member's part in a cut.
#[derive(Clone, Copy, Debug)]
pub struct Contribution<'a> {
    /// Tokens of the update's own round; carried tokens weigh nothing.
    pub tokens: u64,
    /// The decoded update.
    pub update: &'a Update,
}

/// What a rule makes of a cut.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// The aggregated pseudo-gradient, one value a parameter.
    pub values: Vec<f32>,
    /// The weight of every member, in the order given: capped tokens, or 1; 0 for a member whose
    /// update Krum did not choose.
    pub weights: Vec<u64>,
    /// What share of its update every member kept, in billionths, rounded down: 10⁹ where nothing
    /// was clipped, 0 for what Krum did not choose.
    pub factors: Vec<u64>,
}

/// Aggregates the updates of a cut, given in member order.
///
/// `previous` is the previous aggregate of a rule that [keeps it](Rule::keeps_previous), and
/// nothing before the first; other rules ignore it.
///
/// # Errors
/// Where there is nothing to aggregate or [too little](Rule::least_updates), lengths differ, or
/// settings are out of range.
pub fn aggregate(
    rule: Rule,
    contributions: &[Contribution<'_>],
    previous: Option<&[f32]>,
    caps: Caps,
) -> Result<Aggregate, RuleError> {
    let mut begun = in_parts(rule, contributions, previous, caps, STRIDE)?;
    Ok(Aggregate {
        weights: std::mem::take(&mut begun.weights),
        factors: std::mem::take(&mut begun.factors),
        values: begun.into_values(STRIDE),
    })
}

/// [`aggregate`] in parts of at most `stride` values; the bits are the same for any.
///
/// # Errors
/// As [`aggregate`]; none comes later.
pub(crate) fn in_parts<'a>(
    rule: Rule,
    contributions: &[Contribution<'a>],
    previous: Option<&[f32]>,
    caps: Caps,
    stride: usize,
) -> Result<InParts<'a>, RuleError> {
    rule.check()?;
    let parameters = parameters_of(contributions)?;
    refuse_too_few(rule, contributions.len())?;
    let points = points_of(rule, contributions, caps);
    let mut weights = vec![1; points.len()];
    if rule.weighs_tokens() {
        let tokens: Vec<u64> = contributions.iter().map(|c| c.tokens).collect();
        weights = capped_weights(&tokens, caps)?;
    }
    let mut kept: Vec<f64> = points.iter().map(|(_, scale)| *scale).collect();
    let width = stride.min(parameters);
    let parts = match rule {
        Rule::Mean => Parts::Sum(mean::mean(&points, &weights, width)),
        Rule::MeanOfSenders => Parts::Senders(MeanOfSenders::new(&points, &weights, width)),
        Rule::Krum { liars } => {
            let chosen = krum::chosen(&points, liars as usize, 1, parameters, stride);
            Parts::Sum(take(&chosen, &points, &mut weights, &mut kept, width))
        }
        Rule::MultiKrum { liars, keep } => {
            let chosen = krum::chosen(&points, liars as usize, keep as usize, parameters, stride);
            Parts::Sum(take(&chosen, &points, &mut weights, &mut kept, width))
        }
        Rule::CenteredClip { iterations } => {
            check_previous(previous, parameters)?;
            let (values, clips) =
                centered_clip::centered_clip(&points, previous, iterations, parameters, stride);
            kept.iter_mut().zip(clips).for_each(|(kept, c)| *kept *= c);
            Parts::Whole(values)
        }
        _ => Parts::Whole(whole(rule, &points, parameters, stride)),
    };
    let billionths = |kept: &f64| (kept * BILLION as f64) as u64;
    Ok(InParts {
        parts,
        parameters,
        weights,
        factors: kept.iter().map(billionths).collect(),
    })
}

/// The mean of the members that Krum chose; nothing is kept of the others.
fn take<'a>(
    chosen: &[bool],
    points: &[Scaled<'a>],
    weights: &mut [u64],
    kept: &mut [f64],
    width: usize,
) -> Sum<'a> {
    let mut terms = Vec::new();
    for (member, chosen) in chosen.iter().enumerate() {
        match chosen {
            true => terms.push(points[member]),
            false => (weights[member], kept[member]) = (0, 0.0),
        }
    }
    Sum::new(&terms, terms.len() as f64, width)
}

/// All values of a rule that gives all members the same weight and keeps nothing.
fn whole(rule: Rule, points: &[Scaled<'_>], parameters: usize, stride: usize) -> Vec<f32> {
    match rule {
        Rule::TrimmedMean { liars } => {
            trimmed_mean::trimmed_mean(points, liars as usize, parameters, stride)
        }
        Rule::Median => median::median(points, parameters, stride),
        Rule::GeometricMedian => {
            let updates: Vec<&Update> = points.iter().map(|(update, _)| *update).collect();
            let shortened = lengths::shortened(&updates);
            geometric_median::geometric_median(points, &shortened, parameters, stride)
        }
        _ => unreachable!("{} is made elsewhere", rule.name()),
    }
}

/// The updates, shortened to the median norm where plan or rule ask for it.
fn points_of<'a>(rule: Rule, contributions: &[Contribution<'a>], caps: Caps) -> Vec<Scaled<'a>> {
    let updates: Vec<&Update> = contributions.iter().map(|c| c.update).collect();
    match caps.median_norm || matches!(rule, Rule::CenteredClip { .. }) {
        true => lengths::shortened(&updates),
        false => lengths::as_sent(&updates),
    }
}

fn refuse_too_few(rule: Rule, found: usize) -> Result<(), RuleError> {
    let needed = usize::try_from(rule.least_updates()).unwrap_or(usize::MAX);
    if found >= needed {
        return Ok(());
    }
    Err(RuleError::TooFew {
        rule: rule.name(),
        needed,
        found,
    })
}

fn parameters_of(contributions: &[Contribution<'_>]) -> Result<usize, RuleError> {
    let expected = contributions
        .first()
        .ok_or(RuleError::Empty)?
        .update
        .parameters();
    for (position, contribution) in contributions.iter().enumerate() {
        let found = contribution.update.parameters();
        if found != expected {
            return Err(RuleError::Length {
                position,
                expected,
                found,
            });
        }
    }
    Ok(expected)
}

fn check_previous(previous: Option<&[f32]>, expected: usize) -> Result<(), RuleError> {
    let Some(values) = previous else {
        return Ok(());
    };
    if values.len() != expected {
        return Err(RuleError::PreviousLength {
            expected,
            found: values.len(),
        });
    }
    if lanes::all_finite(values) {
        return Ok(());
    }
    let index = values.iter().position(|value| !value.is_finite());
    Err(RuleError::PreviousNotFinite {
        index: index.expect("one value is not finite"),
    })
}
