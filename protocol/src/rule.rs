//! The aggregation rule: how the updates of a cut become one aggregate.
//!
//! [`Rule::Mean`] weighs members by their tokens and believes everyone. [`Rule::CenteredClip`]
//! (Karimireddy, He and Jaggi, <https://arxiv.org/abs/2012.10333>) believes nobody's magnitude: an
//! update can pull the aggregate only as far as the median member does.
//!
//! Members are taken in the order given, which the caller makes the member order; accumulators are
//! `f64`, sums run over members in that order, norms over 16 lanes and a fixed tree, and the
//! aggregate is rounded to `f32`. Nothing depends on how many values are handled at once.
//!
//! # Deviations from the paper
//! - Updates are first scaled down to the lower median of their norms, so that one liar does not
//!   move the starting point either.
//! - The clipping radius is the lower median of the distances, drawn anew in every iteration: a
//!   federation has no honest variance to tune a constant by.
//! - Without a previous aggregate the iterations start from the geometric median.
//! - Tokens do not weigh: they are claimed by the member that profits from them.

mod clip;
mod points;
mod weights;

#[cfg(test)]
mod tests;

use crate::codec::{Update, lanes};
use points::STRIDE;

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
}

impl Rule {
    /// The byte that stands for the rule in plans and records.
    pub fn id(self) -> u8 {
        match self {
            Self::Mean => 1,
            Self::CenteredClip { .. } => 2,
        }
    }

    /// The rule's name in plans and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::CenteredClip { .. } => "centered_clip",
        }
    }

    /// Whether the state holds the previous aggregate.
    pub fn keeps_previous(self) -> bool {
        matches!(self, Self::CenteredClip { .. })
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// Where the number of iterations is out of range.
    pub fn check(self) -> Result<(), RuleError> {
        match self {
            Self::CenteredClip { iterations } if !(1..=16).contains(&iterations) => {
                Err(RuleError::Iterations { found: iterations })
            }
            _ => Ok(()),
        }
    }
}

/// Billionths in one: the unit of shares and factors in records.
pub const BILLION: u64 = 1_000_000_000;

/// What a plan allows a member to weigh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// The largest share of the total weight a member may have, in billionths, 1 to 10⁹.
    pub max_share_billionths: u64,
}

impl Caps {
    /// No cap.
    pub const NONE: Self = Self {
        max_share_billionths: BILLION,
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
    /// The weight of every member, in the order given.
    pub weights: Vec<u64>,
    /// What share of its update every member kept, in billionths, rounded down: 10⁹ where nothing
    /// was clipped. For the record.
    pub factors: Vec<u64>,
}

/// Why there is no aggregate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// There is no update.
    #[error("a rule needs an update, found none: an empty cut changes nothing")]
    Empty,
    /// No update was trained on any token.
    #[error("{updates} updates declare no token: this round folds as an empty cut")]
    NoTokens {
        /// Updates given.
        updates: usize,
    },
    /// An update has another number of parameters.
    #[error("update {position} has {found} parameters, expected {expected}")]
    Length {
        /// Position among the updates.
        position: usize,
        /// Parameters of the first update.
        expected: usize,
        /// Parameters found.
        found: usize,
    },
    /// The previous aggregate has another number of parameters.
    #[error("the previous aggregate has {found} parameters, expected {expected}")]
    PreviousLength {
        /// Parameters of the first update.
        expected: usize,
        /// Parameters found.
        found: usize,
    },
    /// The previous aggregate holds a value that is not finite.
    #[error("value {index} of the previous aggregate is not finite: the state is damaged")]
    PreviousNotFinite {
        /// Position in the flat vector.
        index: usize,
    },
    /// The number of iterations is out of range.
    #[error("centered_clip takes 1 to 16 iterations, found {found}")]
    Iterations {
        /// Iterations found.
        found: u8,
    },
    /// The cap on a share is out of range.
    #[error("a share is capped at 1 to 1000000000 billionths, found {found}")]
    Share {
        /// The cap found, in billionths.
        found: u64,
    },
}

/// Aggregates the updates of a cut, given in member order.
///
/// `previous` is the previous aggregate of a rule that [keeps it](Rule::keeps_previous), and
/// nothing before the first; other rules ignore it.
///
/// # Errors
/// Where there is nothing to aggregate, lengths differ, or settings are out of range.
pub fn aggregate(
    rule: Rule,
    contributions: &[Contribution<'_>],
    previous: Option<&[f32]>,
    caps: Caps,
) -> Result<Aggregate, RuleError> {
    rule.check()?;
    let parameters = parameters_of(contributions)?;
    match rule {
        Rule::Mean => mean(contributions, parameters, caps, STRIDE),
        Rule::CenteredClip { iterations } => {
            check_previous(previous, parameters)?;
            let updates: Vec<&Update> = contributions.iter().map(|c| c.update).collect();
            let (values, factors) = clip::centered(&updates, previous, iterations, STRIDE);
            Ok(Aggregate {
                values,
                weights: vec![1; updates.len()],
                factors,
            })
        }
    }
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

/// `Σ wᵢ·xᵢ / Σ wᵢ`, accumulated in `f64` and rounded once to `f32`.
fn mean(
    contributions: &[Contribution<'_>],
    parameters: usize,
    caps: Caps,
    stride: usize,
) -> Result<Aggregate, RuleError> {
    let tokens: Vec<u64> = contributions.iter().map(|c| c.tokens).collect();
    let weights = capped_weights(&tokens, caps)?;
    let total = weights
        .iter()
        .map(|weight| u128::from(*weight))
        .sum::<u128>() as f64;
    let terms: Vec<_> = contributions
        .iter()
        .zip(&weights)
        .map(|(c, weight)| (c.update, *weight as f64))
        .collect();
    let values = points::weighted_mean(&terms, total, parameters, stride);
    Ok(Aggregate {
        values,
        weights,
        factors: vec![BILLION; contributions.len()],
    })
}
