//! Why there is no aggregate.

/// Why there is no aggregate. A fold makes a void cut of each: nothing changes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// There is no update.
    #[error("a rule needs an update, found none: an empty cut changes nothing")]
    Empty,
    /// Too few updates to bear the liars that the plan assumes.
    #[error("{rule} needs {needed} updates, found {found}: this round folds as an empty cut")]
    TooFew {
        /// The rule's name.
        rule: &'static str,
        /// Updates that the rule's guarantee needs.
        needed: usize,
        /// Updates given.
        found: usize,
    },
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
    /// A mean of no update.
    #[error("multi_krum keeps 1 update or more, found 0")]
    Keep,
    /// The cap on a share is out of range.
    #[error("a share is capped at 1 to 1000000000 billionths, found {found}")]
    Share {
        /// The cap found, in billionths.
        found: u64,
    },
}
