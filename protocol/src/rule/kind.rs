//! Which rules there are, and what each asks for.

use super::RuleError;

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
