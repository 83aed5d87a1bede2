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
mod krum;
mod lengths;
mod mean;
mod mean_of_senders;
mod median;
mod points;
mod trimmed_mean;
mod weights;

#[cfg(test)]
mod tests;

use crate::codec::{Update, lanes};
use points::{STRIDE, Scaled};

pub use error::RuleError;
pub use weights::capped_weights;

/// How the updates of a cut become one. Set by the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The mean, weighted by tokens under a cap.
    Mean,
    /// Centered clipping around the previous aggregate.
    CenteredClip {
        /// Clipping iterations, 1 to 16; 3 to 5 is usual.
        iterations: u8,
    },
    /// At each coordinate the weighted mean over the members that list it.
    MeanOfSenders,
    /// At each coordinate the mean without the smallest and the largest values.
    TrimmedMean {
        /// How many are left out on each side: the liars it bears (f).
        liars: u32,
    },
    /// At each coordinate the lower median.
    Median,
    /// The update nearest to its neighbours.
    Krum {
        /// The liars it bears (f).
        liars: u32,
    },
    /// The mean of the updates nearest to their neighbours.
    MultiKrum {
        /// The liars it bears (f).
        liars: u32,
        /// Updates that are averaged (m), 1 or more.
        keep: u32,
    },
    /// The point with the least sum of distances.
    GeometricMedian,
}

impl Rule {
    /// The byte that stands for the rule in plans and records.
    pub fn id(self) -> u8 {
        match self {
            Self::Mean => 1,
            Self::CenteredClip { .. } => 2,
            Self::MeanOfSenders => 3,
            Self::TrimmedMean { .. } => 4,
            Self::Median => 5,
            Self::Krum { .. } => 6,
            Self::MultiKrum { .. } => 7,
            Self::GeometricMedian => 8,
        }
    }

    /// The rule's name in plans and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::CenteredClip { .. } => "centered_clip",
            Self::MeanOfSenders => "mean_of_senders",
            Self::TrimmedMean { .. } => "trimmed_mean",
            Self::Median => "median",
            Self::Krum { .. } => "krum",
            Self::MultiKrum { .. } => "multi_krum",
            Self::GeometricMedian => "geometric_median",
        }
    }

    /// Whether the state holds the previous aggregate.
    pub fn keeps_previous(self) -> bool {
        matches!(self, Self::CenteredClip { .. })
    }

    /// Whether members weigh by their tokens; else all weigh the same.
    pub fn weighs_tokens(self) -> bool {
        matches!(self, Self::Mean | Self::MeanOfSenders)
    }

    /// The fewest updates that the rule makes an aggregate of.
    ///
    /// A cut that has some, but fewer, is void. `multi_krum` keeps at most n − f − 2, as many as
    /// its guarantee covers (El Mhamdi et al., <https://arxiv.org/abs/1802.07927>).
    pub fn least_updates(self) -> u64 {
        match self {
            Self::TrimmedMean { liars } => 2 * u64::from(liars) + 1,
            Self::Krum { liars } => 2 * u64::from(liars) + 3,
            Self::MultiKrum { liars, keep } => {
                let (liars, keep) = (u64::from(liars), u64::from(keep));
                (2 * liars + 3).max(liars + 2 + keep)
            }
            Self::Mean
            | Self::CenteredClip { .. }
            | Self::MeanOfSenders
            | Self::Median
            | Self::GeometricMedian => 1,
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// Where the number of iterations or of updates kept is out of range.
    pub fn check(self) -> Result<(), RuleError> {
        match self {
            Self::CenteredClip { iterations } if !(1..=16).contains(&iterations) => {
                Err(RuleError::Iterations { found: iterations })
            }
            Self::MultiKrum { keep: 0, .. } => Err(RuleError::Keep),
            _ => Ok(()),
        }
    }
}

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
    in_parts(rule, contributions, previous, caps, STRIDE)
}

/// [`aggregate`], `stride` values at a time; the bits are the same for any.
fn in_parts(
    rule: Rule,
    contributions: &[Contribution<'_>],
    previous: Option<&[f32]>,
    caps: Caps,
    stride: usize,
) -> Result<Aggregate, RuleError> {
    rule.check()?;
    let all = parameters_of(contributions)?;
    refuse_too_few(rule, contributions.len())?;
    let points = points_of(rule, contributions, caps);
    let mut weights = vec![1; points.len()];
    if rule.weighs_tokens() {
        let tokens: Vec<u64> = contributions.iter().map(|c| c.tokens).collect();
        weights = capped_weights(&tokens, caps)?;
    }
    let mut kept: Vec<f64> = points.iter().map(|(_, scale)| *scale).collect();
    let values = match rule {
        Rule::Mean => mean::mean(&points, &weights, all, stride),
        Rule::MeanOfSenders => mean_of_senders::mean_of_senders(&points, &weights, all, stride),
        Rule::TrimmedMean { liars } => {
            trimmed_mean::trimmed_mean(&points, liars as usize, all, stride)
        }
        Rule::Median => median::median(&points, all, stride),
        Rule::Krum { liars } | Rule::MultiKrum { liars, .. } => {
            let keep = match rule {
                Rule::MultiKrum { keep, .. } => keep as usize,
                _ => 1,
            };
            let (values, chosen) = krum::multi_krum(&points, liars as usize, keep, all, stride);
            weights = chosen.iter().map(|chosen| u64::from(*chosen)).collect();
            multiply(&mut kept, weights.iter().map(|weight| *weight as f64));
            values
        }
        Rule::GeometricMedian => {
            let updates: Vec<&Update> = points.iter().map(|(update, _)| *update).collect();
            let shortened = lengths::shortened(&updates);
            geometric_median::geometric_median(&points, &shortened, all, stride)
        }
        Rule::CenteredClip { iterations } => {
            check_previous(previous, all)?;
            let (values, clips) =
                centered_clip::centered_clip(&points, previous, iterations, all, stride);
            multiply(&mut kept, clips.into_iter());
            values
        }
    };
    let billionths = |kept: &f64| (kept * BILLION as f64) as u64;
    Ok(Aggregate {
        values,
        weights,
        factors: kept.iter().map(billionths).collect(),
    })
}

fn multiply(kept: &mut [f64], factors: impl Iterator<Item = f64>) {
    kept.iter_mut().zip(factors).for_each(|(kept, factor)| {
        *kept *= factor;
    });
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
